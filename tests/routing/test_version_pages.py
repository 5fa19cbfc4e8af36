"""The page of a version, and the page that says what compiling would do and publishes it."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.production.models import Run, RunStatus
from mes.routing.compilation import compile_route
from mes.routing.models import RouteVersion
from tests.factories import Plant, build_config, make_plant, make_route, make_user

pytestmark = pytest.mark.django_db
MAPPING = {"snPath": "payload.board.sn", "result": {"path": "payload.r", "passValues": ["OK"], "failValues": ["NG"]}}


@pytest.fixture
def plant() -> Plant:
    return make_plant()


def signed_in(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def change_limit(plant: Plant, usl: float) -> None:
    type(plant.peak).objects.filter(pk=plant.peak.pk).update(usl=usl)


def page(number: Any = 1, code: str = "ROUTE-1") -> str:
    return reverse("route-version", args=[code, number])


def text_of(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def digest_in(response: Any) -> str:
    return re.search(r'name="digest" value="(\w+)"', response.content.decode())[1]  # type: ignore[index]


# --- one version ----------------------------------------------------------------------------------------------


def test_a_version_is_read_by_everyone(plant: Plant) -> None:
    build_config(plant.routing, step_no=20, station_type="AUTO", ingest_mapping=MAPPING).save()
    compile_route(code="ROUTE-1")
    text = text_of(signed_in(Role.OPERATOR).get(page(2)))
    for wanted in ("Peak Temperature", "235 … 245 … 250 °C", "group OVENS", "payload.board.sn", "result.passValues OK"):
        assert wanted in text
    assert "Differences to version 1 version 1" not in text
    assert "Step 20: station type" in text
    assert "No run has this version." in text


def test_it_is_compared_with_the_one_before_any_other_and_what_is_live(plant: Plant) -> None:
    client = signed_in()
    for usl in (249, 248):
        change_limit(plant, usl)
        compile_route(code="ROUTE-1")
    change_limit(plant, 247)
    assert "It is the first version." in text_of(client.get(page(1)))
    assert "upper limit 249 → 248 °C" in text_of(client.get(page(3)))
    assert "upper limit 250 → 248 °C" in text_of(client.get(page(3), {"with": "1"}))
    assert "upper limit 250 → 248 °C" in text_of(client.get(page(1), {"with": "3"}))
    assert "upper limit 248 → 247 °C" in text_of(client.get(page(3), {"with": "live"}))
    assert client.get(page(3), {"with": "LIVE"}).status_code == 404


def test_its_runs_are_listed_by_status(plant: Plant) -> None:
    text = text_of(signed_in().get(page()))
    assert "Authorized 1: RUN-1" in text


def test_why_it_cannot_be_used_is_told(plant: Plant) -> None:
    version, _changed = compile_route(code=make_route("EMPTY", steps=[]).code)
    assert version.status == "INVALID"
    assert "The route has no steps. NO_STEPS" in text_of(signed_in().get(page(1, "EMPTY")))


@pytest.mark.parametrize("number", ["0", "2", "99999999999", "live", "x", "²"])
def test_a_version_that_is_not_there(plant: Plant, number: str) -> None:
    assert signed_in().get(page(number)).status_code == 404
    assert signed_in().get(page(1, "NOTHING")).status_code == 404


def test_a_version_takes_a_fixed_number_of_statements(plant: Plant, django_assert_num_queries: Any) -> None:
    client = signed_in()
    for usl in (249, 248, 247):
        change_limit(plant, usl)
        compile_route(code="ROUTE-1")
    client.get(page(4))
    with django_assert_num_queries(9):
        client.get(page(4))


# --- compiling ------------------------------------------------------------------------------------------------


def test_it_is_shown_first_and_published_with_a_reason(plant: Plant) -> None:
    client, address = signed_in(), reverse("route-compile", args=["ROUTE-1"])
    Run.objects.update(status=RunStatus.PREP)
    assert "There is nothing to publish." in text_of(client.get(address))
    change_limit(plant, 248)
    shown = client.get(address)
    text = text_of(shown)
    assert "Peak Temperature, upper limit 250 → 248 °C" in text
    assert "Publish version 2" in text
    assert "RUN-1 version 1" in text
    client.post(address, {"digest": digest_in(shown), "reason": " "})
    assert RouteVersion.objects.count() == 1
    answer = client.post(address, {"digest": digest_in(shown), "reason": "Oven 2 drifts."}, follow=True)
    assert "Version 2 is published." in text_of(answer)
    entry = AuditEntry.objects.get(entity="route-versions", name="2")
    assert entry.reason == "Oven 2 drifts."


def test_what_changed_since_it_was_shown_is_shown_anew(plant: Plant) -> None:
    client, address = signed_in(), reverse("route-compile", args=["ROUTE-1"])
    change_limit(plant, 248)
    shown = client.get(address)
    change_limit(plant, 247)
    answer = client.post(address, {"digest": digest_in(shown), "reason": "Oven 2 drifts."})
    text = text_of(answer)
    assert "Something was changed since you looked" in text
    assert "upper limit 250 → 247 °C" in text
    assert "Oven 2 drifts." in text
    assert RouteVersion.objects.count() == 1
    assert client.post(address, {"reason": "No digest."}).status_code == 200
    assert RouteVersion.objects.count() == 1
    client.post(address, {"digest": digest_in(answer), "reason": "Oven 2 drifts."})
    assert RouteVersion.objects.count() == 2


def test_what_cannot_be_used_is_not_offered(plant: Plant) -> None:
    plant.routing.configs.update(data_spec_names=["Nothing"])
    text = text_of(signed_in().get(reverse("route-compile", args=["ROUTE-1"])))
    assert "DATA_SPEC_NOT_FOUND" in text
    assert "Publish version" not in text


def test_others_do_not_compile(plant: Plant) -> None:
    client, address = signed_in(Role.OPERATOR), reverse("route-compile", args=["ROUTE-1"])
    change_limit(plant, 248)
    assert client.get(address).status_code == 403
    assert client.post(address, {"reason": "why not"}).status_code == 403
    assert signed_in().get(reverse("route-compile", args=["NOTHING"])).status_code == 404
    assert RouteVersion.objects.count() == 1
