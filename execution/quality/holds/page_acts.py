"""The forms of the pages of holds: the condition, and what is decided, offered where state and role allow."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from execution.models import TrackResult
from execution.quality.holds import board, services
from execution.quality.holds.api import HoldViewSet
from execution.quality.holds.board import Detail
from execution.quality.holds.condition import STATUSES
from execution.quality.holds.wording import LABELS
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.production.hold_models import HeldUnitEnd, HoldScope, HoldSource

RELEASE, RELEASE_SOME, REWORK, SCRAP = "release", "release-some", "rework", "scrap"
NAMES = (RELEASE, RELEASE_SOME, REWORK, SCRAP)
ENDS = {REWORK: HeldUnitEnd.REWORK, SCRAP: HeldUnitEnd.SCRAP}
CONDITION = "condition"  # the names of its fields begin with it
LONGEST_CODE = 100
_MEANING = f"{acts.SIGNATURE}.meaning"


def may(request: HttpRequest, action: str) -> bool:
    """Whether somebody may do what this action of the interface does to units."""
    needed: Sequence[Capability] = HoldViewSet.capabilities[action]
    return not role_capabilities(request.user).isdisjoint(needed)


# --- the condition -----------------------------------------------------------------------------------------------


def condition_fields() -> tuple[Field, ...]:
    """Return the fields of a condition, named as in the interface."""
    return tuple(_condition_fields())


def _condition_fields() -> Iterator[Field]:
    yield _of_condition("sns", FieldKind.SCANS, help=_("Present or earlier serial numbers."))
    for name in ("runNo", "woNo", "productCode", "lineCode"):
        yield _of_condition(name, FieldKind.CODE, most=LONGEST_CODE)
    yield _of_condition("statuses", FieldKind.SOME, choices=[(each.value, each.label) for each in STATUSES])
    for name in ("stationCode", "operationCode"):
        yield _of_condition(name, FieldKind.CODE, most=LONGEST_CODE)
    yield _of_condition("stepNo", FieldKind.NUMBER)
    yield _of_condition("result", FieldKind.CHOICE, choices=[("", _("any")), *TrackResult.choices])
    yield _of_condition("carrierNo", FieldKind.CODE, most=LONGEST_CODE)
    yield _of_condition("from", FieldKind.MOMENT, help=_("The pass had not ended before this."))
    yield _of_condition("to", FieldKind.MOMENT, help=_("The pass began before this."))
    yield _of_condition("specName", most=LONGEST_CODE, help=_("The name of a collected value."))
    yield _of_condition("valueMin", FieldKind.DECIMAL, most=40)
    yield _of_condition("valueMax", FieldKind.DECIMAL, most=40)
    yield _of_condition("defectCode", FieldKind.CODE, most=LONGEST_CODE, help=_("This code, or one below it."))
    yield _of_condition("defectLocation", FieldKind.CODE, most=LONGEST_CODE, help=_("The designator."))
    yield _of_condition("lotId", FieldKind.CODE, most=LONGEST_CODE)
    yield _of_condition("includeSplits", FieldKind.TICK)
    yield _of_condition("materialCode", FieldKind.CODE, most=LONGEST_CODE)
    yield _of_condition("supplierLot", FieldKind.CODE, most=LONGEST_CODE, help=_("Of the material."))
    yield _of_condition("dateCode", FieldKind.CODE, most=LONGEST_CODE, help=_("Of the material."))
    for name in ("toolId", "program", "serial"):
        yield _of_condition(name, FieldKind.CODE, most=LONGEST_CODE)


def _of_condition(
    name: str,
    kind: FieldKind = FieldKind.TEXT,
    *,
    choices: Sequence[tuple[str, object]] = (),
    help: str = "",
    most: int | None = None,
) -> Field:
    return Field(f"{CONDITION}.{name}", str(LABELS[name]), kind, choices=choices, help=help, most=most)


def holding_fields(*, is_catching: bool = False) -> tuple[Field, ...]:
    """Return what is said of a hold besides its condition."""
    owner_help = _("By default you.")
    return (
        Field("reason", _("Reason"), FieldKind.LONG, is_required=True, most=500, is_focused=True),
        Field("owner", _("Who sees to it"), help=owner_help, most=150),
        Field("catches", _("Hold what comes to fit later, too"), FieldKind.TICK, value="1" if is_catching else ""),
    )


# --- what is decided -----------------------------------------------------------------------------------------------


def list_acts(request: HttpRequest, detail: Detail, chosen: Sequence[str]) -> list[Act]:
    """Return what a hold's state allows and somebody may do; `chosen` are the units of which some acts are asked."""
    hold = detail.hold
    if not detail.is_open or not may(request, "release"):
        return []
    if hold.source == HoldSource.OQC and hold.scope != HoldScope.UNITS:
        return []
    signature = signature_of(request, detail)
    offered = [_release(detail, signature)]
    if detail.counts["open"]:
        offered += [_of_some(detail, name, signature, chosen) for name in (RELEASE_SOME, REWORK, SCRAP)]
    return offered


def signature_of(request: HttpRequest, detail: Detail) -> Sequence[Field]:
    """Return the fields of the signature of what ends a hold, where it needs one."""
    return acts.signature_fields(request, meaning=_("Released")) if services.needs_signature(detail.hold) else ()


def fields_of(name: str, signature: Sequence[Field], chosen: Sequence[str] = ()) -> Sequence[Field]:
    """Return the fields of an act's form, named as in the interface."""
    found: list[Field] = []
    if name != RELEASE:
        sns = "\n".join(chosen)
        found.append(Field("sns", _("Scan the units"), FieldKind.SCANS, value=sns, is_required=True))
    if name in ENDS:
        found.append(Field("type", kind=FieldKind.HIDDEN, value=ENDS[name]))
    if name == REWORK:
        step_help = _("By default the step that failed last, of each unit.")
        found.append(Field("toStepNo", _("Back to step"), FieldKind.NUMBER, help=step_help))
    found.append(acts.reason_field())
    if name == SCRAP:
        found.append(acts.confirmation(_("These units leave production for good. This cannot be undone.")))
    decided = _("Decided")
    return [
        *found,
        *(replace(each, value=decided) if each.name == _MEANING and name in ENDS else each for each in signature),
    ]


def _address(detail: Detail, name: str) -> str:
    return reverse("hold-act", args=[detail.hold.hold_no, name])


def _release(detail: Detail, signature: Sequence[Field]) -> Act:
    hold, count = detail.hold, detail.counts["open"]
    if hold.scope != HoldScope.UNITS:
        label = _("Release")
        about = _("It goes on from where it was held, unless something else holds it.")
    else:
        label = _("Release all (%(count)d)") % {"count": count} if count else _("End the hold")
        about = _("Each unit goes on from where it was held, unless something else holds it. The hold ends.")
    return Act(
        RELEASE,
        label,
        _address(detail, RELEASE),
        button=_("Release them all") if count else _("End the hold"),
        about=about,
        symbol="next",
        tone="good",
        fields=fields_of(RELEASE, signature),
    )


def _of_some(detail: Detail, name: str, signature: Sequence[Field], chosen: Sequence[str]) -> Act:
    labels = {RELEASE_SOME: _("Release some"), REWORK: _("Rework"), SCRAP: _("Scrap")}
    abouts = {
        RELEASE_SOME: _("They go on from where they were held, unless something else holds them."),
        REWORK: _("They go back to a step; that step and all after it are passed again."),
        SCRAP: _("All that holds them ends."),
    }
    label = labels[name]
    return Act(
        name,
        f"{label} ({len(chosen)})" if chosen else label,
        _address(detail, name),
        button=label,
        about=abouts[name],
        symbol={RELEASE_SOME: "next", REWORK: "rework", SCRAP: "scrap"}[name],
        tone="bad" if name == SCRAP else "",
        is_harmful=name == SCRAP,
        fields=fields_of(name, signature, chosen),
        at={"UNIT_NOT_IN_HOLD": "sns", "STEP_NOT_FOUND": "toStepNo", "STEP_MISMATCH": "toStepNo"},
    )


def most_chosen() -> int:
    """Return how many units are put into a form at once: what is kept of one that is refused."""
    return board.UNITS_SHOWN * 10
