"""What one person asks for and another allows: by whom, how long, and what is carried out."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes import errors
from mes.platform.accounts.roles import Capability, Role
from mes.platform.hooks import Hook
from mes.platform.outbox.schedules import tasks
from mes.platform.sweeps import SweepIncomplete
from mes.production import approvals, locking
from mes.production.approvals import ApprovalKind
from mes.production.approvals_api import ApprovalViewSet
from mes.production.decision_models import Approval, ApprovalStatus, ApprovalType
from mes.production.models import Unit, UnitStatus
from tests.factories import api_client, make_plant
from tests.integration.helpers import nothing_changes

pytestmark = pytest.mark.django_db

FINISHED = (ApprovalStatus.APPROVED, ApprovalStatus.REFUSED, ApprovalStatus.WITHDRAWN, ApprovalStatus.EXPIRED)


def finishing(dropped: list[str]) -> ApprovalKind:
    """Return a kind by which a queued unit is done at once."""

    def check(_approval: Approval, unit: Unit) -> None:
        if unit.status != UnitStatus.QUEUED:
            raise errors.UnitScrapped(sn=unit.sn)

    def apply(_approval: Approval, unit: Unit) -> None:
        Unit.objects.filter(pk=unit.pk).update(status=UnitStatus.DONE)

    return ApprovalKind(
        ApprovalType.UNSCRAP,
        asks=(Capability.DISPOSITION,),
        approves=(Capability.RELEASE,),
        lock=lambda approval: locking.lock_units(Unit.objects.filter(pk=approval.unit_id))[0],
        check=check,
        apply=apply,
        drop=lambda approval: dropped.append(approval.status),
        describe=lambda approval: f"Finish {approval.unit.sn if approval.unit else ''}",
    )


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have one kind; return with which statuses what was asked for was dropped."""
    found: list[str] = []
    kinds: Hook[ApprovalKind] = Hook(key=lambda kind: kind.type)
    kinds.register(finishing(found))
    monkeypatch.setattr(approvals, "kinds", kinds)
    return found


@pytest.fixture
def asked(dropped: list[str]) -> Approval:
    """Return what Sue asked for the unit of a plant."""
    plant = make_plant(units=1)
    return ask(plant.units[0])


def ask(unit: Unit, by: str = "sue") -> Approval:
    return approvals.request(
        type=ApprovalType.UNSCRAP, reason="It is good.", by=by, unit=unit, run=unit.run, arguments={"toRunNo": None}
    )


def status_of_unit() -> str:
    return Unit.objects.get().status


def past(approval: Approval) -> None:
    """Let it wait too long."""
    Approval.objects.filter(pk=approval.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_what_another_person_approves_is_carried_out(asked: Approval, dropped: list[str]) -> None:
    assert (asked.status, asked.expires_at - asked.requested_at) == ("REQUESTED", timedelta(days=7))
    done = approvals.approve(approval_id=asked.pk, by="quentin", reason="So it is.")
    asked.refresh_from_db()
    assert (asked.status, asked.decided_by, asked.decision_reason) == ("APPROVED", "quentin", "So it is.")
    assert done.decided_at is not None
    assert (status_of_unit(), dropped) == ("DONE", [])


@pytest.mark.parametrize("name", ["sue", "token:gate"])
def test_who_asked_cannot_approve(dropped: list[str], name: str) -> None:
    asked = ask(make_plant(units=1).units[0], by=name)
    with nothing_changes(), pytest.raises(errors.ApproverIsRequester):
        approvals.approve(approval_id=asked.pk, by=name)


def test_refused_and_withdrawn_it_is_not_carried_out(asked: Approval, dropped: list[str]) -> None:
    approvals.refuse(approval_id=asked.pk, by="quentin", reason="It is not.")
    again = ask(Unit.objects.get())
    approvals.withdraw(approval_id=again.pk, by="sue")
    assert dropped == ["REFUSED", "WITHDRAWN"]
    assert status_of_unit() == "QUEUED"


def test_only_who_asked_withdraws_or_an_administrator(asked: Approval) -> None:
    with nothing_changes(), pytest.raises(errors.WithdrawalNotAllowed):
        approvals.withdraw(approval_id=asked.pk, by="sam")
    approvals.withdraw(approval_id=asked.pk, by="root", is_for_others=True)
    asked.refresh_from_db()
    assert (asked.status, asked.decided_by) == ("WITHDRAWN", "root")


@pytest.mark.parametrize("status", FINISHED)
@pytest.mark.parametrize("act", [approvals.approve, approvals.refuse, approvals.withdraw])
def test_what_is_decided_is_decided(asked: Approval, act: Any, status: str) -> None:
    Approval.objects.filter(pk=asked.pk).update(status=status, decided_at=timezone.now(), decided_by="quentin")
    with nothing_changes(), pytest.raises(errors.InvalidTransition) as refusal:
        act(approval_id=asked.pk, by="sue" if act is approvals.withdraw else "quinn")
    assert refusal.value.details["state"] == status


@pytest.mark.parametrize("act", [approvals.approve, approvals.refuse, approvals.withdraw])
def test_what_waited_too_long_cannot_be_decided_before_the_sweep_saw_it(asked: Approval, act: Any) -> None:
    past(asked)
    with nothing_changes(), pytest.raises(errors.InvalidTransition) as refusal:
        act(approval_id=asked.pk, by="sue" if act is approvals.withdraw else "quinn")
    assert refusal.value.details["state"] == "EXPIRED"


def test_every_rule_is_asked_when_it_is_asked_for_and_again_when_it_is_approved(asked: Approval) -> None:
    unit = Unit.objects.get()
    Unit.objects.update(status=UnitStatus.OUT_FAILED)
    with nothing_changes(), pytest.raises(errors.UnitScrapped):
        approvals.approve(approval_id=asked.pk, by="quentin")
    Approval.objects.all().delete()
    with nothing_changes(), pytest.raises(errors.UnitScrapped):
        ask(unit)


def test_it_is_asked_once_for_a_unit(asked: Approval, dropped: list[str]) -> None:
    unit = Unit.objects.get()
    with nothing_changes(), pytest.raises(errors.ApprovalRequested):
        ask(unit)
    past(asked)
    assert ask(unit).pk != asked.pk
    assert dropped == ["EXPIRED"]


def test_the_worker_closes_what_waited_too_long(asked: Approval, dropped: list[str]) -> None:
    assert "approvals" in [task.name for task in tasks]
    assert approvals.expire_approvals() == 0
    past(asked)
    assert (approvals.expire_approvals(), approvals.expire_approvals()) == (1, 0)
    asked.refresh_from_db()
    assert (asked.status, dropped) == ("EXPIRED", ["EXPIRED"])


def test_a_bad_row_stops_no_other(dropped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [ask(unit) for unit in make_plant(units=3).units]
    for approval in asked:
        past(approval)
    bad, real = asked[1].pk, approvals._expire

    def expire(approval: Approval) -> None:
        if approval.pk == bad:
            raise ValueError("bad")
        real(approval)

    monkeypatch.setattr(approvals, "_expire", expire)
    with pytest.raises(SweepIncomplete, match="bad"):
        approvals.expire_approvals()
    assert list(Approval.objects.order_by("pk").values_list("status", flat=True)) == ["EXPIRED", "REQUESTED", "EXPIRED"]


# --- over HTTP ---------------------------------------------------------------------------------------------


def test_it_is_listed_read_and_approved_over_http(asked: Approval) -> None:
    client = api_client(Role.QUALITY)
    assert client.get("/api/approvals?status=APPROVED").json()["data"]["items"] == []
    [listed] = client.get("/api/approvals?status=REQUESTED&type=UNSCRAP").json()["data"]["items"]
    assert listed == client.get(f"/api/approvals/{asked.pk}").json()["data"]
    assert (listed["description"], listed["sn"], listed["runNo"]) == ("Finish SN-1", "SN-1", "RUN-1")
    assert (listed["requestedBy"], listed["arguments"], listed["decidedAt"]) == ("sue", {"toRunNo": None}, None)
    answer = client.post(f"/api/approvals/{asked.pk}/approve", {"reason": "So it is."})
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "APPROVED")
    assert status_of_unit() == "DONE"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.ENGINEER, Role.INTEGRATION])
@pytest.mark.parametrize("act", ["approve", "refuse"])
def test_other_roles_do_not_decide(asked: Approval, role: Role, act: str) -> None:
    client = api_client(role)
    with nothing_changes():
        answer = client.post(f"/api/approvals/{asked.pk}/{act}", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")


def test_who_decides_is_told_by_the_kind(asked: Approval) -> None:
    with pytest.raises(errors.DecisionNotAllowed, match="Quality or Admin"):
        approvals.check_may_decide(asked, frozenset({Capability.DISPOSITION}))
    approvals.check_may_decide(asked, frozenset({Capability.RELEASE}))


def test_what_kinds_allow_the_addresses_let_in() -> None:
    for kind in approvals.kinds:
        assert set(kind.approves) <= set(ApprovalViewSet.capabilities["approve"])
        assert set(kind.approves) <= set(ApprovalViewSet.capabilities["refuse"])
        assert set(kind.asks) <= set(ApprovalViewSet.capabilities["withdraw"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("approvals?state=REQUESTED", 400, "VALIDATION_ERROR"),
        ("approvals?status=OPEN", 400, "VALIDATION_ERROR"),
        ("approvals/0", 404, "APPROVAL_NOT_FOUND"),
        ("approvals/x", 404, "APPROVAL_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_refused(asked: Approval, path: str, status: int, code: str) -> None:
    answer = api_client(Role.OPERATOR).get(f"/api/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("reason", ["", "   ", "a\nb", "x" * 501, 7])
def test_a_reason_is_a_line_where_there_is_one(asked: Approval, reason: Any) -> None:
    client = api_client(Role.QUALITY)
    with nothing_changes():
        answer = client.post(f"/api/approvals/{asked.pk}/approve", {"reason": reason})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_withdrawn_over_http_by_who_asked(dropped: list[str]) -> None:
    client = api_client(Role.SUPERVISOR)
    asked = ask(make_plant(units=1).units[0], by="somebody else")
    refused = client.post(f"/api/approvals/{asked.pk}/withdraw", {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    answer = api_client(Role.ADMIN).post(f"/api/approvals/{asked.pk}/withdraw", {})
    assert answer.json()["data"]["status"] == "WITHDRAWN"
