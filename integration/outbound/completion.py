"""RUN_COMPLETION_V1: what is reported to the ERP when a run has ended."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from mes import errors
from mes.labels import Action, Entity
from mes.platform.http.serializers import OffsetDateTimeField
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.production import runs
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus
from mes.production.queries import count_units

RUN_COMPLETION = "RUN_COMPLETION_V1"
_time = OffsetDateTimeField().to_representation


def tell_erp(run: Run) -> None:
    """Enqueue the completion of a run that has just ended, in the same transaction; nothing without an ERP."""
    if settings.MES_ERP_URL:
        _enqueue(run)


@transaction.atomic
def report_completion(*, run_no: str) -> tuple[MesEvent, bool]:
    """Enqueue the completion of a run that ended before; return (event, whether it is new).

    Raises RunNotFound, InvalidTransition while the run has not ended, OutboundOff without an ERP.
    """
    run = runs.lock(run_no=run_no)
    if run.status in OPEN_RUN_STATUSES:
        raise errors.InvalidTransition(
            action=Action.REPORT_THE_COMPLETION, entity=Entity.RUN, state=RunStatus(run.status)
        )
    if not settings.MES_ERP_URL:
        raise errors.OutboundOff()
    known = MesEvent.objects.filter(idempotency_key=_key(run)).first()
    if known is not None:
        return known, False
    _enqueue(run)
    return MesEvent.objects.get(idempotency_key=_key(run)), True


def _key(run: Run) -> str:
    return f"{RUN_COMPLETION}:{run.run_no}"


def _enqueue(run: Run) -> None:
    event = NewEvent(
        event_type=EventType.OUTBOUND_FEEDBACK,
        key=_key(run),
        entity_type="RUN",
        entity_id=run.run_no,
        occurred_at=run.ended_at or run.created_at,
        run_id=run.pk,
        payload=build(run),
        max_attempts=settings.MES_ERP_ATTEMPTS,
    )
    emit(event)


def build(run: Run) -> dict[str, Any]:
    """Return the message. It is frozen here: each attempt sends the same."""
    counts = count_units([run])[run.pk]
    routing = run.route_version.routing
    return {
        "type": RUN_COMPLETION,
        "idempotencyKey": _key(run),
        "businessKey": {
            "runNo": run.run_no,
            "woNo": run.work_order.wo_no,
            "productCode": run.work_order.product_code,
            "lineCode": run.line.code,
        },
        "run": {
            "status": run.status,
            "planQty": run.plan_qty,
            "shiftCode": run.shift_code or None,
            "createdAt": _moment(run.created_at),
            "authorizedAt": _moment(run.authorized_at),
            "startedAt": _moment(run.started_at),
            "endedAt": _moment(run.ended_at),
            "endedBy": run.status_by,
            "reason": run.status_reason or None,
        },
        "route": {
            "code": routing.code,
            "sourceSystem": routing.source_system,
            "sourceKey": routing.source_key or None,
            "versionNo": run.route_version.version_no,
        },
        "unitCounts": {**counts, "total": sum(counts.values())},
    }


def _moment(at: datetime | None) -> str | None:
    return _time(at) if at else None
