"""Units that a time rule holds."""

from collections.abc import Mapping

from execution import dispositions
from mes.production import locking
from mes.production.hold_models import HoldSource
from mes.production.models import Unit
from mes.production.names import named


def hold_out_of_time(reasons: Mapping[str, str]) -> None:
    """Hold units by their serial numbers, each for its reason; the caller locked their rows. The statements are the
    same for any number.
    """
    units = [unit for unit in locking.lock_units(Unit.objects.filter(named(sorted(reasons)))) if unit.sn in reasons]
    decisions = [dispositions.put_on_hold(unit, reason=reasons[unit.sn], source=HoldSource.TIME) for unit in units]
    dispositions.save_holds([decision for decision in decisions if decision is not None])
