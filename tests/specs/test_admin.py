"""The form of a spec: what fits, where it is used, what changed, and a copy for another operation."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.readiness.models import PrepPolicy
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_operation, make_plant, make_route, make_spec, make_user
from tests.forms import fields_of, filled

pytestmark = pytest.mark.django_db


def sign_in(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


@pytest.fixture
def ada() -> Client:
    return sign_in()


def page_of(spec: DataCollectionSpec) -> str:
    return reverse("admin:mes_datacollectionspec_change", args=[spec.pk])


def save(client: Client, page: str, **typed: Any) -> Any:
    return client.post(page, filled(client, page, **typed))


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: list(messages) for name, messages in response.context["adminform"].form.errors.items()}


def test_a_changed_limit_wants_a_reason_and_keeps_it(ada: Client) -> None:
    spec = make_plant().peak
    assert list(errors(save(ada, page_of(spec), usl="248"))) == ["change_reason"]
    spec.refresh_from_db()
    assert spec.usl == 250
    assert save(ada, page_of(spec), usl="248", change_reason="oven 2 drifts").status_code == 302
    entry = AuditEntry.objects.latest("id")
    assert (entry.before, entry.after, entry.reason) == ({"usl": 250.0}, {"usl": 248.0}, "oven 2 drifts")


@pytest.mark.parametrize(
    "typed",
    [
        {"target": "244"},
        {"alarm_max": "256"},
        {"alarm_action": "ALARM_ONLY"},
        {"item_type": "OBSERVATION"},
        {"is_required": "on"},
    ],
)
def test_what_else_decides_wants_a_reason(ada: Client, typed: dict[str, str]) -> None:
    assert list(errors(save(ada, page_of(make_plant().peak), **typed))) == ["change_reason"]


def test_a_name_may_change_without_a_reason(ada: Client) -> None:
    assert save(ada, page_of(make_plant().peak), name="Peak").status_code == 302


def test_limits_that_contradict_are_told_at_their_field(ada: Client) -> None:
    spec = make_plant().peak
    told = errors(save(ada, page_of(spec), usl="200", change_reason="because"))
    assert list(told) == ["target", "usl"] or list(told) == ["usl", "target"]
    response = save(ada, page_of(spec), usl="NaN", change_reason="because")
    assert "usl" in errors(response)


def test_a_text_takes_no_limits_and_no_unit(ada: Client) -> None:
    spec = make_plant().speed
    told = errors(save(ada, page_of(spec), data_type="TEXT", change_reason="because"))
    assert set(told) == {"lsl", "usl", "unit"}
    emptied = {"lsl": "", "usl": "", "unit": ""}
    assert save(ada, page_of(spec), data_type="TEXT", change_reason="because", **emptied).status_code == 302


def test_what_a_browser_does_not_send_of_hidden_fields_is_emptied(ada: Client) -> None:
    spec, page = make_plant().peak, ""
    page = page_of(spec)
    typed = filled(ada, page, data_type="TEXT", change_reason="now a program")
    for name in ("lsl", "usl", "target", "unit", "alarm_min", "alarm_max", "alarm_action"):
        del typed[name]
    assert ada.post(page, typed).status_code == 302
    spec.refresh_from_db()
    assert (spec.data_type, spec.usl, spec.unit, spec.alarm_action) == ("TEXT", None, "", "")


def test_a_rule_fits_a_trigger_by_event_or_time(ada: Client) -> None:
    spec = make_plant().peak
    told = errors(save(ada, page_of(spec), trigger_rule='{"every": 5}'))
    assert list(told) == ["trigger_rule"]
    assert save(ada, page_of(spec), trigger_rule='{"every": 5}', trigger_type="TIME").status_code == 302
    told = errors(save(ada, page_of(spec), trigger_type="EACH_UNIT"))
    assert list(told) == ["trigger_rule"]


def test_what_stood_there_and_does_not_fit_may_stay(ada: Client) -> None:
    spec = make_plant().peak
    DataCollectionSpec.objects.filter(pk=spec.pk).update(trigger_rule={"old": True})
    assert save(ada, page_of(spec), name="Peak").status_code == 302
    spec.refresh_from_db()
    assert spec.trigger_rule == {"old": True}


def test_an_alarm_without_an_action_only_alarms(ada: Client) -> None:
    spec = make_plant().speed
    assert save(ada, page_of(spec), alarm_max="70", change_reason="watch it").status_code == 302
    spec.refresh_from_db()
    assert spec.alarm_action == "ALARM_ONLY"


# --- beside the form --------------------------------------------------------------------------------------


def test_the_form_says_where_the_spec_is_used_and_what_is_not_published(ada: Client) -> None:
    plant = make_plant()
    PrepPolicy.objects.create(
        code="PREP_OVEN",
        name="Oven is hot",
        line=plant.line,
        data_source="DEVICE",
        confirm_mode="AUTO",
        spec=plant.peak,
        max_age_minutes=5,
    )
    text = ada.get(page_of(plant.peak)).content.decode()
    for told in ("ROUTE-1, step 20", "ROUTE-1 v1", "RUN-1", "PREP_OVEN", "235 … 245 … 250 °C"):
        assert told in text
    assert "Recompile to publish" not in text
    assert save(ada, page_of(plant.peak), usl="248", change_reason="oven 2 drifts").status_code == 302
    text = ada.get(page_of(plant.peak)).content.decode()
    assert "Recompile to publish" in text
    assert "250 → 248" in text and "oven 2 drifts" in text


def test_a_spec_that_nobody_uses_says_so(ada: Client) -> None:
    text = ada.get(page_of(make_spec("WAVE", "Pot"))).content.decode()
    assert "Nowhere yet" in text


def test_who_only_looks_gets_no_what_if_and_no_copy() -> None:
    spec = make_plant().peak
    quality = sign_in(Role.QUALITY)
    text = quality.get(page_of(spec)).content.decode()
    assert "data-values=" in text and "data-ask=" not in text and "Copy to another operation" not in text
    assert quality.get(reverse("admin:mes_spec_copy", args=[spec.pk])).status_code == 403
    assert quality.get(reverse("admin:mes_spec_values", args=[spec.pk])).json()["count"] == 0


def test_there_are_no_values_to_draw_of_a_text(ada: Client) -> None:
    text = make_spec("REFLOW", "Program", data_type="TEXT")
    assert ada.get(reverse("admin:mes_spec_values", args=[text.pk])).status_code == 404
    assert ada.get(reverse("admin:mes_spec_values", args=["0"])).status_code == 404
    assert ada.get(reverse("admin:mes_spec_copy", args=["x"])).status_code == 404


# --- copies -----------------------------------------------------------------------------------------------


def test_a_copy_has_all_but_operation_and_name(ada: Client) -> None:
    spec = make_plant().peak
    wave = make_operation("WAVE")
    page = reverse("admin:mes_spec_copy", args=[spec.pk])
    assert fields_of(ada.get(page))["name"] == "Peak Temperature"
    response = ada.post(page, {"operation": wave.pk, "name": "Pot Temperature"})
    made = DataCollectionSpec.objects.get(operation=wave)
    assert response["Location"] == page_of(made)
    same = {"id", "_state", "operation_id", "name", "_operation_cache"}
    assert {k: v for k, v in vars(made).items() if k not in same} == {
        k: v for k, v in vars(DataCollectionSpec.objects.get(pk=spec.pk)).items() if k not in same
    }
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.reason) == ("CREATE", "Copy of REFLOW Peak Temperature")


def test_a_copy_of_a_name_that_is_taken_is_refused(ada: Client) -> None:
    plant = make_plant()
    page = reverse("admin:mes_spec_copy", args=[plant.peak.pk])
    count = DataCollectionSpec.objects.count()
    for typed in (
        {"operation": plant.operations["REFLOW"].pk, "name": "Peak Temperature"},
        {"operation": plant.operations["TEST"].pk, "name": "a//b"},
        {"operation": plant.operations["TEST"].pk, "name": "a\0b"},
        {"operation": plant.operations["TEST"].pk, "name": ""},
        {"operation": "9999999999999999999999", "name": "Peak"},
        {"operation": "", "name": "Peak"},
    ):
        response = ada.post(page, typed)
        assert response.status_code == 200 and response.context["form"].errors, typed
    assert DataCollectionSpec.objects.count() == count


# --- lists ------------------------------------------------------------------------------------------------


def _specs(first: int, last: int) -> None:
    operations = [make_operation(f"OP-{number}") for number in range(3)]
    for number in range(first, last):
        make_spec(operations[number % 3], f"Value {number}", lsl=1, usl=2)


def _statements(client: Any, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(address)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


@pytest.mark.parametrize("address", ["/admin/mes/datacollectionspec/", "/api/data-collection-specs?pageSize=50"])
def test_a_list_takes_as_many_statements_for_fifty_as_for_five(ada: Client, address: str) -> None:
    client = ada if address.startswith("/admin") else api_client(Role.ENGINEER)
    _specs(0, 5)
    few = _statements(client, address)
    _specs(5, 50)
    assert _statements(client, address) == few


def test_the_form_takes_as_many_statements_however_much_uses_the_spec(ada: Client) -> None:
    plant = make_plant()
    few = _statements(ada, page_of(plant.peak))
    for number in range(2, 30):
        make_route(f"ROUTE-{number}", steps=[(10, "REFLOW")])
    assert _statements(ada, page_of(plant.peak)) == few
