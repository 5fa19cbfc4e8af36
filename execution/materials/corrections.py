"""What a corrected load means for units: how many are told of another lot now, and which are held for it.

The hold is written in the transaction of the correction, with the batches by which the worker holds the units: whoever
dies in between leaves it to be done, and nothing is held twice (`execution.quality.holds.batches`).
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _

from execution import dispositions
from execution.materials.where_used import Passes, Sought, parameters, select_units
from execution.quality.holds import batches, catching
from mes import errors
from mes.line_setup.loads.models import Load, Verify
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.lots.rules import find_faults
from mes.production.hold_models import Hold, HoldScope, HoldSource
from mes.production.models import Unit, UnitStatus


def watch(lot_ids: Collection[int], tool_ids: Collection[int], since: datetime) -> Callable[[], tuple[int, int]]:
    """Note which units have these lots and tools, and return a function that says, after a correction, how many have
    one that they had not, and how many no longer one that they had. Units that gained a lot which was wrong or could
    not be used then are held by the worker.
    """
    sought = {("lot", pk): Sought(lot_ids=[pk]) for pk in lot_ids}
    sought |= {("tool", pk): Sought(tool_ids=[pk]) for pk in tool_ids}
    before = {thing: _find(each) for thing, each in sought.items()}

    def count() -> tuple[int, int]:
        gained: set[int] = set()
        lost: set[int] = set()
        for thing, each in sought.items():
            after = _find(each)
            came = after - before[thing]
            gained |= came
            lost |= before[thing] - after
            if came and thing[0] == "lot":
                _hold_where_bad(thing[1], sorted(came), since)
        catching.catch(sorted(gained))
        return len(gained), len(lost)

    return count


def _find(sought: Sought) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(select_units(Passes()), parameters(sought))
        return {unit_id for (unit_id,) in cursor.fetchall()}


def _hold_where_bad(lot_id: int, unit_ids: Sequence[int], since: datetime) -> None:
    """Have units held for a lot that they turn out to have, if it was wrong, blocked or expired when it was loaded."""
    lot = MaterialLot.objects.get(pk=lot_id)
    faults = _list_faults(lot, since)
    held = Unit.objects.filter(pk__in=unit_ids).exclude(status=UnitStatus.SCRAPPED).order_by("pk")
    to_hold = list(held.values_list("pk", flat=True)) if faults else []
    if not to_hold:
        return
    reason = _("Corrected load: it was made with lot {lot} ({faults}).").format(
        lot=lot.lot_id, faults=", ".join(faults)
    )
    hold = Hold.objects.create(
        scope=HoldScope.UNITS,
        source=HoldSource.MATERIAL,
        reason=reason,
        condition={"lotId": lot.lot_id},
        to_apply=len(to_hold),
        applied_up_to=0,
        opened_by=dispositions.SYSTEM,
        **catching.position_now(),
    )
    batches.plan(hold, to_hold)


def _list_faults(lot: MaterialLot, since: datetime) -> list[str]:
    """Return what was wrong with a lot as it was loaded, since the earliest time that a correction changed."""
    faults: list[str] = []
    for load in Load.objects.filter(lot=lot, loaded_at__gte=since).order_by("loaded_at"):
        found = [code for code in find_faults(lot, load.loaded_at) if code != errors.LotUsedUp.code]
        faults += [*([str(Verify.WRONG_PART)] if load.verify == Verify.WRONG_PART else []), *found]
    return list(dict.fromkeys(faults))
