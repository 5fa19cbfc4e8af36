"""What the tests of execution, production and trace share: calls over HTTP and looks at what was written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models
from rest_framework.test import APIClient

from execution.models import CarrierTrack, DataValue, Disposition, Track
from mes.platform.outbox.models import MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Run, Unit, WorkOrder
from mes.routing.compilation import compile_route
from tests import factories
from tests.factories import Plant

WRITTEN: tuple[type[models.Model], ...] = (
    *(WorkOrder, Run, Unit, Track, CarrierTrack, DataValue, MesEvent, Disposition),
    *(Hold, HeldUnit),
)


def rows() -> dict[str, list[str]]:
    """Return every row that production and execution write, with all its columns, as the database writes it."""
    tables = [model._meta.db_table for model in WRITTEN]
    selects = [f"SELECT '{table}', array(SELECT t::text FROM \"{table}\" t ORDER BY t.id)" for table in tables]
    with connection.cursor() as cursor:
        return dict(cursor.execute(" UNION ALL ".join(selects)).fetchall())


@contextmanager
def nothing_written() -> Iterator[None]:
    """Assert that the block leaves every row of production and execution as it was."""
    before = rows()
    yield
    after = rows()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"written although refused: {changed}"


def assert_refused(response: Any, code: str, status: int = 409) -> dict[str, Any]:
    """Assert the code and status of a refusal; return its details."""
    body = response.json()
    assert (response.status_code, body.get("error", {}).get("code")) == (status, code), body
    assert body["error"]["message"]
    return body["error"]["details"]


def assert_done(response: Any, status: int = 200) -> dict[str, Any]:
    """Assert success; return the data."""
    assert response.status_code == status, response.content
    return response.json()["data"]


def track_in(client: APIClient, station: str = "SMT-01", sn: str = "SN-1", run_no: str = "RUN-1", **body: Any) -> Any:
    """Call track-in."""
    return client.post(f"/api/stations/{station}/track-in", {"runNo": run_no, "sn": sn, **body})


def track_out(
    client: APIClient,
    station: str = "SMT-01",
    sn: str = "SN-1",
    run_no: str = "RUN-1",
    result: str = "PASS",
    **body: Any,
) -> Any:
    """Call track-out."""
    return client.post(f"/api/stations/{station}/track-out", {"runNo": run_no, "sn": sn, "result": result, **body})


def decide(client: APIClient, action: str, sn: str = "SN-1", reason: str = "a reason", **body: Any) -> Any:
    """Call hold, release, rework or scrap."""
    return client.post(f"/api/units/{sn}/{action}", {"reason": reason, **body})


def put_at(step_no: int, sn: str = "SN-1") -> None:
    """Let a queued unit stand at a step without having passed the ones before."""
    Unit.objects.filter(sn=sn).update(current_step_no=step_no)


def make_run(plant: Plant, *, run_no: str, sns: list[str], plan_qty: int = 100, authorize: bool = True) -> Run:
    """Compile the plant's route as it is now and make another run of it, with its own order."""
    version, _changed = compile_route(code=plant.routing.code)
    return factories.make_run(version, plant.line, run_no=run_no, sns=sns, plan_qty=plan_qty, authorize=authorize)
