"""Carriers: which units they carry, and their own passes.

The loads of a unit are changed by whoever holds the unit's row; what a carrier carries is changed by whoever holds its
row, too, locked after its units. A unit that is done or scrapped leaves its carrier (`moves_sql`, `take_off`), or the
next report of the carrier would mean it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from execution.models import Carrier, CarrierLoad, CarrierTrack, CarrierTrackUnit, Track
from execution.reach import check_speaks_for
from mes import errors
from mes.plant.models import Station
from mes.plant.scans import ScanKind, check_kind, scanned_as
from mes.platform.inbound.sender import EVERYWHERE, Sender
from mes.platform.validators import check_new_code
from mes.production import locking
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import named

OFF_CARRIER = (UnitStatus.DONE, UnitStatus.SCRAPPED)  # units that moves no carrier any more


@dataclass(frozen=True)
class Placing:
    """A unit to be put on a carrier."""

    sn: str
    position: str = ""


def lock_carrier(carrier_no: str) -> Carrier:
    """Return the carrier, made at its first mention, with its row locked (inside a transaction).

    Raises ValidationFailed for a first mention by what can be no code.
    """
    check_new_code("carrierNo", carrier_no, unless=Carrier.objects.filter(carrier_no=carrier_no).exists)
    Carrier.objects.bulk_create([Carrier(carrier_no=carrier_no)], ignore_conflicts=True)
    return Carrier.objects.select_for_update(no_key=True).get(carrier_no=carrier_no)


def lock_carriers(carrier_nos: Sequence[str]) -> dict[str, Carrier]:
    """Return carriers, made at their first mention, with their rows locked in the order of their ids; four statements.

    Raises ValidationFailed for a first mention by what can be no code.
    """
    known = set(Carrier.objects.filter(carrier_no__in=carrier_nos).values_list("carrier_no", flat=True))
    new = sorted(set(carrier_nos) - known)
    for carrier_no in new:
        check_new_code("carrierNo", carrier_no)
    Carrier.objects.bulk_create([Carrier(carrier_no=carrier_no) for carrier_no in new], ignore_conflicts=True)
    rows = Carrier.objects.select_for_update(no_key=True).filter(carrier_no__in=carrier_nos).order_by("pk")
    return {carrier.carrier_no: carrier for carrier in rows}


def unload_locked(carrier: Carrier, loads: Sequence[CarrierLoad], *, at: datetime) -> None:
    """Take units off a locked carrier."""
    CarrierLoad.objects.filter(pk__in=[load.pk for load in loads]).update(unloaded_at=at)
    _note_change(carrier, at)


def list_loads(carrier: Carrier) -> list[CarrierLoad]:
    """Return what a carrier carries now, by position."""
    loads = CarrierLoad.objects.filter(carrier=carrier, unloaded_at=None).select_related("unit")
    return list(loads.order_by("position", "id"))


@locking.atomically
def load(
    *, carrier_no: str, placings: Sequence[Placing], at: datetime | None = None, sender: Sender = EVERYWHERE
) -> list[CarrierLoad]:
    """Put units on a carrier; return what it carries then. A unit is taken off any other carrier first.

    Raises UnitNotFound, SnIsReference, ScanTypeMismatch for what is known as something else than a unit or a carrier,
    UnitScrapped, StationNotAllowed for units that are another station's than the sender's, and ValidationFailed when a
    unit or a position is named twice or a position is taken.
    """
    at = at or timezone.now()
    with scanned_as(ScanKind.UNIT):
        by_name = locking.lock_units_by_sn([placing.sn for placing in placings])
    check_kind(carrier_no, ScanKind.CARRIER)
    placings = [replace(placing, sn=by_name[placing.sn].sn) for placing in placings]
    units = {unit.sn: unit for unit in by_name.values()}
    for unit in units.values():
        if unit.status == UnitStatus.SCRAPPED:
            raise errors.UnitScrapped(sn=unit.sn)
    carrier = lock_carrier(carrier_no)
    current = {item.unit_id: item for item in list_loads(carrier)}
    check_speaks_for(sender, [*units.values(), *(item.unit for item in current.values())])
    _check_placings(placings, stay=[item for item in current.values() if item.unit.sn not in units])
    here = {item.unit.sn: item.position for item in current.values()}
    moved = [placing for placing in placings if here.get(placing.sn) != placing.position]
    CarrierLoad.objects.filter(unit__in=[units[placing.sn] for placing in moved], unloaded_at=None).update(
        unloaded_at=at
    )
    CarrierLoad.objects.bulk_create(
        CarrierLoad(carrier=carrier, unit=units[placing.sn], position=placing.position, loaded_at=at)
        for placing in moved
    )
    _note_change(carrier, at)
    return list_loads(carrier)


def _check_placings(placings: Sequence[Placing], *, stay: Sequence[CarrierLoad]) -> None:
    """Raise ValidationFailed when a unit or a position is named twice, or a position holds one of those that stay."""
    holders = {item.position: item.unit.sn for item in stay if item.position}
    seen: set[str] = set()
    for index, placing in enumerate(placings):
        if placing.sn in seen:
            raise errors.ValidationFailed({f"units.{index}.sn": _("Named more than once.")})
        seen.add(placing.sn)
        holder = holders.setdefault(placing.position, placing.sn) if placing.position else placing.sn
        if holder != placing.sn:
            message = _("Position “{position}” holds unit “{sn}”; unload it first.")
            raise errors.ValidationFailed(
                {f"units.{index}.position": message.format(position=placing.position, sn=holder)}
            )


@locking.atomically
def unload(
    *,
    carrier_no: str,
    sns: Sequence[str] | None = None,
    at: datetime | None = None,
    sender: Sender = EVERYWHERE,
) -> list[CarrierLoad]:
    """Take units, or all, off a carrier; return what it still carries.

    Raises CarrierNotFound, and StationNotAllowed where it carries units that are another station's than the sender's.
    """
    at = at or timezone.now()
    if not Carrier.objects.filter(carrier_no=carrier_no).exists():
        raise errors.CarrierNotFound(code=carrier_no)
    carried = CarrierLoad.objects.filter(carrier__carrier_no=carrier_no, unloaded_at=None)
    if sns is not None:
        carried = carried.filter(unit__in=Unit.objects.filter(named(sns)))
    units = locking.lock_units(Unit.objects.filter(pk__in=list(carried.values_list("unit_id", flat=True))))
    carrier = lock_carrier(carrier_no)
    if not {unit.pk for unit in units}.issuperset(carried.values_list("unit_id", flat=True)):
        raise locking.Outdated
    check_speaks_for(sender, [*units, *(item.unit for item in list_loads(carrier))])
    carried.update(unloaded_at=at)
    _note_change(carrier, at)
    return list_loads(carrier)


def take_off(unit: Unit, *, at: datetime) -> None:
    """Take a locked unit off the carrier that carries it, if any (inside a transaction)."""
    load = CarrierLoad.objects.select_related("carrier").filter(unit=unit, unloaded_at=None).first()
    if load is None:
        return
    carrier = lock_carrier(load.carrier.carrier_no)
    load.unloaded_at = max(at, load.loaded_at)
    load.save(update_fields=["unloaded_at"])
    _note_change(carrier, at)


def _note_change(carrier: Carrier, at: datetime) -> None:
    Carrier.objects.filter(pk=carrier.pk).update(changed_at=at)


def settle_loads(carrier: Carrier, units: Sequence[tuple[Unit, str]], *, at: datetime) -> None:
    """Make a locked carrier carry exactly these (unit, position): the machine saw them on it at `at`.

    A report from before the carrier was last loaded or unloaded changes nothing; a unit that was put on another carrier
    since then stays there. Units that were done or scrapped before are not carried, whatever it saw.
    """
    if carrier.changed_at is not None and at < carrier.changed_at:
        return
    _note_change(carrier, at)
    later = CarrierLoad.objects.filter(unit__in=[unit for unit, _position in units], loaded_at__gt=at, unloaded_at=None)
    elsewhere = set(later.exclude(carrier=carrier).values_list("unit_id", flat=True))
    carried = [(unit, position) for unit, position in units if unit.status not in OFF_CARRIER]
    positions = {unit.pk: position for unit, position in carried if unit.pk not in elsewhere}
    current = {item.unit_id: item for item in list_loads(carrier)}
    replaced_loads = [item.pk for unit_id, item in current.items() if positions.get(unit_id) != item.position]
    CarrierLoad.objects.filter(pk__in=replaced_loads).update(unloaded_at=at)
    new_unit_ids = [unit_id for unit_id in positions if unit_id not in current or current[unit_id].pk in replaced_loads]
    CarrierLoad.objects.filter(unit__in=new_unit_ids, unloaded_at=None).update(unloaded_at=at)
    CarrierLoad.objects.bulk_create(
        CarrierLoad(carrier=carrier, unit_id=unit_id, position=positions[unit_id], loaded_at=at)
        for unit_id in new_unit_ids
    )


def record_pass(
    carrier: Carrier,
    *,
    run: Run,
    step_no: int,
    operation_code: str,
    station: Station,
    at: datetime,
    is_through: bool = True,
) -> CarrierTrack:
    """Record that a carrier passed a station; if it is not `is_through`, that it entered."""
    return CarrierTrack.objects.create(
        carrier=carrier,
        run=run,
        step_no=step_no,
        operation_code=operation_code,
        station=station,
        in_at=at,
        out_at=at if is_through else None,
    )


def find_pass(carrier: Carrier, track_ids: Sequence[int]) -> CarrierTrack | None:
    """Return the latest pass of a carrier that passes of units were part of."""
    passes = CarrierTrack.objects.filter(carrier=carrier, unit_tracks__track__in=track_ids)
    return passes.order_by("-id").first()


def end_pass(carrier_track: CarrierTrack, *, at: datetime) -> None:
    """Record that a carrier left the station that it had entered."""
    if carrier_track.out_at is None:
        carrier_track.out_at = max(at, carrier_track.in_at)
        carrier_track.save(update_fields=["out_at"])


def join_pass(carrier_track: CarrierTrack, tracks: Sequence[Track]) -> None:
    """Record which passes of units were part of a carrier's."""
    CarrierTrackUnit.objects.bulk_create(CarrierTrackUnit(carrier_track=carrier_track, track=track) for track in tracks)
