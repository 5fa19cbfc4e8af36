"""STENCIL: one is bound to the line, it is reported READY, and it is clean, tight and not worn by its own limits."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup import limits
from mes.line_setup.loads.locks import lock_set_up
from mes.line_setup.loads.queries import loaded_on_line
from mes.line_setup.models import SetUpKind, Tool, ToolStatus
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "STENCIL"
Fault = tuple[str, str, str]


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for the stencil, or for each of its faults."""
    stencil = _find(facts)
    if stencil is None:
        yield Finding(
            ITEM_TYPE,
            facts.run.line.code,
            "STENCIL_NOT_BOUND",
            _("No stencil is bound to line “%(line)s”.") % {"line": facts.run.line.code},
            _("Scan the stencil and bind it to the line."),
        )
        return
    evidence = _describe(stencil)
    faults = [*_faults(stencil, facts)]
    for code, reason, action in faults:
        yield Finding(ITEM_TYPE, stencil.tool_id, code, reason, action, evidence)
    if not faults:
        yield Finding(ITEM_TYPE, stencil.tool_id, evidence=evidence)


def _find(facts: Facts) -> Tool | None:
    if facts.is_gate:
        lock_set_up(lines=[facts.run.line_id])
    bound = Tool.objects.filter(pk__in=loaded_on_line(facts.run.line, SetUpKind.STENCIL).values("tool"))
    return facts.read(bound).first()


def _faults(stencil: Tool, facts: Facts) -> Iterator[Fault]:
    named = {"stencil": stencil.tool_id}
    if not stencil.status:
        yield (
            "STENCIL_STATUS_UNKNOWN",
            _("Nobody reported whether stencil “%(stencil)s” is ready.") % named,
            _("Have the stencil checked, so that its status is reported."),
        )
    elif stencil.status != ToolStatus.READY:
        yield (
            "STENCIL_NOT_READY",
            _("Stencil “%(stencil)s” is reported as: %(status)s.") % {**named, "status": stencil.get_status_display()},
            _("Take another stencil, or wait until it is reported ready."),
        )
    if stencil.failed_check and stencil.status in ("", ToolStatus.READY):
        yield (
            "STENCIL_NOT_READY",
            _("The latest check of stencil “%(stencil)s” by %(forms)s failed.")
            % {**named, "forms": stencil.failed_check},
            _("Put right what was found, and record a check that passes, or take another stencil."),
        )
    yield from _find_wear(stencil, facts, named)


def _find_wear(stencil: Tool, facts: Facts, named: dict[str, Any]) -> Iterator[Fault]:
    least, most = stencil.tension_min, stencil.max_uses
    if limits.is_tension_low(stencil):
        tension = _("not measured") if stencil.tension_value is None else f"{stencil.tension_value:g} N/cm"
        yield (
            "STENCIL_TENSION_LOW",
            _("The tension of stencil “%(stencil)s” is %(seen)s; it must be at least %(least)g N/cm.")
            % {**named, "seen": tension, "least": least},
            _("Have it measured again, or take another stencil."),
        )
    if limits.is_used_too_often(stencil):
        yield (
            "STENCIL_USED_TOO_OFTEN",
            _("Stencil “%(stencil)s” was used %(uses)d times since it was cleaned; at %(most)d it must be cleaned.")
            % {**named, "uses": stencil.uses_since_service, "most": most},
            _("Clean it, so that the cleaning is reported, or take another stencil."),
        )
    hours = stencil.max_hours_since_service
    if limits.is_cleaning_overdue(stencil, now=facts.now):
        yield (
            "STENCIL_NOT_CLEANED",
            _("Stencil “%(stencil)s” was not cleaned within the last %(hours)d h.") % {**named, "hours": hours},
            _("Clean it, so that the cleaning is reported, or take another stencil."),
        )


def _describe(stencil: Tool) -> dict[str, Any]:
    return {
        "stencilId": stencil.tool_id,
        "stencilStatus": stencil.status or None,
        "statusAt": stencil.status_at and stencil.status_at.isoformat(),
        "tensionValue": stencil.tension_value,
        "tensionMin": stencil.tension_min,
        "usageCount": stencil.uses_since_service,
        "maxUses": stencil.max_uses,
        "lastCleanedAt": stencil.serviced_at and stencil.serviced_at.isoformat(),
    }


CHECK = Check(ITEM_TYPE, gettext_lazy("Stencil"), evaluate, 40, presets=("SMT",))
