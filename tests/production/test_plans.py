"""What is read of decisions, holds, approvals, moves and reference passes: by an index, however many there were. Plans
are asked for with what a small table would do instead forbidden.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.production import decisions, order_board
from mes.production.decision_models import Approval, ApprovalStatus, Decision, RunActivation, UnitMove
from mes.production.hold_models import Hold, HoldScope, HoldStatus
from mes.production.identity_models import ReferencePass, UnitAlias
from tests.factories import Plant, make_plant


def plan_of(rows: QuerySet[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant(units=1)


NEWEST: dict[str, Callable[[Plant], QuerySet[Any]]] = {
    "decision_by_work_order": lambda plant: decisions.list_decisions(plant.order)[:51],
    "decision_by_run": lambda plant: decisions.list_decisions(plant.run)[:51],
    "decision_by_line": lambda plant: decisions.list_decisions(plant.line)[:51],
    "hold_open": lambda plant: Hold.objects.filter(status=HoldStatus.OPEN, scope=HoldScope.RUN).order_by("id")[:11],
    "approval_by_status": lambda plant: Approval.objects.filter(
        status=ApprovalStatus.REQUESTED, expires_at__gt=timezone.now()
    ).order_by("expires_at")[:20],
    "approval_newest_of_status": lambda plant: Approval.objects.filter(status=ApprovalStatus.EXPIRED)[:51],
    "approval_by_decision": lambda plant: Approval.objects.exclude(status=ApprovalStatus.REQUESTED).order_by(
        "-decided_at", "-id"
    )[:20],
    "reference_pass_newest": lambda plant: ReferencePass.objects.filter(reference_unit=1).order_by("-id")[:51],
    "run_activation_by_line": lambda plant: RunActivation.objects.filter(line=plant.line).order_by("-active_from")[:1],
}


@pytest.mark.parametrize("index", NEWEST)
def test_a_page_is_read_in_the_order_of_an_index(plant: Plant, index: str) -> None:
    plan = plan_of(NEWEST[index](plant))
    assert f"using {index} " in plan and "Sort" not in plan, plan


FOUND: dict[str, Callable[[Plant], QuerySet[Any]]] = {
    "unit_move_by_run": lambda plant: UnitMove.objects.filter(from_run__in=[1, 2], counted_as="DONE"),
    "mes_unitmove_unit_id": lambda plant: UnitMove.objects.filter(unit=plant.units[0]),
    "mes_unitmove_to_run_id": lambda plant: UnitMove.objects.filter(to_run=plant.run),
    "mes_unitalias_unit_id": lambda plant: UnitAlias.objects.filter(unit=plant.units[0]),
    "mes_unitalias_sn": lambda plant: UnitAlias.objects.filter(sn__startswith="OLD-"),
    "hold_open_line": lambda plant: Hold.objects.filter(line=plant.line, scope=HoldScope.LINE, status=HoldStatus.OPEN),
    "mes_approval_unit_id": lambda plant: Approval.objects.filter(unit=plant.units[0]),
    "mes_approval_run_id": lambda plant: Approval.objects.filter(run=plant.run),
    "run_activation_by_end": lambda plant: RunActivation.objects.filter(active_to=None),
    "mes_runactivation_run_id": lambda plant: RunActivation.objects.filter(run=plant.run),
}


@pytest.mark.parametrize("index", FOUND)
def test_what_belongs_to_a_thing_is_found_by_its_index(plant: Plant, index: str) -> None:
    plan = plan_of(FOUND[index](plant).order_by())
    assert index in plan and "Index Cond" in plan, plan


def test_the_decisions_about_an_order_are_found_by_two_indexes(plant: Plant) -> None:
    """With those of its runs; the control is the condition that reads all decisions."""
    plan = plan_of(order_board._decisions_of(plant.order)[:51])
    assert "decision_by_work_order" in plan and "decision_by_run" in plan, plan
    either = Decision.objects.filter(Q(work_order=plant.order) | Q(run__work_order=plant.order))
    assert "decision_by_run" not in plan_of(either.order_by("-id")[:51])
