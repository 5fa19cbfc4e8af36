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

from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import AttemptCount
from tests.bad_input.endpoints import THINGS, Endpoint, body_with, inner_fields, list_endpoints
from tests.bad_input.nasty import BODIES, NAMES, QUERIES, VALUES, part_of
from tests.bad_input.things import make_things
from tests.factories import api_client, make_spec
from tests.integration.helpers import changed, make_event, reading, state

ENDPOINTS = list_endpoints()
WRITES = [endpoint for endpoint in ENDPOINTS if endpoint.method in ("POST", "PATCH")]
READS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]
WITH_BODY = [endpoint for endpoint in WRITES if endpoint.example is not None]
WITH_NAMES = [endpoint for endpoint in ENDPOINTS if endpoint.parameters]

SCANS = "mes_loadscan"  # at slots: kept with their refusal
COUNTS = AttemptCount._meta.db_table
WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|TRUNCATE|ALTER|DROP)\b", re.IGNORECASE)

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
            is_counted = status == 403 and document["error"]["code"] == "SIGNATURE_REFUSED"  # as a guess of a password
            kept = {COUNTS} if is_counted else {SCANS} if url.split("?")[0].endswith(("/loads", "/unload")) else set()
            assert set(changed(self.before, state())) <= kept, (status, content[:200])


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
    for name, body in part_of(BODIES, endpoint).items():
        answer = asker.ask(endpoint.method, endpoint.url, body)
        if endpoint.example is not None and endpoint.method == "POST":
            assert answer.status_code in (400, 404, 409, 422), (name, answer.content)


@pytest.mark.parametrize("endpoint", WRITES, ids=str)
def test_no_size_and_no_type_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    reads_body = endpoint.example is not None
    takes_files = endpoint.path == "/api/imports/{collection}"
    limit = 16 if takes_files or endpoint.path.endswith(("/batch", "/ingest/events")) else 1  # MiB
    large = b'{"a": "' + b"x" * ((limit + 1) * 1024 * 1024) + b'"}'
    assert asker.ask(endpoint.method, endpoint.url, large).status_code == 413 or not reads_body
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        answer = asker.ask(endpoint.method, endpoint.url, b'{"a": 1}', content_type=kind)
        refused = (400, 415) if takes_files and kind == "multipart/form-data" else (415,)
        assert answer.status_code in refused or not reads_body, (kind, answer.content)
    for kind in ("application/json; charset=utf-16", "application/json; charset=nonsense", "APPLICATION/JSON"):
        asker.ask(endpoint.method, endpoint.url, b'{"a": 1}', content_type=kind)
    asker.ask(endpoint.method, endpoint.url, b"")
    asker.ask(endpoint.method, endpoint.url)
    for accept in ("text/html", "application/xml", "nonsense", "*/*;q=0"):
        asker.ask(endpoint.method, endpoint.url, b"{}", HTTP_ACCEPT=accept)


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=str)
def test_no_value_of_a_field_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for where, name in inner_fields(endpoint):
        for value in part_of(VALUES, endpoint, name, where).values():
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
        for name, text in part_of(NAMES, endpoint, parameter).items():
            answer = asker.ask(endpoint.method, endpoint.url_with(**{parameter: text}), body)
            assert answer.status_code >= 400, (name, answer.content)


@pytest.mark.parametrize("endpoint", READS, ids=str)
def test_no_query_breaks_it(asker: Asker, endpoint: Endpoint) -> None:
    for parameter in (*endpoint.queries, "format", "nobody's"):
        for name, text in part_of(QUERIES, endpoint, parameter).items():
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
