"""What runs beside readings, in a process of its own: `python -m bench.company KIND [ARGUMENT …]`.

`bench.beside` starts it. It prints a line when it is set up, begins when it reads one, and prints what it did as JSON.
People, months and the sampler go on until they read another line; everything else ends by itself.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

PEOPLE = 3
WRITTEN = ("execution_datavalue", "integration_devicedatarecord")  # by readings
SAMPLES = 0.01  # seconds between two looks at what is waited for


def main() -> None:
    """Do what the command line names."""
    import django

    django.setup()
    kind, *arguments = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(KINDS[kind](*arguments)), flush=True)


def retain() -> dict[str, Any]:
    """Remove all that may go, as the worker does at night."""
    from mes.platform.monitoring.retention_runs import retain_all

    start = time.monotonic()
    outcome = retain_all()
    return {
        "seconds": time.monotonic() - start,
        "rows": outcome.rows,
        "tables": list(chain.from_iterable(outcome.tables.values())),
        "errors": outcome.errors,
    }


def back_up(folder: str) -> dict[str, Any]:
    """Make a backup, as the worker's process does."""
    from mes.platform.monitoring import backups

    start = time.monotonic()
    subprocess.run(backups.command(), check=True, env={**os.environ, "MES_BACKUP_DIR": folder})
    return {"seconds": time.monotonic() - start}


def make_months() -> dict[str, Any]:
    """Make the months that are missing where readings are written, again and again, from when a backup reads."""
    from mes.platform.database.partitions import make_months
    from mes.platform.sweeps import SweepIncomplete

    stop = _asked_to_stop()
    while not _backup_reads() and not stop.wait(0.01):
        pass
    start, made, refused = time.monotonic(), [], 0
    while not stop.is_set():
        try:
            made += make_months(WRITTEN)
            break
        except SweepIncomplete:
            refused += 1
    return {"seconds": time.monotonic() - start, "made": made, "refused": refused}


def _backup_reads() -> bool:
    """Whether a backup has locked the tables that it will read."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks l WHERE relation = 'execution_datavalue_default'::regclass)"
        )
        return bool(cursor.fetchone()[0])


def browse(port: str, cookie: str, pause: str, *paths: str) -> dict[str, Any]:
    """Have three people look at pages in turn; `pause` is from the beginning of one to that of the next, in seconds."""
    stop = _asked_to_stop()
    seconds: list[list[float]] = [[] for _person in range(PEOPLE)]
    problems: Counter[str] = Counter()

    def look(person: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        turn = person * len(paths) // PEOPLE
        while not stop.is_set():
            path = paths[turn % len(paths)]
            start = time.monotonic()
            connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                problems[f"{answer.status} {path}"] += 1
            turn += 1
            seconds[person].append(time.monotonic() - start)
            stop.wait(float(pause) - seconds[person][-1])

    people = [threading.Thread(target=look, args=[person]) for person in range(PEOPLE)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    times = sorted(chain.from_iterable(seconds))
    return {"pages": len(times), "median": times[len(times) // 2], "longest": times[-1], "errors": dict(problems)}


def sample() -> dict[str, Any]:
    """Note what sessions of the database wait for, again and again; `Client` is one that has nothing to do."""
    from django.db import connection

    stop = _asked_to_stop()
    seen: Counter[str] = Counter()
    with connection.cursor() as cursor:
        while not stop.wait(SAMPLES):
            cursor.execute(
                "SELECT COALESCE(wait_event_type || ':' || wait_event, 'running') FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()"
            )
            seen.update(row[0] for row in cursor.fetchall())
    total = seen.total() or 1
    return {"waits": {name: round(number / total, 3) for name, number in seen.most_common(8)}}


def _asked_to_stop() -> threading.Event:
    """Return an event that is set when a line comes in, or the input ends."""
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "retention": retain,
    "backup": back_up,
    "months": make_months,
    "people": browse,
    "waits": sample,
}

if __name__ == "__main__":
    main()
