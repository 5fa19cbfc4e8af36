"""The whole history of the old database, from its first migration to the moment it is dumped."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.utils import timezone

from ..clock import Clock
from ..installation import PASSWORD
from . import dumping, hand, leftovers, machines, plant, reports, watching
from .calls import Interface, Pages, make_token, scheduled


def make() -> None:
    """Make the database, dump it, and ask the old code all questions."""
    with Clock().in_use() as clock:
        end = timezone.now() - timedelta(minutes=5)
        clock.set(end - timedelta(days=40))
        call_command("migrate", verbosity=0)
        call_command("prepare_demo", verbosity=0)
        people = json.loads((Path(os.environ["MES_DATA_DIR"]) / "demo.json").read_text())
        for user in User.objects.all():
            user.set_password(PASSWORD)
            user.save()
        admin, signer = Interface(people["token"]), Interface(people["signerToken"])
        plant.make(admin)
        sent: list[dict[str, object]] = []
        tokens = _make_tokens()
        line = Interface(tokens["line"], sent)
        _live(clock, admin, signer, line)
        run_demo(people)
        machines.make_late_events(line)
        leftovers.make_failed(admin, scheduled("tick"))
        leftovers.make_pending(admin)
        leftovers.make_tasks()
        clock.stop(timezone.now())
        dumping.write(clock, sent=sent, tokens={**tokens, "admin": people["token"], "signer": people["signerToken"]})


def _make_tokens() -> dict[str, str]:
    return {
        "line": make_token("Line", "INTEGRATION"),
        "oven": make_token("Oven", "INTEGRATION", "OVN-1", "H-REF-1"),
        "expired": make_token("Expired", "INTEGRATION", expires=(timezone.now() + timedelta(days=20)).isoformat()),
    }


def _live(clock: Clock, admin: Interface, signer: Interface, line: Interface) -> None:
    """Ten weeks in a minute."""
    work_off, sweep = scheduled("tick"), scheduled("time rules")
    began = timezone.now()
    clock.set(began - timedelta(days=35))  # before the months that the migration made
    hand.make_board_runs(admin, line, clock)
    work_off()
    clock.set(began + timedelta(days=10))
    scheduled("partitions")()
    machines.make_panels(admin, line, clock)
    reports.make_readings(admin, line, clock)
    reports.make_failed_readings(admin, line)
    work_off()
    clock.set(began + timedelta(days=30))
    scheduled("partitions")()
    reports.make_statuses(admin, line, clock)
    reports.make_used_paste(admin, work_off)
    reports.make_inspections(admin, line)
    hand.make_every_state(admin, clock)
    hand.make_every_run(admin)
    hand.make_first_articles(admin, signer, clock)
    leftovers.make_dead(admin, work_off)
    clock.set(began + timedelta(days=39))
    scheduled("partitions")()
    reports.make_counts(line, clock)
    watching.make_readiness(admin, line)
    watching.write_into_the_record(Pages("admin"))
    watching.follow_lines(Pages("quality"))
    reports.make_failed_statuses(line)
    work_off()
    sweep()
    scheduled("retention")()
    clock.set(began + timedelta(days=40) - timedelta(hours=3))
    machines.make_open_events(admin, line, clock)
    hand.make_clocks(admin, clock, work_off, sweep)
    clock.set_right()


def run_demo(people: dict[str, str]) -> None:
    """Let the demo line make an order, against the old code over real HTTP."""
    with serving() as address:
        environment = {
            **os.environ,
            "LINEKEEPER_TOKEN": people["token"],
            "LINEKEEPER_SIGNER_TOKEN": people["signerToken"],
        }
        options = ["--url", address, "--once", "--boards", "12", "--rate", "60", "--faults", "3", "--technician"]
        subprocess.run([sys.executable, "-m", "demo", *options], env=environment, check=True, timeout=120)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """Serve the old code, with its worker's tick each second; yield the address."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), WSGIServer, _Handler)
    over = threading.Event()

    def serve() -> None:
        server.serve_forever()
        connection.close()

    def tick() -> None:
        work = scheduled("tick")
        while not over.wait(1):
            work()
        connection.close()

    threads = [threading.Thread(target=serve), threading.Thread(target=tick)]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        for thread in threads:
            thread.join()
