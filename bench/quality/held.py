"""Many units that are held and released, while others enter. Imported when Django is set up.

The batches are done in this process, one by one, by the worker's own functions; nobody who enters meanwhile may wait
for more than one of them.
"""

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any
from unittest import mock

from django.db.models import QuerySet

from bench import by_hand, load, outbox
from bench.case import BenchError, Plant
from bench.floor import recorded
from bench.measure import percentile
from bench.quality import BY, FIRST_ROUND, HELD
from execution.quality.holds import services
from execution.quality.holds.condition import Condition
from mes.platform.outbox import processor
from mes.platform.outbox.models import EventStatus, EventType, MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit, UnitStatus

UNITS, PART = 10_000, 5  # how many are held, and the share of them that is held beside
MOST_STATEMENTS = 1.1  # of a batch, of those of a batch of few units in all
LEAD = 1.0  # seconds of entering before anything is held
MOST_ENTERING = 30_000
OPEN = (EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED)
AT_ONCE = timedelta(seconds=1)  # before it is looked whether a batch is left


@dataclass(frozen=True)
class Batch:
    """What one batch took."""

    seconds: float
    statements: int


@dataclass
class Round:
    """So many units, held and released; the batches of each, and what the request took that asked for it."""

    units: int
    held: list[Batch] = field(default_factory=list)
    released: list[Batch] = field(default_factory=list)
    asked: list[Batch] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """Few and many units, held and released, and what entering took meanwhile and before (seconds, in order)."""

    few: Round
    many: Round
    entering: Sequence[float]
    quiet: Sequence[float]
    name: str = HELD

    @property
    def longest_batch(self) -> float:
        return max(batch.seconds for batch in (*self.many.held, *self.many.released))

    @property
    def longest_wait(self) -> float:
        """By how much entering took longer than it does in the quiet, at most."""
        return self.entering[-1] - percentile(self.quiet, 0.5)

    def growth(self, what: str) -> float:
        """How many times the statements a batch of many takes, of those of a batch of few."""
        few, many = (median(batch.statements for batch in getattr(of, what)) for of in (self.few, self.many))
        return many / few

    def checks(self) -> list[tuple[str, bool]]:
        """Return each stated target with whether it is reached."""
        most = max(self.growth(what) for what in ("held", "released"))
        return [
            ("statements grow with batches", most <= MOST_STATEMENTS),
            ("nobody waits longer than a batch", self.longest_wait <= self.longest_batch),
        ]

    def as_json(self) -> dict[str, Any]:
        read = {
            "longest_batch": self.longest_batch,
            "longest_wait": self.longest_wait,
            "growth": {what: self.growth(what) for what in ("held", "released")},
            "entered": len(self.entering),
            "p50": {"quiet": percentile(self.quiet, 0.5), "beside": percentile(self.entering, 0.5)},
        }
        targets = [{"target": text, "reached": reached} for text, reached in self.checks()]
        return {"name": self.name, "few": asdict(self.few), "many": asdict(self.many), **read, "targets": targets}


def measure(plant: Plant, port: int, *, quick: bool) -> Held:
    """Hold and release few units, then many while others enter a station. Raises BenchError for what is not so."""
    units = UNITS // PART if quick else UNITS
    print(f"\n{HELD}: {units:,} units beside {units // PART:,}, other units of the run enter meanwhile", flush=True)
    outbox.clean_up()
    first = FIRST_ROUND + 50
    sns = by_hand.make_waiting(by_hand.HELD, first, units)
    entering = by_hand.make_waiting(by_hand.ENTERING, first, MOST_ENTERING)
    few = hold_and_release(sns[: max(units // PART, services.LARGEST_AT_ONCE + 1)])
    with _entering(plant, port, entering) as answered:
        time.sleep(LEAD)
        began = time.perf_counter()
        many = hold_and_release(sns)
        ended = time.perf_counter()
    quiet = sorted(took for at, took in answered if at + took < began)
    beside = sorted(took for at, took in answered if at + took >= began and at < ended)
    if not (quiet and beside):
        raise BenchError(f"{HELD}: nothing entered in the meantime.")
    result = Held(few, many, beside, quiet)
    print(_describe(result), flush=True)
    return result


def hold_and_release(sns: Sequence[str]) -> Round:
    """Hold units by their serial numbers and release them, as the worker does where there are many."""
    done = Round(len(sns))
    made: list[Hold] = []

    def hold() -> None:
        made.append(services.hold_units(condition=Condition(sns=tuple(sns)), reason=BY, by=BY).hold)

    done.asked.append(_took(hold))
    done.held = _work_off()
    _check(made[0], len(sns), held=len(sns))
    done.asked.append(_took(lambda: services.release(hold_no=made[0].hold_no, reason=BY, by=BY)))
    done.released = _work_off()
    _check(made[0], len(sns), held=0)
    return done


def _work_off() -> list[Batch]:
    """Work the outbox off as the worker does until no batch is left; return what each batch took."""
    batches: list[Batch] = []
    handle = processor.handle

    def measured(*, event_id: int, token: uuid.UUID) -> None:
        is_batch = _open_batches().filter(pk=event_id).exists()
        took = _took(partial(handle, event_id=event_id, token=token))
        if is_batch:
            batches.append(took)

    with mock.patch.object(processor, "handle", measured):
        while _open_batches().exists():
            processor.process_due(budget=AT_ONCE)
    return batches


def _open_batches() -> QuerySet[MesEvent]:
    return MesEvent.objects.filter(event_type=EventType.HOLD_APPLY, status__in=OPEN)


def _took(act: Callable[[], object]) -> Batch:
    with recorded() as ran:
        start = time.perf_counter()
        act()
        return Batch(time.perf_counter() - start, len(ran))


def _check(hold: Hold, number: int, *, held: int) -> None:
    """Raise BenchError where not each of the units is held once, or free again."""
    rows = HeldUnit.objects.filter(hold=hold)
    found = (rows.count(), rows.filter(ended_at=None).count())
    standing = Unit.objects.filter(held_units__hold=hold, status=UnitStatus.ON_HOLD).count()
    if (*found, standing) != (number, held, held):
        raise BenchError(f"{HELD}: of {number} units {found[1]} are held in {found[0]} rows, and {standing} stand.")


@contextmanager
def _entering(plant: Plant, port: int, sns: Sequence[str]) -> Iterator[list[tuple[float, float]]]:
    """Have units enter a station one after the other beside the block; yields when each was asked and what it took."""
    answered: list[tuple[float, float]] = []
    is_over, problems = threading.Event(), []

    def enter() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=load.PATIENCE)
        headers = {"Authorization": f"Bearer {plant.token}", "Content-Type": "application/json"}
        path = f"/api/stations/{by_hand.STATION}/track-in"
        for sn in sns:
            if is_over.is_set():
                return
            start = time.perf_counter()
            connection.request("POST", path, json.dumps({"sn": sn}), headers)
            answer = connection.getresponse()
            body = answer.read()
            answered.append((start, time.perf_counter() - start))
            if answer.status not in (200, 201):
                problems.append(f"{sn}: {answer.status} {body[:500]!r}")
                return
        problems.append("all units have entered")

    thread = threading.Thread(target=enter)
    thread.start()
    try:
        yield answered
    finally:
        is_over.set()
        thread.join()
    if problems:
        raise BenchError(f"{HELD}: {problems[0]}")


def _describe(result: Held) -> str:
    lines = []
    for what in ("held", "released"):
        many = getattr(result.many, what)
        longest = max(batch.seconds for batch in many)
        statements = f"{median(batch.statements for batch in many):,.0f} statements"
        lines.append(
            f"  {what}: {len(many)} batches, {statements} a batch ({result.growth(what):.2f} times those of few), "
            f"longest {longest * 1e3:,.0f} ms"
        )
    quiet, beside = (percentile(took, 0.5) * 1e3 for took in (result.quiet, result.entering))
    lines.append(
        f"  entering: {len(result.entering):,} units meanwhile, p50 {quiet:.1f} ms before and {beside:.1f} ms beside; "
        f"longest wait {result.longest_wait * 1e3:,.0f} ms, {result.longest_wait / result.longest_batch:.2f} of a batch"
    )
    lines += [f"  {'pass' if reached else 'MISS'}   {text}" for text, reached in result.checks()]
    return "\n".join(lines)
