"""TIME_RULE: no clock of a unit or a solder paste lot on the line has run out and waits to be dealt with.

A clock whose time is over counts as expired before the sweep has seen it.
"""

from collections.abc import Iterator

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.readiness.registry import Check, Facts, Finding
from mes.time_rules.models import EntityType, TimeRuleInstance
from mes.time_rules.queries import list_blocking

ITEM_TYPE = "TIME_RULE"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for each expired clock of the line, or one that says there is none."""
    expired = list(list_blocking(line_id=facts.run.line_id, now=facts.now))
    for clock in expired:
        yield _finding_of(clock)
    if not expired:
        yield Finding(ITEM_TYPE, facts.run.line.code)


def _finding_of(clock: TimeRuleInstance) -> Finding:
    over_at = clock.expires_at or clock.started_at  # what runs out has a last moment
    until = date_format(timezone.localtime(over_at), "DATETIME_FORMAT")
    values = {"rule": clock.definition.name, "entity": clock.entity_id, "until": until}
    if clock.entity_type == EntityType.SOLDER_PASTE_LOT:
        reason = _("The time of solder paste “%(entity)s” (%(rule)s) was over at %(until)s.") % values
        action = _("Take the container off the line and bind another.")
    else:
        reason = _("The time of unit “%(entity)s” (%(rule)s) was over at %(until)s.") % values
        action = _("Do the step it waits for, or decide about the unit; the clock then no longer counts.")
    return Finding(
        ITEM_TYPE,
        f"{clock.definition_code} {clock.entity_id} {clock.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "TIME_EXPIRED",
        reason,
        action,
        {
            "instanceId": str(clock.pk),
            "definitionCode": clock.definition_code,
            "entityType": clock.entity_type,
            "entityId": clock.entity_id,
            "startedAt": clock.started_at.isoformat(),
            "expiresAt": over_at.isoformat(),
            "runNo": clock.run.run_no if clock.run else None,
        },
        waivable=clock.definition.is_waivable,
    )


CHECK = Check(ITEM_TYPE, gettext_lazy("Time rules"), evaluate, 60, presets=("SMT", "DIP"))
