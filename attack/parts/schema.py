"""Every operation of the OpenAPI document against the running server, by schemathesis, with a token and without.

What is left out, and why, stands in `attack/schemathesis.toml` alone.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attack.client import HOST
from attack.installation import PROJECT, AttackError
from attack.outcome import Outcome
from attack.target import Target, make_token
from mes.platform.accounts.roles import Role

CONFIGURATION = PROJECT / "attack" / "schemathesis.toml"
ACCEPT = {"Accept": "application/vnd.oai.openapi+json"}
PROGRAM = Path(sys.executable).with_name("schemathesis")


def run(target: Target) -> Iterator[Outcome]:
    """First as nobody, who may read nothing and change nothing, then as an administrator."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder, "openapi.json")
        answer = target.client(make_token(Role.ADMIN)).ask("GET", "/api/schema/", headers=ACCEPT)
        if answer.status != 200:
            raise AttackError(f"/api/schema/ answers {answer.status}.")
        document.write_bytes(answer.body)
        yield _run(target, "schema: without a token", document, token="")
        yield _run(target, "schema: as administrator", document, token=make_token(Role.ADMIN))


def _run(target: Target, name: str, document: Path, *, token: str) -> Outcome:
    outcome, report = Outcome(name), document.with_name("report.json")
    phases = "examples,coverage" if target.is_short or not token else "examples,coverage,fuzzing"
    command = [str(PROGRAM), "--config-file", str(CONFIGURATION), "run", str(document)]
    command += ["--url", f"http://{HOST}:{target.port}", "--phases", phases, "--report-json-path", str(report)]
    command += ["--max-time", str(int(target.seconds)), "--seed", "4711", "--no-color"]
    command += ["--header", f"Authorization: Bearer {token}"] if token else []
    done = subprocess.run(command, cwd=document.parent, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise AttackError(f"schemathesis could not do its work:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    _read(outcome, json.loads(report.read_text()))
    if not outcome.is_well:
        print(done.stdout)  # with what reproduces each of them
    return outcome


def _read(outcome: Outcome, report: dict[str, Any]) -> None:
    """Take over how many cases there were and what they showed."""
    outcome.tried = report["test_cases"]["generated"]
    tested, selected = report["operations"]["tested"], report["operations"]["selected"]
    outcome.note = f"{tested} of {selected} operations"
    outcome.check(tested == selected > 0, f"{selected - tested} operations were not tried")
    for failure in report["failures"]:
        outcome.faults.append(f"{failure['title']}: {', '.join(failure['operations'])}")
        outcome.errors += failure["count"] if failure["type"] == "ServerError" else 0
    outcome.faults += [f"{error['title']}: {error['count']}" for error in report["errors"]]
