"""What a hold is at: its units, what was decided about it, and who signed that."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from execution.quality.holds.models import HoldBatch
from mes.platform.signatures.queries import read_latest
from mes.production.hold_decisions import RECORD_TYPE
from mes.production.hold_models import HeldUnit, HeldUnitEnd, Hold, HoldDecision

SHOWN = 200  # units
OPENED = "HELD"


def count(hold: Hold) -> dict[str, Any]:
    """Return how many units a hold has had, has, and will have."""
    ends = {"released": HeldUnitEnd.RELEASED, "reworked": HeldUnitEnd.REWORK, "scrapped": HeldUnitEnd.SCRAP}
    counted = HeldUnit.objects.filter(hold=hold).aggregate(
        units=Count("id"),
        open=Count("id", filter=Q(ended_at=None)),
        **{name: Count("id", filter=Q(end=end)) for name, end in ends.items()},
    )
    waiting = HoldBatch.objects.filter(hold=hold).values_list("unit_ids", flat=True)
    return {**counted, "toApply": hold.to_apply, "pending": sum(map(len, waiting))}


def list_history(hold: Hold) -> list[dict[str, Any]]:
    """Return what was decided about a hold, the oldest first."""
    decisions = list(HoldDecision.objects.filter(hold=hold).order_by("id"))
    signed = read_latest(RECORD_TYPE, [decision.pk for decision in decisions])
    opened: dict[str, Any] = {"act": OPENED, "by": hold.opened_by, "at": hold.opened_at, "reason": hold.reason}
    history = [{**opened, "count": None, "signature": None}]
    for decision in decisions:
        history.append(
            {
                "act": decision.end,
                "by": decision.decided_by,
                "at": decision.decided_at,
                "reason": decision.reason,
                "count": len(decision.sns) or None,
                "signature": signed.get(str(decision.pk)),
            }
        )
    return history


def signed_at_of(history: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Return when a decision of `list_history` was signed last; None where none was."""
    return max((event["signature"].signed_at for event in history if event["signature"]), default=None)


def list_open_numbers(unit_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the numbers of what holds units at present, by unit, the oldest first; no query for none."""
    found: dict[int, list[str]] = {}
    if ids := list(unit_ids):
        rows = HeldUnit.objects.filter(unit__in=ids, ended_at=None).order_by("hold_id")
        for unit_id, hold_id in rows.values_list("unit", "hold"):
            found.setdefault(unit_id, []).append(Hold.number_of(hold_id))
    return found


def list_units(hold: Hold) -> list[dict[str, Any]]:
    """Return units of a hold: those that it holds first."""
    rows = HeldUnit.objects.filter(hold=hold).select_related("unit")
    open_ones = list(rows.filter(ended_at=None).order_by("id")[:SHOWN])
    ended = list(rows.filter(ended_at__isnull=False).order_by("id")[: SHOWN - len(open_ones)])
    return [
        {
            "sn": row.unit.sn,
            "status": row.unit.status,
            "heldAt": row.held_at,
            "endedAt": row.ended_at,
            "end": row.end or None,
        }
        for row in [*open_ones, *ended]
    ]
