"""Notifications of people about clocks. Clocks of one rule and line that run out together make one notification."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mes.plant.models import Line
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, notify
from mes.time_rules.models import TimeRuleInstance

NAMED = 3
EVENTS = {
    "warned": NoticeEvent.CLOCK_WARNING,
    "expired": NoticeEvent.CLOCK_EXPIRED,
    "early": NoticeEvent.CLOCK_EARLY,
}  # of which rules tell, too

Instances = Sequence[TimeRuleInstance]


def tell_warned(instances: Instances) -> None:
    """Warn of clocks that run out soon."""
    _tell("warned", Severity.WARNING, instances)


def tell_expired(instances: Instances) -> None:
    """Notify people that clocks expired."""
    _tell("expired", Severity.ALERT, instances)


def tell_early(instances: Instances) -> None:
    """Notify people that something happened before its least time was over."""
    _tell("early", Severity.ALERT, instances)


def tell_withdrawn(instances: Instances) -> None:
    """Notify people that clocks that had expired ended in time after all."""
    _tell("withdrawn", Severity.INFO, instances)


def _tell(what: str, severity: Severity, instances: Instances) -> None:
    groups: dict[tuple[int, int | None], list[TimeRuleInstance]] = {}
    for instance in instances:
        groups.setdefault((instance.definition_id, instance.line_id), []).append(instance)
    if not groups:
        return
    lines = Line.objects.in_bulk({line_id for _definition, line_id in groups if line_id})
    notify([_notice(what, severity, group, lines) for group in groups.values()])


def _notice(what: str, severity: Severity, group: list[TimeRuleInstance], lines: dict[int, Line]) -> Notice:
    first = group[0]
    line = lines.get(first.line_id) if first.line_id else None
    return Notice(
        key=f"time-rule-{what}:{first.pk}",
        severity=severity,
        text=_text(what, group, line),
        roles=frozenset(first.definition.notified_roles),
        line_id=first.line_id,
        event=EVENTS.get(what),
        facts={"rule": first.definition.code, "count": str(len(group)), "entityId": first.entity_id},
        address=f"{reverse('clocks')}?{urlencode({'line': line.code})}" if line else reverse("clocks"),
    )


def _text(what: str, group: list[TimeRuleInstance], line: Line | None) -> str:
    names = ", ".join(clock.entity_id for clock in group[:NAMED]) + (" …" if len(group) > NAMED else "")
    values = {
        "rule": group[0].definition.name,
        "names": names,
        "count": len(group),
        "line": line.code if line else _("no line"),
    }
    texts = {
        "warned": ngettext(
            "%(rule)s runs out soon for %(names)s (%(line)s).",
            "%(rule)s runs out soon for %(count)d: %(names)s (%(line)s).",
            len(group),
        ),
        "expired": ngettext(
            "%(rule)s ran out for %(names)s (%(line)s).",
            "%(rule)s ran out for %(count)d: %(names)s (%(line)s).",
            len(group),
        ),
        "early": ngettext(
            "%(rule)s was too early for %(names)s (%(line)s).",
            "%(rule)s was too early for %(count)d: %(names)s (%(line)s).",
            len(group),
        ),
        "withdrawn": ngettext(
            "%(rule)s was in time after all for %(names)s (%(line)s).",
            "%(rule)s was in time after all for %(count)d: %(names)s (%(line)s).",
            len(group),
        ),
    }
    return texts[what] % values
