"""What the tests of device data share: events, units on their way, and the proof that nothing changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from functools import cache
from threading import Barrier
from typing import Any, TypeVar

from django.apps import apps
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from ingest.models import OpenIngestEvent
from integration.models import FailedMessage, SettledMessage
from mes.platform.database.prepared import fetch_all

T = TypeVar("T")

EVENTS = "/api/integration/device-data"
MESSAGES = "/api/integration/messages"
LOG = (FailedMessage, SettledMessage, OpenIngestEvent)


# --- state ------------------------------------------------------------------------------------------------


def state(*, but: tuple[type, ...] = LOG) -> dict[str, str]:
    """Return a digest of the rows of every table, the message log apart."""
    return dict(fetch_all(_digests(but), {}))  # planning it takes five times as long as executing it


@cache
def _digests(but: tuple[type, ...]) -> str:
    tables = sorted({model._meta.db_table for model in apps.get_models() if model._meta.managed and model not in but})
    return " UNION ALL ".join(
        f"SELECT '{table}', count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') "
        f'FROM "{table}" t'
        for table in tables
    )


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the tables that differ."""
    return [table for table in before if before[table] != after.get(table)]


@contextmanager
def nothing_changes(*, but: tuple[type, ...] = LOG) -> Iterator[None]:
    """Assert that no row but of the message log was written, changed or removed."""
    before = state(but=but)
    yield
    assert changed(before, state(but=but)) == []


# --- events -----------------------------------------------------------------------------------------------


def moment(**ago: float) -> str:
    """Return a time as devices write it, so long ago."""
    return (timezone.now() - timedelta(**ago)).isoformat()


def reading(value: Any = 245.0, name: str = "Peak Temperature", **fields: Any) -> dict[str, Any]:
    """Return one reading: a NUMBER unless another value field is given."""
    given = {"specName": name, **fields}
    if not any(field.startswith("value") for field in fields):
        given["valueNumber"] = value
    return given


def make_event(event_id: str = "evt-1", *readings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body of an event of SN-1 at the oven; a field given as ... is left out."""
    body = {
        "eventId": event_id,
        "eventTime": moment(seconds=1),
        "source": "AUTO",
        "runNo": "RUN-1",
        "unitSn": "SN-1",
        "stationCode": "REF-01",
        "stepNo": 20,
        "data": list(readings) or [reading()],
    } | fields
    return {name: value for name, value in body.items() if value is not ...}


def by_track(event_id: str, track_id: str, *readings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body of an event that names its track by id."""
    names = {"runNo": ..., "unitSn": ..., "stationCode": ..., "stepNo": ...}
    return make_event(event_id, *readings, **(names | {"trackId": track_id} | fields))


# --- units on their way -----------------------------------------------------------------------------------


def track_in(client: APIClient, station: str, sn: str = "SN-1", run_no: str = "RUN-1", **fields: Any) -> str:
    """Track a unit in; return the track's id."""
    answer = client.post(f"/api/stations/{station}/track-in", {"runNo": run_no, "sn": sn, **fields})
    assert answer.status_code in (200, 201), answer.content
    return answer.json()["data"]["trackId"]


def track_out(
    client: APIClient, station: str, sn: str = "SN-1", result: str = "PASS", run_no: str = "RUN-1", **fields: Any
) -> dict[str, Any]:
    """Track a unit out; return the answer."""
    body = {"runNo": run_no, "sn": sn, "result": result, **fields}
    answer = client.post(f"/api/stations/{station}/track-out", body)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def into_oven(client: APIClient, sn: str = "SN-1", run_no: str = "RUN-1") -> str:
    """Pass a unit through the printer and into the oven; return the id of its open track there."""
    track_in(client, "SMT-01", sn, run_no)
    track_out(client, "SMT-01", sn, run_no=run_no)
    return track_in(client, "REF-01", sn, run_no)


def through_tests(client: APIClient, sn: str = "SN-1", run_no: str = "RUN-1") -> None:
    """Pass a unit that left the oven through the tester: it is done."""
    track_in(client, "TST-01", sn, run_no)
    track_out(client, "TST-01", sn, run_no=run_no, data=[{"specName": "Supply Voltage", "valueNumber": 3.3}])


# --- answers ----------------------------------------------------------------------------------------------


def accept(client: APIClient, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    """Send an event that is accepted; return the answer's data."""
    answer = client.post(EVENTS, body)
    assert answer.status_code == status, answer.content
    return answer.json()["data"]


def refuse(client: APIClient, body: Any, status: int, code: str) -> dict[str, Any]:
    """Send an event that is refused and kept as FAILED, nothing else; return the error."""
    open_before = FailedMessage.objects.count()
    with nothing_changes():
        answer = client.post(EVENTS, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.content
    assert error["requestId"] == answer["X-Request-ID"]
    assert FailedMessage.objects.count() == open_before + 1
    kept = FailedMessage.objects.latest("id")
    assert kept.error is not None
    assert (kept.error_code, kept.payload, kept.error["message"]) == (code, body, error["message"])
    assert not SettledMessage.objects.filter(dedupe_key=kept.dedupe_key).exists()
    return error


def list_messages(client: APIClient, **filters: str) -> list[dict[str, Any]]:
    """Return the messages, newest first."""
    answer = client.get(MESSAGES, filters)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["items"]


def trace_values(client: APIClient, sn: str = "SN-1") -> list[dict[str, Any]]:
    """Return the values of a unit's trace."""
    answer = client.get(f"/api/trace/units/{sn}")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["dataValues"]


# --- at the same time -------------------------------------------------------------------------------------


def at_once(*calls: Callable[[], T], times: int = 1) -> list[T]:
    """Make the calls at the same time, each in a thread with a connection of its own; return what they return."""
    wanted = [call for call in calls for _ in range(times)]
    start = Barrier(len(wanted))

    def make(call: Callable[[], T]) -> T:
        try:
            connection.ensure_connection()
            start.wait(timeout=60)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(wanted)) as pool:
        return [future.result(timeout=90) for future in [pool.submit(make, call) for call in wanted]]


def another(client: APIClient) -> APIClient:
    """Return a client of the same token for another thread."""
    return copy(client)
