"""Run the benchmark: `script/bench [--quick] [--case NAME …] [--json FILE]`, with `--against PATH`,
`--beside NAME`, `--memory` or `--grown` for what is no case and its floor.

Ends with 1 when a target is missed, with 2 when it could not measure. With `--against`, another checkout is measured in
turns with this one instead of the floor, and there is no target. With `--beside`, readings are measured while something
else goes on (`bench.beside`); with `--memory`, what the web processes keep (`bench.memory`); with `--grown`,
what takes longer in a large plant than in a small one (`bench.growth`).
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from bench import against, beside, growth, installation, load, memory, outbox, quality, report
from bench.case import BenchError, Case, Plant
from bench.cases import CASES
from bench.installation import WebServer
from bench.measure import Pair, Result
from bench.outcomes import AsJson, unwind_on_signals, write_outcomes
from mes.platform.server.embedded import EmbeddedServerError
from mes.platform.server.supervisor import SupervisionError


class AsJudged(AsJson, Protocol):
    """What was measured, with its targets."""

    @property
    def name(self) -> str: ...

    def checks(self) -> list[tuple[str, bool]]: ...


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 3
    warm_up: float = 2
    seconds: float = 10


NAMES = [*CASES, *outbox.NAMES, *quality.NAMES]
QUICK = Plan(rounds=1, warm_up=1, seconds=3)
PAIRED = Plan(rounds=7, warm_up=1, seconds=3)
GROWN_ROUNDS = 5


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--case", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds of each case, or pairs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--beside", action="append", choices=beside.COMPANY, metavar="NAME", help=", ".join(beside.COMPANY)
    )
    parser.add_argument("--memory", action="store_true", help="the memory of web processes after a million events")
    parser.add_argument("--waits", action="store_true", help="with --beside: sample what the database waits for")
    parser.add_argument("--against", type=Path, metavar="PATH", help="measure in turns with the checkout at PATH")
    parser.add_argument(
        "--grown",
        type=int,
        nargs="?",
        const=10_000_000,
        metavar="VALUES",
        help="each case in a plant of so many values, ten million if not given, beside one of 10,000; and every list",
    )
    arguments = parser.parse_args()
    unwind_on_signals()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except (BenchError, EmbeddedServerError, SupervisionError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    plan = QUICK if arguments.quick else PAIRED if arguments.against else Plan()
    plan = replace(plan, rounds=arguments.rounds or plan.rounds)
    chosen = arguments.case or NAMES
    if arguments.grown:
        return _measure_growth(arguments, chosen)
    if arguments.against:
        compared = [name for name in chosen if name not in quality.NAMES]  # which are compared with themselves
        write_outcomes(arguments.json, "results", against.compare(arguments.against, compared, **asdict(plan)))
        return 0
    if arguments.memory:
        return _end(arguments, [memory.measure(quick=arguments.quick)])
    if arguments.beside:
        return _run_beside(arguments)
    results = measure(chosen, plan)
    write_outcomes(arguments.json, "results", results)
    missed = [result.name for result in results if not all(reached for _text, reached in result.checks())]
    print(f"\nTargets missed: {', '.join(missed)}" if missed else "\nEvery target is reached.")
    return 1 if missed else 0


def _run_beside(arguments: argparse.Namespace) -> int:
    plan = beside.QUICK if arguments.quick else beside.Plan()
    plan = replace(plan, rounds=arguments.rounds or plan.rounds)
    cases = [name for name in arguments.case or beside.READINGS if name in CASES]
    return _end(arguments, beside.measure(cases, arguments.beside, plan, waits=arguments.waits))


def _end(arguments: argparse.Namespace, results: Sequence[beside.Result | memory.Result]) -> int:
    write_outcomes(arguments.json, "results", results)
    return 0 if all(reached for result in results for _text, reached in result.checks()) else 1


def _measure_growth(arguments: argparse.Namespace, chosen: Sequence[str]) -> int:
    plan = replace(PAIRED, rounds=arguments.rounds or GROWN_ROUNDS)
    results = growth.measure([name for name in chosen if name in CASES], values=arguments.grown, **asdict(plan))
    write_outcomes(arguments.json, "results", results)
    missed = growth.missed(results)
    print(f"\nTargets missed: {', '.join(missed)}" if missed else "\nEvery target is reached.")
    return 1 if missed else 0


def measure(names: Sequence[str], plan: Plan) -> list[AsJudged]:
    """Set an installation up, measure every case in it, take it down."""
    with installation.database() as url:
        from bench import plant

        print("Building the plant …", flush=True)
        built = plant.build()
        results: list[AsJudged] = []
        with installation.web_server() as web:
            results += [_measure_case(CASES[name], built, plan, url, web) for name in names if name in CASES]
            if outbox.FOLLOWED in names:
                times = {"warm_up": plan.warm_up, "seconds": plan.seconds}
                results.append(outbox.measure_followed(built, web.port, web.meter, round_no=0, **times))
            results += _measure_quality(names, built, plan, web)
            server = web.meter.database
        for name in (name for name in names if name in outbox.KINDS):  # the web server would have nothing to do
            results.append(outbox.measure(name, quick=plan == QUICK, database=server))
        return results


def _measure_quality(names: Sequence[str], plant: Plant, plan: Plan, web: WebServer) -> Iterator[AsJudged]:
    from bench.quality import held, leaving

    times = {"warm_up": plan.warm_up, "seconds": plan.seconds}
    for name in (name for name in quality.LEAVING if name in names):
        yield leaving.measure(name, plant, web.port, web.meter, rounds=plan.rounds, **times)
    if quality.HELD in names:
        yield held.measure(plant, web.port, quick=plan == QUICK)


def _measure_case(case: Case, plant: Plant, plan: Plan, url: str, web: WebServer) -> Result:
    from django.conf import settings

    from bench import floor, storage

    case.prepare(0, 1, 2 * floor.SCRIPTS)
    scripts, statements = floor.write_scripts(case, plant, settings.DATA_DIR)
    print(f"\n{case.name}: {case.connections} connections, {statements} statements a request", flush=True)
    storage.settle()
    times = {"warm_up": plan.warm_up, "seconds": plan.seconds}
    pairs = []
    for round_no in range(1, plan.rounds + 1):
        before = os.getloadavg()[0]
        with storage.stretch(case, web.meter, is_floor=True) as done:
            bare, done.requests = floor.run(case, scripts, url, round_no=2 * round_no, **times)
        bare = replace(bare, used=done.used)
        enough = int((plan.warm_up + plan.seconds) * case.fastest / case.connections)
        case.prepare(2 * round_no + 1, case.connections, enough)
        with storage.stretch(case, web.meter) as done:
            measured, done.requests = load.run(case, plant, web.port, round_no=2 * round_no + 1, **times)
        pairs.append(Pair(bare, replace(measured, used=done.used), load=before))
        print(report.describe_pair(round_no, pairs[-1]), flush=True)
    result = Result(case.name, case.unit, statements, pairs, case.least_rate, case.least_share)
    print(report.describe(result), flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
