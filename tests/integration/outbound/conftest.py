"""An ERP to send to, and a run to be closed."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from demo.erp import Erp, serve
from integration.outbound import completion, delivery
from mes.plant.models import Station
from mes.platform.hooks import Hook
from mes.platform.outbox import emit, processor
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.models import Run, Unit
from tests.execution.support import assert_done
from tests.factories import api_client, make_plant

SECRET = "the secret of the tests"


@pytest.fixture
def erp(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erp]:
    """A receiver that listens, and is the ERP of the settings."""
    corrections: Hook[emit.Handler] = Hook()
    corrections.register(emit.SetHandler(completion.correct))  # as it is registered where an ERP is set
    monkeypatch.setitem(emit.handlers, EventType.RUN_COUNTS_CHANGED.value, corrections)
    receiver = Erp(SECRET, hang=5)
    server = serve(receiver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    settings.MES_ERP_URL = f"http://127.0.0.1:{server.server_port}/runs"
    settings.MES_ERP_SECRET = SECRET
    settings.MES_ERP_TIMEOUT = 1
    delivery.pause.end()
    yield receiver
    server.shutdown()
    server.server_close()
    delivery.pause.end()


@pytest.fixture
def admin(db: None) -> APIClient:
    make_plant(units=2)
    return api_client()


def close(client: APIClient, run_no: str = "RUN-1") -> dict[str, Any]:
    """Close the plant's run, of which one unit was made at least."""
    run = Run.objects.get(run_no=run_no)
    if not run.tracks.exists():
        make_done(run.units.order_by("id")[0])
    Run.objects.filter(run_no=run_no).update(status="IN_PROGRESS", started_at=timezone.now())
    return assert_done(client.post(f"/api/runs/{run_no}/close", {"reason": "done"}))


def make_done(unit: Unit) -> None:
    """Have a unit done that passed its last step."""
    now = timezone.now()
    station = Station.objects.get(code="TST-01")
    unit.tracks.create(
        run=unit.run, step_no=30, operation_code="TEST", station=station, source="MANUAL", in_at=now, out_at=now,
        result="PASS", claimed_result="PASS"
    )  # fmt: skip
    Unit.objects.filter(pk=unit.pk).update(status="DONE", current_step_no=30)


def work_off() -> MesEvent:
    """Make the message due and let the worker have it; return it as it is then."""
    event = MesEvent.objects.get(event_type="OUTBOUND_FEEDBACK")
    MesEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    processor.process_due()
    event.refresh_from_db()
    return event
