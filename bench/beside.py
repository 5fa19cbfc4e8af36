"""Readings while something else goes on: `script/bench --beside [NAME …]`, whose names are those of COMPANY.

Rounds alternate: a stretch of readings alone, and one beside the work. What is compared is the p99 within one round.
A year of months lies in the database; each round has a month of a million values and as many records to drop.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import installation, load
from bench.case import BenchError, Case, Plant
from bench.cases import CASES, auto_single
from bench.installation import WebServer
from bench.measure import Measurement

READINGS = ("device-data-single", "device-data-batch")
COMPANY = {
    "retention": "the nightly retention drops a month and deletes events and keys in batches",
    "month": "a month is made while a backup reads",
    "people": "three people look at a page a second each",
    "hurry": "three people look at pages as fast as they come back",
}
WITHOUT_TARGET = {"hurry"}  # nobody reads so fast: it shows how far the target is from where pages take all there is
MOST_RATIO = 3.0  # target: p99 beside the work, of the quiet p99
PAST = 0.05  # of a full month: what the months of the year hold, of which none is dropped
EVENTS = 8_000  # completed events that a round may remove, and as many keys


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 5
    warm_up: float = 1
    seconds: float = 6
    share: float = 1  # of a full month


QUICK = Plan(rounds=1, warm_up=0.5, seconds=2, share=0.02)


@dataclass(frozen=True)
class Pair:
    """Readings alone, and right after it beside the work. `did` is what the work says of itself."""

    quiet: Measurement
    beside: Measurement
    did: dict[str, Any]

    @property
    def ratio(self) -> float:
        """The p99 beside the work, of the quiet one."""
        return (self.beside.p99 or 0) / (self.quiet.p99 or 1)


@dataclass(frozen=True)
class Result:
    """All rounds of one kind of readings beside one kind of work."""

    name: str
    company: str
    pairs: list[Pair] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(pair.ratio for pair in self.pairs)

    def checks(self) -> list[tuple[str, bool]]:
        """Return each stated target with whether the median reaches it."""
        if self.company in WITHOUT_TARGET:
            return []
        return [(f"p99 at most {MOST_RATIO:.0f} times the quiet one", self.ratio <= MOST_RATIO)]

    def as_json(self) -> dict[str, Any]:
        targets = [{"target": text, "reached": reached} for text, reached in self.checks()]
        return {**asdict(self), "ratio": self.ratio, "targets": targets}


def measure(cases: Sequence[str], names: Sequence[str], plan: Plan, *, waits: bool = False) -> list[Result]:
    """Set an installation up, and measure the readings of each case beside each kind of work."""
    with installation.database():
        from bench import plant

        print("Building the plant and its year …", flush=True)
        built = plant.build()
        with installation.web_server() as web:
            bench = _Bench(built, web, plan, waits)
            bench.build()
            return [bench.measure(CASES[case], name) for case in cases for name in names]


class _Bench:
    """The installation that is measured, and what a round uses up of it."""

    def __init__(self, plant: Plant, web: WebServer, plan: Plan, waits: bool) -> None:
        self.plant, self.web, self.plan, self.waits = plant, web, plan, waits
        self.round_no = 0

    def build(self) -> None:
        """Write what is copied by the product's own doors; then the year."""
        from bench import months, storage

        for case in (CASES["device-data-single"], auto_single.CASE):
            self._send(case, warm_up=0.1, seconds=1)
        for first in months.past_months():
            months.fill(first, share=self.plan.share * PAST)
        self.cookie, *self.paths = viewed_pages(self.plant)
        storage.settle()

    def measure(self, case: Case, name: str) -> Result:
        """Measure all rounds of a case beside a kind of work."""
        print(f"\n{case.name}, beside: {COMPANY[name]}", flush=True)
        result = Result(case.name, name)
        for _round in range(self.plan.rounds):
            self._send(case, warm_up=0.1, seconds=0.5)  # caches as after work of the same kind
            self._prepare(name)
            quiet = self._send(case)
            with self._working(name) as did:
                beside = self._send(case)
            result.pairs.append(Pair(quiet, beside, did))
            print(describe(result.pairs[-1]), flush=True)
        print(summarize(result), flush=True)
        return result

    def _send(self, case: Case, **times: float) -> Measurement:
        """Send readings for a while; every answer is checked, and every event must be stored."""
        self.round_no += 1
        times = {"warm_up": self.plan.warm_up, "seconds": self.plan.seconds, **times}
        if case.fastest:
            case.prepare(self.round_no, case.connections, int(sum(times.values()) * case.fastest / case.connections))
        before = _rows_of_this_month(case.rows)
        measured, requests = load.run(case, self.plant, self.web.port, round_no=self.round_no, **times)
        stored = _rows_of_this_month(case.rows) - before
        if stored != requests * case.events:
            raise BenchError(f"{case.name}: {requests * case.events} events were answered, {stored} rows are stored.")
        return measured

    def _prepare(self, name: str) -> None:
        """Make what the work of a round uses up, and begin with the log as short as any other round."""
        from bench import night

        if name == "retention":
            night.make_old(EVENTS, share=self.plan.share)
        elif name == "month":
            night.drop_last_months()
        night.checkpoint()

    @contextmanager
    def _working(self, name: str) -> Iterator[dict[str, Any]]:
        """Have the work done beside the block; what it says of itself is in the dictionary afterwards."""
        did: dict[str, Any] = {}
        with ExitStack() as stack:
            if self.waits:
                stack.enter_context(_company(did, "waits"))
            if name == "retention":
                stack.enter_context(_company(did, "retention", environment=_keeping_what_is_young()))
            elif name == "month":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                stack.enter_context(_company(did, "backup", folder))
                stack.enter_context(_company(did, "months"))
            else:
                pause = "1" if name == "people" else "0"
                stack.enter_context(_company(did, "people", str(self.web.port), self.cookie, pause, *self.paths))
            yield did
        problems = {kind: found["errors"] for kind, found in did.items() if found.get("errors")}
        if problems:
            raise BenchError(f"Beside the readings something failed: {problems}")


@contextmanager
def _company(
    did: dict[str, Any], kind: str, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Have a process do its work beside the block, begun when all of it is imported; wait for its end afterwards.

    A backup is broken off instead, because it may take long; it must not have ended before.
    """
    command = [sys.executable, "-m", "bench.company", kind, *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while (line := process.stdout.readline()) and line != "ready\n":
            pass
        print("go", file=process.stdin, flush=True)
        yield
        if kind == "backup":
            if process.poll() is not None:
                raise BenchError("The backup had ended before the readings: nothing was measured beside it.")
            return
        output, _errors = process.communicate("stop\n")
        if process.returncode:
            raise BenchError(f"What goes on beside the readings failed: {kind}.")
        did[kind] = json.loads(output.splitlines()[-1])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with pg_dump
        process.wait()


def _keeping_what_is_young() -> dict[str, str]:
    """Return settings by which all months go that lie before the twelve of the year."""
    from django.utils import timezone

    from bench import months

    days = str((timezone.now().date() - months.past_months()[0]).days)
    names = ("MES_VALUE_RETENTION_DAYS", "MES_DEVICE_RECORD_RETENTION_DAYS", "MES_INGEST_RETENTION_DAYS")
    return dict.fromkeys(names, days)


def _rows_of_this_month(table: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE received_at >= date_trunc('month', now())")
        return int(cursor.fetchone()[0])


def viewed_pages(plant: Plant) -> tuple[str, ...]:
    """Make a unit that has a history; return what `bench.company` browses: the cookie, and the pages of which people
    look at home, the unit, its run, the search, the reports and the clocks.
    """
    from django.conf import settings

    from bench import traced

    traced.make_once(plant)
    sn = traced.SNS[0]
    pages = ("/", f"/trace/units/{sn}/", f"/trace/runs/{traced.RUN}/", f"/trace/?q={sn[:-2]}", "/reports/", "/clocks/")
    return (f"{settings.SESSION_COOKIE_NAME}={plant.session}", *pages)


def describe(pair: Pair) -> str:
    """Return the line of a round."""
    lines = [f"  quiet {_times(pair.quiet)}   beside {_times(pair.beside)}   p99 {pair.ratio:5.2f} times"]
    return "\n".join(lines + [f"      {kind}: {json.dumps(done, default=str)}" for kind, done in pair.did.items()])


def summarize(result: Result) -> str:
    """Return the summary of a case beside a kind of work."""
    ratios = ", ".join(f"{pair.ratio:.2f}" for pair in result.pairs)
    lines = [f"  p99 beside of the quiet one: median {result.ratio:.2f}, by round {ratios}"]
    lines += [f"  {'pass' if reached else 'MISS'}   {text}" for text, reached in result.checks()]
    return "\n".join(lines)


def _times(one: Measurement) -> str:
    p50, p99, longest = ((value or 0) * 1000 for value in (one.p50, one.p99, one.longest))
    return f"{one.rate:>7,.0f}/s p50 {p50:5.1f} p99 {p99:5.1f} max {longest:5.0f} ms"
