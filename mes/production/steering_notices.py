"""Whom it concerns is told: the followers of a line, when something of it is held, cancelled or planned too high."""

from collections.abc import Iterable, Sequence

from django.urls import reverse
from django.utils.translation import gettext as _

from mes.plant.models import Line, Station
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Severity
from mes.platform.notifications.services import Notice, notify
from mes.production import hold_notices
from mes.production.decision_models import Decision
from mes.production.hold_models import Hold, HoldRuleNotice
from mes.production.models import OPEN_RUN_STATUSES, Run, WorkOrder
from mes.production.quantities import quantities_of_order

CONCERNED = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY, Role.ENGINEER})


def tell_run_held(run: Run, hold: Hold) -> None:
    """Tell that a run is on hold."""
    text = hold_notices.describe_place(hold)
    address = reverse("run", args=[run.run_no])
    notify([_notice(hold_notices.key_of(hold), Severity.WARNING, text, address, run.line_id)])


def tell_line_held(line: Line, hold: Hold) -> None:
    """Tell that a line is stopped."""
    text = hold_notices.describe_place(hold)
    address = reverse("line", args=[line.code])
    notify([_notice(hold_notices.key_of(hold), Severity.WARNING, text, address, line.pk)])


def tell_station_stopped(station: Station, hold: Hold) -> None:
    """Tell that a station is stopped; of one that is shared by all lines, everybody whom it concerns."""
    text = hold_notices.describe_place(hold)
    address = "" if station.line is None else reverse("line", args=[station.line.code])
    notify([_notice(hold_notices.key_of(hold), Severity.WARNING, text, address, station.line_id)])


def tell_rule_broken(notice: HoldRuleNotice, line: Line) -> None:
    """Tell what a hold rule tells that stops nothing."""
    address = reverse("line", args=[line.code])
    notify([_notice(f"hold-rule:{notice.pk}", Severity.WARNING, notice.reason, address, line.pk)])


def tell_cancelled(order: WorkOrder, runs: Iterable[Run], decision: Decision) -> None:
    """Tell that an order is cancelled: on its line, and on those of the runs that ended with it."""
    text = _("Order %(order)s is cancelled: %(reason)s") % {"order": order.wo_no, "reason": decision.reason}
    lines: list[int | None] = [order.line_id, *(run.line_id for run in runs)]
    _tell_of_order("order-cancelled", order, decision, text, lines)


def tell_over_planned(order: WorkOrder, decision: Decision) -> None:
    """Tell that the runs of an order are for more than it allows now, where they are."""
    over = quantities_of_order(order).over_planned
    if not over:
        return
    text = _("Order %(order)s was lowered: its runs are planned for %(count)d too many.")
    open_runs = order.runs.filter(kind=order.kind, status__in=OPEN_RUN_STATUSES)
    lines: list[int | None] = [*open_runs.values_list("line_id", flat=True)] or [order.line_id]
    _tell_of_order("order-over-planned", order, decision, text % {"order": order.wo_no, "count": over}, lines)


def _tell_of_order(what: str, order: WorkOrder, decision: Decision, text: str, lines: Sequence[int | None]) -> None:
    """One notice for each line; of an order that is on none, one for all."""
    address = reverse("order", args=[order.wo_no])
    named: list[int | None] = [*sorted({line for line in lines if line is not None})]
    key = f"{what}:{decision.pk}"
    notify([_notice(f"{key}:{line}", Severity.WARNING, text, address, line) for line in named or [None]])


def _notice(key: str, severity: Severity, text: str, address: str, line_id: int | None) -> Notice:
    return Notice(key=key, severity=severity, text=text, roles=CONCERNED, line_id=line_id, address=address)
