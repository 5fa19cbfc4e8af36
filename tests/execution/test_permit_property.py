"""In any state the answer to “may it run here” is that of entering: by hand and by machine, in whatever order it fails.

The states are rows written past every rule, also such as no way of the system leads to.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from execution import carriers, permits, rules, tracking
from execution.carriers import Placing
from execution.models import Track
from execution.permit_reasons import Reason
from execution.quality.first_article.models import FirstArticle, FirstArticleSample
from execution.quality.repair.models import ReworkTask
from ingest import attempts
from ingest.envelope import decode
from mes import errors
from mes.plant.models import Equipment, Line, Station
from mes.platform.http.envelope import refusal_as_json
from mes.platform.inbound.sender import EVERYWHERE
from mes.production.hold_models import HeldUnit, Hold
from mes.production.identity_models import ReferenceUnit
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.production.serial_numbers import check_readable
from mes.qualifications.models import Qualification
from mes.qualifications.queries import Worker, worker_of
from tests.factories import make_config, make_group, make_line, make_operation, make_run, make_station, make_user
from tests.ingest.support import IngestPlant, final_test, make_ingest_plant, printed

STEPS = {10: "AUTO", 20: "AUTO", 30: "BATCH", 40: "TEST"}
PLACES = {
    "PRN-1": "AUTO",  # of step 10
    "TST-1": "TEST",  # of step 40
    "PRN-B": "AUTO",  # as the first, on another line
    "PRN-S": "AUTO",  # shared by all lines
    "TST-X": "TEST",  # of another group
    "HAND-1": "MANUAL",
}
OK = "ok"  # what is wrong with nothing


@dataclass
class World:
    """What every state begins from."""

    plant: IngestPlant
    run: Run
    other: Run
    unit: Unit
    lines: dict[str, Line]
    stations: dict[str, Station]


def make_world() -> World:
    """Make it. Step 10 asks for a qualification."""
    printing = make_operation("PRINT")
    make_config(operation=printing, requires_qualification=True)
    for name, until in (("ann", None), ("late", timezone.localdate() - timedelta(days=1))):
        Qualification.objects.create(person=make_user(username=name), operation=printing, until=until)
    make_user(username="otto")
    plant = make_ingest_plant(units=2)
    lines = {"SMT-A": make_line("SMT-A"), "SMT-B": make_line("SMT-B")}
    printers, others = make_group("PRINT-GROUP"), make_group("OTHERS")
    make_station("PRN-B", line=lines["SMT-B"], group=printers, station_type="AUTO")
    make_station("PRN-S", group=printers, station_type="AUTO")
    make_station("TST-X", line=lines["SMT-A"], group=others, station_type="TEST")
    make_station("HAND-1", line=lines["SMT-A"], station_type="MANUAL")
    stations = {station.code: station for station in Station.objects.filter(code__in=PLACES)}
    Equipment.objects.bulk_create(
        Equipment(code=f"EQ-{code}", name="x", station=station) for code, station in stations.items()
    )
    other = make_run(plant.version, lines["SMT-B"], run_no="RUN-2", sns=["SN-OTHER"])
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    unit = Unit.objects.get(sn=plant.sns[0])
    carriers.load(carrier_no="PAL-1", placings=[Placing(sn, str(at)) for at, sn in enumerate(plant.sns)])
    run = Run.objects.get(run_no="RUN-1")
    return World(plant, run, other, unit, lines, stations)


# --- states ------------------------------------------------------------------------------------------------


@dataclass
class State:
    """One state, and who is asked about where."""

    station: str
    sn: str
    run_no: str | None
    step_no: int = 10
    status: str = UnitStatus.QUEUED
    held_from: str = ""
    in_at: str = ""  # the station of its open track
    of: str = OK  # OTHER: it is in the other run; NONE
    run: str = RunStatus.IN_PROGRESS
    makes: bool = False  # the run makes units on the fly
    first_article: str = OK
    is_in_oqc: bool = False
    equipment: str = "normal"
    held: frozenset[str] = frozenset()
    has_repair: bool = False
    is_late: bool = False  # its last track ended ahead of the clock
    operator: str = "ann"  # who works by hand: she is qualified for step 10


CHANGES: list[Callable[[State, Random], None]] = [
    lambda state, random: setattr(state, "step_no", random.choice([10, 20, 40])),
    lambda state, random: setattr(state, "status", random.choice(UnitStatus.values)),
    lambda state, random: setattr(state, "of", random.choice(["OTHER", "NONE"])),
    lambda state, random: setattr(state, "run", random.choice(RunStatus.values)),
    lambda state, random: setattr(state, "makes", True),
    lambda state, random: setattr(state, "first_article", random.choice(["FAILED", "SAMPLE", "INSPECTING"])),
    lambda state, random: setattr(state, "is_in_oqc", True),
    lambda state, random: setattr(state, "equipment", random.choice(["down", "calibrating"])),
    lambda state, random: setattr(state, "held", frozenset(random.sample(HELD, random.randint(1, 3)))),
    lambda state, random: setattr(state, "has_repair", True),
    lambda state, random: setattr(state, "is_late", True),
    lambda state, random: setattr(state, "operator", random.choice(["otto", "late", "", "token:x"])),
]
HELD = ["RUN", "STATION", "LINE", "OTHER-LINE", "UNITS"]


def draw(random: Random, world: World) -> State:
    """Return a state with none, one or several things out of order."""
    known = world.unit.sn
    sn = random.choices([known, "NEW-1", "GOLD-1", "NOREAD"], [20, 4, 1, 1])[0]
    station = random.choices(list(PLACES), [8, 3, 3, 2, 2, 2])[0]
    state = State(station, sn, random.choices([None, "RUN-1", "RUN-2", "RUN-X"], [4, 8, 1, 1])[0])
    state.step_no = 40 if PLACES[station] == "TEST" else 10
    for change in random.sample(CHANGES, random.choice([0, 0, 1, 1, 2, 3, 5])):
        change(state, random)
    if state.status == UnitStatus.ON_HOLD:
        state.held_from = random.choice(
            [UnitStatus.QUEUED, UnitStatus.IN_STATION, UnitStatus.OUT_FAILED, UnitStatus.DONE]
        )
    if UnitStatus.IN_STATION in (state.status, state.held_from):
        state.in_at = random.choice(list(PLACES))
    return state


def put(state: State, world: World) -> None:
    """Write the state."""
    run, unit = world.run, world.unit
    Run.objects.filter(pk=run.pk).update(
        status=state.run,
        held_from=RunStatus.IN_PROGRESS if state.run == RunStatus.ON_HOLD else "",
        units_registered=not state.makes,
        is_in_oqc=state.is_in_oqc,
        is_first_article_failed=state.first_article in ("FAILED", "SAMPLE"),
    )
    place = {OK: run.pk, "OTHER": world.other.pk, "NONE": None}[state.of]
    Unit.objects.filter(pk=unit.pk).update(
        status=state.status,
        held_from=state.held_from,
        hold_reason="Scratch" if state.status == UnitStatus.ON_HOLD else "",
        current_step_no=state.step_no,
        run_id=place,
    )
    if state.equipment != "normal":
        Equipment.objects.filter(station=world.stations[state.station]).update(status=state.equipment)
    if state.first_article in ("SAMPLE", "INSPECTING"):
        article = FirstArticle.objects.create(run=run, sample_qty=1, created_by="ann", status="INSPECTING")
        if state.first_article == "SAMPLE":
            FirstArticleSample.objects.create(first_article=article, unit=unit)
    if state.has_repair:
        task = {"to_step_no": 10, "rework_no": 1, "reason": "x", "created_by": "ann"}
        ReworkTask.objects.create(unit=unit, run=run, **task)
    put_tracks(state, world)
    put_holds(state, world)


def put_tracks(state: State, world: World) -> None:
    now = timezone.now()
    common = {"unit": world.unit, "run": world.run, "operation_code": "X", "source": "AUTO"}
    if state.is_late:
        ended = {"in_at": now, "out_at": now + timedelta(minutes=8), "result": "PASS", "claimed_result": "PASS"}
        Track.objects.create(**common, step_no=5, station=world.stations["HAND-1"], attempt=1, **ended)
    if state.in_at:
        at = {"step_no": state.step_no, "station": world.stations[state.in_at], "in_at": now - timedelta(minutes=1)}
        Track.objects.create(**common, attempt=1, **at)


def put_holds(state: State, world: World) -> None:
    places = {
        "RUN": {"run": world.run},
        "STATION": {"station": world.stations[state.station]},
        "LINE": {"line": world.lines["SMT-A"]},
        "OTHER-LINE": {"line": world.lines["SMT-B"]},
        "UNITS": {},
    }
    for held in sorted(state.held):
        scope = held.removeprefix("OTHER-")
        hold = Hold.objects.create(scope=scope, reason=held, opened_by="ann", **places[held])
        if held == "UNITS":
            HeldUnit.objects.create(hold=hold, unit=world.unit, held_by="ann")


# --- the two sides -----------------------------------------------------------------------------------------


class _Undo(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """Roll back what is done inside."""
    try:
        with transaction.atomic():
            yield
            raise _Undo
    except _Undo:
        pass


def enter_by_hand(state: State) -> errors.DomainError | None:
    """Track in; return the refusal."""
    refusal = None
    with undone():
        try:
            check_readable(state.sn)  # as the interface does first
            tracking.track_in(sn=state.sn, station_code=state.station, run_no=state.run_no, by=state.operator)
        except errors.DomainError as error:
            refusal = error
    return refusal


def enter_by_machine(state: State) -> errors.DomainError | None:
    """Have the machine report; return the refusal."""
    body = final_test(state.sn, 3.3) if PLACES[state.station] == "TEST" else printed(state.sn)
    body["payload"]["station"] = state.station
    body["runNo"] = state.run_no
    event = decode(json.dumps(body).encode(), by="ann", received_at=timezone.now())
    refusal: errors.DomainError | None = None
    with undone():
        try:
            answer = attempts.attempt(event, sender=EVERYWHERE, is_in_turn=True)
            if isinstance(answer, errors.DomainError):
                refusal = answer
            elif answer.answer["status"] != "APPLIED":
                refusal = errors.StepMismatch(current=0, step_no=0)
        except errors.DomainError as error:
            refusal = error
    return refusal


def is_about_its_step(state: State, world: World) -> bool:
    """Whether a machine's report can only be about the step that the unit stands at: a report for another step is told
    that, and a unit that is in no run, or not in the named one, before all else.
    """
    if state.sn != world.unit.sn or state.of != OK or state.run_no != "RUN-1":
        return False
    return STEPS[state.step_no] == PLACES[state.station] and state.step_no != 20


def find_difference(state: State, world: World, reasons: Sequence[Reason], *, by_machine: bool) -> str:
    """Return what differs between an answer and entering; nothing where they agree."""
    if by_machine and state.sn == "GOLD-1":
        return ""  # no unit: its report is recorded as a pass of a reference unit
    if by_machine and state.in_at and STEPS[state.step_no] != PLACES[state.station]:
        return ""  # it is in a place that no report of its step comes from
    if by_machine or is_in_and_held(state, reasons):
        # A machine's report of a held unit is a fact, and a repeated scan of one that is in changes nothing; asked
        # beforehand it is kept from running.
        reasons = [reason for reason in reasons if reason.code != "UNIT_ON_HOLD"]
    refusal = enter_by_machine(state) if by_machine else enter_by_hand(state)
    if (refusal is None) != (not reasons):
        return f"{refusal and refusal.code} is not {[reason.code for reason in reasons]}"
    if refusal is None or (by_machine and not is_about_its_step(state, world)):
        return ""
    told, first = refusal_as_json(refusal), reasons[0]
    if (told["code"], _lasting(told["details"])) != (first.code, _lasting(first.fact)):
        return f"{refusal.code} {told['details']} is not {[reason.code for reason in reasons]}"
    return ""


def is_in_and_held(state: State, reasons: Sequence[Reason]) -> bool:
    """Whether a unit that is in the station already is kept from running by nothing but what holds it."""
    return state.in_at == state.station and [reason.code for reason in reasons] == ["UNIT_ON_HOLD"]


def _lasting(fact: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a refusal tells, but for the moment at which it was asked."""
    return {name: value for name, value in fact.items() if name != "at"}


def walk(
    world: World, *, states: int, seed: int = 1, around: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Iterator[tuple[State, Sequence[Reason], str]]:
    """Yield random states with the reasons that are answered there, and what differs from entering."""
    random = Random(seed)
    for number in range(states):
        state = draw(random, world)
        by_machine = bool(number % 2) and PLACES[state.station] != "MANUAL"
        with undone():
            put(state, world)
            with around():
                permit = permits.ask_for_unit(
                    station_code=state.station,
                    sn=state.sn,
                    run_no=state.run_no,
                    by_machine=by_machine,
                    worker=worker_of(state.operator, None),
                )
            assert permit.allowed == (not permit.reasons)
            difference = find_difference(state, world, permit.reasons, by_machine=by_machine)
        yield state, permit.reasons, difference


GUARDS = {
    "RUN_NOT_AUTHORIZED",
    "RUN_IN_PREP",
    "RUN_ON_HOLD",
    "RUN_CLOSED",
    "RUN_IN_OQC",
    "FAI_NOT_PASSED",
    "UNIT_RUN_MISMATCH",
    "UNIT_ON_HOLD",
    "UNIT_ALREADY_IN_STATION",
    "UNIT_ALREADY_DONE",
    "UNIT_OUT_FAILED",
    "UNIT_SCRAPPED",
    "REPAIR_OPEN",
    "STATION_MISMATCH",
    "STATION_LINE_MISMATCH",
    "EQUIPMENT_UNAVAILABLE",
    "LINE_ON_HOLD",
    "STATION_STOPPED",
    "OPERATOR_NOT_QUALIFIED",
    "EVENT_TIME_OUT_OF_ORDER",
    "UNIT_NOT_FOUND",
    "SN_UNREADABLE",
    "SN_IS_REFERENCE",
    "RUN_NOT_FOUND",
    "ALLOWED",
}


@pytest.mark.django_db
def test_the_first_reason_is_the_refusal_in_any_state() -> None:
    seen = Counter[str]()
    for state, reasons, difference in walk(make_world(), states=600):
        assert difference == "", state
        seen.update({reason.code for reason in reasons} or {"ALLOWED"})
    assert seen.keys() >= GUARDS
    assert seen["ALLOWED"] > 60


@pytest.mark.long
@pytest.mark.django_db
def test_the_first_reason_is_the_refusal_in_many_states() -> None:
    for state, _reasons, difference in walk(make_world(), states=10_000, seed=2):
        assert difference == "", state


@pytest.mark.django_db
def test_control_with_a_guard_left_out_of_one_side_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    for guard in ("unit", "place", "equipment", "lines"):

        @contextmanager
        def without(guard: str = guard) -> Iterator[None]:
            with monkeypatch.context() as patched:
                patched.setattr(rules, f"list_refusals_of_{guard}", lambda *_args, **_kwargs: iter(()))
                yield

        assert any(difference for _state, _reasons, difference in walk(world, states=300, around=without)), guard

    @contextmanager
    def qualified() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(Worker, "is_qualified", lambda *_args, **_kwargs: True)
            yield

    assert any(difference for _state, _reasons, difference in walk(world, states=300, around=qualified))


def _told(reason: Reason) -> tuple[Any, ...]:
    return reason.code, _lasting(reason.fact), reason.releasable_by, reason.hold_no


@pytest.mark.django_db
def test_a_carrier_is_answered_like_each_of_its_units() -> None:
    world = make_world()
    random = Random(3)
    for _number in range(60):
        state = draw(random, world)
        with undone():
            put(state, world)
            whole = permits.ask_for_carrier(station_code=state.station, carrier_no="PAL-1", run_no=state.run_no)
            for unit in whole.units or ():
                alone = permits.ask_for_unit(station_code=state.station, sn=unit.sn, run_no=state.run_no)
                assert (unit.action, unit.step_no) == (alone.action, alone.step_no)
                assert [_told(each) for each in unit.reasons] == [_told(each) for each in alone.reasons]
            are_of_one = state.of in (OK, "NONE")
            assert whole.allowed == (are_of_one and all(unit.allowed for unit in whole.units or ()))
