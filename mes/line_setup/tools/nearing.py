"""That tools near their limits: people are told once, until a service takes it back."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Q, Value
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.loads.queries import lines_of
from mes.line_setup.models import Tool
from mes.line_setup.tools.links import page_of
from mes.line_setup.tools.rules import NEAR
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, notify
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep

TOLD = frozenset({Role.ENGINEER.value, Role.SUPERVISOR.value})
BATCH, MOST_BATCHES = 200, 100


def tell(tool_ids: Collection[int]) -> None:
    """Tell that tools near a limit, each once, and note it (inside a transaction that holds their rows)."""
    if not tool_ids:
        return
    now = timezone.now()
    tools = list(Tool.objects.filter(pk__in=tool_ids, warned_at=None).order_by("pk"))
    lines = lines_of("tool", tool_ids)
    notices = [_notice(tool, lines.get(tool.pk), now) for tool in tools]
    Tool.objects.filter(pk__in=tool_ids, warned_at=None).update(warned_at=now)
    notify(notices)


def _notice(tool: Tool, line_id: int | None, now: datetime) -> Notice:
    values = {"tool": tool.tool_id, "kind": tool.get_kind_display(), "limit": _describe(tool)}
    return Notice(
        key=f"tool-near-limit:{tool.pk}:{now.isoformat()}",
        severity=Severity.WARNING,
        text=_("%(kind)s %(tool)s nears a limit: %(limit)s.") % values,
        roles=TOLD,
        line_id=line_id,
        address=page_of(tool.tool_id),
        event=NoticeEvent.TOOL_NEAR_LIMIT,
        facts={"toolId": tool.tool_id, "kind": tool.kind, "usesSinceService": str(tool.uses_since_service)},
        at=now,
    )


def _describe(tool: Tool) -> str:
    """Return the limits that are near, in words."""
    near = []
    if tool.max_uses is not None and tool.uses_since_service >= NEAR * tool.max_uses:
        near.append(_("%(uses)d of %(most)d uses") % {"uses": tool.uses_since_service, "most": tool.max_uses})
    if tool.life_uses is not None and tool.uses >= NEAR * tool.life_uses:
        near.append(_("%(uses)d of %(most)d uses of its life") % {"uses": tool.uses, "most": tool.life_uses})
    if not near:
        near.append(_("%(hours)d hours since its last service") % {"hours": tool.max_hours_since_service or 0})
    return ", ".join(near)


def sweep() -> int:
    """Tell of tools whose last service was nearly too long ago; return how many."""
    after = ExpressionWrapper(
        F("max_hours_since_service") * Value(NEAR * timedelta(hours=1)), output_field=DurationField()
    )
    near_at = ExpressionWrapper(F("serviced_at") + after, output_field=DateTimeField())
    due = Q(warned_at=None, max_hours_since_service__isnull=False, serviced_at__isnull=False)
    done = 0
    with Sweep("tools near their limits") as tools:
        for batch in tools.batches(size=BATCH, most=MOST_BATCHES):
            with batch, transaction.atomic():
                rows = Tool.objects.filter(due).alias(near_at=near_at).filter(near_at__lte=timezone.now())
                locked = rows.exclude(pk__in=batch.excluded).select_for_update(no_key=True, skip_locked=True)
                batch.keys = list(locked.order_by("pk").values_list("pk", flat=True)[: batch.size])
                tell(batch.keys)
            done += batch.done
    return done


TASK = ScheduledTask("tools", gettext_lazy("Warnings of tools near their limits"), sweep, cron="*/5 * * * *")
