"""The page of the clocks: what runs out next, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.errors import DomainError
from mes.plant.models import Line
from mes.platform.accounts.roles import Capability
from mes.platform.http.pages import mark_of, needs, show_live, signed_in
from mes.production.models import Unit
from mes.time_rules import services
from mes.time_rules.display import Look, counted_to, look_at, share_left
from mes.time_rules.models import (
    EntityType,
    InstanceStatus,
    TimeRuleDefinition,
    TimeRuleInstance,
)
from mes.time_rules.queries import list_open

SHOWN = 200
REASON_LENGTH = 500
DECISIONS = {"waive": services.waive, "acknowledge": services.acknowledge}


@dataclass(frozen=True)
class Row:
    """One clock on the page."""

    instance: TimeRuleInstance
    line: Line | None
    unit: Unit | None
    look: Look
    share: float
    decision: str  # what may be decided; empty: nothing
    now: datetime

    @property
    def is_running(self) -> bool:
        """Whether time is counted."""
        return self.instance.status == InstanceStatus.ACTIVE and self.until is not None

    @property
    def until(self) -> datetime | None:
        """The moment to which it is counted: the earliest, then the last."""
        return counted_to(self.instance, now=self.now)


@dataclass(frozen=True)
class Chosen:
    """What somebody filtered by: the codes of a line and of a rule."""

    line: str = ""
    rule: str = ""

    def query(self, **changes: str) -> str:
        """Return the query string with these changes."""
        parameters = {"line": self.line, "rule": self.rule, **changes}
        return urlencode({name: value for name, value in parameters.items() if value})


@signed_in
@require_GET
def clocks(request: HttpRequest) -> HttpResponse:
    """The clocks that need somebody, the most urgent first."""
    now = timezone.now()
    chosen = _read_filter(request)
    lines = list(Line.objects.order_by("code"))
    line = next((choice for choice in lines if choice.code == chosen.line), None)
    if chosen.line and line is None:
        raise Http404(_("There is no such line."))
    clocks_shown = list(list_open(line_id=line.pk if line else None, code=chosen.rule)[: SHOWN + 1])
    rows = _make_rows(clocks_shown[:SHOWN], lines, now)
    context = {
        "rows": rows,
        "now": now,
        "chosen": chosen,
        "query": chosen.query(),
        "line": line,
        "has_more": len(clocks_shown) > SHOWN,
        "lines": [(choice.code, chosen.query(line=choice.code)) for choice in lines],
        "all_lines": chosen.query(line=""),
        "rules": [(code, name, chosen.query(rule=code)) for code, name in _list_rules()],
        "all_rules": chosen.query(rule=""),
    }
    return show_live(request, "time_rules/clocks.html", "time_rules/_clocks_live.html", context, mark=_mark(rows, now))


def _read_filter(request: HttpRequest) -> Chosen:
    return Chosen(*(request.GET.get(name, "").strip()[:100] for name in ("line", "rule")))


def _list_rules() -> list[tuple[str, str]]:
    """Return code and name of each active rule once."""
    rules = TimeRuleDefinition.objects.filter(is_active=True).order_by("code", "pk").values_list("code", "name")
    return list({code: (code, name) for code, name in reversed(rules)}.values())[::-1]


def _make_rows(instances: Sequence[Any], lines: Sequence[Line], now: datetime) -> list[Row]:
    by_id = {line.pk: line for line in lines}
    sns = [instance.entity_id for instance in instances if instance.entity_type == EntityType.UNIT]
    units = {unit.sn: unit for unit in Unit.objects.filter(sn__in=sns)} if sns else {}
    return [
        Row(
            instance=instance,
            line=by_id.get(instance.place_id),
            unit=units.get(instance.entity_id) if instance.entity_type == EntityType.UNIT else None,
            look=look_at(instance, now=now),
            share=share_left(instance, now=now),
            decision=_possible(instance),
            now=now,
        )
        for instance in instances
    ]


def _possible(instance: TimeRuleInstance) -> str:
    if instance.status in (InstanceStatus.EXPIRED, InstanceStatus.EARLY):
        return "acknowledge"
    return "waive" if instance.definition.is_waivable else ""


def _mark(rows: Sequence[Row], now: datetime) -> str:
    """Stand for what is shown; the seconds are counted in the browser."""
    facts = [(row.instance.pk, row.look.label, row.line and row.line.pk, row.unit and row.unit.status) for row in rows]
    steps = [row.unit and row.unit.current_step_no for row in rows]
    return mark_of(facts, steps, now=now)


@needs(Capability.WAIVE)
@require_POST
def decide(request: HttpRequest, instance_id: int, action: str) -> HttpResponse:
    """Waive a running clock or acknowledge an expired one; refusals are shown on the page."""
    if action not in DECISIONS:
        raise Http404
    reason = request.POST.get("reason", "").strip()
    problem = _problem_of(reason)
    if problem:
        messages.error(request, problem)
    else:
        try:
            DECISIONS[action](instance_id=instance_id, reason=reason, by=request.user.get_username())
        except DomainError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("The decision is recorded."))
    query = _back_to(request)
    return redirect(reverse("clocks") + (f"?{query}" if query else ""))


def _problem_of(reason: str) -> str:
    if not reason:
        return _("Say why: a reason is needed.")
    if not reason.isprintable():
        return _("The reason contains characters that cannot be kept.")
    if len(reason) > REASON_LENGTH:
        return _("The reason is too long; %(length)d characters are enough.") % {"length": REASON_LENGTH}
    return ""


def _back_to(request: HttpRequest) -> str:
    return Chosen(*(request.POST.get(name, "").strip()[:100] for name in ("line", "rule"))).query()
