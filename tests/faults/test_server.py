"""`manage.py serve` as it is run: started on nothing, cut off, killed in parts and as a whole, stopped."""

import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest

from attack.processes import belonging
from mes.platform.server.throwaway import make_folder, remove_folder
from tests.platform.outbox.support import PROJECT, eventually, free_port

pytestmark = pytest.mark.waiting

MOMENTS = (0.4, 1.2, 2.5)  # seconds of a first start after which it is killed


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = make_folder()
    yield folder
    for pid in belonging(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    remove_folder(folder)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


def serve(folder: Path, port: int, **environment: str) -> subprocess.Popen:
    given = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    given |= {"DJANGO_SETTINGS_MODULE": "mes.settings", "MES_DATA_DIR": str(folder), "PORT": str(port), "DEMO": "0"}
    given |= environment
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=PROJECT,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def without_database(folder: Path) -> dict[int, str]:
    return {pid: words for pid, words in belonging(folder).items() if "postgres" not in words}


def ready(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def ask(port: int, method: str, path: str) -> tuple[HTTPMessage, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200
        return answer.headers, content


def check_delivery(folder: Path, port: int) -> None:
    """A page and what it names come compressed; what it names may be kept for a year. HEAD says the same of them."""
    [release] = os.listdir(folder / "static")
    assert not list(folder.glob("static.*"))
    page = gzip.decompress(ask(port, "GET", "/sign-in/")[1]).decode()
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert {name.split("/")[2] for name in names} == {release}
    for name in names:
        head, content = ask(port, "GET", name)
        assert head["Cache-Control"] == "max-age=31536000, public, immutable"
        assert head["Content-Length"] == str(len(content))
        assert (head["Content-Encoding"], gzip.decompress(content) != b"") == ("gzip", True)
        only_head, nothing = ask(port, "HEAD", name)
        assert (only_head["Content-Length"], nothing) == (head["Content-Length"], b"")
    head, nothing = ask(port, "HEAD", "/sign-in/")
    assert (head["Content-Encoding"], int(head["Content-Length"]) > 1000, nothing) == ("gzip", True, b"")


def programs(folder: Path) -> list[int]:
    """Return the process ids of worker and web server, as the supervisor noted them."""
    return [note["pid"] for note in json.loads((folder / "programs.json").read_text())]


def postmaster(folder: Path) -> list[int]:
    return [pid for pid, words in belonging(folder).items() if "postgres" in words and " -D " in words]


def test_an_installation_survives_what_can_happen_to_it(folder, port):
    for moment in MOMENTS:  # a first start that is cut off is carried through by the next one
        process = serve(folder, port)
        time.sleep(moment)
        process.kill()
        process.wait()
    process = serve(folder, port)
    eventually(lambda: ready(port), within=240)

    check_delivery(folder, port)

    before = programs(folder)  # a web server or worker that dies is started again
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(programs(folder)) == 2 and not set(programs(folder)) & set(before))
    eventually(lambda: ready(port), within=60)

    process.kill()  # all but the database ends with its supervisor, and the next start takes the database over
    process.wait()
    eventually(lambda: not without_database(folder))
    server = postmaster(folder)
    process = serve(folder, port)
    eventually(lambda: ready(port), within=60)
    assert postmaster(folder) == server

    process.send_signal(signal.SIGTERM)  # stopped, nothing is left
    said = process.communicate(timeout=60)[0]
    assert said.strip().endswith("Stopped.")
    eventually(lambda: belonging(folder) == {})


def test_ctrl_c_leaves_nothing_even_while_it_starts(folder, port):
    process = serve(folder, port)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    eventually(lambda: belonging(folder) == {})


def refused(folder: Path, port: int, **environment: str) -> str:
    """Start it where it cannot; return what it said. It says so without a traceback."""
    process = serve(folder, port, **environment)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "Traceback" not in said
    return said


def test_what_keeps_it_from_starting_is_said_with_a_way_on(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"PORT={port % 65535 + 1} script/server" in refused(folder, port)
    assert "MES_DATA_DIR" in refused(folder, port, MES_DATA_DIR="/proc/linekeeper")
    assert "MES_EVENT_LEASE_SECONDS must be a whole number" in refused(folder, port, MES_EVENT_LEASE_SECONDS="soon")
    assert "MES_BACKUP_TIME must be a time such as 02:00" in refused(folder, port, MES_BACKUP_TIME="24:00")
    eventually(lambda: belonging(folder) == {})
