"""Machines report their slots: facts, in any order, one transaction however many slots."""

from datetime import datetime
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.models import MaterialLot, Tool
from mes.line_setup.set_up_lists.models import RunSetUpList
from mes.platform.accounts.roles import Role
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_plant
from tests.line_setup.loads.support import PLACER, ago, make_material, make_placers, make_reel, text, there, told
from tests.line_setup.set_up_lists.support import make_list, part

pytestmark = pytest.mark.django_db

_numbers = count(1)


@pytest.fixture
def machine() -> APIClient:
    make_placers()
    for lot in ("A", "B", "C"):
        make_reel(lot)
    return api_client(Role.INTEGRATION)


def send(client: APIClient, *loads: dict[str, Any], at: datetime | None = None, station: str = PLACER) -> Any:
    body = {"eventId": f"e-{next(_numbers)}", "eventTime": text(at or ago(0)), "source": "AUTO"}
    return client.post("/api/integration/material-loads", {**body, "stationCode": station, "loads": list(loads)})


def loaded(slot: str, lot: str, action: str = "LOADED", **fields: Any) -> dict[str, Any]:
    return {"action": action, "slot": slot, "lotId": lot, **fields}


def recorded(answer: Any) -> int:
    return int(assert_done(answer, 201)["recorded"])


def test_a_whole_set_up_again_and_again_changes_nothing(machine):
    whole = [loaded(f"F{number}", f"R-{number}", materialCode="R-10K") for number in range(80)]
    make_material("R-10K")
    assert recorded(send(machine, *whole)) == 80
    before = told()
    with CaptureQueriesContext(connection) as captured:
        assert recorded(send(machine, *whole)) == 0
    assert (told(), LoadMark.objects.count()) == (before, 80)
    assert MaterialLot.objects.get(lot_id="R-7").material.code == "R-10K"
    with CaptureQueriesContext(connection) as one:
        assert recorded(send(machine, whole[0])) == 0
    assert len(captured) == len(one)


def test_a_report_takes_the_same_statements_for_one_as_for_all(machine):
    recorded(send(machine, loaded("F0", "N0")))
    counts = []
    for number in (1, 40):
        with CaptureQueriesContext(connection) as captured:
            recorded(send(machine, *(loaded(f"F{number}-{slot}", f"N{number}-{slot}") for slot in range(number))))
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_facts_that_a_scan_would_be_refused(machine):
    make_reel("BAD", status="BLOCKED", blocked_from="AVAILABLE")
    recorded(send(machine, loaded("F1", "A")))
    recorded(
        send(
            machine,
            loaded("F1", "BAD"),
            loaded("F2", "A"),
            loaded("F3", "UNKNOWN"),
            {"action": "LOADED", "program": "TOP"},
        )
    )
    assert there() == [
        (PLACER, "F1", "BAD", "ACTIVE"),
        (PLACER, "F2", "A", "ACTIVE"),
        (PLACER, "F3", "UNKNOWN", "ACTIVE"),
        (PLACER, "PROGRAM", "TOP", "ACTIVE"),
    ]


def test_what_does_not_fit_the_list_is_recorded_as_wrong(machine):
    plant = make_plant(units=1)
    made = make_list(plant, part("F1", alternates=["R-10K-B"]), part("F2", "C-100N"))
    RunSetUpList.objects.create(run=plant.run, set_up_list=made)
    make_reel("ALT", "R-10K-B")
    loads = [loaded("F1", "ALT"), loaded("F2", "A"), loaded("F9", "B")]
    recorded(send(machine, *loads, station="SMT-01"))
    verified = dict(Load.objects.values_list("slot", "verify"))
    assert verified == {"F1": "ALTERNATE", "F2": "WRONG_PART", "F9": "NO_LIST"}


def test_splices_and_ends(machine):
    recorded(send(machine, loaded("F1", "A"), loaded("F1", "B", "SPLICED")))
    assert there() == [(PLACER, "F1", "A", "ACTIVE"), (PLACER, "F1", "B", "NEXT")]
    recorded(send(machine, {"action": "SPLICE_POINT", "slot": "F1"}))
    recorded(send(machine, loaded("F1", "C", "SPLICED")))
    recorded(send(machine, {"action": "EMPTY", "slot": "F1"}))
    assert there() == [(PLACER, "F1", "C", "ACTIVE")]
    recorded(send(machine, loaded("F1", "C", "EMPTY")))
    assert (there(), MaterialLot.objects.get(lot_id="C").status) == ([], "USED_UP")
    recorded(send(machine, loaded("F1", "A")))
    recorded(send(machine, {"action": "UNLOADED", "lotId": "A", "quantity": 12.5}))
    assert (there(), MaterialLot.objects.get(lot_id="A").counted_quantity) == ([], 12.5)


@pytest.mark.parametrize("reported", [[], [loaded("F1", "C", "SPLICED")]], ids=["at its end", "with the next"])
def test_what_ran_out_is_used_up_though_nobody_says_which_it_was(machine, reported):
    recorded(send(machine, loaded("F1", "A"), loaded("F2", "B"), at=ago(2)))
    recorded(send(machine, {"action": "EMPTY", "slot": "F1"}, *reported, at=ago(1)))
    recorded(send(machine, {"action": "EMPTY", "slot": "F3"}))
    left = dict(MaterialLot.objects.values_list("lot_id", "status"))
    assert left == {"A": "USED_UP", "B": "AVAILABLE", "C": "AVAILABLE"}
    assert MaterialLot.objects.get(lot_id="A").counted_quantity == 0


def test_of_a_splice_the_first_is_used_up(machine):
    recorded(send(machine, loaded("F1", "A"), loaded("F1", "B", "SPLICED"), at=ago(2)))
    recorded(send(machine, {"action": "EMPTY", "slot": "F1"}))
    assert there() == [(PLACER, "F1", "B", "ACTIVE")]
    assert dict(MaterialLot.objects.values_list("lot_id", "status"))["A"] == "USED_UP"


def test_late_and_unordered_reports_give_the_same_loads(machine):
    first, second, third = ago(9), ago(6), ago(3)
    recorded(send(machine, {"action": "UNLOADED", "lotId": "B"}, at=third))  # wherever it is
    recorded(send(machine, loaded("F1", "B"), at=second))
    recorded(send(machine, loaded("F1", "A"), at=first))
    assert told() == [("F1", "A", first, second), ("F1", "B", second, third)]


def test_a_reel_that_another_line_reports_has_left(machine):
    at, later = ago(5), ago(1)
    recorded(send(machine, loaded("F1", "A"), at=at))
    recorded(send(machine, loaded("F1", "A"), at=later, station="SMT-12"))
    assert told() == [("F1", "A", at, later), ("F1", "A", later, None)]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"action": "LOADED", "slot": "F1"}, "loads.0.lotId"),
        ({"action": "LOADED", "lotId": "A"}, "loads.0.slot"),
        ({"action": "UNLOADED"}, "loads.0.slot"),
        ({"action": "LOADED", "slot": "F\u200b1", "lotId": "A"}, "loads.0.slot"),
        ({"action": "LOADED", "slot": "F1", "lotId": "A\x00"}, "loads.0.lotId"),
        ({"action": "LOADED", "slot": "F1", "lotId": " A"}, "loads.0.lotId"),
        ({"action": "LOADED", "slot": "F1", "lotId": "A", "toolId": "T"}, "loads.0.lotId"),
        ({"action": "LOADED", "slot": "F1", "lotId": "a//b"}, "lotId"),
        ({"action": "LOADED", "slot": "F1", "lotId": "A", "quantity": -1}, "loads.0.quantity"),
        ({"action": "LOADED", "slot": "F1", "lotId": "A", "quantity": 1e300}, "loads.0.quantity"),
    ],
)
def test_bad_reports(machine, item, field):
    details = assert_refused(send(machine, item), "VALIDATION_ERROR", 400)
    assert any(key.replace("[", ".").replace("]", "").endswith(field) for key in details), details
    assert not Load.objects.exists()


def test_what_is_something_else_is_refused(machine):
    Tool.objects.create(tool_id="ST-1")
    assert_refused(send(machine, loaded("F1", "ST-1")), "SCAN_TYPE_MISMATCH", 422)
    assert_refused(send(machine, loaded("F1", "A"), station="NONE"), "STATION_NOT_FOUND", 404)
