"""The start page by role: what waits for whoever looks, their own lines first, in a fixed number of queries."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import Defect, OqcInspection, ReworkTask
from mes.platform.accounts.roles import Role
from mes.platform.notifications import services
from mes.production.decision_models import Approval, ApprovalType
from mes.production.hold_models import Hold, HoldScope
from mes.production.models import Run, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from tests.factories import Plant, make_line, make_plant, make_user, put_runs

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> Plant:
    return make_plant()


def sign_in(role: Role, *, follows: tuple[str, ...] = ()) -> Client:
    client, user = Client(), make_user(role)
    client.force_login(user)
    if follows:
        services.follow(user, line_codes=follows)
    return client


def words(client: Client, address: str = "/?lines=mine") -> str:
    response = client.get(address)
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def make_late(number: int) -> None:
    due = timezone.localdate() - timedelta(days=3)
    WorkOrder.objects.bulk_create(
        WorkOrder(wo_no=f"LATE-{n}", product_code="P", planned_qty=5, due_date=due, status=WorkOrderStatus.RELEASED)
        for n in range(number)
    )


def hold(plant: Plant) -> None:
    put_runs(RunStatus.ON_HOLD)
    Hold.objects.create(scope=HoldScope.RUN, run=plant.run, reason="Wrong reel", opened_by="quality")


def ask(plant: Plant) -> None:
    Unit.objects.filter(sn="SN-1").update(status=UnitStatus.SCRAPPED)
    Approval.objects.create(
        type=ApprovalType.UNSCRAP,
        unit=Unit.objects.get(sn="SN-1"),
        reason="Scrapped by mistake",
        requested_by="supervisor",
        expires_at=timezone.now() + timedelta(days=2),
    )


def test_a_supervisor_sees_late_orders_and_what_else_is_not_theirs_is_not_there(plant: Plant) -> None:
    make_late(6)
    hold(plant)
    ask(plant)
    page = words(sign_in(Role.SUPERVISOR))
    assert "Late orders All late orders" in page and "LATE-4" in page and "LATE-5" not in page and "3 days late" in page
    assert "Waits for your approval" not in page
    assert "Late orders" not in words(sign_in(Role.OPERATOR))


def test_quality_sees_what_waits_for_approval_and_held_runs(plant: Plant) -> None:
    hold(plant)
    ask(plant)
    page = words(sign_in(Role.QUALITY))
    assert "Waits for your approval" in page and "SN-1" in page and "asked by supervisor" in page
    assert "What stands still" in page and "Wrong reel" in page and "Late orders" not in page


def find_and_send_back(plant: Plant) -> None:
    unit, other = plant.units
    found = {"run": plant.run, "step_no": 10, "code": "OPEN", "found_at": timezone.now()}
    Defect.objects.create(unit=unit, source="INSPECTION", **found)
    Defect.objects.create(unit=unit, source="MACHINE", status="FALSE_CALL", **found)
    task = {"run": plant.run, "to_step_no": 10, "rework_no": 1, "reason": "r", "created_by": "sue"}
    ReworkTask.objects.create(unit=other, **task)
    ReworkTask.objects.create(unit=other, status="DONE", ended_at=timezone.now(), **task)


def draw(plant: Plant) -> None:
    counts = {"lot_size": 2, "sample_qty": 1, "ac": 0, "re": 1}
    OqcInspection.objects.create(run=plant.run, scheme="ALL", seed="1", created_by="system", **counts)


def test_who_decides_about_quality_sees_how_much_waits(plant: Plant) -> None:
    assert "Quality" not in words(sign_in(Role.QUALITY))
    find_and_send_back(plant)
    draw(plant)
    page = words(sign_in(Role.QUALITY))
    for told in ("1 lot waits for its inspection", "1 defect waits for a decision", "1 unit waits for its repair"):
        assert told in page
    supervised = words(sign_in(Role.SUPERVISOR))
    assert "1 defect waits for a decision" in supervised and "inspection" not in supervised
    assert "Quality" not in words(sign_in(Role.OPERATOR))
    OqcInspection.objects.update(status="INSPECTING")
    assert "1 lot is being inspected" in words(sign_in(Role.ADMIN))


def test_an_engineer_sees_runs_with_deviations(plant: Plant) -> None:
    assert "Runs with deviations" not in words(sign_in(Role.ENGINEER))
    Run.objects.update(has_deviations=True)
    assert "Runs with deviations" in words(sign_in(Role.ENGINEER))
    assert "Runs with deviations" not in words(sign_in(Role.OPERATOR))


def test_an_operator_sees_the_lines_that_they_follow_and_others_when_asked_for(plant: Plant) -> None:
    make_line("SMT-B")
    everybody = words(sign_in(Role.OPERATOR))
    assert "SMT-A" in everybody and "SMT-B" in everybody and "My lines" not in everybody
    own = sign_in(Role.OPERATOR, follows=("SMT-B",))
    page = words(own)
    assert "SMT-B" in page and "RUN-1" not in page and "My lines" in page
    assert "RUN-1" in words(own, "/?lines=all")


def test_late_orders_of_followed_lines_and_of_none_are_shown(plant: Plant) -> None:
    make_late(3)
    WorkOrder.objects.filter(wo_no="LATE-0").update(line=plant.line)
    WorkOrder.objects.filter(wo_no="LATE-1").update(line=make_line("SMT-B"))
    page = words(sign_in(Role.SUPERVISOR, follows=("SMT-A",)))
    assert "LATE-0" in page and "LATE-2" in page and "LATE-1" not in page


def test_it_takes_as_many_queries_for_many_as_for_one(plant: Plant) -> None:
    """An administrator sees all of it."""
    client = sign_in(Role.ADMIN)

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/").status_code == 200
        return len(captured)

    make_late(1)
    hold(plant)
    ask(plant)
    count()
    few = count()
    WorkOrder.objects.exclude(wo_no=plant.order.wo_no).delete()
    make_late(9)
    assert count() == few == 13


def test_the_live_part_is_told_of_what_waits(plant: Plant) -> None:
    client = sign_in(Role.ADMIN)
    live = {"HX-Request": "true"}
    for change in (lambda: make_late(1), lambda: hold(plant), lambda: ask(plant), lambda: find_and_send_back(plant)):
        html = client.get("/", headers=live).content.decode()
        found = re.search(r'hx-get="([^"]+)"', html)
        assert found is not None
        address = found[1].replace("&amp;", "&")
        assert client.get(address, headers=live).status_code == 204
        change()
        assert client.get(address, headers=live).status_code == 200
