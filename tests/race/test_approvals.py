"""Two who decide the same at once: one does, the other is told that it is decided."""

from typing import Any

import pytest

from mes.errors import InvalidTransition
from mes.platform.hooks import Hook
from mes.production import approvals
from mes.production.approvals import ApprovalKind
from mes.production.decision_models import Approval
from tests.factories import make_plant
from tests.integration.helpers import at_once
from tests.production.test_approvals import ask, finishing

carried_out: list[int] = []


@pytest.fixture(autouse=True)
def _kind(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a kind whose approvals are parted by their own lock alone, and that counts how often it was carried out."""
    carried_out.clear()
    kinds: Hook[ApprovalKind] = Hook(key=lambda kind: kind.type)
    of_units = finishing([])
    kinds.register(
        ApprovalKind(
            of_units.type,
            asks=of_units.asks,
            approves=of_units.approves,
            lock=lambda _approval: None,
            check=lambda _approval, _locked: None,
            apply=lambda approval, _locked: carried_out.append(approval.pk),
            describe=of_units.describe,
        )
    )
    monkeypatch.setattr(approvals, "kinds", kinds)


def decide_twice(*acts: Any) -> list[str]:
    """Have two people decide at once; return what became of each."""
    pk = ask(make_plant(units=1).units[0]).pk

    def decide(act: Any, by: str) -> str:
        try:
            return act(approval_id=pk, by=by).status
        except InvalidTransition:
            return "refused"

    return at_once(*(lambda act=act, by=by: decide(act, by) for act, by in zip(acts, ("ann", "bob"), strict=True)))


def test_of_two_who_approve_one_does(slow: Any) -> None:
    slow(approvals, "_close", before=0.2)
    assert sorted(decide_twice(approvals.approve, approvals.approve)) == ["APPROVED", "refused"]
    assert len(carried_out) == 1


def test_of_one_who_approves_and_one_who_refuses_one_does(slow: Any) -> None:
    slow(approvals, "_close", before=0.2)
    answers = decide_twice(approvals.approve, approvals.refuse)
    assert "refused" in answers and len(set(answers)) == 2
    assert Approval.objects.get().status in answers
    assert len(carried_out) == answers.count("APPROVED")


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_it_is_carried_out_twice(slow: Any) -> None:
    slow(approvals, "_close", before=0.3)
    assert decide_twice(approvals.approve, approvals.approve) == ["APPROVED", "APPROVED"]
    assert len(carried_out) == 2
