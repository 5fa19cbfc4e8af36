"""What is decided about finished units is told: the counts of a run change after its end."""

import pytest

from execution.dispositions import hold, save_holds
from execution.dispositions import put_on_hold as put
from mes.platform.outbox.models import MesEvent
from mes.production.hold_models import HoldSource
from mes.production.models import Unit
from mes.production.run_counts import counts_changed
from tests.execution.support import assert_done, decide
from tests.factories import api_client, make_plant, put_runs

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, dict[str, str]]]:
    events = MesEvent.objects.filter(event_type="RUN_COUNTS_CHANGED").order_by("id")
    return [(event.entity_id, event.payload) for event in events]


@pytest.fixture
def ended():
    plant = make_plant(units=3)
    Unit.objects.update(status="DONE", current_step_no=30)
    put_runs("COMPLETED")
    return plant


def test_each_decision_about_a_finished_unit_is_told_with_its_reason(ended):
    client = api_client()
    for act in ("hold", "release", "scrap"):
        assert_done(decide(client, act, reason=f"why {act}"))
    assert [(run_no, payload["reason"]) for run_no, payload in told()] == [
        ("RUN-1", "why hold"),
        ("RUN-1", "why release"),
        ("RUN-1", "why scrap"),
    ]
    assert all(payload["by"] for _run_no, payload in told())


def test_a_held_one_that_is_scrapped_is_told_too(ended):
    client = api_client()
    assert_done(decide(client, "hold"))
    assert_done(decide(client, "scrap", reason="cracked"))
    assert [payload["reason"] for _run_no, payload in told()] == ["a reason", "cracked"]


def test_what_the_system_holds_is_told_and_a_further_reason_changes_no_count(ended):
    first, second, third = Unit.objects.order_by("id")
    assert hold(first, reason="late failure", source=HoldSource.DATA)
    assert not hold(first, reason="another", source=HoldSource.DATA)
    save_holds([put(unit, reason="alarm", source=HoldSource.ALARM) for unit in (second, third)])
    assert told() == [
        ("RUN-1", {"reason": "late failure", "by": "system"}),
        ("RUN-1", {"reason": "alarm", "by": "system"}),
    ]


def test_units_that_are_on_their_way_are_not_told():
    make_plant()
    client = api_client()
    for act in ("hold", "release", "hold", "scrap"):
        assert_done(decide(client, act))
    assert told() == []


def test_a_finished_unit_of_an_open_run_is_told_for_the_run_may_be_ending(ended):
    put_runs("IN_PROGRESS")
    assert_done(decide(api_client(), "scrap"))
    assert [run_no for run_no, _payload in told()] == ["RUN-1"]


def test_a_unit_in_no_run_counts_in_none(ended):
    counts_changed([None], reason="-", by="me")
    assert told() == []


def test_it_takes_two_statements_for_any_number(ended, django_assert_num_queries):
    with django_assert_num_queries(2):
        counts_changed([ended.run.pk, ended.run.pk, None], reason="why", by="me")
    assert told() == [("RUN-1", {"reason": "why", "by": "me"})]
