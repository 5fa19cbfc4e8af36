"""The demo line: `LINEKEEPER_URL=http://127.0.0.1:8000 LINEKEEPER_TOKEN=lk_… python -m demo`."""

import argparse
import os
import signal
import sys
import threading
import time

from demo import acts, plant
from demo.client import Client, Refused, SignInRefused, Stopped
from demo.mischief import Chances, Mischief
from demo.signing import Signers
from demo.simulator import BURST, Simulator, say

RATE = "6"  # boards per minute: slow enough to watch
BOARDS = 40
HOUR_BOARDS, HOUR_RATE = 120, 40.0  # an hour's production in about three minutes


def main(arguments: list[str] | None = None) -> int:
    """Make the plant, then run its line until the orders are through or a signal asks for the stop."""
    options = parse(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        client = Client(options.url, options.token, stop=stop, say=say)
        if plant.make(client):
            say(f"The plant is made: line {plant.LINE}, route {plant.ROUTE}, product {plant.PRODUCT}.")
        simulator = Simulator(
            client,
            rate=options.rate,
            boards=options.boards,
            orders=options.orders,
            burst=options.burst,
            mischief=Mischief(chances=Chances().times(options.faults)),
            has_technician=options.technician,
            signer=Client(options.url, options.signer_token, stop=stop, say=say) if options.signer_token else None,
            offers_runs=options.orders is None,
            signers=Signers.of_environment(),
            acts=[acts.ALL] if options.hour else acts.IN_TURN if options.orders is None else (),
        )
        started = time.monotonic()
        simulator.run()
        say(f"Done in {time.monotonic() - started:.0f} s. {simulator.tally}")
    except Stopped:
        say("The demo line stops; it goes on with its run when it is started again.")
    except (Refused, SignInRefused, ValueError) as error:
        say(f"The demo line cannot run: {error}")
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line and the environment."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="A simulated SMT line.")
    parser.add_argument("--url", default=os.environ.get("LINEKEEPER_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("LINEKEEPER_TOKEN", ""), help="default: LINEKEEPER_TOKEN")
    parser.add_argument(
        "--signer-token",
        default=os.environ.get("LINEKEEPER_SIGNER_TOKEN", ""),
        help="of another one, who signs first articles (default: LINEKEEPER_SIGNER_TOKEN)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=os.environ.get("LINEKEEPER_RATE") or RATE,
        help=f"boards per minute (default: LINEKEEPER_RATE, else {RATE})",
    )
    parser.add_argument("--boards", type=whole, default=BOARDS, help=f"boards per order (default {BOARDS})")
    parser.add_argument("--orders", type=whole, help="how many orders (default: without end)")
    parser.add_argument("--once", action="store_true", help="one order only")
    parser.add_argument("--hour", action="store_true", help="an hour's production in a few minutes, then end")
    parser.add_argument("--burst", type=int, help="boards at full speed at first (default 12; with --hour none)")
    parser.add_argument("--faults", type=float, default=1.0, help="how often things go wrong on purpose (0: never)")
    parser.add_argument(
        "--technician", action="store_true", help="repair or scrap what fails, so that runs close (so with --hour)"
    )
    options = parser.parse_args(arguments)
    if options.hour:
        options.boards, options.rate, options.technician = HOUR_BOARDS, HOUR_RATE, True
    if options.once or options.hour:
        options.orders = options.orders or 1
    if options.burst is None:
        options.burst = 0 if options.hour else BURST
    return options


def positive(text: str) -> float:
    """Read a number above zero."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def whole(text: str) -> int:
    """Read a whole number above zero."""
    return int(positive(str(int(text))))


if __name__ == "__main__":
    sys.exit(main())
