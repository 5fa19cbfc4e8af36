"""No input of any kind gives a 500, and what is refused changes nothing but the message log."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from integration.models import FailedMessage
from mes.line_setup.models import Stencil
from mes.plant.models import BomItem, Equipment, Material
from mes.platform.accounts.roles import Role
from mes.readiness.models import PrepPolicy
from mes.routing.models import FaiTemplate
from tests.bad_input.endpoints import THINGS, Endpoint, list_endpoints
from tests.factories import api_client, make_config, make_plant, make_spec
from tests.integration.helpers import changed, into_oven, make_event, reading, state

ENDPOINTS = list_endpoints()
WRITES = [endpoint for endpoint in ENDPOINTS if endpoint.method in ("POST", "PATCH")]
READS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]
WITH_BODY = [endpoint for endpoint in WRITES if endpoint.example is not None]
WITH_NAMES = [endpoint for endpoint in ENDPOINTS if endpoint.parameters]

HUGE_NUMBER = "1" + "0" * 400
WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|TRUNCATE|ALTER|DROP)\b", re.IGNORECASE)

BODIES: dict[str, bytes] = {
    "not JSON": b"nonsense",
    "half of it": b'{"a": [1, 2',
    "an array": b"[]",
    "an array of objects": b"[{}]",
    "a string": b'"text"',
    "a number": b"12",
    "null": b"null",
    "true": b"true",
    "NaN": b'{"a": NaN}',
    "only NaN": b"NaN",
    "infinity": b"[-Infinity, Infinity]",
    "1e999": b'{"a": 1e999}',
    "a huge integer": b'{"a": ' + HUGE_NUMBER.encode() + b"}",
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and open": b'{"a": ' + b"[" * 100_000,
    "deep below a field": b'{"a": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "NUL in a value": b'{"a": "x\\u0000y"}',
    "NUL in a key": b'{"x\\u0000y": 1}',
    "a raw NUL": b'{"a": "\x00"}',
    "a lone surrogate in a value": b'{"a": "\\ud800"}',
    "a lone surrogate in a key": b'{"\\udfff": 1}',
    "a lone surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "an unknown field": b'{"nobody knows this": 1}',
    "an empty key": b'{"": ""}',
    "prototype": b'{"__proto__": {}, "__class__": "x", "pk": 1, "id": "1"}',
    "trailing text": b"{} {}",
    "a comment": b"{} // x",
    "many keys": json.dumps({f"k{n}": n for n in range(2_000)}).encode(),
}

VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "an empty string": '""',
    "a blank": '" "',
    "a word": '"x"',
    "a number in a string": '"1"',
    "an array": "[]",
    "an object": "{}",
    "nested": '[{"a": [null]}, [[]]]',
    "zero": "0",
    "minus one": "-1",
    "a fraction": "0.5",
    "2**31": str(2**31),
    "2**63": str(2**63),
    "-2**63-1": str(-(2**63) - 1),
    "10**400": HUGE_NUMBER,
    "1e308": "1e308",
    "1e999": "1e999",
    "NaN": "NaN",
    "NUL": '"a\\u0000b"',
    "a surrogate": '"a\\ud83db"',
    "a control character": '"a\\u0007b\\u0085"',
    "a slash": '"a/b"',
    "blank ends": '" a "',
    "100 kB": json.dumps("x" * 100_000),
    "unicode": '"\\u00e9\\ud83d\\ude00\\u202e\\u0301"',
    "many": json.dumps([1] * 2_000),
    "an old time": '"0001-01-01T00:00:00+14:00"',
    "a late time": '"9999-12-31T23:59:59-14:00"',
    "a time of no zone": '"2026-01-24T10:00:00"',
    "a date": '"2026-02-30"',
}

NAMES: dict[str, str] = {
    "dots": "SN.1..x",
    "two dots": "..",
    "encoded dots": "%2E%2E",
    "plus": "A+B",
    "colon": "A:B",
    "hash": "A%23B",
    "blank": "A%20B",
    "percent": "100%25",
    "a broken escape": "100%",
    "question mark": "A%3FB",
    "slash": "A%2FB",
    "backslash": "A%5CB",
    "unicode": "%C3%A9%F0%9F%98%80",
    "raw unicode": "é😀",
    "right to left": "%E2%80%AE",
    "not UTF-8": "%FF%FE",
    "a surrogate in UTF-8": "%ED%A0%80",
    "NUL": "A%00B",
    "a line break": "A%0D%0AB",
    "a control character": "%7F",
    "C1 control": "%C2%85",
    "quotes": "'%22;--",
    "huge": "x" * 5_000,
    "a huge number": "9" * 400,
    "2**63": str(2**63),
    "a negative number": "-1",
    "another script's digit": "%D9%A3",
    "a fraction": "1.0",
    "an exponent": "1e3",
    "json": "%7B%7D",
    "format": "x.json",
}

QUERIES: dict[str, str] = {
    **{name: text for name, text in NAMES.items() if name != "two dots"},
    "empty": "",
    "blank ends": "%20x%20",
    "a time of no zone": "2026-01-01T00:00:00",
    "an impossible date": "2026-02-30",
    "the last day": "9999-12-31",
    "the first day": "0001-01-01",
    "a late time": "9999-12-31T23:59:59-14:00",
    "true": "true",
    "zero": "0",
    "2**31": str(2**31),
    "a cursor": "cD0x",
    "a cursor of text": "cD14",  # p=x
    "a cursor of NUL": "cD0lMDA%3D",  # p=%00
    "a cursor backwards": "cj0xJnA9LTE%3D",  # r=1&p=-1
    "a cursor with an offset": "bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk%3D",  # o=999…
    "a cursor beyond": "cD05MjIzMzcyMDM2ODU0Nzc1ODA4",  # p=2**63
    "no base64": "%%%",
}


# --- asking -----------------------------------------------------------------------------------------------


class Asker:
    """Sends requests one after the other; each is undone, and a refused one must have changed nothing."""

    def __init__(self, client: APIClient) -> None:
        client.raise_request_exception = False
        self.client = client
        self.has_written = False
        self.begin()

    def begin(self) -> None:
        """Take what there is now for what must be left."""
        self.before = state()
        self.point: str | None = None  # a savepoint after which nothing was written

    def ask(self, method: str, url: str, body: bytes | None = None, **extra: Any) -> Any:
        """Send a request, check the answer and what it left, and undo it."""
        self.point = self.point or transaction.savepoint()
        self.has_written = False
        with connection.execute_wrapper(self._watch):
            if body is None:
                answer = self.client.generic(method, url, **extra)
            else:
                answer = self.client.generic(method, url, body, extra.pop("content_type", "application/json"), **extra)
        try:
            self._check(method, url, answer)
        finally:
            is_broken = connection.connection.info.transaction_status == TransactionStatus.INERROR
            if self.has_written or is_broken or (method != "GET" and answer.status_code < 400):
                transaction.savepoint_rollback(self.point)
                self.point = None
        return answer

    def _watch(self, execute: Any, sql: Any, *args: Any) -> Any:
        self.has_written |= bool(WRITING.search(str(sql)))
        return execute(sql, *args)

    def _check(self, method: str, url: str, answer: Any) -> None:
        status, content = answer.status_code, answer.content
        assert status < 500, (status, content[:500])
        assert answer["Content-Type"].startswith("application/json"), (status, content[:200])
        document = json.loads(content)
        assert answer["X-Request-ID"]
        if status < 400:
            assert document["ok"] is True and "data" in document
            if method != "GET":
                return
        else:
            assert document["ok"] is False
            error = document["error"]
            assert error["code"] and error["code"] == error["code"].upper()
            assert error["message"] and error["requestId"] == answer["X-Request-ID"]
            assert isinstance(error["details"], dict)
        if self.has_written and connection.connection.info.transaction_status != TransactionStatus.INERROR:
            assert changed(self.before, state()) == [], (status, content[:200])


@pytest.fixture(scope="module")
def things(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make what the addresses name once, in a transaction around those of the tests."""
    with django_db_blocker.unblock(), transaction.atomic():
        THINGS.update(make_things())
        yield
        transaction.set_rollback(True)


@pytest.fixture
def asker(things: None, db: None) -> Asker:
    return Asker(api_client(Role.ADMIN))


def make_things() -> dict[str, dict[str, str]]:
    """Make one of each that the addresses name, and a unit in the oven; return the names."""
    plant, client = make_plant(), api_client(Role.ADMIN)
    into_oven(client)
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    board = Material.objects.create(code="BOARD-1", name="Board", unit="pcs")
    paste = Material.objects.create(code="M-1", name="Paste", unit="g")
    item = BomItem.objects.create(parent=board, child=paste, quantity=1)
    config = make_config(operation=plant.operations["PRINT"])
    Stencil.objects.create(stencil_id="ST-1")
    client.post("/api/integration/device-data", make_event("failed", runNo="RUN-9"))
    template = FaiTemplate.objects.create(code="FAI-1", name="First article", items=[{"itemName": "Height"}])
    policy = PrepPolicy.objects.create(code="PREP_X", name="X", line=plant.line)
    return {
        "bom-items": {"id": str(item.pk)},
        "data-collection-specs": {"id": str(plant.peak.pk)},
        "fai-templates": {"code": template.code},
        "prep-policies": {"id": str(policy.pk)},
        "execution-configs": {"id": str(config.pk)},
        "integration/messages": {"id": str(FailedMessage.objects.get().pk)},
    }


def body_with(endpoint: Endpoint, name: str, value: str, *, where: tuple[str | int, ...] = ()) -> bytes:
    """Return the endpoint's example with the JSON text `value` in one field."""
    example = json.loads(json.dumps(endpoint.example))
    inner = example
    for step in where:
        inner = inner[step]
    inner[name] = "@here@"
    return json.dumps(example).replace('"@here@"', value).encode()


def inner_fields(endpoint: Endpoint) -> list[tuple[tuple[str | int, ...], str]]:
    """Return (path, name) of every field of the example, and of objects in it."""

    def walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield path, name
                yield from walk(inner, (*path, name))
        elif isinstance(value, list) and value:
            yield from walk(value[0], (*path, 0))

    return list(walk(endpoint.example, ()))


# --- bodies -----------------------------------------------------------------------------------------------


def test_the_walk_finds_the_endpoints() -> None:
    paths = {str(endpoint) for endpoint in ENDPOINTS}
    assert {
        "POST /api/integration/device-data",
        "POST /api/integration/messages/{id}/replay",
        "POST /api/stations/{code}/track-in",
        "POST /api/stations/{code}/track-out",
        "PATCH /api/lines/{code}",
        "GET /api/trace/units/{sn}",
    } <= paths
    assert len(WITH_BODY) > 25
    assert all(endpoint.example for endpoint in WITH_BODY)


@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_no_body_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for name, body in BODIES.items():
        answer = asker.ask(endpoint.method, endpoint.url, body)
        if endpoint.example is not None and endpoint.method == "POST":
            assert answer.status_code in (400, 404, 409, 422), (name, answer.content)


@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_no_size_and_no_type_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    reads_body = endpoint.example is not None
    limit = 16 if endpoint.path.endswith("/batch") else 1  # MiB
    large = b'{"a": "' + b"x" * ((limit + 1) * 1024 * 1024) + b'"}'
    assert asker.ask(endpoint.method, endpoint.url, large).status_code == 413 or not reads_body
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        answer = asker.ask(endpoint.method, endpoint.url, b'{"a": 1}', content_type=kind)
        assert answer.status_code == 415 or not reads_body, (kind, answer.content)
    for kind in ("application/json; charset=utf-16", "application/json; charset=nonsense", "APPLICATION/JSON"):
        asker.ask(endpoint.method, endpoint.url, b'{"a": 1}', content_type=kind)
    asker.ask(endpoint.method, endpoint.url, b"")
    asker.ask(endpoint.method, endpoint.url)
    for accept in ("text/html", "application/xml", "nonsense", "*/*;q=0"):
        asker.ask(endpoint.method, endpoint.url, b"{}", HTTP_ACCEPT=accept)


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=str)
def test_no_value_of_a_field_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for where, name in inner_fields(endpoint):
        for value in VALUES.values():
            asker.ask(endpoint.method, endpoint.url, body_with(endpoint, name, value, where=where))


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=str)
def test_no_field_left_out_or_given_twice_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    assert endpoint.example is not None
    asker.ask(endpoint.method, endpoint.url, json.dumps(endpoint.example).encode())
    for name in endpoint.example:
        rest = {key: value for key, value in endpoint.example.items() if key != name}
        asker.ask(endpoint.method, endpoint.url, json.dumps(rest).encode())
        twice = json.dumps(endpoint.example)[:-1] + f", {json.dumps(name)}: [1]}}"
        asker.ask(endpoint.method, endpoint.url, twice.encode())


# --- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", WITH_NAMES, ids=str)
def test_no_name_in_a_path_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    body = None if endpoint.example is None else json.dumps(endpoint.example).encode()
    for parameter in endpoint.parameters:
        for name, text in NAMES.items():
            answer = asker.ask(endpoint.method, endpoint.url_with(**{parameter: text}), body)
            assert answer.status_code >= 400, (name, answer.content)


@pytest.mark.parametrize("endpoint", READS, ids=str)
def test_no_query_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for parameter in (*endpoint.queries, "format", "nobody's"):
        for name, text in QUERIES.items():
            if parameter in ("search", "format", "nobody's") and name not in NAMES:
                continue  # texts like any other
            if name.startswith("a cursor") and parameter != "cursor":
                continue
            asker.ask("GET", f"{endpoint.url}?{parameter}={text}")
    asker.ask("GET", f"{endpoint.url}?{'&'.join(f'{p}=1&{p}=x' for p in endpoint.queries)}")
    asker.ask("GET", f"{endpoint.url}?%00=1")
    asker.ask("GET", f"{endpoint.url}?&&==&%")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_no_other_method_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for method in ("PUT", "TRACE", "OPTIONS", "NONSENSE"):
        asker.ask(method, endpoint.url, b"{}")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Bearer \xff", "lk_", "Bearer " * 2000]
)
def test_no_authorization_breaks_it(db: None, header: str) -> None:
    asker = Asker(APIClient())
    for endpoint in ENDPOINTS:
        answer = asker.ask(endpoint.method, endpoint.url, b"{}", HTTP_AUTHORIZATION=header)
        assert answer.status_code == 401


# --- anything at all --------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=4),  # lone surrogates too
    st.sampled_from(
        [
            "RUN-1",
            "SN-1",
            "SN-2",
            "REF-01",
            "SMT-01",
            "PASS",
            "FAIL",
            "AUTO",
            "MANUAL",
            "evt-1",
            "Peak Temperature",
            "Conveyor Speed",
            "Anything",
            "2026-03-10T10:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([10, 20, 2**31, 2**63, 10**400]), st.floats(allow_nan=False)
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
FIELDS = st.sampled_from(
    [
        *("eventId", "eventTime", "source", "runNo", "unitSn", "stationCode", "stepNo", "trackId", "carrierTrackId"),
        *("equipmentId", "operatorId", "operationCode", "data", "meta", "specName", "specId", "valueNumber"),
        *("valueText", "valueBoolean", "valueJson", "collectedAt", "judge", "sn", "woNo", "at", "result"),
        *("defectCode", "defectLocation", "defectRemark", "occurredAt"),
    ]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(FIELDS, st.text(max_size=5)), inner, max_size=5)
    ),
    max_leaves=12,
)


def mutations(base: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return anything at all, or the right body with some fields replaced, here and in its readings."""
    names = st.one_of(st.sampled_from(sorted(base)), FIELDS)
    top = st.dictionaries(names, ANYTHING, max_size=3).map(lambda some: {**base, **some})
    item = st.dictionaries(FIELDS, ANYTHING, min_size=1, max_size=3).map(
        lambda some: {**base, "data": [{**base["data"][0], **some}]}
    )
    return st.one_of(top, item, ANYTHING)


TRACK_IN = {"runNo": "RUN-1", "sn": "SN-2"}
TRACK_OUT = {
    "runNo": "RUN-1",
    "sn": "SN-1",
    "result": "PASS",
    "data": [{"specName": "Peak Temperature", "valueNumber": 245}],
}
TARGETS = {
    "device-data": ("/api/integration/device-data", make_event(eventTime="2026-03-10T10:00:00Z")),
    "live specs": (
        "/api/integration/device-data",
        make_event(
            "evt-2",
            {"specName": "Anything", "valueJson": {"a": 1}},
            stationCode="SMT-01",
            stepNo=10,
            eventTime="2026-03-10T10:00:00Z",
        ),
    ),
    "track-in": ("/api/stations/SMT-01/track-in", {**TRACK_IN, "data": [{}]}),
    "track-out": ("/api/stations/REF-01/track-out", TRACK_OUT),
}


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_at_all_breaks_it(asker: Asker, target: str) -> None:
    url, base = TARGETS[target]
    make_spec("PRINT", "Anything", data_type="JSON")
    asker.begin()

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=mutations(base), is_escaped=st.booleans())
    def check(body: Any, is_escaped: bool) -> None:
        text = json.dumps(body, ensure_ascii=is_escaped)
        asker.ask("POST", url, text.encode("utf-8", "surrogatepass"))

    check()


def test_the_reading_that_the_others_change_is_right(asker: Asker) -> None:
    """Otherwise the test above would only ever meet the first guard."""
    for name, (url, base) in TARGETS.items():
        if name == "live specs":
            make_spec("PRINT", "Anything", data_type="JSON")
            asker.begin()
        body = {key: value for key, value in base.items() if name != "track-in" or key != "data"}
        answer = asker.ask("POST", url, json.dumps(body).encode())
        assert answer.status_code in (200, 201), (name, answer.content)
    assert reading() == {"specName": "Peak Temperature", "valueNumber": 245.0}
