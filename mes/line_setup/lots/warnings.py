"""By the clock: telling of lots whose floor life ends soon, once for each lot and clock."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.loads.queries import lines_of
from mes.line_setup.lots.clocks import read_clocks
from mes.line_setup.lots.floor_life import FLOOR_LIFE, OPENS, Clock
from mes.line_setup.lots.models import LotStatus, MaterialLot
from mes.platform.accounts.roles import Role
from mes.platform.database.prepared import fetch_all
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, notify
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep

BATCH = 500
TOLD = frozenset({Role.SUPERVISOR.value})
_LONGEST = timedelta(hours=max(filter(None, FLOOR_LIFE.hours.values())))
_LIMITED = [level for level, hours in FLOOR_LIFE.hours.items() if hours is not None]

# What was opened or loaded within the longest floor life, and what was split from it: of what has lain open for longer,
# nothing is left, and the clock of what has not been opened does not run.
OPENED = f"""
    WITH RECURSIVE opened (id) AS (
        SELECT lot_id FROM mes_lotevent
         WHERE kind IN ({", ".join(f"'{kind}'" for kind in OPENS)}) AND at > %(since)s
        UNION
        SELECT lot_id FROM mes_load WHERE lot_id IS NOT NULL AND loaded_at > %(since)s
        UNION
        SELECT lot.id FROM opened JOIN mes_materiallot lot ON lot.parent_id = opened.id)
    SELECT id FROM opened ORDER BY id
"""


def sweep() -> dict[str, int]:
    """Tell of lots that lie open and whose floor life ends soon; return how many there are.

    Who was told of a clock is not told of it again. Raises SweepIncomplete when all others are done, where some failed.
    """
    now = timezone.now()
    ending = 0
    with Sweep("floor life") as lots_of_all:
        for lots in _batches():
            with lots_of_all.row(lots[0].lot_id), transaction.atomic():
                ending += _tell(lots, now)
    return {"ending": ending}


def _batches() -> Iterator[Sequence[MaterialLot]]:
    """Yield the lots that may be used, have a floor life and may lie open, some at a time."""
    rows = MaterialLot.objects.select_related("material").filter(
        Q(msl__in=_LIMITED) | Q(msl="", material__msl__in=_LIMITED), status=LotStatus.AVAILABLE
    )
    opened = [lot_id for (lot_id,) in fetch_all(OPENED, {"since": timezone.now() - _LONGEST})]
    for start in range(0, len(opened), BATCH):
        if lots := list(rows.filter(pk__in=opened[start : start + BATCH]).order_by("pk")):
            yield lots


def _tell(lots: Sequence[MaterialLot], now: datetime) -> int:
    clocks = read_clocks(lots, now)
    ending = [lot for lot in lots if _ends_soon(clocks[lot.pk], now)]
    if ending:
        lines = lines_of("lot", [lot.pk for lot in ending])
        notify([_notice(lot, clocks[lot.pk], lines.get(lot.pk)) for lot in ending])
    return len(ending)


def _ends_soon(clock: Clock, now: datetime) -> bool:
    end = clock.good_until
    return not clock.is_expired and end is not None and end - now <= settings.MES_FLOOR_LIFE_WARNING


def _notice(lot: MaterialLot, clock: Clock, line_id: int | None) -> Notice:
    minutes = clock.left_minutes or 0
    text = _("The floor life of lot %(lot)s (%(material)s) ends in %(hours)d h %(minutes)d min, if it stays open.")
    material = lot.material.code if lot.material else ""
    return Notice(
        key=f"floor-life:{lot.pk}:{clock.began_at.isoformat() if clock.began_at else ''}",
        severity=Severity.WARNING,
        text=text % {"lot": lot.lot_id, "material": material, "hours": minutes // 60, "minutes": minutes % 60},
        roles=TOLD,
        line_id=line_id,
        is_of_all_lines=line_id is None,
        event=NoticeEvent.CLOCK_WARNING,
        facts={"lotId": lot.lot_id, "materialCode": material},
        address=reverse("lot", args=[lot.lot_id]),
    )


TASK = ScheduledTask("floor life", gettext_lazy("Warnings before the end of floor lives"), sweep, cron="*/5 * * * *")
