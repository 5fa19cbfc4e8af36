"""What comes to fit a condition later: found by its moves at once, by all else within a minute, and held.

A move or a defect writes an event, which is wanted only while a hold catches (`INTEREST`); only the units that it is
about are looked at. What came by without an event, such as a value, or a unit that was put into another run, is found
by the sweep: it looks at what has changed since it looked last. Either only has the units held, in a transaction of its
own (`batches`): events of moves are handled with others, whose locks come after those of units.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from execution.materials.where_used import list_outer
from execution.models import Track
from execution.quality.holds import batches, matching
from execution.quality.holds.condition import Condition, Named, from_document, resolve
from mes.errors import ValidationFailed
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.production.hold_models import Hold, HoldScope, HoldStatus
from mes.production.models import OPEN_RUN_STATUSES, Run

logger = structlog.get_logger(__name__)

INTEREST = f"""
    EXISTS (SELECT FROM mes_hold h WHERE h.status = '{HoldStatus.OPEN}' AND h.catches AND h.condition IS NOT NULL)"""

# What was stamped before the last look and committed after it: as old as a request may be, and as many values.
SLACK = timedelta(minutes=2)
SLACK_VALUES = 50_000


def catching_holds() -> QuerySet[Hold]:
    """Return the open holds that catch what comes."""
    return Hold.objects.filter(status=HoldStatus.OPEN, catches=True, scope=HoldScope.UNITS, condition__isnull=False)


# --- by moves and defects ---------------------------------------------------------------------------------------


def handle(events: Sequence[MesEvent]) -> None:
    """Have the units that moved, or that a defect was found on, held by what they fit now."""
    track_ids = [int(track_id) for event in events if str(track_id := event.payload.get("trackId")).isdecimal()]
    unit_ids = {int(unit_id) for event in events if str(unit_id := event.payload.get("unitId")).isdecimal()}
    if track_ids:
        unit_ids |= set(Track.objects.filter(pk__in=track_ids).values_list("unit_id", flat=True))
    catch(sorted(unit_ids))


HANDLER = SetHandler(handle, interest=INTEREST)


def catch(unit_ids: Sequence[int]) -> None:
    """Have these units held by each hold that catches them, in the caller's transaction."""
    if not unit_ids:
        return
    for hold in catching_holds().order_by("pk"):
        read = _read(hold)
        if read is not None:
            _catch(hold, *read, unit_ids)


def _read(hold: Hold) -> tuple[Condition, Named] | None:
    """Return what a hold is about; None where what it names is there no more: nothing can come to fit."""
    condition = from_document(hold.condition or {})
    try:
        return condition, resolve(condition)
    except ValidationFailed as gone:
        logger.warning("a hold names what is there no more", hold=hold.hold_no, fields=sorted(gone.details))
        return None


def _catch(hold: Hold, condition: Condition, named: Named, unit_ids: Sequence[int]) -> None:
    if condition.asks_for_material:
        unit_ids = list_outer(unit_ids)  # what comes into a unit is in those that it is in
    found = matching.find_named(condition, named, among=unit_ids, catching=hold.pk)
    waiting = batches.list_waiting(hold) if found else set()
    if caught := [unit_id for unit_id in found if unit_id not in waiting]:
        batches.plan(hold, caught, is_caught=True)


# --- by all else ------------------------------------------------------------------------------------------------


def position_now() -> dict[str, Any]:
    """Return from where on a new hold looks at what changes."""
    return {"caught_up_to": timezone.now(), "caught_up_value_id": _last_value_id()}


def _last_value_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce((SELECT id FROM execution_datavalue ORDER BY id DESC LIMIT 1), 0)")
        [last] = cursor.fetchone()
    return int(last)


@transaction.atomic
def wait_for_moves(condition: Condition) -> None:
    """Wait for units that are moving and may come to fit: who moves one holds its run (`mes.production.locking`). Who
    moves after this sees the hold, which is committed.
    """
    runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES)
    if condition.run_no is not None:
        runs = runs.filter(run_no=condition.run_no)
    if condition.wo_no is not None:
        runs = runs.filter(work_order__wo_no=condition.wo_no)
    if condition.product_code is not None:
        runs = runs.filter(work_order__product_code=condition.product_code)
    list(runs.select_for_update(no_key=True, of=("self",)).order_by("pk").only("pk"))


@transaction.atomic
def catch_up(hold_id: int, *, since: datetime | None = None) -> None:
    """Have a hold catch what came to fit since it looked last. Of two that look at once, one waits."""
    hold = catching_holds().select_for_update(no_key=True).filter(pk=hold_id).first()
    read = None if hold is None else _read(hold)
    if hold is None or read is None:
        return
    position = position_now()
    condition, named = read
    changed = _list_changed(hold, named, (since or hold.caught_up_to or hold.opened_at) - SLACK)
    _catch(hold, condition, named, changed)
    hold.caught_up_to, hold.caught_up_value_id = position["caught_up_to"], position["caught_up_value_id"]
    hold.save(update_fields=["caught_up_to", "caught_up_value_id"])


# Units of open runs by their last change; of values and defects, which come in the order of their ids, the last ones.
_CHANGED = """
    SELECT u.id FROM mes_unit u
     WHERE u.run_id = ANY(ARRAY(SELECT id FROM mes_run WHERE status = ANY(%(open)s))) AND u.updated_at >= %(since)s
     UNION
    SELECT d.unit_id FROM execution_defect d
     WHERE d.id > (SELECT coalesce(max(id), 0) FROM execution_defect) - %(slack)s AND d.created_at >= %(since)s
     UNION
    SELECT v.unit_id FROM execution_datavalue v
     WHERE v.id > %(values_from)s AND v.received_at >= %(long_since)s AND v.spec_id = ANY(%(spec_ids)s)
       AND v.unit_id IS NOT NULL
     UNION
    SELECT t.unit_id FROM execution_datavalue v
      JOIN execution_carriertrackunit c ON c.carrier_track_id = v.carrier_track_id
      JOIN execution_track t ON t.id = c.track_id
     WHERE v.id > %(values_from)s AND v.received_at >= %(long_since)s AND v.spec_id = ANY(%(spec_ids)s)
"""


def _list_changed(hold: Hold, named: Named, since: datetime) -> list[int]:
    """Return the units that moved, were decided about, or got values or defects since a time."""
    values: dict[str, Any] = {
        "open": [str(status) for status in OPEN_RUN_STATUSES],
        "since": since,
        "long_since": since - timedelta(days=1),
        "slack": SLACK_VALUES,
        "values_from": (hold.caught_up_value_id or 0) - SLACK_VALUES,
        "spec_ids": named.spec_ids or [],
    }
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED, values)
        return sorted(unit_id for (unit_id,) in cursor.fetchall())


def sweep() -> None:
    """Have every hold that catches look at what changed; raises SweepIncomplete at the end, where one failed."""
    with Sweep("holds that catch") as holds:
        for hold_id in catching_holds().order_by("pk").values_list("pk", flat=True):
            with holds.row(hold_id):
                catch_up(hold_id)


TASK = ScheduledTask("holds that catch", _("Holds that catch what comes"), sweep, cron="* * * * * */30")
