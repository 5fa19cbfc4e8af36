"""Labels of units: a unit gets another serial number, and the one that it had finds it for ever.

What was said of it stays as it was said: events, messages, the outbox. What is live goes by the unit and not by its
name, or follows: its clocks here, what is told of them later when it is handled (`time_rules.services.record`).
"""

from dataclasses import dataclass

from django.db import IntegrityError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from psycopg.errors import UniqueViolation

from mes import errors
from mes.plant.scans import ScanKind, check_kind
from mes.production import locking, runs
from mes.production.identity_models import UnitAlias
from mes.production.models import Run, Unit
from mes.production.names import find_names
from mes.production.serial_numbers import check_new
from mes.time_rules.services import relabel_unit as relabel_clocks


@dataclass(frozen=True, slots=True)
class Relabelling:
    """A unit under its new serial number, and the one that it had."""

    unit: Unit
    earlier_sn: str


@locking.atomically
def relabel(*, sn: str, new_sn: str, reason: str, by: str) -> Relabelling:
    """Give a unit another serial number. `sn` may be an earlier one itself, and `new_sn` one that this unit had before.

    Raises UnitNotFound, SnIsReference, SnTaken, SnUnreadable, SnMaskMismatch, ScanTypeMismatch,
    ValidationFailed.
    """
    unit = locking.lock_named_units([sn])[0]
    return relabel_locked(unit, new_sn, reason=reason, by=by)


def relabel_locked(unit: Unit, new_sn: str, *, reason: str, by: str) -> Relabelling:
    """Relabel a locked unit as `relabel` does, inside a transaction that `locking.atomically` restarts."""
    earlier_sn = unit.sn
    check_may_have(unit, new_sn)
    try:
        reason = _with_earlier(reason, UnitAlias.objects.filter(unit=unit, sn=new_sn).first())
        UnitAlias.objects.filter(unit=unit, sn=new_sn).delete()
        unit.sn = new_sn
        unit.save(update_fields=["sn", "updated_at"])
        UnitAlias.objects.create(
            sn=earlier_sn, unit=unit, reason=reason, relabelled_by=by[:150], relabelled_at=timezone.now()
        )
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):  # taken at this moment: asked again, it is refused in words
            raise locking.Outdated from error
        raise
    relabel_clocks(earlier_sn, new_sn)
    return Relabelling(unit, earlier_sn)


def _with_earlier(reason: str, again: UnitAlias | None) -> str:
    """Return the reason; where a unit gets a serial number again, with who took it from the unit, and why."""
    if again is None:
        return reason
    told = _("%(reason)s · %(sn)s was replaced by %(by)s at %(at)s: %(earlier)s") % {
        "reason": reason,
        "sn": again.sn,
        "by": again.relabelled_by,
        "at": date_format(timezone.localtime(again.relabelled_at), "DATETIME_FORMAT"),
        "earlier": again.reason,
    }
    return told[:500]


def check_may_have(unit: Unit, new_sn: str) -> None:
    """Raise why a unit may not have a serial number: SnTaken, SnUnreadable, SnMaskMismatch, ValidationFailed,
    ScanTypeMismatch for what another kind of thing is called. One that it had before it may have again.
    """
    names = find_names([new_sn])
    if names.present.get(new_sn) == unit.sn:
        return
    if names.present or names.references or Unit.objects.filter(sn=new_sn).exists():
        raise errors.SnTaken(sn=new_sn)
    check_kind(new_sn, ScanKind.UNIT)
    check_new([new_sn], _masks_of(unit))


def _masks_of(unit: Unit) -> list[str]:
    """Return the masks of a unit's frozen route; none of one that is in no run."""
    if unit.run_id is None:
        return []
    run = Run.objects.select_related("route_version").defer("route_version__snapshot").get(pk=unit.run_id)
    return list(runs.snapshot_of(run).sn_masks)
