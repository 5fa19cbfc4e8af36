"""Parts with serial numbers of their own in units: put in, taken out, and put in the place of others.

Locks: first, where units become parts of units, the one of assemblies, so that no two installations close a circle
together; then the units in the order of their ids.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from execution.materials.models import InstalledSerial
from execution.materials.where_used import list_inner
from execution.models import Track
from execution.quality.holds import catching
from mes import errors
from mes.labels import Action, Entity
from mes.plant.models import BomItem, Material, Station
from mes.platform.database.lookup import get_or_raise
from mes.production import locking, names
from mes.production.models import Unit, UnitStatus

ASSEMBLIES = "SELECT pg_advisory_xact_lock(hashtext('mes.assemblies'))"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part, and where and when it is put in; `by` is who is said to do it, `recorded_by` who was signed in."""

    station_code: str
    serial: str
    material_code: str
    at: datetime
    ref_des: str = ""
    by: str = ""
    recorded_by: str = ""


@dataclass(frozen=True)
class Installed:
    """A part in a unit, and whether it was put in by this call."""

    row: InstalledSerial
    changed: bool


@locking.atomically
def install(sn: str, part: Part, *, replaces: str | None = None, reason: str = "") -> Installed:
    """Put a part into a unit, perhaps in the place of another; one that is there already changes nothing.

    A serial number that is a unit's must be DONE, and be a part of the unit's product where that has a bill of
    materials. Raises UnitNotFound, StationNotFound, MaterialNotFound, InvalidTransition for a scrapped unit,
    UnitInstalled, ChildNotDone, BomMismatch, UnitInItself, ValidationFailed for what `replaces` is not there.
    """
    station = get_or_raise(Station.objects, errors.StationNotFound, code=part.station_code)
    material = get_or_raise(Material.objects, errors.MaterialNotFound, code=part.material_code)
    unit = names.get_unit(sn)
    locked, children = lock_with_parts([unit], [part.serial])
    made = put_in(
        locked[unit.pk],
        part,
        station=station,
        material=material,
        child=children.get(part.serial),
        track_id=_find_pass(unit, station, part.at),
        replaces=replaces,
        reason=reason,
    )
    if made.changed:
        catching.catch([unit.pk])
    return made


def lock_with_parts(units: Iterable[Unit], serials: Iterable[str]) -> tuple[dict[int, Unit], dict[str, Unit]]:
    """Lock units and those that serial numbers name, which become parts of them, once and all at once; return them all
    by their ids, and the parts by the serial numbers.
    """
    named = names.find_units(list(dict.fromkeys(serials)), Unit.objects.all())
    if named:
        _lock_assemblies()
    wanted = [unit.pk for unit in (*units, *named.values())]
    locked = {each.pk: each for each in locking.lock_units(Unit.objects.filter(pk__in=wanted))}
    return locked, {serial: locked[unit.pk] for serial, unit in named.items()}


def put_in(
    unit: Unit,
    part: Part,
    *,
    station: Station,
    material: Material,
    child: Unit | None,
    track_id: int | None,
    replaces: str | None = None,
    reason: str = "",
) -> Installed:
    """Put a part into a unit at a pass, if any; both were locked by `lock_with_parts`. Raises as `install` does."""
    present = _find_open(part.serial, material, child)
    if present is not None:
        if present.unit_id == unit.pk and present.ref_des == part.ref_des:
            return Installed(present, changed=False)
        raise _installed(present)
    if unit.status == UnitStatus.SCRAPPED:
        raise errors.InvalidTransition(action=Action.CHANGE, entity=Entity.UNIT, state=UnitStatus.SCRAPPED)
    if child is not None:
        _check_child(unit, child, material)
    if replaces is not None:
        take_out(unit, replaces, at=part.at, by=part.by, reason=reason, field="replaces")
    return Installed(_write(unit, station, material, child, track_id, part), changed=True)


def _lock_assemblies() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ASSEMBLIES)


def _find_open(serial: str, material: Material, child: Unit | None) -> InstalledSerial | None:
    """Return where a part is now: by the unit that it is, else by its material and serial number."""
    rows = InstalledSerial.objects.select_related("unit").filter(removed_at=None)
    if child is not None and (row := rows.filter(child=child).first()):
        return row
    return rows.filter(material=material, serial=serial).first()


def _installed(present: InstalledSerial) -> errors.UnitInstalled:
    return errors.UnitInstalled(serial=present.serial, sn=present.unit.sn)


def _check_child(unit: Unit, child: Unit, material: Material) -> None:
    if unit.pk in list_inner([child.pk]):
        raise errors.UnitInItself(sn=unit.sn, serial=child.sn)
    if child.status != UnitStatus.DONE:
        raise errors.ChildNotDone(serial=child.sn, status=UnitStatus(child.status))
    bill = BomItem.objects.filter(parent__code=unit.work_order.product_code)
    product = child.work_order.product_code
    is_part = bill.filter(child__code=product).exists() if bill.exists() else True
    if product != material.code or not is_part:
        raise errors.BomMismatch(serial=child.sn, material=product, product=unit.work_order.product_code)


def _write(
    unit: Unit, station: Station, material: Material, child: Unit | None, track_id: int | None, part: Part
) -> InstalledSerial:
    try:
        with transaction.atomic():
            return InstalledSerial.objects.create(
                unit=unit,
                serial=part.serial,
                material=material,
                child=child,
                ref_des=part.ref_des,
                station=station,
                track_id=track_id,
                installed_at=part.at,
                installed_by=part.by,
                recorded_by=part.recorded_by,
            )
    except IntegrityError as error:  # put into another unit at this moment
        present = _find_open(part.serial, material, child)
        if present is None:
            raise
        raise _installed(present) from error


def _find_pass(unit: Unit, station: Station, at: datetime) -> int | None:
    """Return the pass of a unit at a station that something at a time belongs to: the latest that had begun."""
    passes = Track.objects.filter(unit=unit, station=station, in_at__lte=at).order_by("-in_at", "-id")
    return passes.values_list("pk", flat=True).first()


def take_out(
    unit: Unit,
    serial: str,
    *,
    at: datetime,
    by: str,
    reason: str,
    material: Material | None = None,
    field: str = "serial",
) -> None:
    """Take a part out of a locked unit; without its `material`, the first that has this serial number. Raises
    ValidationFailed, of this field, where it is not in it.
    """
    rows = InstalledSerial.objects.select_for_update(no_key=True).filter(unit=unit, serial=serial, removed_at=None)
    row = (rows if material is None else rows.filter(material=material)).order_by("pk").first()
    if row is None:
        message = _("“{serial}” is not in unit “{sn}”.").format(serial=serial, sn=unit.sn)
        raise errors.ValidationFailed({field: message})
    row.removed_at, row.removed_by = max(at, row.installed_at), by
    row.remove_reason = reason or _("reported")
    row.save(update_fields=["removed_at", "removed_by", "remove_reason"])
