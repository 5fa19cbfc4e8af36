"""Rules that hold units: what the hold says, for clocks that ended too early or ran out."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext as _

from mes.time_rules import hooks
from mes.time_rules.display import in_words
from mes.time_rules.models import EntityType, InstanceStatus, TimeRuleAction, TimeRuleInstance


def hold(instances: Iterable[TimeRuleInstance], *, now: datetime) -> None:
    """Hold the units of clocks whose rules say so; the caller holds their rows, locked before the clocks."""
    held: dict[str, list[str]] = {}
    for instance in instances:
        if instance.entity_type == EntityType.UNIT and instance.definition.action == TimeRuleAction.HOLD:
            held.setdefault(instance.entity_id, []).append(_reason(instance, now))
    hooks.hold({sn: "; ".join(reasons) for sn, reasons in held.items()})


def _reason(instance: TimeRuleInstance, now: datetime) -> str:
    values = {"rule": instance.definition.name}
    if instance.status == InstanceStatus.EARLY and instance.ended_at and instance.earliest_at:
        by = in_words(instance.earliest_at - instance.ended_at)
        return _("Time rule: %(rule)s, %(time)s too early") % {**values, "time": by}
    if instance.ended_at is not None and instance.expires_at is not None:
        by = in_words(instance.ended_at - instance.expires_at)
        return _("Time rule: %(rule)s, %(time)s too late") % {**values, "time": by}
    return _("Time rule: %(rule)s, its time is over") % values
