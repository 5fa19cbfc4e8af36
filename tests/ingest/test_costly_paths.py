"""A mapping that costs too much: its events are refused and kept, at once, and others are not touched."""

from time import thread_time
from typing import Any

import pytest

from mes.platform.accounts.roles import Role
from mes.routing import paths
from mes.routing.compilation import compile_route
from tests.factories import api_client, make_config, make_line, make_route, make_run
from tests.ingest.conftest import Send
from tests.ingest.support import MEASUREMENTS, PRINTING, RESULT, event, make_ingest_plant, printed

pytestmark = pytest.mark.django_db
DOUBLINGS = " | ".join(["[@, @]"] * 23)
SOON = 3.0  # seconds of this thread: others may be busy
TOO_COSTLY = "INGEST_MAPPING_TOO_COSTLY"


@pytest.fixture
def before_there_were_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a mapping be frozen that would not be saved today."""
    monkeypatch.setattr(paths, "find_excess_of_tree", lambda tree: None)


def refuse_soon(refuse: Send, body: dict[str, Any]) -> None:
    start = thread_time()
    refuse(body, TOO_COSTLY)
    assert thread_time() - start < SOON


@pytest.mark.parametrize(
    "keys",
    [
        {"snPath": f"to_string({DOUBLINGS})"},
        {"snPath": f"not_null(payload.sn, {DOUBLINGS}) | to_string({DOUBLINGS})"},
        {"result": {**RESULT, "path": DOUBLINGS}},
        {"measurements": {**MEASUREMENTS, "valuePath": f"{DOUBLINGS}"}},
        {"measurements": {**MEASUREMENTS, "itemsPath": f"{DOUBLINGS} | []"}},
        {"occurredAtPath": DOUBLINGS},
    ],
)
@pytest.mark.usefixtures("before_there_were_limits")
def test_an_event_is_refused_and_kept(keys: dict[str, Any], refuse: Send) -> None:
    plant = make_ingest_plant(only=10, print={**PRINTING, **keys})
    refuse_soon(refuse, printed(plant.sns[0], values=[{"name": "Paste Height", "value": 120}]))


def test_what_is_cheap_for_one_item_is_refused_for_very_many(send: Send, refuse: Send) -> None:
    mapping = {
        **PRINTING,
        "measurements": {**MEASUREMENTS, "valuePath": "value || a.b.c || [a.b, c.d, e.f][0] || {a: a, b: b}.c"},
    }
    plant = make_ingest_plant(only=10, print=mapping)
    few = [{"name": f"n{number}", "value": 0} for number in range(20)]
    send(printed(plant.sns[0], values=few), 201)
    many = [{"name": "n"} for _number in range(20_000)]
    refuse_soon(refuse, printed(plant.sns[1], values=many))


@pytest.mark.usefixtures("before_there_were_limits")
def test_a_costly_mapping_of_another_route_refuses_nothing(send: Send) -> None:
    plant = make_ingest_plant(only=10)
    routing = make_route(code="COSTLY", steps=[(10, "PRINT")])
    make_config(
        routing, step_no=10, station_type="AUTO", ingest_mapping={**PRINTING, "snPath": f"to_string({DOUBLINGS})"}
    )
    version, _changed = compile_route(code="COSTLY")
    make_run(version, make_line("SMT-A"), run_no="RUN-2", sns=["OTHER-1"])
    send(printed(plant.sns[0]), 201)


def test_a_preview_says_which_path_costs_too_much() -> None:
    plant = make_ingest_plant(only=10, print={**PRINTING, "occurredAtPath": " | ".join(["[@, @]"] * 9)})
    code = plant.version.routing.code
    values = [{"name": "n", "value": [1] * 100} for _number in range(20)]
    answer = api_client(Role.ENGINEER).post(
        f"/api/routes/{code}/ingest-preview", {"stepNo": 10, "event": printed(plant.sns[0], values=values)}
    )
    assert answer.status_code == 200
    assert "INGEST_MAPPING_TOO_COSTLY" in [problem["code"] for problem in answer.json()["data"]["problems"]]


def test_a_route_with_such_a_mapping_does_not_compile() -> None:
    routing = make_route(code="COSTLY", steps=[(10, "PRINT")])
    make_config(routing, step_no=10, station_type="AUTO", ingest_mapping={**PRINTING, "snPath": DOUBLINGS})
    version, _changed = compile_route(code="COSTLY")
    assert version.status == "INVALID"
    assert "INGEST_MAPPING_INVALID" in [problem["code"] for problem in version.errors]


def test_an_event_names_so_many_units_measurements_and_defects_at_most(refuse: Send, send: Send) -> None:
    by_board = {
        "unitsPath": "payload.boards",
        "snPath": "sn",
        "measurements": {**MEASUREMENTS, "itemsPath": "values"},
        "defects": {"itemsPath": "faults", "codePath": "code"},
    }
    plant = make_ingest_plant(only=10, print={**by_board, "stationCodePath": "payload.station"})
    boards: list[dict[str, Any]] = [{"sn": plant.sns[0]}] * 1001
    error = refuse(event("AUTO", {"boards": boards, "station": "PRN-1"}), "INGEST_PAYLOAD_INVALID")
    assert "more than 1000 units" in error["message"]
    boards = [{"sn": plant.sns[0], "values": [{"name": "x", "value": 1}] * 20_001}]
    error = refuse(event("AUTO", {"boards": boards, "station": "PRN-1"}), "INGEST_PAYLOAD_INVALID")
    assert "more than 20000 measurements" in error["message"]
    boards = [{"sn": plant.sns[0], "faults": [{}] * 20_001}]
    error = refuse(event("AUTO", {"boards": boards, "station": "PRN-1"}), "INGEST_PAYLOAD_INVALID")
    assert "more than 20000 defects" in error["message"]
    boards = [{"sn": sn, "faults": [{"code": "X"}] * 10_001} for sn in plant.sns[:2]]
    error = send(event("AUTO", {"boards": boards, "station": "PRN-1"}), 422)
    assert "more than 20000 defects" in error["message"]
    assert error["details"]["held"] == plant.sns[:2]  # what was read of each says that it is bad


def test_items_that_name_no_unit_count_among_its_units(refuse: Send) -> None:
    """Each would be told of in the answer, and kept with what it says."""
    by_board = {"unitsPath": "payload.boards", "snPath": "sn", "stationCodePath": "payload.station"}
    plant = make_ingest_plant(only=10, print=by_board)
    boards: list[dict[str, Any]] = [{"sn": plant.sns[0]}, *({} for _number in range(1000))]
    error = refuse(event("AUTO", {"boards": boards, "station": "PRN-1"}), "INGEST_PAYLOAD_INVALID")
    assert "more than 1000 units" in error["message"]
