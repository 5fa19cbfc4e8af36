"""Counts under concurrency: what was counted is right whichever reports of a machine come at the same time."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from rest_framework.test import APIClient

from mes.production_counts import hours
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from tests.factories import make_plant
from tests.integration.helpers import EVENTS, another, at_once, moment
from tests.integration.test_production_counts import counts, total
from tests.race.test_device_data import post

MINUTES = 24


def readings() -> list[dict[str, Any]]:
    """Readings of one counter, a minute apart, each ten more than the last."""
    start = moment(hours=3)
    production = counts()["production"] | {"windowStart": start, "mode": "CUMULATIVE"}
    return [
        counts(f"c-{n}", production=production | {"windowEnd": moment(minutes=170 - n), "boardsOut": 10 * n})
        for n in range(1, MINUTES + 1)
    ]


def test_readings_of_one_machine_at_once_are_counted_as_if_one_after_the_other(person: APIClient) -> None:
    make_plant()
    answers = at_once(*(post(person, body) for body in readings()))
    assert {status for status, _data in answers} == {201}
    assert CountStream.objects.count() == 1
    assert CountReport.objects.count() == MINUTES
    assert total() == 10 * MINUTES
    kept = list(HourlyCount.objects.order_by("started_at").values_list("started_at", "boards_out", "doubts"))
    hours.recount()
    assert kept == list(HourlyCount.objects.order_by("started_at").values_list("started_at", "boards_out", "doubts"))


def test_control_without_locks_they_are_not(person: APIClient, slow: Callable[..., None], without_locks: None) -> None:
    make_plant()
    slow(hours, "resolve", after=0.05)  # after the reports were read, before the hours are written
    at_once(*(post(person, body) for body in readings()))
    assert total() != 10 * MINUTES or CountReport.objects.count() != MINUTES


def test_of_many_posts_of_one_report_one_counts(person: APIClient) -> None:
    make_plant()
    answers = at_once(post(person, counts()), times=16)
    assert Counter(status for status, _data in answers) == {201: 1, 200: 15}
    assert total() == 5


def test_batches_of_several_machines_in_any_order_do_not_block_each_other(person: APIClient) -> None:
    make_plant()
    names = [f"EQ-{number}" for number in range(6)]

    def batch(number: int) -> Callable[[], Any]:
        start, end = moment(minutes=60 - number), moment(minutes=59 - number)
        production = counts()["production"] | {"windowStart": start, "windowEnd": end, "boardsOut": 1}
        order = names if number % 2 else names[::-1]
        events = [counts(f"{name}-{number}", production=production, equipmentId=name) for name in order]
        return lambda: another(person).post(f"{EVENTS}/batch", {"events": events}).json()["data"]["created"]

    assert at_once(*(batch(number) for number in range(8))) == [6] * 8
    assert total() == 48
