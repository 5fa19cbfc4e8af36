"""Binding stencils and solder paste lots to lines by scanning them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from mes import errors
from mes.line_setup import usages
from mes.line_setup.get_or_create import Item, lock_items
from mes.line_setup.models import LineBinding, MaterialLot, SetUpKind
from mes.plant.models import Line
from mes.plant.scans import ScanKind, check_kind
from mes.platform.database.lookup import get_or_raise

FIELDS = {SetUpKind.STENCIL: "stencil", SetUpKind.SOLDER_PASTE: "lot"}
CODES = {SetUpKind.STENCIL: "stencil__tool_id", SetUpKind.SOLDER_PASTE: "lot__lot_id"}
SCANNED = {SetUpKind.STENCIL: ScanKind.STENCIL, SetUpKind.SOLDER_PASTE: ScanKind.PASTE_LOT}
LOCK = "SELECT pg_advisory_xact_lock(hashtext('mes.line_setup'))"


@dataclass(frozen=True)
class Binding:
    """A binding after a scan: whether the scan changed anything, and what had to make room."""

    binding: LineBinding
    changed: bool
    replaced: Sequence[LineBinding] = field(default=())


@transaction.atomic
def bind(*, line_code: str, kind: SetUpKind, code: str, by: str, replace: bool = False) -> Binding:
    """Bind a stencil or lot, which exists from its first mention, to a line. Scanning it again changes nothing.

    A conflicting binding (of another one to the line, or of this one to another line) is ended with `replace`, and a
    reason to refuse without. What is known as another thing is neither. Raises LineNotFound, LineOccupied,
    BoundElsewhere, ScanTypeMismatch.
    """
    line = get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    lock_line_setup()
    open_bindings = LineBinding.objects.filter(kind=kind, unbound_at=None).select_related("line", "stencil", "lot")
    conflicting = list(open_bindings.filter(Q(line=line) | Q(**{CODES[kind]: code})))
    for current in conflicting:
        if current.line_id == line.pk and current.code == code:
            return Binding(current, changed=False)
    check_kind(code, SCANNED[kind])
    if conflicting and not replace:
        raise _refusal(conflicting, line=line, code=code)
    items = lock_items(kind, {code, *(replaced_binding.code for replaced_binding in conflicting)})
    now = timezone.now()
    for replaced_binding in conflicting:
        _end(replaced_binding, items[replaced_binding.code], at=now, by=by)
    given = {FIELDS[kind]: items[code]}
    binding = LineBinding.objects.create(line=line, kind=kind, bound_at=now, bound_by=by, **given)
    return Binding(binding, changed=True, replaced=conflicting)


@transaction.atomic
def unbind(*, line_code: str, kind: SetUpKind, code: str, by: str) -> Binding:
    """Take a stencil or lot off a line. What was taken off already stays so.

    A lot that is in use goes out of use. Raises LineNotFound, NotBound.
    """
    line = get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    lock_line_setup()
    bindings = LineBinding.objects.filter(kind=kind).select_related("line", "stencil", "lot")
    latest = get_or_raise(
        bindings.filter(line=line).order_by("-id"), partial(errors.NotBound, line=line.code), **{CODES[kind]: code}
    )
    if latest.unbound_at is not None:
        if bindings.filter(unbound_at=None, **{CODES[kind]: code}).exists():
            raise errors.NotBound(code=code, line=line.code)
        return Binding(latest, changed=False)
    _end(latest, lock_items(kind, [code])[code], at=timezone.now(), by=by)
    return Binding(latest, changed=True)


def lock_line_setup() -> None:
    """Let nobody bind or unbind anything until the transaction ends: one scan at a time in the plant.

    A scan may concern two lines and two things, and nobody scans that often. Taken before the lock of any stencil or
    lot; bindings change under it alone, so their rows need no lock.

    What must hold at any time is held by constraints; the lock gives the second of two scans a clear answer.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK)


def _refusal(conflicting: Sequence[LineBinding], *, line: Line, code: str) -> errors.DomainError:
    on_line = next((binding for binding in conflicting if binding.line_id == line.pk), None)
    if on_line is not None:
        return errors.LineOccupied(line=line.code, bound=on_line.code)
    return errors.BoundElsewhere(code=code, line=conflicting[0].line.code)


def _end(binding: LineBinding, item: Item, *, at: datetime, by: str) -> None:
    """End the binding of a locked stencil or lot."""
    binding.unbound_at, binding.unbound_by = max(at, binding.bound_at), by
    binding.save(update_fields=["unbound_at", "unbound_by"])
    if isinstance(item, MaterialLot):
        usages.refresh(item)
