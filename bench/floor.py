"""The floor of a case: its statements, sent by pgbench, which does nothing else. Follows the product's code.

One request is handled in this process, and the statements it runs are taken with their parameters, so that the floor
reads and writes what the product does. MARK in a parameter becomes a pgbench variable; what only reads has none.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils.module_loading import import_string
from psycopg import sql
from psycopg.types.json import Jsonb

from bench.case import MARK, BenchError, Case, Plant, number
from bench.installation import HOST
from bench.measure import Measurement
from bench.plant import FIRST_IDS, FLOOR_UNITS
from mes.platform.database.prepared import numbered
from mes.platform.outbox.emit import with_interest
from mes.platform.server.placement import find_binaries

SCRIPTS = 16  # as many requests are taken as examples; pgbench chooses among them
THREADS = 2
_NUMBER = re.compile(r"\$(\d+)")
_COLON_BEFORE_NAME = re.compile(r":(?=[A-Za-z_])")
Statement = tuple[Any, Any]  # text, with its parameters by name or by place
_CAST = re.compile(r"'(::[\w ]+(?:\[\])?)$")
_IDS = {"unit_id": r"\b7000\d{6}\b", "number": r"\b[89]000\d{6}\b"}  # tracks and events get new ids


def write_scripts(case: Case, plant: Plant, folder: Path) -> tuple[list[Path], int]:
    """Write pgbench scripts for a case; return them and how many statements the product runs for one request."""
    wanted = [with_interest(import_string(path)) for path in case.statements]
    client = _client(case, plant)
    scripts: list[Path] = []
    for index, (path, body) in enumerate(case.examples(plant)[:SCRIPTS]):
        _handle(client, case, path, body, 2 * index)  # caches are warm afterwards, as they are when it is measured
        ran, mark = _handle(client, case, path, body, 2 * index + 1)
        found = _find(ran, wanted)
        if wanted and [statement for statement, _values in found] != wanted:
            raise BenchError(f"{case.name}: the product does not run {', '.join(case.statements)} once each, in order.")
        scripts.append(folder / f"{case.name}-{index}.sql")
        script = _reading_script(found) if case.is_read else _script(found, mark, is_transaction=case.is_transaction)
        scripts[-1].write_text(script)
    return scripts, len(ran)


def _client(case: Case, plant: Plant) -> Client:
    if not case.by_session:
        return Client(headers={"Host": HOST, "Authorization": f"Bearer {plant.token}"})
    client = Client(headers={"Host": HOST})
    client.cookies[settings.SESSION_COOKIE_NAME] = plant.session
    return client


def _find(ran: Sequence[Statement], wanted: Sequence[str]) -> list[Statement]:
    """Return the wanted ones of the statements that ran, with their parameters by name; all that ran if none is."""
    if not wanted:
        return [_with_places(query, values) for query, values in ran]
    known = {query: (statement, names) for statement in wanted for query, names in [numbered(statement)]}
    return [
        (statement, dict(zip(names, values, strict=True)))
        for query, values in ran
        if query in known
        for statement, names in [known[query]]
    ]


def _with_places(query: str, values: Any) -> Statement:
    """Return a statement with its parameters by name or place, also where it is a prepared one with $1, $2 …"""
    if not _NUMBER.search(query) or "%s" in query:
        return query, values
    named = _NUMBER.sub(r"%(p\1)s", query.replace("%", "%%"))
    return named, {f"p{place}": value for place, value in enumerate(values, 1)}


def _handle(client: Client, case: Case, path: str, body: bytes, count: int) -> tuple[list[Statement], str]:
    """Handle a request here; return the statements that it ran and the number in the place of MARK."""
    mark = str(number(round_no=0, client=0, count=count))
    with recorded() as ran:
        if case.is_read:
            answer = client.get(path)
        else:
            answer = client.post(path, body.replace(MARK, mark.encode()), content_type="application/json")
    if answer.status_code != case.status:
        raise BenchError(f"{case.name}: {answer.status_code} {answer.content[:500]!r}")
    return ran, mark


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Note every statement that Django gives the database, with its parameters."""
    ran: list[Statement] = []

    def note(execute: Callable[..., Any], query: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        ran.append((query, params or {}))
        return execute(query, params, many, context)

    with connection.execute_wrapper(note):
        yield ran


def _script(statements: Sequence[Statement], mark: str, *, is_transaction: bool) -> str:
    """Return the statements as a script, with the product's parameters but for the numbers that make rows differ."""
    lines = ["\\set count :count + 1", "\\set number :first + :client_id * 1000000000000 + :count"]
    lines.append(
        f"\\set unit_id {FIRST_IDS['mes_unit'] + 1} + mod(:client_id * {FLOOR_UNITS // 8} + :count, {FLOOR_UNITS})"
    )
    lines += ["BEGIN;"] if is_transaction else []
    lines += [_filled_in(*statement, mark) for statement in statements]
    lines += ["COMMIT;"] if is_transaction else []
    return "\n".join(lines) + "\n"


def _reading_script(statements: Sequence[Statement]) -> str:
    """Return statements that only read as a script, with exactly the product's parameters."""
    return "\n".join(_filled_in(*statement, mark="") for statement in statements) + "\n"


def _filled_in(statement: str, values: Any, mark: str) -> str:
    named = isinstance(values, Mapping)
    literals: Any = (
        {name: _literal(value, mark) for name, value in values.items()}
        if named
        else tuple(_literal(value, mark) for value in values)
    )
    return " ".join((statement % literals).split("\n")).strip() + ";"


def _literal(value: Any, mark: str) -> str:
    """Return a parameter as SQL in which pgbench finds no other variable than the number; none without a mark."""
    if isinstance(value, Jsonb):
        assert value.dumps is not None  # `as_json` says how it is written
        spaced = json.dumps(json.loads(value.dumps(value.obj)), ensure_ascii=False)
        value = _COLON_BEFORE_NAME.sub(r"\\u003a", spaced)  # only within strings: between key and value is a blank
    if isinstance(value, bytes | bytearray | memoryview):
        return f"'\\x{bytes(value).hex()}'::bytea"
    literal = sql.Literal(value).as_string(None).strip()
    cast = _CAST.search(literal)
    text, kind = (literal[: cast.start(1)], cast[1]) if cast else (literal, "")
    if _COLON_BEFORE_NAME.search(text):
        text = "E" + _COLON_BEFORE_NAME.sub(r"\\x3a", text.removeprefix("E"))
    ids = ((name, one) for name, form in _IDS.items() for one in _ids_in(form, text))
    for name, found in [("number", mark), *ids] if mark else []:
        if text == found:
            text = f":{name}::bigint"
        elif found in text:
            text = f"replace({text}, '{found}', :{name}::text)"
    return f"({text}){kind}" if kind and text.startswith("replace(") else f"{text}{kind}"


def _ids_in(form: str, text: str) -> list[str]:
    return sorted(set(re.findall(form, text)))


def run(
    case: Case, scripts: Sequence[Path], url: str, *, round_no: int, warm_up: float, seconds: float
) -> tuple[Measurement, int]:
    """Run pgbench with as many clients as the case has connections; return the measurement and the transactions."""
    warm = _pgbench(case, scripts, url, seconds=warm_up, first=number(round_no=round_no, client=0, count=0))
    text = _pgbench(case, scripts, url, seconds=seconds, first=number(round_no=round_no, client=50, count=0))
    measurement = Measurement(
        rate=_figure(r"tps = ([0-9.]+)", text) * case.events,
        average=_figure(r"latency average = ([0-9.]+)", text) / 1000,
    )
    return measurement, sum(round(_figure(r"actually processed: ([0-9]+)", one)) for one in (warm, text))


def _pgbench(case: Case, scripts: Sequence[Path], url: str, *, seconds: float, first: int) -> str:
    command = [str(find_binaries() / "bin" / "pgbench"), "--no-vacuum", "--protocol=prepared"]
    command += [f"--client={case.connections}", f"--jobs={THREADS}", f"--time={max(1, round(seconds))}"]
    command += ["--define=count=0", f"--define=first={first}", *(f"--file={path}" for path in scripts), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or _figure(r"number of failed transactions: ([0-9]+)", done.stdout):
        raise BenchError(f"pgbench failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def _figure(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise BenchError(f"pgbench said nothing like {pattern}:\n{text[-2000:]}")
    return float(match[1])
