"""Keeping reports: the hours are what all reports together say, in whatever order and portions they came."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mes.plant.calendar import Cut, find_periods
from mes.plant.models import Line
from mes.production_counts import hours as hours_module
from mes.production_counts.hours import recount
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.production_counts.windows import Doubt, Report, resolve
from tests.factories import Plant, make_plant
from tests.production_counts.support import hours, keep, machine_of
from tests.production_counts.test_truth import (
    LAST,
    MIDNIGHT,
    World,
    worlds,
)
from tests.thoroughness import examples

SHIFTS = [
    {"code": "DAY", "start": "00:30", "end": "02:30", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "NIGHT", "start": "23:00", "end": "00:30", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
]


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def expected(reports: list[Report], shifts: list[dict[str, Any]]) -> dict[datetime, tuple[object, ...]]:
    """What all reports together say of each hour."""
    resolved = resolve(reports)
    found = {}
    for period in find_periods(shifts, ZoneInfo("UTC"), MIDNIGHT, MIDNIGHT + timedelta(minutes=LAST)):
        tally = resolved.tally(period.started_at, period.ended_at)
        if tally is not None:
            sure = not tally.is_sure_at_start, not tally.is_sure_at_end
            found[period.started_at] = (tally.counts, tally.doubts, *sure, tally.first_at, tally.last_at)
    return found


@hypothesis(max_examples=examples(30, 200), deadline=None)
@given(world=worlds(), portions=st.lists(st.integers(1, 4), min_size=20, max_size=20), has_shifts=st.booleans())
def test_the_hours_are_what_all_reports_say_in_whatever_portions_they_came(
    django_db_blocker: Any, django_db_setup: None, world: World, portions: list[int], has_shifts: bool
) -> None:
    shifts = SHIFTS if has_shifts else []
    with django_db_blocker.unblock(), transaction.atomic():
        plant = make_plant()
        Line.objects.update(shifts=shifts)
        reports, waiting = world.reports(), world.reports()
        for portion in portions:
            keep(machine_of(plant), waiting[:portion]) if waiting else None
            waiting = waiting[portion:]
        assert hours() == expected(reports, shifts)
        recount()
        assert hours() == expected(reports, shifts)
        transaction.set_rollback(True)


def at(minute: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def reading(end: float, count: int, *, id: int, start: float = 0) -> Report:
    return Report(id, at(start), at(end), True, (None, count, None, None, None))


def test_a_night_shift_belongs_to_the_day_it_began(plant: Plant) -> None:
    night = {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]}
    Line.objects.update(shifts=[night])
    keep(machine_of(plant), [reading(60, 5, id=1)])
    hour = HourlyCount.objects.get()
    assert (hour.shift, hour.date.isoformat()) == ("NIGHT", "2026-03-09")


def test_a_window_across_a_shift_is_divided_and_marked(plant: Plant) -> None:
    Line.objects.update(shifts=SHIFTS)
    keep(machine_of(plant), [reading(60, 6, id=1)])
    first, second = HourlyCount.objects.order_by("started_at")
    assert (first.shift, first.boards_out, first.doubt_at_end) == ("NIGHT", 3, Cut.DAY)
    assert (second.shift, second.boards_out, second.doubt_at_start) == ("DAY", 3, Cut.DAY)
    assert first.doubts == second.doubts == 0


def test_two_machines_at_one_station_are_counted_apart(plant: Plant) -> None:
    keep(machine_of(plant, equipment="A"), [reading(10, 5, id=1), reading(20, 9, id=3)])
    keep(machine_of(plant, equipment="B"), [reading(10, 2, id=2), reading(20, 3, id=4)])
    assert sorted(HourlyCount.objects.values_list("stream__equipment_id", "boards_out", "doubts")) == [
        ("A", 9, 0),
        ("B", 3, 0),
    ]


def test_the_same_counters_in_another_run_start_from_zero(plant: Plant) -> None:
    from tests.execution.support import make_run

    other = make_run(plant, run_no="RUN-2", sns=[])
    keep(machine_of(plant), [reading(10, 500, id=1)])
    keep(machine_of(plant, run=other), [reading(20, 7, start=10, id=2)])
    assert list(HourlyCount.objects.order_by("stream_id").values_list("boards_out", flat=True)) == [500, 7]


def test_each_report_of_a_long_job_reads_only_what_lies_around_it(
    plant: Plant, django_assert_max_num_queries: Any
) -> None:
    """A counter whose window always starts with the job: nobody reads the whole job again."""
    keep(machine_of(plant), [reading(minute, 2 * minute, id=minute) for minute in range(1, 600)])
    before = {hour.pk for hour in HourlyCount.objects.all()}
    with django_assert_max_num_queries(16):
        keep(machine_of(plant), [reading(600, 1200, id=600)])
    untouched = before & {hour.pk for hour in HourlyCount.objects.all()}
    assert len(untouched) == len(before) - 1
    assert sum(HourlyCount.objects.values_list("boards_out", flat=True)) == 1200


def test_a_late_reading_corrects_its_neighbours(plant: Plant) -> None:
    machine = machine_of(plant)
    keep(machine, [reading(50, 50, id=1), reading(130, 130, id=3)])
    assert [h.boards_out for h in HourlyCount.objects.all()] == [60, 60, 10]
    assert [h.doubt_at_start for h in HourlyCount.objects.all()] == [Cut.NONE, Cut.HOUR, Cut.HOUR]
    keep(machine, [reading(60, 55, id=2)])
    assert [h.boards_out for h in HourlyCount.objects.all()] == [55, 64, 11]
    assert [h.doubt_at_start for h in HourlyCount.objects.all()] == [Cut.NONE, Cut.NONE, Cut.HOUR]


def test_recounting_follows_the_shifts_of_now(plant: Plant) -> None:
    keep(machine_of(plant), [reading(60, 6, id=1)])
    assert HourlyCount.objects.get().shift == ""
    Line.objects.update(shifts=SHIFTS)
    assert recount(line_code="SMT-A") == 1
    assert [(h.shift, h.boards_out) for h in HourlyCount.objects.all()] == [("NIGHT", 3), ("DAY", 3)]
    assert recount(line_code="nobody's") == 0


def test_a_machine_that_cannot_be_counted_anew_keeps_no_other(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        keep(machine_of(plant, equipment=f"M{number}"), [reading(60, 6, id=number)])
    Line.objects.update(shifts=SHIFTS)
    resolve_reports = hours_module.resolve

    def fail_for_one(reports: Any, **fields: Any) -> Any:
        if any(report.id == 2 for report in reports):
            raise ZeroDivisionError
        return resolve_reports(reports, **fields)

    monkeypatch.setattr(hours_module, "resolve", fail_for_one)
    bad = CountStream.objects.get(equipment_id="M2")
    with pytest.raises(CommandError, match=f"machine {bad.pk}: ZeroDivisionError"):
        call_command("recount")
    counted = {h.stream.equipment_id for h in HourlyCount.objects.select_related("stream") if h.shift}
    assert counted == {"M1", "M3"}
    assert HourlyCount.objects.filter(stream=bad, shift="").exists()  # what was counted before stays


def test_shifts_changed_in_between_leave_the_hours_before_as_they_were(plant: Plant) -> None:
    machine = machine_of(plant)
    keep(machine, [reading(60, 6, id=1)])
    Line.objects.update(shifts=SHIFTS)
    keep(machine, [reading(120, 12, id=2)])
    assert [(h.shift, h.boards_out) for h in HourlyCount.objects.all()] == [("", 6), ("DAY", 6)]


def test_reports_lie_in_the_month_they_were_received(plant: Plant) -> None:
    keep(machine_of(plant), [reading(60, 6, id=1)])
    report = CountReport.objects.get()
    assert report.received_at > datetime(2026, 11, 1, tzinfo=UTC)
    assert CountStream.objects.get(pk=report.stream_id).counts_boards_out
    assert HourlyCount.objects.get().doubts == Doubt(0)


def test_the_command_counts_anew(plant: Plant) -> None:
    keep(machine_of(plant), [reading(60, 6, id=1)])
    Line.objects.update(shifts=SHIFTS)
    said = StringIO()
    call_command("recount", "--line", "SMT-A", "--since", "2026-03-09", stdout=said)
    assert said.getvalue().strip() == "Machines recounted: 1"
    assert [h.shift for h in HourlyCount.objects.all()] == ["NIGHT", "DAY"]
    call_command("recount", "--since", "2026-03-12", stdout=said)
    assert said.getvalue().strip().endswith(": 0")
    with pytest.raises(CommandError, match="no line"):
        call_command("recount", "--line", "SMT-Z")


def test_what_lost_reports_by_retention_is_left_as_it_is(plant: Plant, settings: Any) -> None:
    keep(machine_of(plant), [reading(60, 6, id=1)])
    CountStream.objects.update(created_at=timezone.now() - timedelta(days=500))
    CountReport.objects.all().delete()
    settings.MES_COUNT_REPORT_RETENTION = timedelta(days=431)
    assert recount() == 0
    assert HourlyCount.objects.get().boards_out == 6


def delta(start: float, end: float, count: int, *, id: int) -> Report:
    return Report(id, at(start), at(end), False, (None, count, None, None, None))


def test_a_gap_is_marked_in_every_hour_of_it_and_goes_when_a_late_report_fills_it(plant: Plant) -> None:
    machine = machine_of(plant)
    keep(machine, [delta(0, 60, 5, id=1)])
    keep(machine, [delta(180, 200, 6, id=2)])
    assert [(h.boards_out, h.doubts) for h in HourlyCount.objects.all()] == [
        (5, 0),
        (None, Doubt.GAP),
        (None, Doubt.GAP),
        (6, 0),
    ]
    keep(machine, [delta(60, 120, 7, id=3)])
    assert [(h.boards_out, h.doubts) for h in HourlyCount.objects.all()] == [(5, 0), (7, 0), (None, Doubt.GAP), (6, 0)]
    keep(machine, [delta(120, 180, 0, id=4)])
    assert [(h.boards_out, h.doubts) for h in HourlyCount.objects.all()] == [(5, 0), (7, 0), (0, 0), (6, 0)]
