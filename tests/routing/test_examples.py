"""Examples of mappings: they are kept, and a route whose steps read one otherwise cannot be used."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from ingest.mapping import examples as reading
from ingest.models import IngestEvent
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.hooks import Hook
from mes.routing import hooks
from mes.routing.compilation import compile_route, compose, differs_from_live
from mes.routing.examples import LARGEST_EVENT, MOST_EXAMPLES, find_difference
from mes.routing.models import MappingExample, RouteExecutionConfig, RouteVersion
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_config, make_operation, make_route, make_spec

pytestmark = pytest.mark.django_db
MAPPING = {
    "snPath": "payload.sn",
    "stationCodePath": "payload.station",
    "result": {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]},
    "measurements": {"itemsPath": "payload.values", "namePath": "name", "valuePath": "value", "unitPath": "unit"},
}
EVENT = {
    "dedupeKey": "oven:1",
    "sourceSystem": "oven",
    "eventType": "AUTO",
    "payload": {
        "sn": "NOBODY-KNOWS-1",
        "station": "NOWHERE",
        "result": "OK",
        "values": [{"name": "Peak Temperature", "value": 245, "unit": "°C"}],
    },
}
OUTCOME = {
    "phase": None,
    "result": None,
    "stationCode": "NOWHERE",
    "carrierNo": None,
    "units": [{"sn": "NOBODY-KNOWS-1", "position": None, "result": "PASS", "values": {"Peak Temperature": 245.0}}],
    "values": {},
}


@pytest.fixture
def config() -> RouteExecutionConfig:
    operation = make_operation("REFLOW")
    make_spec(operation, name="Peak Temperature", lsl=235, usl=250, unit="°C")
    routing = make_route(code="R-1", steps=[(10, "REFLOW")])
    return make_config(routing, step_no=10, station_type="AUTO", ingest_mapping=MAPPING)


@pytest.fixture
def client() -> APIClient:
    return api_client(Role.ENGINEER)


def assert_error(answer: Any, status: int, code: str, *places: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.content
    assert set(places) <= error["details"].keys()


def address(config: RouteExecutionConfig, *more: object) -> str:
    return "/".join(["/api/execution-configs", str(config.pk), "examples", *map(str, more)])


def keep(config: RouteExecutionConfig, name: str = "a pass", event: Any = EVENT, **fields: Any) -> dict[str, Any]:
    answer = api_client(Role.ENGINEER).post(address(config), {"name": name, "event": event, **fields})
    assert answer.status_code == 201, answer.content
    data: dict[str, Any] = answer.json()["data"]
    return data


def compiled() -> RouteVersion:
    return compile_route(code="R-1")[0]


def failures(version: RouteVersion) -> list[dict[str, Any]]:
    return [problem for problem in version.errors if problem["code"] == "MAPPING_EXAMPLE_FAILED"]


# --- keeping ----------------------------------------------------------------------------------------------


def test_what_the_step_reads_is_kept_unless_something_else_is_said(config, client):
    kept = keep(config)
    assert (kept["name"], kept["event"], kept["expected"]) == ("a pass", EVENT, OUTCOME)
    other = keep(config, "said", expected={"code": "INGEST_PAYLOAD_INVALID"})
    assert other["expected"] == {"code": "INGEST_PAYLOAD_INVALID"}
    listed = client.get(address(config)).json()["data"]["items"]
    assert [one["name"] for one in listed] == ["said", "a pass"]
    assert client.get(address(config, kept["id"])).json()["data"]["expected"] == OUTCOME


def test_a_refusal_is_kept_as_its_code(config):
    assert keep(config, event={**EVENT, "payload": {}})["expected"] == {"code": "INGEST_PAYLOAD_INVALID"}
    assert keep(config, "type", {**EVENT, "eventType": "TEST"})["expected"] == {"code": "INGEST_MAPPING_MISSING"}
    assert keep(config, "no event", {"a": 1})["expected"] == {"code": "VALIDATION_ERROR"}


def test_an_example_of_many_routes_is_read_by_the_step_that_is_named_or_the_first(config, client):
    wide = make_config(operation=config.routing.steps.get().operation, ingest_mapping=MAPPING)
    assert_error(client.post(address(wide), {"name": "x", "event": EVENT}), 400, "VALIDATION_ERROR", "expected")
    named = keep(wide, routeCode="R-1", stepNo=10)
    assert named["expected"] == OUTCOME
    assert_error(
        client.post(address(wide), {"name": "y", "event": EVENT, "routeCode": "R-1", "stepNo": 11}),
        400, "VALIDATION_ERROR", "stepNo",
    )  # fmt: skip
    config.delete()
    wide.station_type = "AUTO"
    wide.save()
    assert keep(wide, "of the first")["expected"] == OUTCOME


def test_another_event_is_read_anew(config, client):
    kept = keep(config)
    failed = {**EVENT, "payload": {**EVENT["payload"], "result": "NG"}}
    answer = client.patch(address(config, kept["id"]), {"event": failed, "changeReason": "the failing board"})
    assert answer.json()["data"]["expected"]["units"][0]["result"] == "FAIL"
    client.patch(address(config, kept["id"]), {"expected": {"code": "UNIT_ON_HOLD"}})
    assert client.patch(address(config, kept["id"]), {"name": "b"}).json()["data"]["expected"]["code"] == "UNIT_ON_HOLD"
    assert client.patch(address(config, kept["id"]), {"expected": None}).json()["data"]["expected"]["phase"] is None
    assert client.delete(f"{address(config, kept['id'])}?changeReason=not+needed").status_code == 200
    assert not MappingExample.objects.exists()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("event", "code", "place"),
    [
        (json.dumps({**EVENT, "meta": {"a": "x" * 65 * 1024}}), "VALIDATION_ERROR", "event"),
        ('{"a": ' + nested(100) + "}", "PARSE_ERROR", ""),
        ('{"payload": {"sn": "A\\u0000"}}', "VALIDATION_ERROR", "event.payload.sn"),
        ('{"payload": {"n": 1' + "0" * 400 + "}}", "VALIDATION_ERROR", "event.payload.n"),
        ("[1, 2]", "VALIDATION_ERROR", "event"),
        ("null", "VALIDATION_ERROR", "event"),
        ('"text"', "VALIDATION_ERROR", "event"),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused_with_its_place(config, client, event, code, place):
    body = '{"name": "x", "event": ' + event + "}"
    answer = client.post(address(config), body.encode(), content_type="application/json")
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    assert error["code"] == code
    assert place in error["details"] if place else error["message"]
    assert not MappingExample.objects.exists()


def test_an_event_of_exactly_the_limit_is_kept(config):
    empty = {**EVENT, "meta": {"a": ""}}
    space = LARGEST_EVENT - len(json.dumps(empty, separators=(",", ":"), ensure_ascii=False).encode())
    assert keep(config, event={**EVENT, "meta": {"a": "x" * space}})["expected"] == OUTCOME


@pytest.mark.parametrize(
    ("expected", "place"),
    [
        ([], "expected"),
        ({}, "expected"),
        ({"unit": []}, "expected.unit"),
        ({"units": [{"sn": 5}]}, "expected.units.0.sn"),
        ({"code": 7}, "expected.code"),
        ({"values": ["a"]}, "expected.values"),
    ],
)
def test_what_cannot_be_expected_is_refused_with_its_place(config, client, expected, place):
    answer = client.post(address(config), {"name": "x", "event": EVENT, "expected": expected})
    assert_error(answer, 400, "VALIDATION_ERROR", place)


def test_a_name_is_unique_in_its_config_and_their_number_is_bounded(config, client):
    keep(config)
    assert_error(client.post(address(config), {"name": "a pass", "event": EVENT}), 400, "VALIDATION_ERROR", "name")
    MappingExample.objects.bulk_create(
        MappingExample(config=config, name=str(n), event=EVENT, expected=OUTCOME) for n in range(MOST_EXAMPLES - 1)
    )
    assert_error(client.post(address(config), {"name": "one more", "event": EVENT}), 400, "VALIDATION_ERROR", "name")
    assert MappingExample.objects.count() == MOST_EXAMPLES


def test_engineers_keep_examples_and_an_address_names_its_own_only(config, client):
    kept = keep(config)
    other = make_config(config.routing)
    assert api_client(Role.OPERATOR).post(address(config), {"name": "x", "event": EVENT}).status_code == 403
    assert_error(client.get(address(other, kept["id"])), 404, "MAPPING_EXAMPLE_NOT_FOUND")
    for wrong in ("0", "x", "9" * 30):
        assert_error(client.get(f"/api/execution-configs/{wrong}/examples"), 404, "EXECUTION_CONFIG_NOT_FOUND")


# --- the audit --------------------------------------------------------------------------------------------


def test_an_example_is_part_of_the_history_of_its_route(config, client):
    kept = keep(config, changeReason="oven 2 reports so")
    client.patch(address(config, kept["id"]), {"name": "b"})
    client.delete(address(config, kept["id"]))
    entries = AuditEntry.objects.filter(entity="mapping-examples").order_by("id")
    assert [(one.action, one.root_entity, one.root_id, one.name) for one in entries] == [
        ("CREATE", "routes", "R-1", "a pass"),
        ("UPDATE", "routes", "R-1", "b"),
        ("DELETE", "routes", "R-1", "b"),
    ]
    assert entries[0].reason == "oven 2 reports so"
    assert entries[1].after == {"name": "b"}
    assert "routing_id" not in entries[0].after


def test_an_example_of_a_wide_config_is_part_of_that(config):
    wide = make_config(operation=config.routing.steps.get().operation, ingest_mapping=MAPPING)
    keep(wide, expected=OUTCOME)
    entry = AuditEntry.objects.get(entity="mapping-examples")
    assert (entry.root_entity, entry.root_id) == ("execution-configs", str(wide.pk))


def test_of_two_who_change_an_example_the_later_is_told(config, client):
    kept = keep(config)
    tag = client.get(address(config, kept["id"]))["ETag"]
    client.patch(address(config, kept["id"]), {"name": "b"})
    answer = client.patch(address(config, kept["id"]), {"name": "c"}, headers={"If-Match": tag})
    assert_error(answer, 409, "EDIT_CONFLICT")
    assert answer.json()["error"]["details"]["changes"][0]["changes"] == {"name": {"from": "a pass", "to": "b"}}
    # ... and who changes the config of a route is told of what was changed in its examples
    tag = client.get(f"/api/execution-configs/{config.pk}")["ETag"]
    client.delete(address(config, kept["id"]))
    answer = client.patch(f"/api/execution-configs/{config.pk}", {"retestLimit": 1}, headers={"If-Match": tag})
    assert_error(answer, 409, "EDIT_CONFLICT")


# --- compiling --------------------------------------------------------------------------------------------


def test_a_route_that_reads_its_examples_as_they_were_kept_is_ready(config):
    keep(config)
    keep(config, "refused", {**EVENT, "payload": {}})
    version = compiled()
    assert (version.status, version.errors) == ("READY", [])
    assert not IngestEvent.objects.exists()


def test_an_event_is_read_when_it_is_kept_as_it_is_when_the_route_is_compiled(config):
    """The database keeps the members of an object in another order than they were sent in."""
    config.ingest_mapping = {"unitsPath": "payload.boards.*", "snPath": "sn"}
    config.save()
    boards = {"bottom": {"sn": "SN-2"}, "top": {"sn": "SN-1"}}
    expected = keep(config, event={**EVENT, "payload": {"boards": boards}})["expected"]
    assert {unit["sn"] for unit in expected["units"]} == {"SN-1", "SN-2"}
    assert failures(compiled()) == []


def test_a_wrong_path_is_stopped_by_its_example(config):
    keep(config)
    config.ingest_mapping = {**MAPPING, "result": {**MAPPING["result"], "passValues": ["PASS"], "failValues": ["OK"]}}
    config.save()
    version = compiled()
    assert version.status == "INVALID"
    (failure,) = failures(version)
    told = {"stepNo": 10, "name": "a pass", "path": "units.0.result", "expected": "PASS", "found": "FAIL"}
    assert failure | told == failure
    assert "“a pass”" in failure["message"]
    assert not differs_from_live(version)
    MappingExample.objects.all().delete()
    assert differs_from_live(version)
    assert compiled().status == "READY"


def test_a_dry_run_tells_which_examples_fail(config, client):
    keep(config)
    keep(config, "refused", expected={"code": "UNIT_ON_HOLD"})
    data = client.post("/api/routes/R-1/compile", {"dryRun": True}).json()["data"]
    assert data["examples"] == [
        {"stepNo": 10, "name": "a pass", "passed": True},
        {"stepNo": 10, "name": "refused", "passed": False},
    ]
    assert (data["status"], [one["name"] for one in data["errors"]]) == ("INVALID", ["refused"])
    assert not RouteVersion.objects.exists()


@pytest.mark.parametrize(
    ("change", "path", "found"),
    [
        ({"snPath": "payload.serial"}, "code", "INGEST_PAYLOAD_INVALID"),
        ({"snPath": "payload.station"}, "units.0.sn", "NOWHERE"),
        ({"stationCodePath": "payload.line"}, "stationCode", None),
        ({"when": "`false`"}, "code", "INGEST_MAPPING_MISSING"),
        (
            {"phase": {"path": "payload.result", "inValues": ["OK"], "outValues": []}, "result": None},
            "phase", "IN",
        ),
        ({"measurements": {**MAPPING["measurements"], "namePath": "unit"}}, "units.0.values.Peak Temperature", None),
        ({"measurements": None}, "units.0.values.Peak Temperature", None),
    ],
)  # fmt: skip
def test_every_part_that_is_read_otherwise_is_told(config, change, path, found):
    keep(config)
    changed = {**MAPPING, **change}
    config.ingest_mapping = {name: value for name, value in changed.items() if value is not None}
    config.save()
    (failure,) = failures(compiled())
    assert (failure["path"], failure["found"]) == (path, found)


@pytest.mark.parametrize(
    ("change", "path", "found"),
    [
        ({"name": "Peak"}, "units.0.values.Peak Temperature", None),
        ({"unit": "°F"}, "code", "INGEST_PAYLOAD_INVALID"),
        ({"data_type": "TEXT", "lsl": None, "usl": None}, "code", "DATA_TYPE_MISMATCH"),
        ({"method": "MANUAL"}, "code", "SPEC_NOT_AUTO"),
        ({"is_active": False}, "units.0.values.Peak Temperature", None),
    ],
)
def test_an_example_is_held_against_the_specs_that_are_frozen(config, change, path, found):
    keep(config)
    DataCollectionSpec.objects.update(**change)
    (failure,) = failures(compiled())
    assert (failure["path"], failure["found"]) == (path, found)


def test_limits_fail_no_example(config):
    keep(config)
    DataCollectionSpec.objects.update(lsl=1, usl=2, is_required=True)
    assert compiled().status == "READY"


def test_the_examples_are_those_of_the_config_that_the_mapping_is_from(config):
    keep(config, "of the step", expected={"code": "UNIT_ON_HOLD"})
    wide = make_config(config.routing, ingest_mapping=MAPPING)
    keep(wide, "of the route", expected={"code": "RUN_ON_HOLD"})
    assert [failure["name"] for failure in failures(compiled())] == ["of the step"]
    config.ingest_mapping = None
    config.save()
    assert [failure["name"] for failure in failures(compiled())] == ["of the route"]
    config.station_type = "MANUAL"  # takes no mapping
    config.save()
    assert failures(compiled()) == []


def test_neither_clock_nor_source_decides(config):
    late = {**EVENT, "occurredAt": "2099-01-01T00:00:00Z"}
    keep(config, "late", late)
    keep(config, "no zone", {**EVENT, "occurredAt": "2026-03-29T02:30:00Z"})
    config.ingest_mapping = {**MAPPING, "occurredAtPath": "payload.at", "timeFormat": "%Y-%m-%d %H:%M:%S"}
    config.save()
    local = {**EVENT, "payload": {**EVENT["payload"], "at": "2026-03-29 02:30:00"}}
    assert keep(config, "local", local)["expected"] == OUTCOME
    MappingExample.objects.exclude(name="local").delete()
    digests = set()
    for _attempt in range(2):
        reading._known.clear()
        digests.add(compiled().digest)
    assert (len(digests), RouteVersion.objects.count()) == (1, 1)


def test_what_nobody_foresaw_fails_the_example_only(config, monkeypatch):
    keep(config)

    def broken(step: Any, event: Any) -> Any:
        raise RuntimeError("a defect")

    readers: Hook[Any] = Hook()
    readers.register(broken)
    monkeypatch.setattr(hooks, "example_readers", readers)
    version = compiled()
    (failure,) = failures(version)
    assert (version.status, failure["path"], failure["found"]) == ("INVALID", "code", "INTERNAL_ERROR")


def test_a_mapping_that_may_not_be_used_is_told_once(config):
    keep(config)
    RouteExecutionConfig.objects.update(ingest_mapping={"snPath": "payload.["})
    version = compiled()
    assert [problem["code"] for problem in version.errors] == ["INGEST_MAPPING_INVALID"]
    assert [example.as_json() for example in compose(config.routing).examples] == [
        {"stepNo": 10, "name": "a pass", "passed": False}
    ]


def test_examples_cost_one_statement(config, django_assert_num_queries):
    with django_assert_num_queries(4):
        compose(config.routing)
    for number in range(5):
        keep(config, str(number))
    routing = config.routing
    with django_assert_num_queries(4):
        compose(routing)


# --- comparing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "path"),
    [
        ({"code": "A"}, {"code": "A", "more": 1}, None),
        ({"units": []}, {"units": [], "new": 1}, None),
        ({"units": [{"sn": "A"}]}, {"units": [{"sn": "A", "result": "PASS"}]}, None),
        ({"units": [{"sn": "A"}]}, {"units": []}, "units"),
        ({"units": [{"sn": "A"}, {"sn": "B"}]}, {"units": [{"sn": "B"}, {"sn": "A"}]}, "units.0.sn"),
        ({"values": {"a": 5}}, {"values": {"a": 5.0}}, None),
        ({"values": {"a": 1}}, {"values": {"a": True}}, "values.a"),
        ({"values": {"a": [1, True]}}, {"values": {"a": [1, 1]}}, "values.a"),
        ({"values": {}}, {"values": {"b": 1}}, "values.b"),
        ({"values": {"a": {"x": 1}}}, {"values": {"a": {"x": 1, "y": 2}}}, "values.a"),
        ({"phase": None}, {"phase": "IN"}, "phase"),
        ({"phase": None}, {"code": "X"}, "code"),
        ({"code": "X"}, {"phase": None}, "code"),
    ],
)
def test_the_first_difference_is_found(expected, found, path):
    difference = find_difference(expected, found)
    assert (difference and difference.path) == path
