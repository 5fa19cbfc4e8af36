"""What keeps a lot from being used, what its status becomes, and how much is in it."""

from datetime import datetime
from decimal import Decimal

from mes import errors
from mes.line_setup import limits
from mes.line_setup.lots.clocks import read_one
from mes.line_setup.lots.floor_life import Clock, hours_of
from mes.line_setup.lots.models import LotStatus, MaterialLot


def find_faults(lot: MaterialLot, at: datetime, clock: Clock | None = None) -> list[str]:
    """Return the codes of what keeps a lot from being used at an instant, the weightiest first; one that is scrapped is
    blocked for good. Without its clock, that is read where its parts have a floor life.
    """
    if clock is None and hours_of(lot) is not None:
        clock = read_one(lot, at)
    faults = {
        errors.LotBlocked.code: lot.status in (LotStatus.BLOCKED, LotStatus.SCRAPPED),
        errors.LotUsedUp.code: lot.status == LotStatus.USED_UP,
        errors.LotExpired.code: limits.is_past_expiry(lot, now=at),
        errors.MsdExpired.code: clock is not None and clock.is_expired,
    }
    return [code for code, is_so in faults.items() if is_so]


def check_status(lot: MaterialLot, *allowed: LotStatus) -> None:
    """Raise LotStatusInvalid for a lot in another status."""
    if lot.status not in allowed:
        raise errors.LotStatusInvalid(lot=lot.lot_id, status=LotStatus(lot.status))


def count(lot: MaterialLot, quantity: Decimal, at: datetime) -> bool:
    """Let a count of what is in a lot count, unless a later one did; return whether it does.

    Nothing left is used up, and more brings it back; one that is blocked will go back to that.
    """
    if lot.counted_at is not None and at < lot.counted_at:
        return False
    lot.counted_quantity, lot.counted_at = quantity, at
    status = LotStatus.AVAILABLE if quantity else LotStatus.USED_UP
    if lot.status == LotStatus.BLOCKED:
        lot.blocked_from = status
    elif lot.status != LotStatus.SCRAPPED:
        lot.status = status
    return True


def block(lot: MaterialLot, reason: str) -> bool:
    """Block a lot; return whether it was not before. One that is scrapped stays so."""
    if lot.status not in (LotStatus.AVAILABLE, LotStatus.USED_UP):
        return False
    lot.blocked_from, lot.status, lot.block_reason = lot.status, LotStatus.BLOCKED, reason
    return True


def unblock(lot: MaterialLot) -> None:
    """Let a lot go back to where it was. Raises LotStatusInvalid for one that is not blocked."""
    check_status(lot, LotStatus.BLOCKED)
    lot.status, lot.blocked_from, lot.block_reason = lot.blocked_from, "", ""


def scrap(lot: MaterialLot) -> None:
    """Let a lot be used no more."""
    lot.status, lot.blocked_from = LotStatus.SCRAPPED, ""
