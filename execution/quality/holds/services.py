"""Holding units by a condition, and what is decided about those that a hold has: released, reworked, scrapped.

Up to `LARGEST_AT_ONCE` units are done in the transaction of the request; more by the worker, in batches (`batches`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import dispositions
from execution.quality.holds import batches, cases, catching, matching
from execution.quality.holds.condition import Condition, resolve
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.authorship import give_reason
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import has_rule
from mes.platform.signatures.services import Signing
from mes.production import hold_decisions, hold_notices, locking, names
from mes.production.hold_models import HeldUnit, HeldUnitEnd, Hold, HoldScope, HoldSource, HoldStatus
from mes.production.hold_notices import HeldUnits
from mes.production.models import Unit

LARGEST_AT_ONCE = 1000
NAMED = 20  # units that a refusal names


@dataclass(frozen=True)
class Done:
    """A hold after an act on it; what the worker still does is not done yet."""

    hold: Hold
    is_done: bool = True


# --- holding ---------------------------------------------------------------------------------------------------


def hold_units(
    *,
    condition: Condition,
    reason: str,
    by: str,
    owner: str = "",
    catches: bool | None = None,
    expected_count: int | None = None,
    source: HoldSource = HoldSource.PERSON,
) -> Done:
    """Hold the units that a condition fits, and with `catches` those that come to fit later: by default unless its time
    is over.

    What moves while this is done is held too: whoever was on the way is waited for, and then looked at again.
    Raises ValidationFailed where nothing fits and nothing is caught, HoldCountChanged.
    """
    is_catching = condition.catches_by_default(timezone.now()) if catches is None else catches
    begun_at = timezone.now()
    done = _open(
        condition, reason=reason, by=by, owner=owner, catches=is_catching, expected=expected_count, source=source
    )
    if is_catching:
        catching.wait_for_moves(condition)
        catching.catch_up(done.hold.pk, since=begun_at)
        done.hold.refresh_from_db()
    return done


@locking.atomically
def _open(
    condition: Condition,
    *,
    reason: str,
    by: str,
    owner: str,
    catches: bool,
    expected: int | None,
    source: HoldSource,
) -> Done:
    give_reason(reason)
    named = resolve(condition)
    found = matching.find_named(condition, named)
    units: list[Unit] = []
    if len(found) <= LARGEST_AT_ONCE:
        units = locking.lock_units(Unit.objects.filter(pk__in=found))
        found = matching.find_named(condition, named, among=found)  # as they are under their locks
    if expected is not None and expected != len(found):
        raise errors.HoldCountChanged(count=len(found), expected=expected)
    if not (found or catches):
        raise errors.ValidationFailed({"condition": _("No unit fits: nothing would be held.")})
    is_large = len(found) > LARGEST_AT_ONCE
    hold = Hold.objects.create(
        scope=HoldScope.UNITS,
        source=source,
        reason=reason,
        condition=condition.as_document(),
        owner=owner,
        catches=catches,
        to_apply=len(found) if is_large else None,
        applied_up_to=0 if is_large else None,
        opened_by=by,
        **catching.position_now(),
    )
    _tell(hold, found)
    if is_large:
        batches.plan(hold, found)
    else:
        fitting = set(found)
        batches.hold_locked(hold, [unit for unit in units if unit.pk in fitting], by=by)
    return Done(hold, not is_large)


def _tell(hold: Hold, unit_ids: Sequence[int]) -> None:
    """Tell of a hold with the units that fit it now, where a rule tells of holds."""
    if not has_rule(NoticeEvent.HOLD_OPENED):
        return
    units = Unit.objects.filter(pk__in=unit_ids)
    sns = list(units.order_by("pk").values_list("sn", flat=True)[: hold_notices.NAMED])
    run_ids = set(units.order_by().values_list("run_id", flat=True).distinct())
    hold_notices.tell_units([HeldUnits(hold, len(unit_ids), sns, run_ids)], is_wanted=True)


# --- ending ----------------------------------------------------------------------------------------------------


def get(hold_no: str) -> Hold:
    """Return a hold by its number. Raises HoldNotFound."""
    number = hold_no.removeprefix("H-")
    hold = None
    if number.isascii() and number.isdecimal() and len(number) < 19:
        hold = Hold.objects.select_related("run", "line", "station", "rule").filter(pk=int(number)).first()
    if hold is None:
        raise errors.HoldNotFound(code=hold_no)
    return hold


def needs_signature(hold: Hold) -> bool:
    """Whether a person signs what ends a hold."""
    return bool(cases.find_to_sign([hold.pk]))


def release(
    *, hold_no: str, reason: str, by: str, sns: Sequence[str] | None = None, signing: Signing | None = None
) -> Done:
    """Release the named units from a hold of units, or end it with all that it has; they are free unless something else
    holds them.

    Raises HoldNotFound, InvalidTransition for one that has ended, UnitNotInHold, ValidationFailed.
    """
    return _decide(hold_no=hold_no, sns=sns, end=HeldUnitEnd.RELEASED, reason=reason, by=by, signing=signing)


def dispose(
    *,
    hold_no: str,
    sns: Sequence[str],
    end: HeldUnitEnd,
    reason: str,
    by: str,
    to_step_no: int | None = None,
    signing: Signing | None = None,
) -> Done:
    """Send units of a hold to rework, or scrap them: all or none. Raises as `release` does, and what
    `dispositions.rework` and `dispositions.scrap` raise.
    """
    if to_step_no is not None and end != HeldUnitEnd.REWORK:
        raise errors.ValidationFailed({"toStepNo": _("Only what is reworked goes to a step.")})
    return _decide(hold_no=hold_no, sns=sns, end=end, reason=reason, by=by, to_step_no=to_step_no, signing=signing)


@locking.atomically
def _decide(
    *,
    hold_no: str,
    sns: Sequence[str] | None,
    end: HeldUnitEnd,
    reason: str,
    by: str,
    signing: Signing | None,
    to_step_no: int | None = None,
) -> Done:
    give_reason(reason)
    hold = get(hold_no)
    _check_open_units(hold)
    rows = _open_rows(hold, sns)
    is_large = len(rows) > LARGEST_AT_ONCE
    units = [] if is_large else _lock(rows, with_runs=end == HeldUnitEnd.REWORK)
    if end != HeldUnitEnd.RELEASED:
        cases.lock_open(units)
    _lock_hold(hold)
    _check_open_units(hold)
    if not is_large and {unit.pk for unit in units} != set(_open_rows(hold, sns)):
        raise locking.Outdated  # held or released by others meanwhile
    if is_large and end == HeldUnitEnd.REWORK:
        _check_may_go_back(hold, rows, to_step_no)
    decision = hold_decisions.record(
        hold, end=end, reason=reason, by=by, sns=list(rows.values()), to_step_no=to_step_no, signing=signing
    )
    is_whole = sns is None
    if is_whole:
        _let_nothing_more_in(hold)
    if is_large:
        batches.plan(hold, sorted(rows), decision=decision)
    else:
        batches.carry_out(decision, units)
        if is_whole:
            _close_empty(hold, reason=reason, by=by)
    hold.refresh_from_db()
    return Done(hold, not is_large)


def _check_may_go_back(hold: Hold, rows: dict[int, str], to_step_no: int | None) -> None:
    """Raise what forbids the rework of many units, as far as it is known before the worker does it."""
    units = list(Unit.objects.select_related("run__route_version").filter(pk__in=rows).order_by("pk"))
    open_cases = cases.list_open_cases(units)
    for unit in units:
        dispositions.check_may_go_back(unit, open_cases[unit.pk], to_step_no=to_step_no, hold=hold)


def refuse_units_of_place() -> None:
    """Raise ValidationFailed for units that are named of a hold that is of none."""
    raise errors.ValidationFailed({"sns": _("This hold is not of units.")})


def _check_open_units(hold: Hold) -> None:
    if hold.scope != HoldScope.UNITS:
        raise errors.ValidationFailed({"holdNo": _("This hold is not of units.")})
    if hold.status != HoldStatus.OPEN:
        raise errors.InvalidTransition(action=Action.RELEASE, entity=Entity.HOLD, state=HoldStatus(hold.status))


def _open_rows(hold: Hold, sns: Sequence[str] | None) -> dict[int, str]:
    """Return the units that a hold has now, or the named ones of them: serial numbers by id, in order of the ids.

    Raises UnitNotInHold with those that it does not have (any more).
    """
    rows: QuerySet[Any] = HeldUnit.objects.filter(hold=hold, ended_at=None)
    if sns is None:
        return dict(rows.order_by("unit_id").values_list("unit_id", "unit__sn"))
    asked = list(dict.fromkeys(sns))
    found = names.find_units(asked, Unit.objects.only("sn"))
    named = {unit.pk for unit in found.values()}
    held = dict(rows.filter(unit__in=named).order_by("unit_id").values_list("unit_id", "unit__sn"))
    if missing := [sn for sn in asked if sn not in found or found[sn].pk not in held]:
        raise errors.UnitNotInHold(hold=hold.hold_no, sns=missing[:NAMED])
    return held


def _lock(rows: dict[int, str], *, with_runs: bool) -> list[Unit]:
    """Lock units, before them their runs where they go on in these; return them in the order of their ids."""
    if not with_runs:
        return locking.lock_units(Unit.objects.filter(pk__in=rows))
    return batches.lock_with_runs(list(rows.values()))


def _lock_hold(hold: Hold) -> None:
    present = Hold.objects.select_for_update(no_key=True).get(pk=hold.pk)
    hold.status, hold.catches, hold.to_apply = present.status, present.catches, present.to_apply


def _let_nothing_more_in(hold: Hold) -> None:
    """Have a locked hold catch nothing more, and hold nothing of what it was yet to hold."""
    batches.forget(hold)
    hold.catches, hold.to_apply = False, None
    hold.save(update_fields=["catches", "to_apply"])


def _close_empty(hold: Hold, *, reason: str, by: str) -> None:
    """End a locked hold that holds nothing (any more); with its last unit it has ended by itself."""
    still_open = Hold.objects.filter(pk=hold.pk, status=HoldStatus.OPEN)
    still_open.update(status=HoldStatus.RELEASED, ended_by=by[:150], ended_at=timezone.now(), end_reason=reason)
