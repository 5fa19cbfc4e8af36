"""When clocks start, end and expire: event time decides, in every order of arrival."""

from datetime import datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction

from execution import dispositions
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from mes.time_rules.sweep import sweep
from tests.factories import make_plant
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import (
    at,
    clocks,
    end,
    handle,
    make_rule,
    start,
    statuses,
    the_clock,
    usage_event,
)

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = [
    at(0),
    datetime(2026, 3, 29, 0, 30, tzinfo=BERLIN),  # the night that lacks an hour
    datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN),  # the night that has one more
]
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("begun", MOMENTS, ids=["day", "spring", "autumn"])
@pytest.mark.parametrize("order", list(permutations(["start", "end", "sweep"])), ids="-".join)
@pytest.mark.parametrize(("minutes", "expected"), [(239, "COMPLETED"), (240, "COMPLETED"), (241, "EXPIRED")])
def test_the_time_of_the_end_decides_in_every_order(
    wall: SetTime, begun: datetime, order: tuple[str, ...], minutes: int, expected: str
) -> None:
    make_rule()
    begun = begun.astimezone(ZoneInfo("UTC"))
    events = {"start": start(begun), "end": end(begun + timedelta(minutes=minutes))}
    wall(begun + timedelta(hours=12))
    for what in order:
        sweep() if what == "sweep" else handle(events[what])
    clock = the_clock()
    assert (clock.status, clock.ended_at) == (expected, begun + timedelta(minutes=minutes))
    assert sweep() == {"expired": 0, "warned": 0}


@pytest.mark.parametrize("begun", MOMENTS, ids=["day", "spring", "autumn"])
@pytest.mark.parametrize(
    ("minutes", "is_warned", "status"),
    [(209, False, "ACTIVE"), (210, True, "ACTIVE"), (240, True, "ACTIVE"), (241, False, "EXPIRED")],
)
def test_the_sweep_warns_and_expires_by_elapsed_time(
    wall: SetTime, begun: datetime, minutes: int, is_warned: bool, status: str
) -> None:
    make_rule()
    begun = begun.astimezone(ZoneInfo("UTC"))
    handle(start(begun))
    wall(begun + timedelta(minutes=minutes))
    sweep()
    clock = the_clock()
    assert (clock.status, clock.warned_at is not None) == (status, is_warned)


def test_an_end_exactly_at_the_limit_is_in_time_and_a_moment_later_is_not(wall: SetTime) -> None:
    make_rule()
    handle(start(at(0)), end(at(240)), start(at(1000)), end(at(1240) + timedelta(microseconds=1)))
    assert statuses() == ["COMPLETED", "EXPIRED"]


def test_an_end_after_the_limit_expires_without_a_sweep(wall: SetTime) -> None:
    make_rule()
    handle(start(at(0)), end(at(300)))
    clock = the_clock()
    assert (clock.status, clock.ended_at, clock.expires_at) == ("EXPIRED", at(300), at(240))


def test_a_start_after_its_own_end_never_runs(wall: SetTime) -> None:
    make_rule()
    handle(end(at(100)))
    assert clocks() == []
    handle(start(at(0)))
    assert statuses() == ["COMPLETED"]


def test_the_order_of_steps_counts_where_clocks_of_stations_differ(wall: SetTime) -> None:
    """The washer's clock is two minutes slow: by time, the unit would have been washed before it was soldered."""
    make_rule()
    for order in permutations([0, 1]):
        TimeRuleInstance.objects.all().delete()
        sn = f"SN-{order[0]}"
        events = [start(at(2), sn=sn, track=7), end(at(0), sn=sn, track=8)]
        handle(*(events[index] for index in order))
        assert statuses(sn) == ["COMPLETED"]


def test_an_end_at_the_same_instant_as_the_start_ends_it(wall: SetTime) -> None:
    make_rule()
    handle(end(at(0)), start(at(0)))
    assert statuses() == ["COMPLETED"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_two_passes_make_two_clocks_in_every_order(wall: SetTime, order: tuple[int, ...]) -> None:
    make_rule()
    events = [start(at(0)), end(at(100)), start(at(500)), end(at(800))]
    handle(*(events[index] for index in order))
    assert [(one.status, one.started_at, one.ended_at) for one in clocks()] == [
        ("COMPLETED", at(0), at(100)),
        ("EXPIRED", at(500), at(800)),
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_start_while_the_clock_runs_changes_nothing(wall: SetTime, order: tuple[int, ...]) -> None:
    make_rule()
    events = [start(at(0)), start(at(100)), end(at(300))]
    handle(*(events[index] for index in order))
    clock = the_clock()
    assert (clock.status, clock.started_at, clock.ended_at) == ("EXPIRED", at(0), at(300))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_start_restarts_where_the_rule_says_so(wall: SetTime, order: tuple[int, ...]) -> None:
    make_rule(restarts=True)
    events = [start(at(0)), start(at(100)), end(at(300))]
    handle(*(events[index] for index in order))
    assert [(one.status, one.started_at, one.ended_at, one.ending) for one in clocks()] == [
        ("COMPLETED", at(0), at(100), "RESTART"),
        ("COMPLETED", at(100), at(300), "END"),
    ]


def test_a_restarted_clock_runs_its_whole_time_again(wall: SetTime) -> None:
    make_rule(restarts=True)
    handle(start(at(0)), start(at(100)))
    wall(at(300))
    assert sweep()["expired"] == 0
    assert [(one.status, one.expires_at) for one in clocks()] == [("COMPLETED", at(240)), ("ACTIVE", at(340))]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_start_after_the_limit_begins_a_clock_of_its_own(wall: SetTime, order: tuple[int, ...]) -> None:
    """Nobody told of an end; the unit was soldered again."""
    make_rule()
    events = [start(at(0)), start(at(500)), end(at(600))]
    wall(at(600))
    handle(*(events[index] for index in order))
    assert [(one.status, one.started_at, one.ended_at) for one in clocks()] == [
        ("EXPIRED", at(0), at(600)),
        ("COMPLETED", at(500), at(600)),
    ]


def test_an_end_between_two_starts_that_comes_last_leaves_the_second_running(wall: SetTime) -> None:
    make_rule()
    handle(start(at(0)), start(at(100)))
    assert [one.started_at for one in clocks()] == [at(0)]
    handle(end(at(50)))
    assert [(one.status, one.started_at) for one in clocks()] == [("COMPLETED", at(0)), ("ACTIVE", at(100))]


def test_an_earlier_start_that_comes_late_corrects_the_verdict(wall: SetTime) -> None:
    make_rule()
    handle(start(at(30)), end(at(260)))
    assert statuses() == ["COMPLETED"]
    handle(start(at(0)))
    clock = the_clock()
    assert (clock.status, clock.started_at, clock.expires_at) == ("EXPIRED", at(0), at(240))


def test_expired_clocks_that_an_earlier_and_longer_one_took_in_are_cancelled(wall: SetTime) -> None:
    """Its rule was longer when it was handled than when the later ones were."""
    rule = make_rule(is_waivable=False)
    handle(start(at(10)), start(at(300)))
    wall(at(800))
    sweep()
    assert statuses() == ["EXPIRED", "EXPIRED"]
    TimeRuleDefinition.objects.filter(pk=rule.pk).update(duration_minutes=900)
    handle(start(at(0)))
    assert [(one.status, one.started_at) for one in clocks()] == [("EXPIRED", at(0)), ("CANCELLED", at(300))]
    handle(end(at(850)))
    assert [(one.status, one.started_at) for one in clocks()] == [("COMPLETED", at(0)), ("CANCELLED", at(300))]


def test_handling_twice_has_the_effect_of_once(wall: SetTime) -> None:
    make_rule()
    events = [start(at(0)), end(at(100)), start(at(500))]
    handle(*events)
    before = list(TimeRuleInstance.objects.order_by("pk").values())
    handle(*events, *reversed(events))
    assert list(TimeRuleInstance.objects.order_by("pk").values()) == before


def test_ends_are_found_when_the_events_are_gone(wall: SetTime) -> None:
    make_rule()
    late = start(at(0))
    handle(end(at(100)))
    MesEvent.objects.exclude(pk=late.pk).delete()
    handle(late)
    assert statuses() == ["COMPLETED"]


def test_a_clock_keeps_its_durations_and_ends_though_its_rule_is_changed_and_switched_off(wall: SetTime) -> None:
    rule = make_rule()
    handle(start(at(0)))
    TimeRuleDefinition.objects.filter(pk=rule.pk).update(duration_minutes=10, warning_minutes=1, is_active=False)
    assert the_clock().expires_at == at(240)
    handle(end(at(200)))
    assert (the_clock().status, the_clock().duration_minutes) == ("COMPLETED", 240)
    handle(start(at(300)), end(at(301), sn="SN-2"), start(at(300), sn="SN-2"))
    assert statuses() == ["COMPLETED"] and clocks("SN-2") == []


def test_one_clock_runs_for_a_rule_and_entity() -> None:
    rule = make_rule()
    handle(start(at(0)))
    copy = the_clock()
    copy.pk, copy.start_key = None, "another"
    with pytest.raises(IntegrityError, match="time_rule_one_active_per_entity"), transaction.atomic():
        copy.save()
    assert rule.instances.count() == 1


# --- scrap ---------------------------------------------------------------------------------------------------


def test_scrapping_cancels_in_its_own_transaction(wall: SetTime) -> None:
    make_plant()
    make_rule()
    handle(start(at(0)))
    dispositions.scrap_unit(sn="SN-1", reason="broken", by="quality")
    clock = the_clock()
    assert (clock.status, clock.ending) == ("CANCELLED", "SCRAP")
    wall(at(1000))
    assert sweep() == {"expired": 0, "warned": 0}


def test_a_scrap_that_is_refused_cancels_nothing(wall: SetTime, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plant()
    make_rule()
    handle(start(at(0)))
    monkeypatch.setattr(dispositions, "cancel_of_unit", _cancel_and_fail)
    with pytest.raises(ZeroDivisionError):
        dispositions.scrap_unit(sn="SN-1", reason="broken", by="quality")
    assert statuses() == ["ACTIVE"]
    assert Unit.objects.get(sn="SN-1").status == "QUEUED"


def _cancel_and_fail(sn: str) -> None:
    from mes.time_rules.services import cancel_of_unit

    cancel_of_unit(sn)
    raise ZeroDivisionError


def test_a_start_after_the_scrap_is_cancelled(wall: SetTime) -> None:
    make_plant()
    make_rule()
    dispositions.scrap_unit(sn="SN-1", reason="broken", by="quality")
    handle(start(at(0)))
    assert statuses() == ["CANCELLED"]


def test_a_clock_that_had_expired_needs_nobody_once_its_unit_is_scrapped(wall: SetTime) -> None:
    make_plant()
    make_rule()
    handle(start(at(0)))
    wall(at(300))
    sweep()
    dispositions.scrap_unit(sn="SN-1", reason="broken", by="quality")
    clock = the_clock()
    assert (clock.status, clock.decided_by) == ("EXPIRED", "system")


# --- solder paste --------------------------------------------------------------------------------------------

CREATE, UNBIND = "SOLDER_PASTE_USAGE_CREATE", "SOLDER_PASTE_USAGE_UNBIND"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_lot_taken_back_and_issued_again_at_the_same_instant(wall: SetTime, order: tuple[int, ...]) -> None:
    """The preset SOLDER_PASTE_24H; the second use begins when the first ends."""
    first, second = at(0).isoformat(), at(600).isoformat()
    events = [
        usage_event(CREATE, at(0), usage=1, issuedAt=first),
        usage_event(UNBIND, at(600), usage=1, issuedAt=first),
        usage_event(CREATE, at(600), usage=2, issuedAt=second),
        usage_event(UNBIND, at(600 + 1441), usage=2, issuedAt=second),
    ]
    handle(*(events[index] for index in order))
    assert [(one.definition_code, one.status, one.started_at) for one in clocks("LOT-1")] == [
        ("SOLDER_PASTE_24H", "COMPLETED", at(0)),
        ("SOLDER_PASTE_24H", "EXPIRED", at(600)),
    ]


def test_the_paste_preset_has_its_figures(wall: SetTime) -> None:
    handle(usage_event(CREATE, at(0)))
    clock = the_clock("LOT-1")
    assert (clock.expires_at, clock.warning_at) == (at(1440), at(1320))
