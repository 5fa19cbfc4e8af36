"""Whether a line is set up for a run: looked at, kept, and asked of units that enter where the line enforces it."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from execution import moves, tracking
from execution.entering import Entering
from execution.models import TrackSource
from execution.unit_state import StationState, load_states
from mes import errors
from mes.line_setup.loads.models import Load, LoadMark, SlotLock
from mes.line_setup.lots import services as lots
from mes.line_setup.lots.services import Who
from mes.line_setup.models import LotEventKind, MaterialLot, Tool
from mes.line_setup.set_up_lists import goodness, services
from mes.line_setup.set_up_lists.models import RunSetUpList, RunStationSetUp
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.plant.models import Line, Material, Station
from mes.platform.accounts.roles import Role
from mes.production import run_acts, runs
from mes.production.models import Run, RunStatus
from tests.execution.support import assert_done, assert_refused, track_in, track_out
from tests.factories import Plant, api_client, make_plant, make_user, put_runs
from tests.forms import filled
from tests.line_setup.set_up_lists.support import make_list, make_materials, part


def load(slot: str, thing: Any, *, station: str | None = "SMT-01", **fields: Any) -> Load:
    """Put something into a slot of a station, or of the line, past every rule."""
    named = {type(thing).__name__.replace("MaterialLot", "lot").lower(): thing}
    if isinstance(thing, str):
        named = {"program": thing}
    place: dict[str, Any] = {"station": Station.objects.get(code=station)} if station else {"line": Line.objects.get()}
    mark = LoadMark.objects.create(slot=slot, kind="LOAD", at=timezone.now(), source="SCAN", **place, **named)
    return Load.objects.create(slot=slot, opened_by=mark, loaded_at=mark.at, **place, **named, **fields)


def lot(lot_id: str = "L-1", material: str = "R-10K", **fields: Any) -> MaterialLot:
    return MaterialLot.objects.create(lot_id=lot_id, material=make_materials(material)[material], **fields)


@pytest.fixture
def plant(db: None) -> Plant:
    """A run in preparation whose list wants a part and a program at the printer, and a stencil on its line."""
    plant = make_plant(authorize=False)
    plant.line.material_control = "ENFORCE"
    plant.line.save()
    Tool.objects.create(tool_id="ST-1")
    items = [
        part("F1", alternates=["R-10K-B"]),
        ItemInput("SMT-01", "PROGRAM", kind="PROGRAM", program="CTRL"),
        ItemInput("SMT-01", "STENCIL", kind="TOOL", tool_ids=["ST-1"]),
    ]
    make_list(plant, *items)
    services.bind_latest(plant.run)
    return plant


def fill() -> dict[str, Load]:
    """Load what the list wants."""
    return {
        "F1": load("F1", lot()),
        "PROGRAM": load("PROGRAM", "CTRL"),
        "STENCIL": load("STENCIL", Tool.objects.get(tool_id="ST-1"), station=None),
    }


def look(run: Run) -> dict[str, list[str]]:
    found = goodness.look_at_run(run, at=timezone.now())
    return {slot.item.slot: [str(code) for code in slot.faults] for each in found.stations for slot in each.slots}


def test_what_may_be_wrong_with_slots(plant):
    empty = {"F1": ["SLOT_EMPTY"], "PROGRAM": ["SLOT_EMPTY"], "STENCIL": ["SLOT_EMPTY"]}
    assert look(plant.run) == empty
    loads = fill()
    good: dict[str, list[str]] = {slot: [] for slot in empty}
    assert look(plant.run) == good
    part_lot, stencil = loads["F1"].lot, loads["STENCIL"].tool
    assert part_lot is not None and stencil is not None
    for fields, faults in [
        ({"status": "BLOCKED", "blocked_from": "AVAILABLE"}, ["LOT_BLOCKED"]),
        ({"status": "USED_UP"}, ["LOT_USED_UP"]),
        ({"status": "SCRAPPED", "expires_at": timezone.now()}, ["LOT_BLOCKED", "LOT_EXPIRED"]),
        ({"material": make_materials("C-1U")["C-1U"]}, ["WRONG_PART"]),
        ({"material": make_materials("R-10K-B")["R-10K-B"]}, []),
        ({"material": None}, ["WRONG_PART"]),
    ]:
        was = {"status": "AVAILABLE", "blocked_from": "", "expires_at": None, "material": part_lot.material}
        MaterialLot.objects.filter(pk=part_lot.pk).update(**{**was, **fields})
        assert look(plant.run) == good | {"F1": faults}
    MaterialLot.objects.filter(pk=part_lot.pk).update(**was)
    Tool.objects.update(status="MAINTENANCE", max_uses=5, uses_since_service=9)
    Load.objects.filter(slot="PROGRAM").update(program="OLD")
    SlotLock.objects.create(station=plant.stations["SMT-01"], slot="F1", locked_at=timezone.now())
    assert look(plant.run) == {
        "F1": ["SLOT_LOCKED"],
        "PROGRAM": ["WRONG_PROGRAM"],
        "STENCIL": ["TOOL_NOT_READY", "TOOL_WORN"],
    }


def test_behind_a_splice_the_lot_before_may_run_out(plant):
    loads = fill()
    MaterialLot.objects.update(status="USED_UP")
    load("F1", lot("L-2"), state="NEXT")
    assert look(plant.run)["F1"] == []
    MaterialLot.objects.filter(lot_id="L-2").update(status="BLOCKED", blocked_from="AVAILABLE")
    assert look(plant.run)["F1"] == ["LOT_BLOCKED"]
    assert loads["F1"].state == "ACTIVE"


def test_the_set_up_of_a_run_over_http(plant):
    client = api_client(Role.OPERATOR)
    loads = fill()
    ends = timezone.now() + timedelta(hours=5)
    MaterialLot.objects.update(expires_at=ends, quantity=400)
    load("F9", lot("L-9"))
    Load.objects.filter(slot="PROGRAM").update(program="OLD")
    found = assert_done(client.get("/api/runs/RUN-1/set-up"))
    assert (found["revision"], found["isGood"], found["lineCode"]) == (1, False, "SMT-A")
    assert found["goodUntil"] == ends.isoformat().replace("+00:00", "Z")
    [station] = found["stations"]
    slots = {slot["slot"]: slot for slot in station["slots"]}
    assert {name: (slot["state"], slot["change"]) for name, slot in slots.items()} == {
        "F1": ("OK", "KEEP"),
        "PROGRAM": ("WRONG_PROGRAM", "CHANGE"),
        "STENCIL": ("OK", "KEEP"),
    }
    assert [slots[name]["remaining"] for name in ("F1", "PROGRAM", "STENCIL")] == [400, None, None]
    assert slots["F1"]["expected"]["alternates"] == ["R-10K-B"]
    assert [each["lotId"] for each in slots["F1"]["loaded"]] == ["L-1"]
    assert [(each["slot"], each["lotId"], each["materialCode"]) for each in station["remove"]] == [
        ("F9", "L-9", "R-10K")
    ]
    assert slots["STENCIL"]["loaded"][0]["id"] == str(loads["STENCIL"].pk)
    RunSetUpList.objects.all().delete()
    none = assert_done(client.get("/api/runs/RUN-1/set-up"))
    assert (none["revision"], none["isGood"], none["stations"]) == (None, False, [])
    assert_refused(client.get("/api/runs/NONE/set-up"), "RUN_NOT_FOUND", 404)


def test_what_is_left_in_a_slot_is_that_of_all_its_lots(plant):
    def remaining() -> Any:
        [station] = goodness.look_at_run(plant.run, at=timezone.now()).stations
        return {slot.item.slot: slot.remaining for slot in station.slots}["F1"]

    fill()
    assert remaining() is None  # nobody said
    MaterialLot.objects.update(quantity=100)
    spliced = lot("L-2", quantity=5000)
    load("F1", spliced, state="NEXT")
    assert remaining() == 5100
    MaterialLot.objects.filter(pk=spliced.pk).update(quantity=None)
    assert remaining() is None


def test_its_statements_depend_on_no_number_of_slots(plant):
    def count() -> int:
        with CaptureQueriesContext(connection) as seen:
            goodness.look_at_run(plant.run, at=timezone.now())
        return len(seen)

    fill()
    few = count()
    many = [part(f"M{number}", f"M-{number}", alternates=["R-10K"]) for number in range(30)]
    RunSetUpList.objects.create(run=plant.run, set_up_list=make_list(plant, part("F1"), *many))
    for number in range(30):
        load(f"M{number}", lot(f"X-{number}", f"M-{number}"))
    assert len(look(plant.run)) == 31
    assert count() == few == 7


# --- kept, and asked ----------------------------------------------------------------------------------------


def authorize(plant: Plant) -> None:
    runs.set_authorization(run_no="RUN-1", action="AUTHORIZE", by="test")


def refusals(sn: str = "SN-1", *, by_machine: bool = False, at: datetime | None = None, **fields: Any) -> list[Any]:
    """Return the faults of the set-up that entering the printer, now or at a time, is refused with."""
    place = StationState(tracking.get_station("SMT-01"))
    state = load_states([sn], locked=None).unit_states[sn]
    at = at or timezone.now()
    entering = Entering(place, state, state.run, at, by_machine=by_machine, is_report=by_machine, **fields)
    return [each.details["faults"] for each in entering.list_refusals() if each.code == "SETUP_INCOMPLETE"]


@pytest.mark.parametrize("by_machine", [False, True])
def test_a_unit_enters_no_station_that_is_not_set_up(plant, by_machine):
    authorize(plant)
    [faults] = refusals(by_machine=by_machine)
    assert {"slot": "F1", "code": "SLOT_EMPTY"} in faults
    fill()
    assert refusals(by_machine=by_machine)  # nobody looked again
    goodness.refresh(stations=[plant.stations["SMT-01"].pk])
    assert refusals(by_machine=by_machine) == []
    lots = MaterialLot.objects.all()
    lots.update(status="BLOCKED", blocked_from="AVAILABLE")
    goodness.refresh_of_lots([each.pk for each in lots])
    assert refusals(by_machine=by_machine) == [[{"slot": "F1", "code": "LOT_BLOCKED"}]]
    lots.update(status="AVAILABLE", blocked_from="")
    Tool.objects.update(status="NOT_READY")
    goodness.refresh_of_lots([each.pk for each in lots])
    goodness.refresh_of_tools([each.pk for each in Tool.objects.all()])
    assert refusals(by_machine=by_machine) == [[{"slot": "STENCIL", "code": "TOOL_NOT_READY"}]]


@pytest.mark.parametrize("control", ["OFF", "RECORD"])
def test_only_a_line_that_enforces_refuses(plant, control):
    authorize(plant)
    Line.objects.update(material_control=control)
    assert refusals() == []


def test_it_is_bad_past_its_time_though_nobody_wrote(plant):
    fill()
    ends = timezone.now() + timedelta(hours=1)
    MaterialLot.objects.update(expires_at=ends)
    authorize(plant)
    kept = RunStationSetUp.objects.get()
    assert (kept.faults, kept.good_until) == ([], ends)
    assert refusals() == []
    kept.expiries[0]["at"] = timezone.now().isoformat()
    kept.save()
    assert refusals() == [[{"slot": "F1", "code": "LOT_EXPIRED"}]]
    # What was reported late entered while it was good; what only left is not asked.
    assert refusals(by_machine=True, at=timezone.now() - timedelta(minutes=5)) == []
    assert refusals(by_machine=True, is_inferred=True) == []


def test_without_what_is_kept_its_time_counts_as_of_the_entry_too(plant):
    put_runs(RunStatus.AUTHORIZED)
    fill()
    MaterialLot.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert refusals(by_machine=True) == [[{"slot": "F1", "code": "LOT_EXPIRED"}]]
    assert refusals(by_machine=True, at=timezone.now() - timedelta(minutes=5)) == []


def test_its_guard_is_the_last_but_that_of_the_least_time(plant):
    authorize(plant)
    place = StationState(tracking.get_station("SMT-01"))
    state = load_states(["SN-1"], locked=None).unit_states["SN-1"]
    entering = Entering(place, state, state.run, timezone.now() + timedelta(hours=1), by_machine=True)
    assert [each.code for each in entering.list_refusals()] == ["EVENT_TIME_IN_FUTURE", "SETUP_INCOMPLETE"]


def test_a_machine_that_reports_only_that_a_unit_left_is_not_stopped(plant):
    authorize(plant)
    station = tracking.get_station("SMT-01")
    state = load_states(["SN-1"], locked=None).unit_states["SN-1"]
    entry = {"run": state.run, "source": TrackSource.AUTO, "at": timezone.now(), "by": "printer"}
    with pytest.raises(errors.SetUpIncomplete):
        moves.enter(state, StationState(station), **entry)
    assert moves.enter(state, StationState(station), is_entry_inferred=True, **entry).track.is_entry_inferred


def test_refused_by_hand_with_who_may_help_and_leaving_is_not(plant):
    client = api_client(Role.OPERATOR)
    fill()
    authorize(plant)
    assert_done(track_in(client), 201)
    Load.objects.filter(slot="F1").update(ended_at=timezone.now())
    goodness.refresh(stations=[plant.stations["SMT-01"].pk])
    details = assert_refused(track_in(client, sn="SN-2"), "SETUP_INCOMPLETE")
    faults = [{"slot": "F1", "code": "SLOT_EMPTY"}]
    assert details == {"station": "SMT-01", "run": "RUN-1", "slots": ["F1 empty"], "faults": faults}
    [reason] = assert_done(client.post("/api/stations/SMT-01/permit", {"sn": "SN-2"}))["reasons"]
    assert (reason["code"], reason["releasableBy"]) == ("SETUP_INCOMPLETE", ["OPERATOR", "SUPERVISOR", "ADMIN"])
    assert_done(track_out(client))  # leaving is a fact


def test_a_run_of_which_nothing_is_kept_is_looked_at(plant):
    put_runs(RunStatus.AUTHORIZED)
    assert refusals()
    fill()
    assert refusals() == []
    RunSetUpList.objects.all().delete()
    Load.objects.all().delete()
    assert refusals() == []  # without a list nobody knows what is missing


def test_another_list_is_looked_at_and_what_ended_forgotten(plant):
    fill()
    authorize(plant)
    make_list(plant, part("F2"))
    client = api_client(Role.ENGINEER)
    assert_done(client.post("/api/runs/RUN-1/setup-list", {"revision": 2, "reason": "x"}), 201)
    assert refusals() == [[{"slot": "F2", "code": "SLOT_EMPTY"}]]
    goodness.forget(plant.run)
    assert not RunStationSetUp.objects.exists()


def test_a_run_that_is_bound_while_it_is_on_and_one_that_is_reopened_are_kept(plant):
    first = RunSetUpList.objects.get()
    first.delete()
    authorize(plant)
    assert not RunStationSetUp.objects.exists()
    services.bind(run_no="RUN-1", revision=1, reason="now", by="test")
    assert RunStationSetUp.objects.exists()
    run_acts.close(run_no="RUN-1", by="test", reason="short")
    assert not RunStationSetUp.objects.exists()
    Run.objects.update(status="COMPLETED", started_at=timezone.now())
    run_acts.reopen(run_no="RUN-1", by="test", reason="more")
    assert RunStationSetUp.objects.exists()


def test_one_in_preparation_is_not_kept(plant):
    make_list(plant, part("F2"))
    services.bind(run_no="RUN-1", revision=2, reason="now", by="test")
    assert not RunStationSetUp.objects.exists()


def test_lots_and_tools_are_locked_in_the_order_of_their_keys(plant):
    """As everybody else locks them: else two deadlock."""
    other = Tool.objects.create(tool_id="AA-2")
    first, second = lot("L-2"), lot("L-1", "R-10K-B")
    for slot, thing in {"F1": first, "F2": second}.items():
        load(slot, thing)
    load("STENCIL", Tool.objects.get(tool_id="ST-1"), station=None)
    load("SQUEEGEE", other)
    with CaptureQueriesContext(connection) as seen:
        authorize(plant)
    for table in ("mes_materiallot", "mes_tool"):
        [locking] = [sql for each in seen if f'FROM "{table}"' in (sql := each["sql"]) and "FOR NO KEY UPDATE" in sql]
        assert f'ORDER BY "{table}"."id"' in locking or "ORDER BY 1 ASC" in locking


def test_what_is_told_ahead_of_the_clock_is_looked_at_in_advance(plant):
    loads = fill()
    material = MaterialLot.objects.get().material
    assert material is not None
    material.msl = "3"
    material.save()
    ahead = timezone.now() + timedelta(minutes=1)
    Load.objects.filter(pk=loads["F1"].pk).update(loaded_at=ahead)
    authorize(plant)
    kept = RunStationSetUp.objects.get()
    assert (kept.faults, kept.good_until) == ([], ahead + timedelta(hours=168))


def test_entering_takes_no_further_statement(plant):
    def count() -> int:
        with CaptureQueriesContext(connection) as seen:
            refusals()
        return len(seen)

    fill()
    authorize(plant)
    Line.objects.update(material_control="OFF")
    without = count()
    Line.objects.update(material_control="ENFORCE")
    assert count() == without


def test_floor_life_spoils_a_slot(plant):
    fill()
    material = MaterialLot.objects.get().material
    assert material is not None
    material.msl = "5a"  # 24 h from its load on
    material.save()
    [station] = goodness.look_at_run(plant.run, at=timezone.now()).stations
    assert station.is_good and station.good_until is not None
    ends = station.good_until
    [later] = goodness.look_at_run(plant.run, at=ends).stations
    assert later.faults == [{"slot": "F1", "code": "MSD_EXPIRED"}]
    assert timedelta(hours=23) < ends - timezone.now() < timedelta(hours=25)


def test_what_is_loaded_unloaded_and_blocked_is_looked_at_by_itself(plant):
    authorize(plant)
    Load.objects.all().delete()
    operator, quality = api_client(Role.OPERATOR), api_client(Role.QUALITY)
    lot()
    load("STENCIL", Tool.objects.get(), station=None)
    address = "/api/stations/SMT-01/loads"
    assert_done(operator.post(address, {"slot": "PROGRAM", "program": "CTRL"}), 201)
    assert refusals() == [[{"slot": "F1", "code": "SLOT_EMPTY"}]]
    assert_done(operator.post(address, {"slot": "F1", "lotId": "L-1"}), 201)
    assert refusals() == []
    assert_done(quality.post("/api/material-lots/L-1/block", {"reason": "recall"}))
    assert refusals() == [[{"slot": "F1", "code": "LOT_BLOCKED"}]]
    assert_done(quality.post("/api/material-lots/L-1/unblock", {"reason": "other lot"}))
    assert refusals() == []
    engineer = api_client(Role.ENGINEER)
    assert_done(engineer.patch("/api/tools/ST-1", {"status": "MAINTENANCE"}))
    assert refusals() == [[{"slot": "STENCIL", "code": "TOOL_NOT_READY"}]]
    assert_done(engineer.patch("/api/tools/ST-1", {"status": "READY"}))
    assert_done(operator.post("/api/stations/SMT-01/unload", {"slot": "F1"}), 200)
    assert refusals() == [[{"slot": "F1", "code": "SLOT_EMPTY"}]]


def kept_faults() -> list[dict[str, str]]:
    return list(RunStationSetUp.objects.get().faults)


def test_what_happened_to_a_lot_counts_for_its_parts(plant):
    whole = lot("PA", msl="3", quantity=100)
    part_of_it, _event = lots.split("PA", new_lot_id="CH", quantity=Decimal(10), who=Who("sue"))
    fill()
    Load.objects.filter(slot="F1").update(lot=part_of_it)
    authorize(plant)
    assert kept_faults() == []
    body = {"kind": "OPENED", "at": (timezone.now() - timedelta(days=8)).isoformat()}
    assert_done(api_client(Role.OPERATOR).post(f"/api/material-lots/{whole.lot_id}/events", body), 201)
    assert kept_faults() == [{"slot": "F1", "code": "MSD_EXPIRED"}]
    assert refusals() == [kept_faults()]


def test_a_split_that_is_reported_late_counts_for_parts_of_the_part(plant):
    lot("PA", msl="3")
    lot("CH", msl="3", quantity=10)
    part_of_it, _event = lots.split("CH", new_lot_id="GC", quantity=Decimal(1), who=Who("sue"))
    fill()
    Load.objects.filter(slot="F1").update(lot=part_of_it)
    authorize(plant)
    lots.record_event("PA", LotEventKind.OPENED, who=Who("sue"), at=timezone.now() - timedelta(days=8))
    assert kept_faults() == []
    lots.split("PA", new_lot_id="CH", quantity=Decimal(10), who=Who("sue"), may_be_known=True)
    assert kept_faults() == [{"slot": "F1", "code": "MSD_EXPIRED"}]


def test_what_lots_have_of_their_material_counts_at_once(plant):
    loads = fill()
    authorize(plant)
    engineer = api_client(Role.ENGINEER)
    assert_done(engineer.patch("/api/materials/R-10K", {"msl": "6"}))
    assert kept_faults() == [{"slot": "F1", "code": "MSD_EXPIRED"}]
    assert_done(engineer.patch("/api/materials/R-10K", {"msl": None, "isShared": True}))
    assert kept_faults() == []
    loads["F1"].refresh_from_db()
    assert loads["F1"].is_shared
    load("F9", loads["F1"].lot, is_shared=True)
    assert_done(engineer.patch("/api/materials/R-10K", {"isShared": False}))
    assert set(Load.objects.filter(lot__isnull=False).values_list("is_shared", flat=True)) == {True}


def by_sheet(msl: str) -> None:
    engineer = api_client(Role.ENGINEER)
    seen = assert_done(engineer.post("/api/imports/materials", {"rows": [{"code": "R-10K", "msl": msl or None}]}), 201)
    assert_done(engineer.post(f"/api/imports/{seen['id']}/apply", {"changeReason": "As its label says"}))


def by_administration(msl: str) -> None:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    page = reverse("admin:mes_material_change", args=[Material.objects.get(code="R-10K").pk])
    assert client.post(page, filled(client, page, msl=msl)).status_code == 302


@pytest.mark.parametrize("change", [by_sheet, by_administration])
def test_what_lots_have_of_their_material_counts_at_once_by_every_way(plant, change):
    fill()
    authorize(plant)
    change("6")
    assert kept_faults() == [{"slot": "F1", "code": "MSD_EXPIRED"}]
    change("")
    assert kept_faults() == []
