"""The whole way: boards are tracked, the worker handles the events, clocks start and end."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule

from execution import dispositions, tracking
from mes.platform.database import retention
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.platform.outbox.processor import process_due
from mes.platform.outbox.schedules import create_schedules
from mes.production import runs
from mes.time_rules.models import TimeRuleMark
from mes.time_rules.sweep import sweep
from tests.execution.support import assert_done
from tests.factories import api_client
from tests.time_rules.support import clocks, statuses, the_clock
from tests.time_rules.test_scopes import make_run

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def run_no() -> str:
    """An authorized run: 10 REFLOW, 20 AOI, 30 WASH."""
    run = make_run(steps=((10, "REFLOW"), (20, "AOI"), (30, "WASH")))
    runs.register_units(run_no=run.run_no, sns=["SN-1", "SN-2"])
    runs.set_authorization(run_no=run.run_no, action="AUTHORIZE", by="test")
    return run.run_no


def pass_step(run_no: str, minutes_ago: float, *, result: str = "PASS", sn: str = "SN-1") -> None:
    when = timezone.now() - timedelta(minutes=minutes_ago)
    tracking.track_in(run_no=run_no, sn=sn, station_code="ANY-SMT-A", at=when)
    tracking.track_out(run_no=run_no, sn=sn, station_code="ANY-SMT-A", result=result, at=when)


def work_off() -> None:
    """Have the worker handle what is there; within a transaction, the database's time stands still."""
    MesEvent.objects.update(next_attempt_at=LONG_AGO)
    process_due()


def enter(run_no: str, minutes_ago: float, *, sn: str = "SN-1") -> None:
    when = timezone.now() - timedelta(minutes=minutes_ago)
    tracking.track_in(run_no=run_no, sn=sn, station_code="ANY-SMT-A", at=when)


@pytest.mark.parametrize(("washed", "status"), [(62, "COMPLETED"), (58, "EXPIRED")])
def test_washing_within_four_hours_after_soldering(run_no: str, washed: int, status: str) -> None:
    pass_step(run_no, 300)
    work_off()
    assert [one.status for one in clocks()] == ["ACTIVE"]
    pass_step(run_no, 200)
    enter(run_no, washed)
    work_off()
    clock = the_clock()
    assert (clock.status, clock.run.run_no, clock.line.code) == (status, run_no, "SMT-A")  # type: ignore[union-attr]
    assert not MesEvent.objects.exclude(status=EventStatus.COMPLETED).exists()


def test_events_that_the_worker_takes_backwards_leave_the_same(run_no: str) -> None:
    pass_step(run_no, 300)
    pass_step(run_no, 200)
    enter(run_no, 62)
    for event in MesEvent.objects.order_by("-pk"):
        MesEvent.objects.exclude(pk=event.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))
        MesEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now())
        work_off()
    assert (the_clock().status, the_clock().start_key) == (
        "COMPLETED",
        MesEvent.objects.filter(event_type="TRACK_OUT", payload__operationKind="REFLOW").get().idempotency_key,
    )


def test_a_failed_pass_starts_nothing_and_rework_starts_a_clock_of_its_own(run_no: str) -> None:
    pass_step(run_no, 500, result="FAIL")
    work_off()
    assert clocks() == []
    dispositions.rework_unit(sn="SN-1", reason="again", by="quality")
    pass_step(run_no, 450)
    pass_step(run_no, 440)
    pass_step(run_no, 400)
    dispositions.rework_unit(sn="SN-1", reason="wash again", by="quality", to_step_no=10)
    pass_step(run_no, 100)
    work_off()
    assert statuses() == ["COMPLETED", "ACTIVE"]


def test_a_unit_that_is_never_washed_expires_and_the_interface_says_so(run_no: str) -> None:
    pass_step(run_no, 241)
    work_off()
    assert sweep() == {"expired": 1, "warned": 0}
    [one] = assert_done(api_client().get(f"/api/time-rules/instances?runNo={run_no}&status=EXPIRED"))["items"]
    assert (one["definitionCode"], one["entityId"], one["remainingMinutes"]) == ("WASH_4H", "SN-1", 0)


def test_marks_go_in_time_but_never_while_a_clock_of_theirs_runs(run_no: str) -> None:
    pass_step(run_no, 300)
    pass_step(run_no, 200)
    enter(run_no, 62)
    pass_step(run_no, 10, sn="SN-2")
    work_off()
    assert (statuses("SN-1"), statuses("SN-2")) == (["COMPLETED"], ["ACTIVE"])
    TimeRuleMark.objects.update(created_at=timezone.now() - timedelta(days=500))
    retention.run()
    assert set(TimeRuleMark.objects.values_list("entity_id", flat=True)) == {"SN-2"}
    assert len(clocks("SN-1")) == 1  # what the marks said stays


def test_marks_stay_while_an_expired_clock_waits_for_its_end(run_no: str) -> None:
    pass_step(run_no, 300)
    work_off()
    sweep()
    TimeRuleMark.objects.update(created_at=timezone.now() - timedelta(days=500))
    retention.run()
    pass_step(run_no, 290)
    enter(run_no, 10)
    work_off()
    assert the_clock().ended_at is not None


def test_the_sweep_runs_each_minute() -> None:
    create_schedules()
    schedule = Schedule.objects.get(name="time rules")
    assert (schedule.func, schedule.cron) == ("mes.time_rules.sweep.sweep", "* * * * *")
