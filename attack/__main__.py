"""Attack an installation of our own: `script/attack [--short] [--part NAME …] [--seconds N] [--json FILE]`.

Ends with 1 when something is not as it must be, with 2 when it could not try.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attack.installation import AttackError, Installation, installed, set_up_django
from attack.outcome import Outcome, details, table
from bench.outcomes import unwind_on_signals, write_outcomes
from mes.platform.server.embedded import EmbeddedServerError

MEASURED = ("raw", "slow", "sign-in")  # beside a line of devices
WALKED = ("rights", "schema", "input")  # over all addresses; the last ones leave nothing as it was
FAULTS = "faults"  # in installations of its own
PARTS = (*MEASURED, *WALKED, FAULTS)
SECONDS, SHORT_SECONDS = 60.0, 4.0


def main() -> int:
    """Attack, print and judge."""
    parser = argparse.ArgumentParser(prog="script/attack", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--short", action="store_true", help="a little of each part, as the tests do")
    parser.add_argument("--seconds", type=float, metavar="N", help="how long a part measures or walks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome there too")
    arguments = parser.parse_args()
    unwind_on_signals()
    seconds = arguments.seconds or (SHORT_SECONDS if arguments.short else SECONDS)
    try:
        outcomes = list(_shown(attack(arguments.part or PARTS, seconds=seconds, is_short=arguments.short)))
    except KeyboardInterrupt:
        return 130
    except (AttackError, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{table(outcomes)}\n")
    write_outcomes(arguments.json, "outcomes", outcomes)
    failed = [outcome.part for outcome in outcomes if not outcome.is_well]
    print(f"Not as it must be: {', '.join(failed)}" if failed else "Everything is as it must be.")
    return 1 if failed else 0


def attack(parts: Sequence[str], *, seconds: float, is_short: bool) -> Iterator[Outcome]:
    """Try these parts, each group in an installation that is taken down afterwards; of a short attack all of them in
    one, because making it takes its time. Raises AttackError.
    """
    groups = [PARTS] if is_short else [MEASURED, WALKED, (FAULTS,)]
    for group in groups:
        chosen = [part for part in group if part in parts]
        if chosen:
            with installed() as installation:
                set_up_django(installation)
                yield from _attack(installation, chosen, seconds=seconds, is_short=is_short, is_walked=group is WALKED)


def _attack(
    installation: Installation, parts: Sequence[str], *, seconds: float, is_short: bool, is_walked: bool
) -> Iterator[Outcome]:
    from attack.parts import faults, nasty, raw, rights, schema, sign_in, slow
    from attack.target import make_target

    runs = {
        "raw": raw.run,
        "slow": slow.run,
        "sign-in": sign_in.run,
        "rights": rights.run,
        "schema": schema.run,
        "input": nasty.run,
        FAULTS: faults.run,
    }
    target = make_target(installation, seconds=seconds, is_short=is_short, is_walked=is_walked)
    for part in parts:
        yield from runs[part](target)


def _shown(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    for outcome in outcomes:
        print(f"{outcome.verdict:>8}  {details(outcome) or outcome.part}", flush=True)
        yield outcome


if __name__ == "__main__":
    sys.exit(main())
