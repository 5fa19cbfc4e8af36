"""An installation of our own for the time of the benchmark: a durable database and the web server of the product."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processor import Meter
from mes.platform.server.embedded import Cluster, running
from mes.platform.server.placement import place
from mes.platform.server.supervisor import Supervisor
from mes.platform.server.throwaway import make_folder, remove_folder

HOST = "127.0.0.1"


@dataclass(frozen=True)
class WebServer:
    """Where the web server listens, and the meter of what it and the database use."""

    port: int
    meter: Meter


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a new server with the settings of the embedded one; set Django up on it, migrated."""
    folder = make_folder()
    try:
        with running(folder, durable=True) as url:
            _set_up_django(url, folder)
            try:
                yield url
            finally:
                _disconnect()
    finally:
        remove_folder(folder)


def _set_up_django(url: str, folder: Path) -> None:
    os.environ |= {
        "DATABASE_URL": url,
        "MES_DATA_DIR": str(folder),
        "DEMO": "0",
        "DJANGO_SETTINGS_MODULE": "mes.settings",
    }
    for name in ("DEBUG", "LOG_LEVEL", "CONN_MAX_AGE", "SECRET_KEY"):  # as shipped
        os.environ.pop(name, None)
    import django

    django.setup()
    from mes.management.commands.serve import prepare

    prepare()


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()


@contextlib.contextmanager
def web_server() -> Iterator[WebServer]:
    """Run the web server as `manage.py serve` does."""
    from django.conf import settings

    from mes.management.commands import serve

    supervisor = Supervisor(settings.DATA_DIR)
    port = _free_port()
    try:
        child = supervisor.add(serve.web(HOST, port))
        supervisor.run(until=serve.is_answering(supervisor, HOST, port))
        assert child.process is not None
        yield WebServer(port, Meter(web=child.process.pid, database=_postmaster()))
    finally:
        supervisor.stop()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind((HOST, 0))
        return int(trial.getsockname()[1])


def _postmaster() -> int:
    from django.conf import settings

    found = Cluster(place(settings.DATA_DIR)).postmaster()
    assert found is not None
    return found[0]
