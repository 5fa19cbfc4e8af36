"""Everything that can die does, under load, and what was acknowledged is still there, once.

Devices send readings, batches and machine events, and send again what was not acknowledged. A fault is over when each
of them has had an acknowledgement of what it sent after it, and `/readyz` says so: nobody lends a hand, but after the
death of the supervisor itself, which somebody (or systemd) starts again.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from attack import ledger
from attack.installation import AttackError, Installation, freeze, installed, set_up_django, wait_for
from attack.line import AUTO, BATCH, SINGLE, Delivered, Line, running
from attack.outcome import Outcome
from attack.processes import send
from attack.target import Target, make_target

DEVICES = (AUTO, AUTO, SINGLE, SINGLE, SINGLE, BATCH)
UNITS, FEW_UNITS = 40_000, 4_000  # for each device that needs them
BEFORE, AFTER = 2.0, 1.0  # seconds of load around a fault
RECOVERY = 90  # seconds after which a fault has not ended without a hand
FROZEN = 20  # seconds
FULL, FULL_ENOUGH = 12, 64 * 1024  # seconds, bytes


def stop_database(installation: Installation) -> None:
    """As `pg_ctl stop -m fast` does."""
    send(installation.postmaster(), signal.SIGINT)
    wait_for(lambda: not installation.postmaster(), within=30, every=0.02)


def freeze_database(installation: Installation) -> None:
    """Nothing of it moves for a while, and no connection breaks."""
    freeze(installation.database(), FROZEN)


def kill_supervisor(installation: Installation) -> None:
    """The whole installation but the database ends with it. Started again at once, as systemd does."""
    send(installation.supervisor())
    installation.start()


def kill_everything(installation: Installation) -> None:
    """As a power cut, but for what the disk holds. Started again at once."""
    send(installation.everything())
    wait_for(lambda: not installation.postmaster(), within=10)
    installation.start()


def fill_disk(installation: Installation) -> None:
    """No byte is left for a while."""
    with full_disk(installation):
        time.sleep(FULL)


def fill_disk_and_kill(installation: Installation) -> None:
    """No byte is left, and the web server, the worker and the database die in it."""
    with full_disk(installation):
        time.sleep(1)
        send([*installation.web_server(), *installation.worker(), *installation.postmaster()])
        time.sleep(FULL)


@contextlib.contextmanager
def full_disk(installation: Installation) -> Iterator[None]:
    """Fill the file system of an installation to the last byte."""
    ballast = installation.folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
        if (left := shutil.disk_usage(installation.folder).free) > FULL_ENOUGH:
            raise AttackError(f"The disk could not be filled: {left:,} bytes are left.")
        yield
    finally:
        ballast.unlink()


Find = Callable[[Installation], list[int]]


def _one_web_worker(installation: Installation) -> list[int]:
    return installation.web_workers()[:1]


@dataclass(frozen=True)
class Fault:
    """What is done to an installation. Of `victims` each is killed, and must be replaced.

    `has_an_end` where `strike` lasts, so that the time until all is well counts from its end.
    """

    name: str
    victims: Find | None = None
    strike: Callable[[Installation], None] | None = None
    has_an_end: bool = False
    as_many_again: bool = True
    is_short: bool = False


FAULTS = (
    Fault("a web worker process", _one_web_worker, is_short=True),
    Fault("both web worker processes", Installation.web_workers),
    Fault("the web server", Installation.web_server),
    Fault("the worker", Installation.worker, is_short=True),
    Fault("the worker's processes", Installation.worker_processes),
    Fault("the database's backends", Installation.backends, as_many_again=False),  # connections come when needed
    Fault("the postmaster", Installation.postmaster, is_short=True),
    Fault("the database stopped and back", strike=stop_database),
    Fault("the database frozen for 20 s", strike=freeze_database, has_an_end=True),
    Fault("the supervisor", strike=kill_supervisor),
    Fault("everything at once", strike=kill_everything),
)
OF_THE_DISK = (
    Fault("full for 12 s", strike=fill_disk, has_an_end=True),
    Fault("full, and deaths in it", strike=fill_disk_and_kill, has_an_end=True),
    Fault("everything at once", strike=kill_everything),
)


def run(target: Target) -> Iterator[Outcome]:
    """Round by round in this installation, and in another one on a small disk; then what the database has."""
    yield from _run_rounds(target, [fault for fault in FAULTS if fault.is_short or not target.is_short], "")
    if target.is_short:
        return
    try:
        with installed(small_disk=True) as installation:
            set_up_django(installation)
            other = make_target(installation, seconds=target.seconds, is_short=False)
            yield from _run_rounds(other, OF_THE_DISK, "small disk, ")
    except AttackError as error:
        yield Outcome("faults: a small disk", skipped=str(error))


def _run_rounds(target: Target, faults: Sequence[Fault], prefix: str) -> Iterator[Outcome]:
    installation = target.installation
    round_no = target.next_round([AUTO] * DEVICES.count(AUTO), each=FEW_UNITS if target.is_short else UNITS)
    with running(installation.port, target.plant, DEVICES, round_no=round_no) as line:
        for fault in faults:
            yield _strike(installation, line, fault, prefix)
        time.sleep(AFTER)
        delivered = line.end()
        yield _account(installation, delivered, prefix)


def _strike(installation: Installation, line: Line, fault: Fault, prefix: str) -> Outcome:
    outcome = Outcome(f"faults: {prefix}{fault.name}", tried=1)
    line.state()
    time.sleep(BEFORE)
    outcome.check(line.state().count() > 0, "the line did not work before")
    victims = _find_victims(installation, fault)
    outcome.check(bool(victims) or fault.victims is None, "there was nobody to kill")
    since = time.monotonic()
    try:
        send(victims)
        if fault.strike is not None:
            fault.strike(installation)
    except AttackError as error:
        outcome.faults.append(str(error))
        return outcome
    if fault.has_an_end:
        since = time.monotonic()
        outcome.note = f"{line.state().count()} readings were acknowledged in it"

    def is_over() -> bool:
        return min(line.state().sent_well_at) > since and _are_replaced(installation, fault, victims)

    is_well = wait_for(lambda: is_over() and installation.is_ready(), within=RECOVERY)
    outcome.recovery = time.monotonic() - since
    outcome.check(is_well, f"not over after {RECOVERY} s: {installation.said()[-600:]}")
    return outcome


def _find_victims(installation: Installation, fault: Fault) -> list[int]:
    """Return whom to kill; those that an earlier fault killed may still be on their way back."""
    find = fault.victims
    if find is None:
        return []
    wait_for(lambda: bool(find(installation)), within=30)
    return find(installation)


def _are_replaced(installation: Installation, fault: Fault, victims: list[int]) -> bool:
    """Whether there are as many again, and none of those that were killed."""
    now = fault.victims(installation) if fault.victims else []
    wanted = len(victims) if fault.as_many_again else min(1, len(victims))
    return len(now) >= wanted and not set(now) & set(victims)


def _account(installation: Installation, delivered: Delivered, prefix: str) -> Outcome:
    outcome = Outcome(f"faults: {prefix}what was acknowledged")
    outcome.errors = delivered.errors
    outcome.faults += delivered.refused
    outcome.check(delivered.given_up == 0, f"{delivered.given_up} events were never taken")
    outcome.tried = len(delivered.readings) + len(delivered.events)
    ledger.check(outcome, [delivered], installation.url)
    return outcome
