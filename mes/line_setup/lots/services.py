"""Lots are registered, split, blocked and counted, and what happens to them is recorded.

A lot is locked before what happens to it is written; several at once in the order of their keys, and a split with the
lot that all its family comes from, so that blocking a lot misses none that is split from it meanwhile.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from mes import errors
from mes.line_setup.lots import hooks, rules
from mes.line_setup.lots.floor_life import KINDS
from mes.line_setup.lots.labels import Label, read_label
from mes.line_setup.lots.models import LotEvent, LotEventKind, LotStatus, MaterialLot
from mes.line_setup.lots.queries import plain, rest_of
from mes.plant.models import Material
from mes.plant.scans import ScanKind, check_kind
from mes.platform.inbound.times import check_bounds
from mes.platform.validators import check_new_code
from mes.production import locking

USABLE = (LotStatus.AVAILABLE, LotStatus.USED_UP, LotStatus.BLOCKED)


@dataclass(frozen=True)
class Who:
    """Who did it: `operator` is who is said to have done it, `recorded_by` who was signed in."""

    recorded_by: str
    operator: str = ""
    source: str = "MANUAL"


# --- locks --------------------------------------------------------------------------------------------------


def lock_lots(codes: Iterable[str]) -> dict[str, MaterialLot]:
    """Return lots by their codes, locked in the order of their keys (inside a transaction). Raises LotNotFound."""
    wanted = set(codes)
    rows = MaterialLot.objects.select_for_update(no_key=True, of=("self",)).select_related("material")
    found = {lot.lot_id: lot for lot in rows.filter(lot_id__in=wanted).order_by("pk")}
    if missing := sorted(wanted - found.keys()):
        raise errors.LotNotFound(code=missing[0])
    return found


def lock_lot(code: str) -> MaterialLot:
    """Return a lot, locked (inside a transaction). Raises LotNotFound."""
    return lock_lots([code])[code]


def _lock_known(code: str) -> MaterialLot | None:
    try:
        return lock_lot(code)
    except errors.LotNotFound:
        return None


_ITSELF_AND_ROOT = """
    WITH RECURSIVE above (id, parent_id, is_itself) AS (
        SELECT id, parent_id, true FROM mes_materiallot WHERE lot_id = %s
        UNION ALL
        SELECT lot.id, lot.parent_id, false FROM above JOIN mes_materiallot lot ON lot.id = above.parent_id)
    SELECT id FROM above WHERE parent_id IS NULL OR is_itself
"""
_DESCENDANTS = """
    WITH RECURSIVE below (id) AS (
        SELECT id FROM mes_materiallot WHERE lot_id = %s
        UNION ALL
        SELECT lot.id FROM below JOIN mes_materiallot lot ON lot.parent_id = below.id)
    SELECT id FROM below
"""


def _ids(statement: str, code: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [code])
        return [lot_id for (lot_id,) in cursor.fetchall()]


def _lock_family(code: str, whole: str) -> MaterialLot:
    """Return a lot, locked with the one that all its family was split from; of `whole`, if it is known, with all that
    was split from it, too. At once: a part may have been known before what it was split from, and have the lower key.

    Raises LotNotFound, Outdated where the family changed meanwhile.
    """
    rows = MaterialLot.objects.select_for_update(no_key=True, of=("self",)).select_related("material")
    locked = {lot.pk: lot for lot in rows.filter(pk__in=_family_of(code, whole)).order_by("pk")}
    if not locked.keys() >= _family_of(code, whole):
        raise locking.Outdated
    found = next((lot for lot in locked.values() if lot.lot_id == code), None)
    if found is None:
        raise errors.LotNotFound(code=code)
    return found


def _family_of(code: str, whole: str) -> set[int]:
    return {*_ids(_ITSELF_AND_ROOT, code), *_ids(_ITSELF_AND_ROOT, whole), *_ids(_DESCENDANTS, whole)}


# --- registration -------------------------------------------------------------------------------------------


@transaction.atomic
def register(lot_id: str, fields: Mapping[str, Any]) -> MaterialLot:
    """Make a lot, or say of one that something mentioned before what is in it; `fields` are columns, with `material`.

    Raises LotExists for one that has been registered, LotMaterialMismatch, ScanTypeMismatch, ValidationFailed.
    """
    lot, is_new = _lock_or_make(lot_id, fields)
    if not is_new:
        _check_material(lot, fields["material"])
        if lot.material is not None:
            raise errors.LotExists(lot=lot_id)
        _fill(lot, fields)
    return lot


def register_by_label(text: str) -> tuple[MaterialLot, bool]:
    """Return (the lot of a label, whether it was made now).

    Raises LabelUnreadable, MaterialNotFound, LotMaterialMismatch, ScanTypeMismatch.
    """
    with transaction.atomic():
        return _find_or_make(read_label(text))


def find_or_make(text: str) -> MaterialLot:
    """Return the lot of a label, locked, made where it is not known (inside a transaction).

    Raises LabelUnreadable, MaterialNotFound, LotMaterialMismatch, ScanTypeMismatch.
    """
    return _find_or_make(read_label(text))[0]


def _find_or_make(label: Label) -> tuple[MaterialLot, bool]:
    material = find_material(label)
    said = {
        "material": material,
        "quantity": label.quantity,
        "manufacturer_part": label.manufacturer_part,
        "supplier_lot": label.supplier_lot,
        "date_code": label.date_code,
    }
    lot, is_new = _lock_or_make(label.lot_id, said)
    _check_material(lot, material)
    if lot.material is None:
        _fill(lot, said)
    return lot, is_new


def find_material(label: Label) -> Material:
    """Return the material of a label: the one that `P` names, else the one of which `1P` is a manufacturer's part.

    Raises MaterialNotFound; LabelUnreadable where several have that part.
    """
    material = Material.objects.filter(code=label.material_code).first() if label.material_code else None
    if material is not None:
        return material
    part = label.manufacturer_part
    found = list(Material.objects.filter(manufacturer_parts__contains=[part]).order_by("code")[:2]) if part else []
    if len(found) > 1:
        raise errors.LabelUnreadable(why=f"1P {part}: {', '.join(each.code for each in found)}")
    if not found:
        raise errors.MaterialNotFound(code=part or label.material_code)
    return found[0]


def mention(lot_id: str) -> None:
    """Make a lot that nobody mentioned before; of one that is known, nothing is locked (inside a transaction).

    Raises ScanTypeMismatch, ValidationFailed.
    """
    if not MaterialLot.objects.filter(lot_id=lot_id).exists():
        lock_or_make(lot_id)


def lock_or_make(lot_id: str) -> MaterialLot:
    """Return a lot, locked; the first mention makes it, of which nobody said yet what is in it (inside a transaction).

    Raises ScanTypeMismatch, ValidationFailed.
    """
    return _lock_or_make(lot_id, {})[0]


def _lock_or_make(lot_id: str, fields: Mapping[str, Any]) -> tuple[MaterialLot, bool]:
    """Return (a lot, locked, whether it was made now, with these columns).

    Of two at once one makes it, and the other waits for it.
    """
    known = _lock_known(lot_id)
    if known is not None:
        return known, False
    check_new_code("lotId", lot_id)
    check_kind(lot_id, ScanKind.LOT)
    made = MaterialLot(lot_id=lot_id)
    _say(made, fields)
    MaterialLot.objects.bulk_create([made], ignore_conflicts=True)
    lot = lock_lot(lot_id)
    return lot, lot.created_at == made.created_at


def _check_material(lot: MaterialLot, material: Material) -> None:
    if lot.material is not None and lot.material != material:
        raise errors.LotMaterialMismatch(lot=lot.lot_id, material=lot.material.code, told=material.code)


def _fill(lot: MaterialLot, fields: Mapping[str, Any]) -> None:
    """Say what is in a locked lot that was mentioned before."""
    _say(lot, fields)
    lot.save()
    hooks.tell([lot.pk])


def _say(lot: MaterialLot, fields: Mapping[str, Any]) -> None:
    """Set columns that somebody says; what is reported counts again where it is reported later."""
    for name, value in fields.items():
        setattr(lot, name, value)
    if "expires_at" in fields:
        lot.note_typed("expires_at", status="paste_status")


@transaction.atomic
def change(lot_id: str, fields: Mapping[str, Any]) -> MaterialLot:
    """Change what is said of a lot; `fields` are columns. What is reported and counted meanwhile stays.

    Raises LotNotFound.
    """
    lot = lock_lot(lot_id)
    _say(lot, fields)
    lot.save(update_fields=[*fields, "field_sources"])
    hooks.tell([lot.pk])
    return lot


# --- what happens to a lot ----------------------------------------------------------------------------------


def record(
    lot: MaterialLot,
    kind: LotEventKind,
    *,
    who: Who,
    at: datetime | None = None,
    quantity: Decimal | None = None,
    temperature_c: Decimal | None = None,
    reason: str = "",
    other: MaterialLot | None = None,
) -> LotEvent:
    """Record what happened to a locked lot, and what its status becomes by it (inside a transaction).

    A count and USED_UP count where no later count does. What is blocked or scrapped stays so, whatever is counted.
    """
    at = at or timezone.now()
    event = LotEvent.objects.create(
        lot=lot,
        kind=kind,
        at=at,
        quantity=quantity,
        temperature_c=temperature_c,
        reason=reason,
        other=other,
        source=who.source,
        operator=who.operator,
        recorded_by=who.recorded_by,
    )
    if kind == LotEventKind.COUNTED and quantity is not None:
        rules.count(lot, max(quantity - _taken_out_since(lot, at), Decimal()), at)
    elif kind == LotEventKind.USED_UP:
        rules.count(lot, Decimal(), at)
    elif kind == LotEventKind.SCRAPPED:
        rules.scrap(lot)
    lot.save(update_fields=["status", "blocked_from", "block_reason", "counted_quantity", "counted_at"])
    # What was split from it inherits its floor life up to then.
    hooks.tell(_ids(_DESCENDANTS, lot.lot_id) if kind in KINDS else [lot.pk])
    return event


def _taken_out_since(lot: MaterialLot, at: datetime) -> Decimal:
    """Return how much was split off after a count that is told late."""
    splits = LotEvent.objects.filter(lot=lot, kind=LotEventKind.SPLIT, at__gt=at)
    return splits.aggregate(taken=Sum("quantity"))["taken"] or Decimal()


@transaction.atomic
def record_event(
    lot_id: str, kind: LotEventKind, *, who: Who, at: datetime | None = None, **said: Any
) -> tuple[MaterialLot, LotEvent]:
    """Record what happened to a lot, as `record` does; return (the lot, the event).

    Raises LotNotFound, LotStatusInvalid for one that is scrapped, EventTimeInFuture, EventTooOld.
    """
    now = timezone.now()
    check_bounds(at or now, now=now)
    lot = lock_lot(lot_id)
    rules.check_status(lot, *USABLE)
    return lot, record(lot, kind, who=who, at=at or now, **said)


@locking.atomically
def split(
    lot_id: str,
    *,
    new_lot_id: str,
    quantity: Decimal,
    who: Who,
    at: datetime | None = None,
    may_be_known: bool = False,
) -> tuple[MaterialLot, LotEvent]:
    """Take a part of a lot out as a lot of its own; return (the new lot, the event).

    It inherits material, expiry, block, supplier data and floor life. Where nobody said how much there is, any part may
    be taken. With `may_be_known`, as its load was reported before, a lot becomes the part if it is of no other lot or
    material. Raises LotNotFound, LotStatusInvalid, QuantityExceeded, LotExists, ScanTypeMismatch, ValidationFailed,
    EventTimeInFuture, EventTooOld.
    """
    now = timezone.now()
    at = at or now
    check_bounds(at, now=now)
    lot = _lock_family(lot_id, whole=new_lot_id)
    rules.check_status(lot, *USABLE)
    rest = rest_of(lot)
    if rest is not None and quantity > rest:
        raise errors.QuantityExceeded(lot=lot_id, quantity=plain(quantity), rest=plain(rest))
    inherited = {name: getattr(lot, name) for name in INHERITED}
    if lot.status == LotStatus.USED_UP:
        inherited["status"] = LotStatus.AVAILABLE
    new, is_new = _lock_or_make(new_lot_id, {**inherited, "parent": lot, "split_at": at, "quantity": quantity})
    if not is_new:
        if not (may_be_known and _may_be_part(new, lot)):
            raise errors.LotExists(lot=new_lot_id)
        _adopt(new, lot, quantity=quantity, at=at, who=who)
    if rest is not None and (lot.counted_at is None or lot.counted_at <= at):
        rules.count(lot, rest - quantity, lot.counted_at or lot.created_at)
    return new, record(lot, LotEventKind.SPLIT, who=who, at=at, quantity=quantity, other=new)


INHERITED = (
    "material",
    "status",
    "blocked_from",
    "block_reason",
    "supplier",
    "supplier_lot",
    "manufacturer_part",
    "date_code",
    "msl",
    "body_thickness_mm",
    "floor_life_hours",
    "expires_at",
    "is_solder_paste",
    "paste_status",
    "thawed_at",
    "stirred_at",
)


_OF_THE_LOT_ITSELF = ("status", "blocked_from", "block_reason")


def _may_be_part(new: MaterialLot, lot: MaterialLot) -> bool:
    """Whether a lot that is known can have been split from another: from none before, and not this one from it."""
    is_above = new.pk == lot.pk or new.pk in _ids(_ITSELF_AND_ROOT, lot.lot_id)
    return new.parent_id is None and not is_above and new.material_id in (None, lot.material_id)


def _adopt(new: MaterialLot, lot: MaterialLot, *, quantity: Decimal, at: datetime, who: Who) -> None:
    """Let a lot that was mentioned before be a part: it inherits what nobody said of it, and the block."""
    for name in INHERITED:
        if name not in _OF_THE_LOT_ITSELF and getattr(new, name) in (None, "", False):
            setattr(new, name, getattr(lot, name))
    new.parent, new.split_at = lot, at
    new.quantity = quantity if new.quantity is None else new.quantity
    new.save()
    if lot.status == LotStatus.BLOCKED:
        _block_all(new, reason=lot.block_reason, who=who)
    hooks.tell(_ids(_DESCENDANTS, new.lot_id))  # they have the floor life of all that they come from


@locking.atomically
def block(lot_id: str, *, reason: str, who: Who) -> MaterialLot:
    """Block a lot and all that was split from it. One that is blocked already stays as it is.

    Raises LotNotFound, LotStatusInvalid for one that is scrapped.
    """
    lot = _lock_family(lot_id, whole=lot_id)
    rules.check_status(lot, *USABLE)
    lots = _block_all(lot, reason=reason, who=who)
    return next(each for each in lots if each.pk == lot.pk)


def _block_all(lot: MaterialLot, *, reason: str, who: Who) -> list[MaterialLot]:
    """Block a locked lot and all that was split from it; return them."""
    rows = MaterialLot.objects.select_for_update(no_key=True, of=("self",)).select_related("material")
    lots = list(rows.filter(pk__in=_ids(_DESCENDANTS, lot.lot_id)).order_by("pk"))
    blocked = [each for each in lots if rules.block(each, reason)]
    MaterialLot.objects.bulk_update(blocked, ["status", "blocked_from", "block_reason"])
    _note(blocked, LotEventKind.BLOCKED, reason=reason, who=who)
    return lots


@transaction.atomic
def unblock(lot_id: str, *, reason: str, who: Who) -> MaterialLot:
    """Let a blocked lot be used again, and no other: each that was split from it is decided by itself.

    Raises LotNotFound, LotStatusInvalid.
    """
    lot = lock_lot(lot_id)
    rules.unblock(lot)
    lot.save(update_fields=["status", "blocked_from", "block_reason"])
    _note([lot], LotEventKind.UNBLOCKED, reason=reason, who=who)
    return lot


def _note(lots: Collection[MaterialLot], kind: LotEventKind, *, reason: str, who: Who) -> None:
    now = timezone.now()
    LotEvent.objects.bulk_create(
        LotEvent(
            lot=lot,
            kind=kind,
            at=now,
            reason=reason,
            source=who.source,
            operator=who.operator,
            recorded_by=who.recorded_by,
        )
        for lot in lots
    )
    if lots:
        hooks.tell([lot.pk for lot in lots])
