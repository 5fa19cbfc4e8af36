"""What was decided about orders, runs, lines and stations: written here only, read as their history."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from mes.labels import Action
from mes.plant.models import Line, Station
from mes.platform.database.authorship import give_reason
from mes.production.decision_models import Decision
from mes.production.models import Run, WorkOrder

Decided = WorkOrder | Run | Line | Station


def record(
    about: Decided,
    act: Action,
    *,
    by: str,
    reason: str = "",
    from_status: str = "",
    to_status: str = "",
    changes: dict[str, list[Any]] | None = None,
    approved_by: str = "",
) -> Decision:
    """Keep one act on an order, a run, a line or a station, in the transaction that carries it out, its row locked.

    `changes` are of fields named as in the API: {field: [old, new]}, with values that JSON has.
    """
    give_reason(reason)
    return Decision.objects.create(
        **_about(about),
        act=act.value,
        from_status=from_status,
        to_status=to_status,
        changes=changes or {},
        reason=reason,
        decided_by=by,
        approved_by=approved_by,
    )


def list_decisions(about: Decided) -> QuerySet[Decision]:
    """Return what was decided about an order, a run, a line or a station, the newest first."""
    return Decision.objects.filter(**_about(about)).order_by("-id")


_COLUMNS: Mapping[type[Decided], str] = {WorkOrder: "work_order", Run: "run", Line: "line", Station: "station"}


def _about(thing: Decided) -> dict[str, Any]:
    """Return the column that names a thing, and the thing."""
    return {_COLUMNS[type(thing)]: thing}
