"""Uses of lots and tools for units, as machines and people report them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from execution.materials import installing
from execution.materials.installing import Part
from execution.materials.models import MaterialUse
from execution.models import Track
from execution.quality.holds import catching
from mes import errors
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools.models import Tool
from mes.plant.models import Material, Station
from mes.plant.scans import ScanKind, check_kind
from mes.platform.database.lookup import get_or_raise
from mes.platform.validators import validate_code
from mes.production import names
from mes.production.models import Unit
from mes.production.serial_numbers import no_such_unit


@dataclass(frozen=True, kw_only=True)
class Use:
    """One of a lot, a tool and a part with a serial number, which needs its material; for one unit."""

    unit_sn: str
    lot_id: str | None = None
    tool_id: str | None = None
    serial: str | None = None
    material_code: str | None = None
    slot: str = ""
    ref_des: str = ""
    quantity: Decimal | None = None
    is_removed: bool = False


@dataclass(frozen=True, kw_only=True)
class Reported:
    """Where and when uses happened, who is said to have done it, and what told of it."""

    station_code: str
    at: datetime
    by: str = ""
    recorded_by: str = ""
    event_id: str = ""


@transaction.atomic
def report(told: Reported, uses: Sequence[Use]) -> int:
    """Keep what was used; return how many rows it became. A lot exists from its first mention.

    Locks: that of assemblies where units are parts; the units that parts come into or out of, with those parts, all at
    once; then lots. Each use belongs to the latest pass of its unit at the station that had begun. Raises
    StationNotFound, UnitNotFound, SnUnreadable, SnIsReference, MaterialNotFound, ToolNotFound, ScanTypeMismatch, and
    what `installing` raises.
    """
    station = get_or_raise(Station.objects, errors.StationNotFound, code=told.station_code)
    units = _find_units([use.unit_sn for use in uses])
    materials = _find_materials({use.material_code for use in uses if use.material_code is not None})
    of_parts = [use for use in uses if use.serial is not None]
    locked, parts = _lock(of_parts, units)
    lots = _find_lots(uses, materials)
    tools = _find_tools({use.tool_id for use in uses if use.tool_id is not None})
    passes = _find_passes(list(units.values()), station, told.at)
    now, rows = timezone.now(), []
    for use in uses:
        unit = units[use.unit_sn]
        track = passes.get(unit.pk)
        if use.serial is not None:
            _report_serial(told, locked[unit.pk], use, station, materials, parts.get(use.serial), track)
            continue
        lot = None if use.lot_id is None else lots[use.lot_id]
        named = materials[use.material_code].pk if use.material_code is not None else None
        rows.append(
            MaterialUse(
                received_at=now,
                unit=unit,
                run_id=unit.run_id if track is None else track.run_id,
                track_id=None if track is None else track.pk,
                station=station,
                lot=lot,
                tool=None if use.tool_id is None else tools[use.tool_id],
                material_id=(lot.material_id if lot is not None else None) or named,
                slot=use.slot,
                ref_des=use.ref_des,
                quantity=use.quantity,
                is_removed=use.is_removed,
                used_at=told.at,
                event_id=told.event_id,
                recorded_by=told.recorded_by,
            )
        )
    MaterialUse.objects.bulk_create(rows, batch_size=1000)
    catching.catch(sorted({row.unit_id for row in rows} | {units[use.unit_sn].pk for use in of_parts}))
    return len(rows)


def _lock(of_parts: Sequence[Use], units: Mapping[str, Unit]) -> tuple[dict[int, Unit], dict[str, Unit]]:
    """Lock the units that parts come into or out of, with those that the parts are."""
    if not of_parts:
        return {}, {}
    serials = [use.serial for use in of_parts if use.serial is not None and not use.is_removed]
    return installing.lock_with_parts([units[use.unit_sn] for use in of_parts], serials)


def _report_serial(
    told: Reported,
    unit: Unit,
    use: Use,
    station: Station,
    materials: Mapping[str, Material],
    child: Unit | None,
    track: Track | None,
) -> None:
    assert use.serial is not None and use.material_code is not None
    material = materials[use.material_code]
    if use.is_removed:
        installing.take_out(unit, use.serial, at=told.at, by=told.by, reason="", material=material)
        return
    part = Part(
        station_code=told.station_code,
        serial=use.serial,
        material_code=use.material_code,
        at=told.at,
        ref_des=use.ref_des,
        by=told.by,
        recorded_by=told.recorded_by,
    )
    track_id = None if track is None else track.pk
    installing.put_in(unit, part, station=station, material=material, child=child, track_id=track_id)


def _find_units(sns: Sequence[str]) -> dict[str, Unit]:
    found = names.find_units(list(dict.fromkeys(sns)), Unit.objects.all())
    for sn in sns:
        if sn not in found:
            names.find_names([sn]).check_no_reference([sn])
            raise no_such_unit(sn, None)
    return dict(found)


def _find_materials(codes: set[str]) -> dict[str, Material]:
    found = Material.objects.in_bulk(sorted(codes), field_name="code")
    if missing := sorted(codes - found.keys()):
        raise errors.MaterialNotFound(code=missing[0])
    return found


def _find_tools(tool_ids: set[str]) -> dict[str, Tool]:
    found = Tool.objects.in_bulk(sorted(tool_ids), field_name="tool_id")
    if missing := sorted(tool_ids - found.keys()):
        raise errors.ToolNotFound(code=missing[0])
    return found


def _find_lots(uses: Sequence[Use], materials: Mapping[str, Material]) -> dict[str, MaterialLot]:
    """Return the lots that are named, in the order of their ids; new ones with the material that was told."""
    told = {use.lot_id: use.material_code for use in uses if use.lot_id is not None}
    found = MaterialLot.objects.in_bulk(sorted(told), field_name="lot_id")
    for lot_id in sorted(told.keys() - found.keys()):
        _check_new(lot_id)
        check_kind(lot_id, ScanKind.LOT)
        code = told[lot_id]
        material = None if code is None else materials[code]
        found[lot_id], _made = MaterialLot.objects.get_or_create(lot_id=lot_id, defaults={"material": material})
    return found


def _check_new(lot_id: str) -> None:
    try:
        validate_code(lot_id)
    except ValidationError as error:
        raise errors.ValidationFailed({"lotId": " ".join(error.messages)}) from None


def _find_passes(units: Sequence[Unit], station: Station, at: datetime) -> dict[int, Track]:
    """Return the latest pass of each unit at a station that had begun by a time."""
    passes = Track.objects.filter(unit__in=units, station=station, in_at__lte=at).order_by("in_at", "id")
    return {track.unit_id: track for track in passes.only("unit_id", "run_id", "in_at")}
