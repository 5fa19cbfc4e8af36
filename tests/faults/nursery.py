"""A process that has everything loaded and makes workers of itself: `python -m tests.faults.nursery`.

Each line on its standard input makes one, which runs the worker's loop, `one by one` or in `sets`; its process id is
printed. Forked, a worker starts in milliseconds, so that many can be killed in a short test. They end with the nursery.
"""

import os
import signal
import sys
import threading
import time

import django

EFFECT = "INSERT INTO fault_effect (event_id, pid) VALUES (%s, pg_backend_pid())"


def handle(event) -> None:
    """Have an effect, in the transaction of the event, and take as long and fail as the event says."""
    from django.db import connection

    span = Span(event.pk) if event.payload.get("recorded") else None
    with connection.cursor() as cursor:
        cursor.execute(EFFECT, [event.pk])
    time.sleep(event.payload.get("takes", 0))
    if event.payload.get("kills"):
        os.kill(os.getpid(), signal.SIGKILL)
    if span:
        span.end()
    if event.payload.get("fails"):
        raise RuntimeError("it always fails")


def handle_set(events) -> None:
    """Have the effects of many events."""
    for event in events:
        handle(event)


class Span:
    """When an attempt was at work, written on a connection of its own: it is kept whatever becomes of the attempt."""

    connection = None

    def __init__(self, event_id: int) -> None:
        import psycopg

        if Span.connection is None:
            Span.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        row = Span.connection.execute(
            "INSERT INTO fault_span (event_id, pid, began) VALUES (%s, %s, clock_timestamp()) RETURNING id",
            [event_id, os.getpid()],
        ).fetchone()
        self.pk = row[0]

    def end(self) -> None:
        Span.connection.execute("UPDATE fault_span SET ended = clock_timestamp() WHERE id = %s", [self.pk])


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mes.settings")
    django.setup()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are reaped by the system
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            live(line.strip())
        print(pid, flush=True)


def live(how: str) -> None:
    from mes.platform.hooks import Hook
    from mes.platform.outbox import emit
    from mes.platform.outbox.models import EventType
    from mes.platform.outbox.worker import end_with_parent, loop

    emit.handlers[EventType.TRACK_IN] = Hook()
    emit.handlers[EventType.TRACK_IN].register(emit.SetHandler(handle_set) if how == "sets" else handle)

    end_with_parent()
    os.environ["LINEKEEPER_WORKER"] = f"nursery:{os.getpid()}"
    loop(threading.Event(), is_well=lambda: True)


if __name__ == "__main__":
    main()
