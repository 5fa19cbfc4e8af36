"""The documents run: their commands, in order, against a fresh demo, answer as they say."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mes.platform.server import embedded
from tests import databases
from tests.platform.outbox.support import eventually, free_port

pytestmark = pytest.mark.waiting

PROJECT = Path(__file__).resolve().parents[2]
PAGES = ("docs/quick-start.md", "docs/devices.md", "docs/ingest.md", "docs/production-counts.md")
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
END = "--- end of a block ---"
ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Example:
    """Commands of a page, and the answer that the page shows of the last of them."""

    page: str
    commands: str
    answer: str


def examples_of(page: str) -> Iterator[Example]:
    blocks = [(match["kind"], match["text"]) for match in BLOCK.finditer((PROJECT / page).read_text())]
    for (kind, text), following in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "bash":
            yield Example(page, text, following[1] if following[0] in ("json", "text") else "")


def parse(text: str) -> list[Any]:
    """Return the JSON values that a text holds one after the other; what is no JSON is passed over by lines."""
    found, place, decoder = list[Any](), 0, json.JSONDecoder()
    while place < len(text):
        if text[place] not in "{[":
            place += 1
            continue
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError:
            place = text.find("\n", place) + 1 or len(text)
        else:
            found.append(value)
    return found


def is_like(said: Any, got: Any) -> bool:
    """Whether an answer is what a page shows, but for ids and times."""
    if isinstance(said, dict) and isinstance(got, dict):
        return said.keys() == got.keys() and all(is_like(said[name], got[name]) for name in said)
    if isinstance(said, list) and isinstance(got, list):
        return len(said) == len(got) and all(map(is_like, said, got))
    if isinstance(said, str) and isinstance(got, str):
        return said == got or (said.isdigit() and got.isdigit()) or (is_time(said) and is_time(got))
    return type(said) is type(got) and said == got


def is_time(text: str) -> bool:
    try:
        return len(text) > 10 and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A fresh demo as `script/server` starts it; what its commands need in their environment.

    That a first start makes its tables is seen in `tests/faults/test_server.py`; here they are there already.
    """
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {
        "MES_DATA_DIR": str(tmp_path_factory.mktemp("demo") / "data"),
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "mes.settings",
    }
    with embedded.running(Path(environment["MES_DATA_DIR"]), say=lambda text: None) as url:
        databases.fill(url)
    with (tmp_path_factory.getbasetemp() / "demo.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=PROJECT, env=environment, stdout=log, stderr=log
        )
    try:
        notes = Path(environment["MES_DATA_DIR"]) / "demo.json"
        eventually(lambda: has_working_line(port, notes), within=240)
        yield environment
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def has_working_line(port: int, notes: Path) -> bool:
    """Whether boards move on the line of the demo, which makes its plant when it starts."""
    if not notes.exists():
        return False
    asked = Request(f"http://127.0.0.1:{port}/api/runs?status=IN_PROGRESS")
    asked.add_header("Authorization", f"Bearer {json.loads(notes.read_text())['token']}")
    try:
        with urlopen(asked, timeout=5) as answer:
            return bool(json.load(answer)["data"]["items"])
    except OSError:
        return False


def run(examples: list[Example], environment: dict[str, str]) -> list[str]:
    """Run the commands of all examples in one shell, which stops at the first that fails; return what each printed."""
    script = "\n".join(f"{example.commands}\necho; echo '{END}'" for example in examples)
    script = script.replace(ADDRESS, f"http://127.0.0.1:{environment['PORT']}")
    script = script.replace(".venv/bin/python", sys.executable)
    ended = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    return ended.stdout.split(END)[: len(examples)]


def test_the_commands_of_the_documents_run_and_answer_as_they_say(demo: dict[str, str]) -> None:
    examples = [example for page in PAGES for example in examples_of(page)]
    assert len(examples) >= 8
    for example, printed in zip(examples, run(examples, demo), strict=True):
        answers = parse(printed)
        refused = [answer for answer in answers if isinstance(answer, dict) and answer.get("ok") is False]
        assert not refused, f"{example.page}: {example.commands}"
        told = f"{example.page}: {example.commands}\n{printed}"
        if said := parse(example.answer):
            assert is_like(said, answers[-len(said) :]), told
        else:
            assert printed.strip().endswith(example.answer.strip()), told


def test_every_command_of_the_readme_is_known() -> None:
    """The first is what `demo` starts, once the packages are there; the second runs this test."""
    commands = [line for example in examples_of("README.md") for line in example.commands.splitlines()]
    assert commands == ["script/server", "script/test"]
    assert (PROJECT / "script/server").read_text().endswith('exec .venv/bin/python manage.py serve "$@"\n')


@pytest.mark.parametrize(
    ("said", "got", "like"),
    [
        ({"id": "1", "at": "2026-01-24T10:00:00Z"}, {"id": "23", "at": "2026-11-30T09:00:00.5Z"}, True),
        ({"id": "1"}, {"id": "1", "more": None}, False),
        ({"judge": None}, {"judge": "FAIL"}, False),
        ({"n": 1}, {"n": 2}, False),
        ([1, 2], [1], False),
    ],
)
def test_answers_are_compared_but_for_ids_and_times(said: Any, got: Any, like: bool) -> None:
    assert is_like(said, got) is like
