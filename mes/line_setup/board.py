"""What the set-up page of a line says: what is bound, in which state, and what is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from mes.line_setup import limits
from mes.line_setup.loads.models import Load
from mes.line_setup.models import (
    MaterialLot,
    SetUpKind,
    SolderPasteStatus,
    SolderPasteUsage,
    Tool,
    ToolStatus,
)
from mes.line_setup.queries import SetUp

Facts = list[tuple[Any, Any]]


@dataclass(frozen=True)
class Slot:
    """One place of a line's set-up: for the stencil, or for the solder paste."""

    kind: SetUpKind
    binding: Load | None
    tone: str = "wait"
    symbol: str = "ahead"
    state: Any = ""
    facts: Facts = field(default_factory=list)
    problems: Sequence[str] = ()
    may_issue: bool = False

    @property
    def field(self) -> str:
        """The name of the scan field."""
        return "stencil" if self.kind == SetUpKind.STENCIL else "solder-paste"


def get_slots(set_up: SetUp, *, now: datetime | None = None) -> list[Slot]:
    """Return the slots of a line."""
    now = now or timezone.now()
    return [_stencil_slot(set_up.stencil, now), _paste_slot(set_up.solder_paste, now)]


def _stencil_slot(binding: Load | None, now: datetime) -> Slot:
    stencil = binding.tool if binding else None
    if stencil is None:
        return Slot(SetUpKind.STENCIL, None, state=_("No stencil is bound"))
    problems = find_stencil_problems(stencil, now=now)
    facts: Facts = [(_("Version"), stencil.version)] if stencil.version else []
    if stencil.tension_value is not None:
        facts.append((_("Tension"), _("%(value)g N/cm") % {"value": stencil.tension_value}))
    facts.append((_("Last cleaned"), stencil.serviced_at))
    most = f" / {stencil.max_uses}" if stencil.max_uses is not None else ""
    facts.append((_("Uses since then"), f"{stencil.uses_since_service}{most}"))
    status, label = stencil.status, stencil.get_status_display()
    return _slot(SetUpKind.STENCIL, binding, status, label, ToolStatus.READY, problems, facts)


def _paste_slot(binding: Load | None, now: datetime) -> Slot:
    lot = binding.lot if binding else None
    if lot is None:
        return Slot(SetUpKind.SOLDER_PASTE, None, state=_("No solder paste is bound"))
    usage = lot.usages.order_by("-issued_at").first()
    problems = find_lot_problems(lot, usage, now=now)
    facts: Facts = [(_("Expires"), lot.expires_at), (_("Thawed"), lot.thawed_at), (_("Stirred"), lot.stirred_at)]
    in_use = usage is not None and usage.returned_at is None
    facts.append((_("In use since"), usage.issued_at if usage and in_use else _("not issued")))
    status, label, good = lot.paste_status, lot.get_paste_status_display(), SolderPasteStatus.COMPLIANT
    return _slot(SetUpKind.SOLDER_PASTE, binding, status, label, good, problems, facts, may_issue=not in_use)


def _slot(
    kind: SetUpKind,
    binding: Load | None,
    status: str,
    label: Any,
    good: str,
    problems: Sequence[str],
    facts: Facts,
    *,
    may_issue: bool = False,
) -> Slot:
    label = label if status else _("No status reported")
    if status and status != good:
        tone, symbol = "bad", "fail"
    elif problems or not status:
        tone, symbol = "hold", "alarm"
    else:
        tone, symbol = "good", "pass"
    return Slot(kind, binding, tone, symbol, label, facts, problems, may_issue)


def find_stencil_problems(stencil: Tool, *, now: datetime) -> list[str]:
    """Return what keeps a stencil from being used, in words; its status apart."""
    problems = []
    if limits.is_tension_low(stencil):
        problems.append(_("Tension below %(least)g N/cm, or never measured.") % {"least": stencil.tension_min})
    if limits.is_used_too_often(stencil):
        problems.append(
            _("Used %(count)d times since it was cleaned: clean it.") % {"count": stencil.uses_since_service}
        )
    if limits.is_cleaning_overdue(stencil, now=now):
        hours = stencil.max_hours_since_service
        problems.append(_("Not cleaned in the last %(hours)d hours: clean it.") % {"hours": hours})
    return problems


def find_lot_problems(lot: MaterialLot, usage: SolderPasteUsage | None, *, now: datetime) -> list[str]:
    """Return what keeps a lot from being used, in words; its status apart."""
    problems = []
    if limits.is_past_expiry(lot, now=now):
        problems.append(_("Past its expiry date: take another lot."))
    if usage is None or usage.returned_at is not None:
        problems.append(_("It was not issued, so no clock watches how long it is open."))
    return problems
