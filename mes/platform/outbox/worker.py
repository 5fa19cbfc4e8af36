"""The worker process: django-q2's cluster for what happens by the clock, and a loop that works events off at once.

The loop asks for due events four times a second. That costs one index probe, nothing in the requests that write
events, and cannot be lost as a notification can; django-q2's tick every 30 s stays as the safety net.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandError
from django.db import Error, connection
from django.db.backends.signals import connection_created
from django_q.cluster import Cluster

from mes.platform.database.authorship import sign_process
from mes.platform.outbox import heartbeats
from mes.platform.outbox.processor import process_due
from mes.platform.sweeps import SweepIncomplete

logger = structlog.get_logger(__name__)

BEAT_SECONDS = 5
STOP_SECONDS = 17  # a task of the clock takes up to 15
PAUSE_AFTER_ERROR = 1.0  # seconds
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1


def work() -> None:
    """Run until SIGTERM or SIGINT. Raises CommandError when django-q2's processes died: start the worker again."""
    heartbeats.take_name()
    sign_process()  # and those of its children
    os.register_at_fork(after_in_child=end_with_parent)
    os.register_at_fork(after_in_child=partial(end_with_killed_child, of=os.getpid()))
    cluster = Cluster()
    cluster.start()
    if cluster.has_stopped:
        return
    connection_created.connect(commit_without_waiting)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.set())
    try:
        loop(stop, is_well=cluster.sentinel.is_alive)
    finally:
        died = not cluster.sentinel.is_alive()
        stop_clock(cluster)
        with suppress(Error):
            heartbeats.leave()
    if died and not stop.is_set():
        raise CommandError("The processes of django-q2 died.")


def loop(stop: threading.Event, *, is_well: Callable[[], bool]) -> None:
    """Work off events as they come, until asked to stop or not well. A database that goes away is waited for."""
    slice_ = timedelta(seconds=BEAT_SECONDS)
    handled, beat_at = 0, 0.0
    while not stop.is_set() and is_well():
        if time.monotonic() >= beat_at:
            beat(processed=handled)
            beat_at = time.monotonic() + BEAT_SECONDS
        done = 0
        try:
            done = process_due(budget=slice_, is_stopping=stop.is_set)
        except SweepIncomplete:  # logged with each event; the others are handled
            pass
        except Error as error:
            logger.warning("worker waits for the database", reason=str(error))
            connection.close()
            stop.wait(PAUSE_AFTER_ERROR)
            continue
        handled += done
        if not done:
            stop.wait(settings.MES_EVENT_POLL_SECONDS)


def beat(*, processed: int) -> None:
    """Say that the worker lives. Where that fails, events are handled all the same."""
    try:
        heartbeats.beat(processed=processed)
    except Error as error:
        logger.warning("heartbeat not written", reason=str(error))
        connection.close()


def stop_clock(cluster: Cluster) -> None:
    """Let django-q2 end the task it is at, and kill it when that takes too long.

    Its own stop waits for ever when its processes got the signal too, as systemd and terminals give it to all.
    """
    ended = [cluster.sentinel.sentinel]
    try:
        threading.Thread(target=cluster.stop, daemon=True).start()
    except RuntimeError:  # no memory for a thread
        cluster.sentinel.kill()
    if not wait(ended, timeout=STOP_SECONDS):
        cluster.sentinel.kill()  # its processes end with it
        wait(ended, timeout=STOP_SECONDS)


def commit_without_waiting(connection: Any, **kwargs: Any) -> None:
    """Let the loop's commits be flushed a moment later, together.

    An event's effects and its completion are one transaction: what a power cut takes back is done again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")


def end_with_parent() -> None:
    """Have the system kill this process when the one that made it dies, so that a killed worker leaves no orphan."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_with_killed_child(*, of: int) -> None:
    """Have django-q2's sentinel, the child `of` the worker, end when one of its own processes is killed.

    It would make another in its place. But a process that is killed while it waits for a queue keeps the queue's lock
    for ever, and all who come after it wait in vain: no task would be done any more, and nobody would notice.
    """
    signal.signal(signal.SIGCHLD, _end_if_killed if os.getppid() == of else signal.SIG_DFL)


def _end_if_killed(number: int, frame: FrameType | None) -> None:
    """End this process if a child was killed, but by SIGTERM: django-q2 ends by that what takes too long."""
    try:
        child = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return
    if child and child.si_code in (os.CLD_KILLED, os.CLD_DUMPED) and child.si_status != signal.SIGTERM:
        os._exit(1)
