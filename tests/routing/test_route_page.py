"""The page of a route: what it shows of the steps, and what its form does."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.platform.accounts.roles import Role
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, Routing
from tests.factories import (
    make_config,
    make_group,
    make_operation,
    make_route,
    make_spec,
    make_station,
    make_user,
)
from tests.forms import filled

pytestmark = pytest.mark.django_db


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


@pytest.fixture
def engineer() -> Client:
    return sign_in(Role.ENGINEER)


@pytest.fixture
def routing() -> Routing:
    """Printing, and an oven that has a config of its own beside that of its operation."""
    routing = make_route(steps=[(10, "PRINT"), (20, "REFLOW")])
    make_station("OVEN-1", station_type="AUTO")
    make_spec("REFLOW", "Peak Temperature")
    make_config(operation=make_operation("REFLOW"), station_group=make_group("OVENS"), station_type="AUTO")
    make_config(routing, step_no=20, retest_limit=2)
    return routing


def page_of(routing: Routing) -> str:
    return reverse("admin:mes_routing_change", args=[routing.pk])


def editor(client: Client, address: str) -> dict[str, Any]:
    return client.get(address).context["editor_data"]


def sent(step: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A step as the editor sends it back."""
    return {name: step[name] for name in ("id", "stepNo", "operationCode", "set")} | changes


def new(step_no: int, operation: str, **values: Any) -> dict[str, Any]:
    return {"id": None, "stepNo": step_no, "operationCode": operation, "set": values}


def post(client: Client, routing: Routing, steps: Any, **fields: Any) -> Any:
    page = client.get(page_of(routing)).context["adminform"].form
    form = {"name": "New name", "product_code": "B", "is_active": "on", "source_key": "", "sn_masks": ""}
    form |= {"read_state": page.fields["read_state"].initial} if "read_state" in page.fields else {}
    form["steps"] = steps if isinstance(steps, str) else json.dumps(steps)
    return client.post(page_of(routing), form | fields)


def steps_of(routing: Routing) -> list[tuple[int, str]]:
    return list(routing.steps.order_by("step_no").values_list("step_no", "operation__code"))


def errors_of(answer: Any) -> list[str]:
    assert answer.status_code == 200
    return list(answer.context["adminform"].form.errors["steps"])


# --- what it shows ----------------------------------------------------------------------------------------


def test_each_field_says_who_says_it_and_what_would_count_instead(engineer: Client, routing: Routing) -> None:
    make_config(routing, retest_limit=1)
    printing, oven = editor(engineer, page_of(routing))["steps"]
    assert printing["shown"]["stationType"] == {"shown": "Manual", "from": "at the operation"}
    assert printing["shown"]["retestLimit"] == {"shown": "1", "from": "inherited from the whole route"}
    assert oven["set"] == {"retestLimit": 2}
    assert oven["shown"]["retestLimit"] == {"shown": "2", "from": "here"}
    assert oven["inherited"]["retestLimit"] == {"value": 1, "shown": "1", "from": "inherited from the whole route"}
    assert oven["shown"]["stationGroupCode"] == {"shown": "OVENS", "from": "inherited from operation Reflow"}
    assert oven["inherited"]["dataSpecNames"] == {
        "value": ["Peak Temperature"], "shown": "Peak Temperature", "from": "at the operation"
    }  # fmt: skip
    assert oven["problems"] == ["A step of type AUTO needs an ingest mapping."]


def test_no_primary_key_is_read_by_people(engineer: Client, routing: Routing) -> None:
    """What stands on the page without its script: codes and names."""
    page = engineer.get(page_of(routing)).content.decode()
    assert "REFLOW Reflow" in page and "inherited from operation Reflow" in page
    assert 'name="steps-0-operation"' not in page


def test_an_operation_tells_what_a_new_step_would_inherit(engineer: Client, routing: Routing) -> None:
    make_config(routing, requires_fai=True)
    address = reverse("admin:mes_routing_operation")
    answer = engineer.get(address, {"code": "REFLOW", "route": routing.code}).json()
    assert answer["operationName"] == "Reflow"
    assert answer["inherited"]["stationType"] == {
        "value": "AUTO", "shown": "Automatic", "from": "inherited from operation Reflow"
    }  # fmt: skip
    assert answer["inherited"]["requiresFAI"]["value"] is True
    assert answer["inherited"]["retestLimit"]["value"] == 0  # the config of step 20 is none of a new one's
    assert answer["specs"] == [{"name": "Peak Temperature", "active": True}]
    assert engineer.get(address, {"code": "REFLOW"}).json()["inherited"]["requiresFAI"]["value"] is False
    assert engineer.get(address, {"code": "NOTHING"}).status_code == 404
    assert sign_in(Role.OPERATOR).get(address, {"code": "REFLOW"}).status_code in (200, 403)
    assert Client().get(address, {"code": "REFLOW"}).status_code == 302


def test_the_page_takes_as_many_statements_for_many_steps(
    engineer: Client, routing: Routing, django_assert_max_num_queries: Any
) -> None:
    long = make_route("LONG", steps=[(number, "PRINT") for number in range(10, 510, 10)])
    engineer.get(page_of(long))
    counts = []
    for route in (routing, long):
        with django_assert_max_num_queries(20) as counted:
            engineer.get(page_of(route))
        counts.append(len(counted))
    assert counts[0] == counts[1]


# --- what it does -----------------------------------------------------------------------------------------


def test_steps_are_added_moved_and_set(engineer: Client, routing: Routing) -> None:
    make_operation("TEST")
    printing, oven = editor(engineer, page_of(routing))["steps"]
    rows = [
        sent(oven, stepNo=10, set={"stationType": "AUTO", "dataSpecNames": []}),
        sent(printing, stepNo=20),
        new(30, "TEST", requiresFAI=True, allowedStationCodes=["OVEN-1"]),
    ]
    assert post(engineer, routing, rows).status_code == 302
    assert steps_of(routing) == [(10, "REFLOW"), (20, "PRINT"), (30, "TEST")]
    oven_config, test_config = routing.configs.order_by("step_no")
    assert (oven_config.step_no, oven_config.station_type) == (10, "AUTO")
    assert (oven_config.data_spec_names, oven_config.retest_limit) == ([], None)
    assert (test_config.step_no, test_config.requires_fai, test_config.allowed_station_codes) == (30, True, ["OVEN-1"])
    assert Routing.objects.get().name == "New name"


def test_a_route_is_made_with_its_steps(engineer: Client, routing: Routing) -> None:
    form = {"code": "R-2", "name": "Second", "is_active": "on", "source_system": "ERP"}
    rows = [new(10, "PRINT"), new(20, "REFLOW", stationGroupCode="OVENS")]
    answer = engineer.post(reverse("admin:mes_routing_add"), form | {"steps": json.dumps(rows)})
    assert answer.status_code == 302
    made = Routing.objects.get(code="R-2")
    assert steps_of(made) == [(10, "PRINT"), (20, "REFLOW")]
    assert RouteExecutionConfig.objects.get(routing=made).station_group.code == "OVENS"  # type: ignore[union-attr]


def test_a_mapping_goes_with_its_step_for_a_reason_and_what_was_typed_stays(engineer: Client, routing: Routing) -> None:
    config = RouteExecutionConfig.objects.get(routing=routing)
    first, _oven = editor(engineer, page_of(routing))["steps"]
    assert post(engineer, routing, [sent(first), new(20, "REFLOW")]).status_code == 302, "it had no mapping"
    config = make_config(routing, step_no=20, ingest_mapping={"unitPath": "sn"})
    first, _oven = editor(engineer, page_of(routing))["steps"]
    answer = post(engineer, routing, [sent(first)])
    assert list(answer.context["adminform"].form.errors) == ["change_reason"]
    assert json.loads(answer.context["adminform"].form["steps"].value()) == [sent(first)]
    assert RouteExecutionConfig.objects.filter(pk=config.pk).exists()
    delete = reverse("admin:mes_routing_delete", args=[routing.pk])
    assert engineer.post(delete, filled(engineer, delete)).context["edit"].errors["change_reason"]
    assert post(engineer, routing, [sent(first)], change_reason="the oven is gone").status_code == 302
    assert not RouteExecutionConfig.objects.filter(pk=config.pk).exists()


def test_without_the_editor_the_steps_stay(engineer: Client, routing: Routing) -> None:
    assert post(engineer, routing, "").status_code == 302
    assert steps_of(routing) == [(10, "PRINT"), (20, "REFLOW")]
    assert Routing.objects.get().name == "New name"


def test_what_is_shown_is_what_is_compiled(engineer: Client, routing: Routing) -> None:
    printing, oven = editor(engineer, page_of(routing))["steps"]
    rows = [sent(oven, stepNo=10), sent(printing, stepNo=20, set={"allowedStationCodes": ["OVEN-1"]})]
    assert post(engineer, routing, rows).status_code == 302
    first, second = compile_route(code=routing.code)[0].snapshot["steps"]
    assert (first["operation"]["code"], first["retestLimit"], first["stationGroupCode"]) == ("REFLOW", 2, "OVENS")
    assert second["allowedStationCodes"] == ["OVEN-1"]


# --- what it refuses --------------------------------------------------------------------------------------


def test_steps_of_the_erp_stay_and_are_set(engineer: Client, routing: Routing) -> None:
    Routing.objects.update(source_system="ERP")
    printing, oven = editor(engineer, page_of(routing))["steps"]
    answer = post(engineer, routing, [sent(oven, stepNo=10), sent(printing, stepNo=20)])
    assert "come from the ERP" in errors_of(answer)[0]
    assert b"what they are and their order is changed there" in answer.content
    assert steps_of(routing) == [(10, "PRINT"), (20, "REFLOW")]
    assert Routing.objects.get().name == "Route ROUTE-1"  # all of the form or nothing
    assert post(engineer, routing, [sent(printing, set={"retestLimit": 3}), sent(oven)]).status_code == 302
    assert routing.configs.get(step_no=10).retest_limit == 3


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([new(10, "PRINT"), new(10, "PRINT")], "Step 10: Another step has this number."),
        ([new(10, "NOTHING")], "NOTHING"),
        ([new(10, "")], "Step 10: operationCode"),
        ([new(-1, "PRINT")], "Step -1: stepNo"),
        ([new(10, "PRINT", retestLimit="2")], "Step 10: retestLimit"),
        ([new(10, "PRINT", stationGroupCode="NOTHING")], "NOTHING"),
        ([new(10, "PRINT", allowedStationCodes=["NOTHING"])], "NOTHING"),
        ([new(10, "PRINT", ingestMapping={})], "Step 10: ingestMapping"),
        ([new(10, "PRINT") | {"id": "999999"}], "no such step any more"),
        ([new(10, "PRINT") | {"id": "x"}], "no such step any more"),
        (["x"], "Step #1"),
        ({"x": 1}, "list of at most"),
        ([new(10, "PRINT")] * 201, "list of at most"),
        ("[", "valid JSON"),
    ],
)
def test_what_is_refused_is_told_and_nothing_is_written(
    engineer: Client, routing: Routing, rows: Any, told: str
) -> None:
    answer = post(engineer, routing, rows)
    assert told in " ".join(errors_of(answer))
    assert steps_of(routing) == [(10, "PRINT"), (20, "REFLOW")]
    assert Routing.objects.get().name == "Route ROUTE-1"
    assert RouteExecutionConfig.objects.count() == 2
    if rows != "[":  # what was typed is sent back
        assert json.loads(answer.context["adminform"].form["steps"].value()) == rows


def test_who_may_only_look_has_no_editor(routing: Routing) -> None:
    client = sign_in(Role.QUALITY)
    answer = client.get(page_of(routing))
    if answer.status_code == 200:
        assert b"route-editor.js" not in answer.content
        assert b"REFLOW Reflow" in answer.content
    assert client.post(page_of(routing), {"steps": "[]", "name": "x"}).status_code == 403
    assert steps_of(routing) == [(10, "PRINT"), (20, "REFLOW")]
