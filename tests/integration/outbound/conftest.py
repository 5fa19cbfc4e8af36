"""An ERP to send to, and a run to be closed."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from demo.erp import Erp, serve
from integration.outbound import delivery
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from tests.execution.support import assert_done
from tests.factories import api_client, make_plant

SECRET = "the secret of the tests"


@pytest.fixture
def erp(settings: Any) -> Iterator[Erp]:
    """A receiver that listens, and is the ERP of the settings."""
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
    """Close the plant's run, whose units were never made."""
    from mes.production.models import Run

    Run.objects.filter(run_no=run_no).update(status="IN_PROGRESS", started_at=timezone.now())
    return assert_done(client.post(f"/api/runs/{run_no}/close", {"reason": "done"}))


def work_off() -> MesEvent:
    """Make the message due and let the worker have it; return it as it is then."""
    event = MesEvent.objects.get(event_type="OUTBOUND_FEEDBACK")
    MesEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    processor.process_due()
    event.refresh_from_db()
    return event
