"""Who lifts what keeps a unit from entering, and which hold it is.

One table: a refusal is lifted by an act, and whoever has a capability that the act asks for may do it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce

from mes import errors
from mes.platform.accounts.roles import Capability, Role, roles_with
from mes.platform.http.envelope import refusal_as_json
from mes.production.hold_models import HeldUnit, Hold, HoldScope, HoldSource, HoldStatus
from mes.production.models import Unit

_LET_GO_ON = (Capability.DISPOSITION, Capability.RELEASE)
_ALLOW_ELSEWHERE = (Capability.RELEASE,)  # whoever approves a deviation

# By the acts: release and rework of units; resume, authorize and reopen of runs; the decision of an inspection; what is
# registered for a run; the end of a stop. What nobody can lift, as it is what it is, stands here for nobody.
LIFTED_BY: Mapping[type[errors.DomainError], tuple[Capability, ...]] = {
    errors.RunNotAuthorized: (Capability.AUTHORIZE,),
    errors.RunInPrep: (Capability.AUTHORIZE,),
    errors.RunOnHold: _LET_GO_ON,
    errors.RunClosed: (Capability.CLOSE,),
    errors.RunInOqc: (Capability.OQC,),
    errors.FaiNotPassed: (Capability.FAI,),
    errors.RunQuantityExceeded: (Capability.AUTHORIZE,),
    errors.UnitNotFound: (Capability.UNITS,),
    errors.UnitNotRegistered: (Capability.UNITS,),
    errors.UnitRunMismatch: (Capability.UNITS,),
    errors.UnitOnHold: _LET_GO_ON,
    errors.UnitOutFailed: (Capability.DISPOSITION,),
    errors.UnitScrapped: (Capability.RELEASE,),
    errors.UnitAlreadyDone: (Capability.DISPOSITION,),
    errors.UnitAlreadyInStation: (Capability.TRACK,),
    errors.RepairOpen: (Capability.DEFECT,),
    errors.StationMismatch: _ALLOW_ELSEWHERE,
    errors.StationLineMismatch: _ALLOW_ELSEWHERE,
    errors.EquipmentUnavailable: (Capability.MASTER_DATA, Capability.STATUS),
    errors.LineOnHold: _LET_GO_ON,
    errors.StationStopped: _LET_GO_ON,
    errors.OperatorNotQualified: (Capability.QUALIFY,),
    errors.TimeTooEarly: (Capability.WAIVE,),
    errors.SetUpIncomplete: (Capability.BIND,),
    errors.SnMaskMismatch: (Capability.ROUTES,),
    errors.CarrierEmpty: (Capability.TRACK,),
    errors.CarrierNotFound: (Capability.TRACK,),
    errors.RunMismatch: (Capability.UNITS,),
}
_OF_OQC = (Capability.MRB,)  # what the outgoing inspection holds of a run ends by the material review alone


@dataclass(frozen=True)
class Reason:
    """Why a unit may not run: what is so (`fact`), who may change that, and by which hold it is so."""

    code: str
    message: str
    fact: Mapping[str, Any]
    releasable_by: Sequence[Role]
    hold_no: str | None = None


def explain(refusals: Sequence[tuple[errors.DomainError, Unit | None]]) -> list[Reason]:
    """Return refusals, each of a unit or of none, with who lifts them and by which hold they are so.

    Two queries at most, and none where nothing is held.
    """
    held_units = _find_held_units(
        {unit.pk for refusal, unit in refusals if isinstance(refusal, errors.UnitOnHold) and unit is not None}
    )
    places = _find_places([refusal for refusal, _unit in refusals])
    return [_explain(refusal, unit, held_units, places) for refusal, unit in refusals]


def _explain(
    refusal: errors.DomainError,
    unit: Unit | None,
    held_units: Mapping[int, Hold],
    places: Mapping[tuple[str, str], Hold],
) -> Reason:
    scope = _SCOPES.get(type(refusal))
    hold = places.get((scope, refusal.subject)) if scope is not None else None
    if isinstance(refusal, errors.UnitOnHold) and unit is not None:
        hold = held_units.get(unit.pk)
    needed = LIFTED_BY.get(type(refusal), ())
    if isinstance(refusal, errors.RunOnHold) and hold is not None and hold.source == HoldSource.OQC:
        needed = _OF_OQC
    return Reason(
        code=refusal.code,
        message=str(refusal),
        fact=refusal_as_json(refusal)["details"],
        releasable_by=roles_with(needed),
        hold_no=None if hold is None else hold.hold_no,
    )


_SCOPES: Mapping[type[errors.DomainError], HoldScope] = {
    errors.RunOnHold: HoldScope.RUN,
    errors.LineOnHold: HoldScope.LINE,
    errors.StationStopped: HoldScope.STATION,
}
_KEYS = {HoldScope.RUN: "run__run_no", HoldScope.LINE: "line__code", HoldScope.STATION: "station__code"}


def _find_held_units(unit_ids: Collection[int]) -> dict[int, Hold]:
    """Return the oldest open case of each of these units; one query, none for none."""
    if not unit_ids:
        return {}
    open_ones = HeldUnit.objects.filter(unit_id__in=unit_ids, ended_at=None).select_related("hold")
    open_ones = open_ones.defer("hold__condition").order_by("-id")
    return {held.unit_id: held.hold for held in open_ones}


def _find_places(refusals: Iterable[errors.DomainError]) -> dict[tuple[str, str], Hold]:
    """Return the oldest hold of each run, line and station that refusals name; one query, none for none."""
    named = {(scope, refusal.subject) for refusal in refusals if (scope := _SCOPES.get(type(refusal))) is not None}
    if not named:
        return {}
    condition = Q()
    for scope, key in named:
        condition |= Q(**{"scope": scope, _KEYS[scope]: key})
    rows = Hold.objects.filter(condition, status=HoldStatus.OPEN).annotate(key=Coalesce(*_KEYS.values()))
    return {(hold.scope, hold.key): hold for hold in rows.order_by("-id")}
