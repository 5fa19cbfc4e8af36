"""May it run here: every reason in the order of the guards, who lifts it, by which hold, and what is to be done."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution import carriers
from execution.carriers import Placing
from execution.models import Carrier
from execution.quality.repair.models import ReworkTask
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.production import holds, line_acts, run_acts, station_acts
from mes.production.hold_models import HeldUnit, Hold, HoldSource
from mes.production.identity_models import ReferenceUnit
from mes.production.models import Run, Unit
from tests.execution.support import assert_done, assert_refused, nothing_written, track_in
from tests.factories import Plant, api_client, make_line, make_plant, make_run, make_station, put_runs

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=3)


@pytest.fixture
def client() -> APIClient:
    return api_client(Role.OPERATOR)


def ask(client: APIClient, station: str = "SMT-01", sn: str | None = "SN-1", **body: Any) -> dict[str, Any]:
    named = {} if sn is None else {"sn": sn}
    with nothing_written():
        return assert_done(client.post(f"/api/stations/{station}/permit", {**named, **body}))


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


def hold_unit(sn: str, reason: str = "Scratch") -> Hold:
    unit = Unit.objects.get(sn=sn)
    hold = Hold.objects.create(scope="UNITS", reason=reason, opened_by="ann")
    HeldUnit.objects.create(hold=hold, unit=unit, held_by="ann")
    Unit.objects.filter(pk=unit.pk).update(status="ON_HOLD", held_from=unit.status, hold_reason=reason)
    return hold


def test_a_unit_that_may_run_and_one_that_is_in_already(plant: Plant, client: APIClient) -> None:
    allowed = {"allowed": True, "action": "RUN", "stepNo": 10, "alreadyIn": False, "reasons": []}
    assert ask(client) == allowed
    assert ask(client, runNo="RUN-1", operatorId="ann", **{"as": "MACHINE"}) == allowed
    assert_done(track_in(client), 201)
    assert ask(client) == {**allowed, "alreadyIn": True}
    assert codes(ask(client, "REF-01")) == ["UNIT_ALREADY_IN_STATION", "STATION_MISMATCH"]
    hold_unit("SN-1")  # nobody goes on with it where it is
    held = ask(client)
    assert (codes(held), held["action"], held["alreadyIn"]) == (["UNIT_ON_HOLD"], "STOP", True)


def test_every_reason_in_the_order_of_the_guards(plant: Plant, client: APIClient) -> None:
    line_b = make_line("SMT-B")
    station = make_station("SMT-B1", line=line_b)
    Equipment.objects.create(code="EQ-1", name="x", station=station, status="down")
    line_acts.hold(line_code="SMT-B", reason="Fire", by="ann")
    line_acts.hold(line_code="SMT-A", reason="Water", by="ann")
    station_acts.stop(station_code="SMT-B1", reason="Smell", by="ann", source=HoldSource.RULE)
    held = hold_unit("SN-1")
    unit = Unit.objects.get(sn="SN-1")
    ReworkTask.objects.create(unit=unit, run=plant.run, to_step_no=10, rework_no=1, reason="x", created_by="ann")
    run_acts.hold(run_no="RUN-1", by="ann", reason="Wrong paste")
    Run.objects.update(is_in_oqc=True, is_first_article_failed=True)
    answer = ask(client, "SMT-B1")
    assert (answer["allowed"], answer["action"], answer["stepNo"], answer["alreadyIn"]) == (False, "STOP", 10, False)
    assert codes(answer) == [
        "RUN_ON_HOLD",
        "RUN_IN_OQC",
        "FAI_NOT_PASSED",
        "UNIT_ON_HOLD",
        "REPAIR_OPEN",
        "STATION_MISMATCH",
        "STATION_LINE_MISMATCH",
        "EQUIPMENT_UNAVAILABLE",
        "LINE_ON_HOLD",
        "LINE_ON_HOLD",
        "STATION_STOPPED",
    ]
    by_code = {reason["code"]: reason for reason in answer["reasons"]}
    numbers = {hold.scope: hold.hold_no for hold in Hold.objects.exclude(scope="LINE")}
    assert by_code["UNIT_ON_HOLD"]["holdNo"] == numbers["UNITS"] == held.hold_no
    assert by_code["RUN_ON_HOLD"]["holdNo"] == numbers["RUN"]
    assert by_code["STATION_STOPPED"]["holdNo"] == numbers["STATION"]
    assert "holdNo" not in by_code["REPAIR_OPEN"]
    assert [reason["fact"] for reason in answer["reasons"] if reason["code"] == "LINE_ON_HOLD"] == [
        {"line": "SMT-B", "reason": "Fire"},
        {"line": "SMT-A", "reason": "Water"},
    ]
    assert by_code["UNIT_ON_HOLD"]["releasableBy"] == ["SUPERVISOR", "QUALITY", "ADMIN"]
    assert by_code["RUN_IN_OQC"]["releasableBy"] == ["QUALITY", "ADMIN"]
    assert by_code["UNIT_ON_HOLD"]["fact"] == {"sn": "SN-1", "reason": "Scratch"}
    assert_refused(track_in(client, "SMT-B1"), "RUN_ON_HOLD")


def test_who_asks_chooses_the_codes_of_the_run(plant: Plant, client: APIClient) -> None:
    put_runs("PREP")
    assert codes(ask(client)) == ["RUN_NOT_AUTHORIZED"]
    assert codes(ask(client, **{"as": "MACHINE"})) == ["RUN_IN_PREP"]
    Station.objects.filter(code="SMT-01").update(station_type="AUTO")
    assert codes(ask(client))[0] == "RUN_IN_PREP"
    put_runs("COMPLETED")
    assert codes(ask(client, **{"as": "MANUAL"}))[0] == "RUN_CLOSED"


def test_a_machine_may_not_run_a_held_unit_though_its_report_would_be_taken(plant: Plant, client: APIClient) -> None:
    hold_unit("SN-1")
    assert codes(ask(client, **{"as": "MACHINE"})) == ["UNIT_ON_HOLD"]


def test_what_has_nothing_to_do_here_passes_through(plant: Plant, client: APIClient) -> None:
    Unit.objects.filter(sn="SN-1").update(current_step_no=30)
    assert ask(client)["action"] == "PASS_THROUGH"
    assert ask(client, "REF-01")["action"] == "PASS_THROUGH"
    assert ask(client, "TST-01")["action"] == "RUN"
    Unit.objects.filter(sn="SN-2").update(current_step_no=20)
    assert ask(client, "TST-01", "SN-2")["action"] == "STOP"
    Unit.objects.filter(sn="SN-1").update(status="DONE")
    answer = ask(client, "TST-01")
    assert (answer["action"], answer["stepNo"], codes(answer)) == ("PASS_THROUGH", None, ["UNIT_ALREADY_DONE"])
    put_runs("ON_HOLD")
    assert ask(client)["action"] == "PASS_THROUGH"
    put_runs("COMPLETED")
    assert ask(client)["action"] == "STOP"


def test_what_cannot_be_read_and_what_nobody_knows_is_a_reason(plant: Plant, client: APIClient) -> None:
    ReferenceUnit.objects.create(sn="REF-1", kind="GOLDEN")
    for sn, run_no, code in (
        ("SN-X", None, "UNIT_NOT_FOUND"),
        ("NOREAD", None, "SN_UNREADABLE"),
        ("", None, "SN_UNREADABLE"),
        ("SN-1", "NO-RUN", "RUN_NOT_FOUND"),
        ("SN-X", "RUN-1", "UNIT_NOT_FOUND"),
        ("REF-1", "RUN-1", "SN_IS_REFERENCE"),
    ):
        answer = ask(client, sn=sn, runNo=run_no)
        assert (codes(answer), answer["action"], answer["stepNo"]) == ([code], "STOP", None)
    station_acts.stop(station_code="SMT-01", reason="x", by="ann")
    assert codes(ask(client, sn="SN-X")) == ["UNIT_NOT_FOUND", "STATION_STOPPED"]
    other = make_run(plant.version, plant.line, run_no="RUN-2", sns=["SN-9"])
    assert codes(ask(client, sn="SN-9", runNo="RUN-1")) == ["UNIT_RUN_MISMATCH", "STATION_STOPPED"]
    Unit.objects.filter(sn="SN-9").update(run=None)
    assert codes(ask(client, sn="SN-9", runNo=other.run_no)) == ["UNIT_RUN_MISMATCH", "STATION_STOPPED"]


def test_a_unit_that_its_run_would_make(client: APIClient) -> None:
    make_plant(units=0, plan_qty=1)
    answer = ask(client, sn="NEW", runNo="RUN-1")
    assert (answer["allowed"], answer["stepNo"], answer["reasons"]) == (True, 10, [])
    assert codes(ask(client, "REF-01", sn="NEW", runNo="RUN-1")) == ["UNIT_NOT_FOUND"]
    line_acts.hold(line_code="SMT-A", reason="Fire", by="ann")
    assert codes(ask(client, sn="NEW", runNo="RUN-1")) == ["LINE_ON_HOLD"]
    line_acts.resume(line_code="SMT-A", by="ann")
    Run.objects.update(is_in_oqc=True)
    assert codes(ask(client, sn="NEW", runNo="RUN-1")) == ["RUN_IN_OQC"]
    assert_refused(track_in(client, sn="NEW"), "RUN_IN_OQC")
    assert not Unit.objects.exists()
    Run.objects.update(is_in_oqc=False)
    assert_done(track_in(client, sn="NEW"), 201)
    assert codes(ask(client, sn="NEWER", runNo="RUN-1")) == ["RUN_QTY_EXCEEDED"]


def test_a_carrier_may_run_when_it_has_units_and_each_may(plant: Plant, client: APIClient) -> None:
    assert codes(ask(client, sn=None, carrierNo="PAL-1")) == ["CARRIER_NOT_FOUND"]
    assert not Carrier.objects.exists()
    carriers.load(carrier_no="PAL-1", placings=[Placing("SN-1", "A"), Placing("SN-2", "B")])
    answer = ask(client, sn=None, carrierNo="PAL-1")
    assert (answer["allowed"], answer["action"], answer["stepNo"], answer["reasons"]) == (True, "RUN", 10, [])
    one = {"position": "A", "allowed": True, "reasons": [], "sn": "SN-1"}
    assert answer["units"] == [one, {**one, "sn": "SN-2", "position": "B"}]
    hold = hold_unit("SN-2")
    answer = ask(client, sn=None, carrierNo="PAL-1")
    assert (answer["allowed"], answer["action"], codes(answer)) == (False, "STOP", ["UNIT_ON_HOLD"])
    assert [unit["allowed"] for unit in answer["units"]] == [True, False]
    assert answer["units"][1]["reasons"][0]["holdNo"] == hold.hold_no
    other = make_run(plant.version, plant.line, run_no="RUN-2", sns=["SN-9"])
    carriers.load(carrier_no="PAL-1", placings=[Placing("SN-9", "C")])
    assert codes(ask(client, sn=None, carrierNo="PAL-1")) == ["RUN_MISMATCH", "UNIT_ON_HOLD"]
    assert codes(ask(client, sn=None, carrierNo="PAL-1", runNo=other.run_no))[1:3] == [
        "UNIT_RUN_MISMATCH",
        "UNIT_RUN_MISMATCH",
    ]
    carriers.unload(carrier_no="PAL-1")
    assert codes(ask(client, sn=None, carrierNo="PAL-1")) == ["CARRIER_EMPTY"]


def test_only_an_unknown_station_and_a_malformed_body_are_refused(plant: Plant, client: APIClient) -> None:
    assert_refused(client.post("/api/stations/NOWHERE/permit", {"sn": "SN-1"}), "STATION_NOT_FOUND", 404)
    for body in ({}, {"sn": "SN-1", "carrierNo": "PAL-1"}, {"sn": "SN-1", "as": "ROBOT"}, {"sn": 7}, {"sn": None}):
        assert_refused(client.post("/api/stations/SMT-01/permit", body), "VALIDATION_ERROR", 400)


def test_whoever_works_here_may_ask(plant: Plant) -> None:
    for role in Role:
        assert ask(api_client(role))["allowed"]


def test_a_run_that_the_outgoing_inspection_holds_goes_on_by_the_material_review(
    plant: Plant, client: APIClient
) -> None:
    run_acts.hold(run_no="RUN-1", by="system", reason="3 failed", source=HoldSource.OQC)
    [reason] = ask(client)["reasons"]
    assert (reason["releasableBy"], reason["holdNo"]) == (
        ["QUALITY", "ADMIN"],
        holds.list_open(run=plant.run)[0].hold_no,
    )


def count(client: APIClient, address: str, body: dict[str, Any]) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.post(address, body)
    return sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")) for query in queries)


def test_it_takes_no_more_statements_than_a_track_in_that_is_refused(plant: Plant, client: APIClient) -> None:
    address, body = "/api/stations/SMT-01/permit", {"sn": "SN-1"}
    client.post(address, body)
    assert count(client, address, body) == 1
    hold_unit("SN-1")
    assert count(client, address, body) == 2 == count(client, "/api/stations/SMT-01/track-in", body)
    station_acts.stop(station_code="SMT-01", reason="x", by="ann")
    line_acts.hold(line_code="SMT-A", reason="x", by="ann")
    assert count(client, address, body) == 3
    carriers.load(carrier_no="PAL-1", placings=[Placing("SN-1"), Placing("SN-2"), Placing("SN-3")])
    assert count(client, address, {"carrierNo": "PAL-1"}) == 5  # however many units
