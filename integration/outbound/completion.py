"""What the ERP is told of a run: RUN_COMPLETION_V1 once it has ended, RUN_CORRECTION_V1 when that changes later.

A correction says all anew. Corrections of a run are numbered, and the highest number is right in whatever order they
arrive; a completion has none and comes before them all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integration.models import RunReport
from mes import errors
from mes.labels import Action, Entity
from mes.platform.http.serializers import OffsetDateTimeField
from mes.platform.outbox.emit import NewEvent, SetHandler, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.production import runs
from mes.production.models import OPEN_RUN_STATUSES, Run, RunKind, RunStatus, UnitStatus
from mes.production.queries import count_units
from mes.production.run_counts import counts_changed

RUN_COMPLETION = "RUN_COMPLETION_V1"
RUN_CORRECTION = "RUN_CORRECTION_V1"
_time = OffsetDateTimeField().to_representation


def tell_erp(run: Run) -> None:
    """Enqueue the completion of a run that has just ended, in the same transaction; nothing without an ERP.

    A run that ended before, and was told, is corrected instead: once the counts of this end differ from what was told.
    """
    if not settings.MES_ERP_URL or not _is_told(run):
        return
    if RunReport.objects.filter(run=run).exists():
        counts_changed([run.pk], reason=run.status_reason, by=run.status_by)
    else:
        _complete(run)


def _is_told(run: Run) -> bool:
    """Whether the end of a run concerns the ERP: that of an engineer's trial does not, nor one that never began."""
    return run.status != RunStatus.CANCELLED and run.kind != RunKind.ENGINEERING


@transaction.atomic
def report_completion(*, run_no: str, by: str) -> tuple[MesEvent, bool]:
    """Enqueue the completion of a run that ended before, or a correction where it was told and has changed since
    (while there was no ERP); return (event, whether it is new).

    Raises RunNotFound, InvalidTransition while the run has not ended and when it was cancelled, RunNotReported,
    OutboundOff without an ERP.
    """
    run = runs.lock(run_no=run_no)
    if run.status in (*OPEN_RUN_STATUSES, RunStatus.CANCELLED):
        raise errors.InvalidTransition(
            action=Action.REPORT_THE_COMPLETION, entity=Entity.RUN, state=RunStatus(run.status)
        )
    if not _is_told(run):
        raise errors.RunNotReported(run=run.run_no)
    if not settings.MES_ERP_URL:
        raise errors.OutboundOff()
    report = RunReport.objects.filter(run=run).first()
    if report is not None:
        message = _correct(run, report, count_units([run])[run.pk], reason=_("Reported again by hand"), by=by)
        if message is not None:
            _keep([run], [report], [message])
            return MesEvent.objects.get(idempotency_key=message.key), True
    known = MesEvent.objects.filter(idempotency_key=_last_key(run)).first()
    if known is not None:
        return known, False
    _complete(run)
    return MesEvent.objects.get(idempotency_key=_key(run)), True


# --- corrections ------------------------------------------------------------------------------------------


def correct(events: Sequence[MesEvent]) -> None:
    """Correct what was told of runs whose counts or status changed since: one message for each run that differs.

    The runs are locked first: whoever was about to end one has done so, and its message is there.
    """
    if not settings.MES_ERP_URL:
        return
    ids = sorted({event.run_id for event in events if event.run_id is not None})
    list(Run.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))
    reports = RunReport.objects.in_bulk(ids)
    by_id = _load(reports)
    counts = count_units(by_id.values())
    messages, corrected = [], []
    for event in events:
        run, report = by_id.get(event.run_id or 0), reports.get(event.run_id)
        if run is None or report is None:
            continue
        why = {"reason": event.payload["reason"], "by": event.payload["by"]}
        message = _correct(run, report, counts[run.pk], **why)
        if message is not None:
            messages.append(message)
            corrected.append(run.pk)
    _keep([by_id[pk] for pk in corrected], [reports[pk] for pk in corrected], messages)


def _load(ids: Collection[int]) -> dict[int, Run]:
    """Return runs with all that a message says of them."""
    related = ("work_order", "line", "route_version__routing")
    runs_of = Run.objects.select_related(*related).defer("route_version__snapshot", "route_version__errors")
    return runs_of.in_bulk(ids)


def _correct(run: Run, report: RunReport, counts: Mapping[str, int], *, reason: str, by: str) -> NewEvent | None:
    """Return the correction of a locked run, and number it, unsaved; None where what was told last is still right.

    What units do in a run that was reopened is no correction: it is told when it ends again.
    """
    now_counted = _without_zeros(counts)
    has_ended = run.status not in OPEN_RUN_STATUSES
    if report.status == run.status and (report.unit_counts == now_counted or not has_ended):
        return None
    run.correction_no += 1
    key = _correction_key(run)
    body = {
        **build(run, counts),
        "type": RUN_CORRECTION,
        "idempotencyKey": key,
        "correctionNo": run.correction_no,
        "previousUnitCounts": _with_total({**dict.fromkeys(UnitStatus.values, 0), **report.unit_counts}),
        "reason": reason or None,
        "by": by,
    }
    report.status, report.unit_counts, report.reported_at = run.status, now_counted, timezone.now()
    return _event(run, key=key, at=report.reported_at, payload=body)


def _keep(corrected: Iterable[Run], reports: Iterable[RunReport], messages: Sequence[NewEvent]) -> None:
    """Write corrections, their numbers and what they said: three statements for any number."""
    if messages:
        Run.objects.bulk_update(corrected, ["correction_no"])
        RunReport.objects.bulk_update(reports, ["status", "unit_counts", "reported_at"])
        emit(*messages)


# Whether a run was told is not asked before it is locked: the transaction that tells of it may not be over yet.
HANDLER = SetHandler(correct, interest="true" if settings.MES_ERP_URL else "false")


# --- messages ---------------------------------------------------------------------------------------------


def _complete(run: Run) -> None:
    """Enqueue the completion of a locked run, and keep what it says."""
    counts = count_units([run])[run.pk]
    emit(_event(run, key=_key(run), at=run.ended_at or run.created_at, payload=build(run, counts)))
    said = {"status": run.status, "unit_counts": _without_zeros(counts), "reported_at": timezone.now()}
    RunReport.objects.update_or_create(run=run, defaults=said)


def _key(run: Run) -> str:
    return f"{RUN_COMPLETION}:{run.run_no}"


def _correction_key(run: Run) -> str:
    return f"{RUN_CORRECTION}:{run.run_no}:{run.correction_no}"


def _last_key(run: Run) -> str:
    return _correction_key(run) if run.correction_no else _key(run)


def _event(run: Run, *, key: str, at: datetime, payload: dict[str, Any]) -> NewEvent:
    return NewEvent(
        event_type=EventType.OUTBOUND_FEEDBACK,
        key=key,
        entity_type="RUN",
        entity_id=run.run_no,
        occurred_at=at,
        run_id=run.pk,
        payload=payload,
        max_attempts=settings.MES_ERP_ATTEMPTS,
    )


def _without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {str(status): count for status, count in counts.items() if count}


def _with_total(counts: Mapping[str, int]) -> dict[str, int]:
    return {**counts, "total": sum(counts.values())}


def build(run: Run, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the completion of a run with these units by status. It is frozen here: each attempt sends the same."""
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
        "runKind": run.kind,
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
        "unitCounts": _with_total(counts),
    }


def _moment(at: datetime | None) -> str | None:
    return _time(at) if at else None
