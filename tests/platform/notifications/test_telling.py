"""Whom rules tell of what: by line and role, each person once, and in quiet times a number."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.platform.accounts.roles import Role
from mes.platform.notifications import services, telling
from mes.platform.notifications.models import FollowedLine, Notification
from mes.platform.notifications.rule_models import NoticeEvent, NoticeWindow
from mes.platform.outbox.models import MesEvent
from tests.factories import make_line, make_user
from tests.platform.notifications.support import (
    announce,
    end_quiet,
    make_notice,
    make_rule,
    sent,
    tell,
    texts,
    told,
    work_off,
)

pytestmark = pytest.mark.django_db


def test_without_a_rule_it_costs_one_question_and_leaves_nothing():
    with CaptureQueriesContext(connection) as captured:
        services.announce([make_notice(str(number)) for number in range(20)])
    assert len(captured) == 1
    assert not MesEvent.objects.exists()


@pytest.mark.parametrize("event", NoticeEvent.values)
def test_a_rule_tells_of_its_event_and_of_no_other(event):
    quinn = make_user(Role.QUALITY)
    make_rule(event)
    tell(*(make_notice(each, each) for each in NoticeEvent.values))
    assert told(quinn) == [event]


def test_by_role_person_and_line():
    one, two = make_line("SMT-A"), make_line("SMT-B")
    quinn, sue, named = make_user(Role.QUALITY), make_user(Role.SUPERVISOR), make_user(Role.OPERATOR)
    gone = make_user(Role.QUALITY, is_active=False)
    make_rule(line=one)
    make_rule(line=two, roles=[Role.SUPERVISOR], persons=(named,))
    make_rule(roles=[Role.ADMIN], is_active=False)
    root = make_user(Role.ADMIN)
    tell(
        make_notice("one", line_id=one.pk),
        make_notice("two", line_id=two.pk),
        make_notice("both", line_ids=[one.pk, two.pk]),
        make_notice("everywhere", is_of_all_lines=True),
        make_notice("nowhere"),
    )
    assert told(quinn) == ["one", "both", "everywhere"]
    lines = dict(Notification.objects.filter(recipient=quinn).values_list("key", "line"))
    assert lines == {"one": one.pk, "both": None, "everywhere": None}
    assert told(sue) == told(named) == ["two", "both", "everywhere"]
    assert told(root) == told(gone) == []


def test_who_follows_lines_hears_of_these_unless_named():
    one, two = make_line("SMT-A"), make_line("SMT-B")
    by_role, named, all_lines = (make_user(Role.QUALITY) for _each in range(3))
    FollowedLine.objects.bulk_create(FollowedLine(user=user, line=two) for user in (by_role, named))
    make_rule(roles=[Role.QUALITY], persons=(named,))
    tell(make_notice("one", line_id=one.pk), make_notice("two", line_id=two.pk), make_notice("none"))
    assert told(by_role) == ["two", "none"]
    assert told(named) == told(all_lines) == ["one", "two", "none"]


def test_several_rules_tell_a_person_once_on_each_way(settings):
    quinn, sam = make_user(Role.QUALITY, email="Quality@plant.example"), make_user(email="quality@plant.example")
    url = "https://chat.example/hook"
    make_rule(channels=["APP", "MAIL"])
    make_rule(channels=["APP", "MAIL", "WEBHOOK"], webhook_url=url, persons=(quinn, sam))
    make_rule(channels=["WEBHOOK"], webhook_url=url, roles=[])
    make_rule(channels=["MAIL"], persons=(make_user(),))  # without an address
    announce(make_notice("k"))
    announce(make_notice("k"))
    telling.tell(sent("NOTICE"))
    telling.tell(sent("NOTICE"))  # as after a worker that died
    assert told(quinn) == told(sam) == ["k"]
    assert [event.payload["to"] for event in sent("NOTICE_MAIL")] == ["quality@plant.example"]
    assert [event.payload["to"] for event in sent("NOTICE_WEBHOOK")] == [url]


def test_who_is_told_without_a_rule_is_not_told_by_one():
    quinn, sue = make_user(Role.QUALITY), make_user(Role.SUPERVISOR)
    make_rule(roles=[Role.QUALITY, Role.SUPERVISOR], quiet_minutes=10)
    for key in "abc":
        services.notify([make_notice(key, roles=frozenset({Role.QUALITY}))])
        work_off()
    assert told(quinn) == ["a", "b", "c"]
    assert told(sue) == ["a"]
    assert [window.more for window in NoticeWindow.objects.all()] == [2], "what quinn was told is not told as a number"


def test_what_cannot_be_kept_as_it_is_is_told_as_far_as_it_can():
    quinn = make_user(Role.QUALITY)
    make_rule()
    odd = "nul \x00 half \ud800 " + "long " * 1000
    tell(make_notice("k\x00", text=odd, facts={"sn": odd}))
    [text] = texts(quinn)
    assert text.startswith("nul  half ?") and len(text) == 500
    assert len(sent("NOTICE")[0].payload["facts"]["sn"]) == 200


# --- quiet times -------------------------------------------------------------------------------------------


def test_what_two_quiet_rules_leave_untold_is_counted_where_it_is_told_first():
    make_user(Role.QUALITY)
    make_rule(quiet_minutes=60), make_rule(quiet_minutes=10)
    tell(make_notice("first"), make_notice("more"))
    assert list(NoticeWindow.objects.order_by("ends_at").values_list("more", flat=True)) == [1, 0]


def test_more_within_quiet_minutes_is_counted_and_told_once():
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    tell(make_notice("first"))
    tell(*(make_notice(f"n{number}") for number in range(13)))
    tell(make_notice("last"))
    assert told(quinn) == ["first"]
    assert telling.end_quiet_times() == 0
    end_quiet()
    assert (telling.end_quiet_times(), telling.end_quiet_times()) == (1, 0)
    [_first, summary] = texts(quinn)
    assert "and 14 more since" in summary and summary.endswith("About last")
    assert not NoticeWindow.objects.exists()
    tell(make_notice("after"))
    assert told(quinn)[-1] == "after"


def test_what_comes_after_the_end_is_told_behind_the_number():
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    tell(make_notice("first"), make_notice("second"))
    end_quiet()
    tell(make_notice("third"), make_notice("fourth"))
    assert [key.partition(":")[0] for key in told(quinn)] == ["first", "quiet", "third"]
    assert [window.more for window in NoticeWindow.objects.all()] == [1]


def test_a_quiet_time_in_which_nothing_came_ends_in_silence():
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    tell(make_notice("first"))
    end_quiet()
    assert telling.end_quiet_times() == 1
    assert told(quinn) == ["first"]


def test_each_line_has_its_own_quiet_time():
    one, two = make_line("SMT-A"), make_line("SMT-B")
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    tell(make_notice("a1", line_id=one.pk), make_notice("b1", line_id=two.pk), make_notice("b2", line_id=two.pk))
    assert told(quinn) == ["a1", "b1"]


def test_a_rule_that_is_not_quiet_tells_what_another_would_count():
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    make_rule()
    tell(make_notice("a"), make_notice("b"))
    assert told(quinn) == ["a", "b"]
    assert not NoticeWindow.objects.exists()


def test_of_two_quiet_rules_one_counts():
    quinn = make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    make_rule(quiet_minutes=20)
    tell(make_notice("a"), make_notice("b"))
    assert told(quinn) == ["a"]
    assert sorted(NoticeWindow.objects.values_list("rule__quiet_minutes", "more")) == [(10, 1), (20, 0)]


@pytest.mark.parametrize("what", ["rule", "person"])
def test_nothing_is_summed_up_for_who_has_left_or_by_a_rule_that_is_off(what):
    quinn = make_user(Role.QUALITY)
    rule = make_rule(quiet_minutes=10)
    tell(make_notice("a"), make_notice("b"))
    end_quiet()
    if what == "rule":
        type(rule).objects.update(is_active=False)
    else:
        type(quinn).objects.update(is_active=False)
    assert telling.end_quiet_times() == 1
    assert told(quinn) == ["a"]
    assert not NoticeWindow.objects.exists()


def test_nothing_is_summed_up_for_who_was_taken_out_of_the_rule():
    quinn, sam = make_user(Role.QUALITY), make_user(Role.SUPERVISOR)
    rule = make_rule(roles=[Role.QUALITY, Role.SUPERVISOR], quiet_minutes=10)
    tell(make_notice("first"))
    tell(make_notice("second"))
    rule.roles = [Role.SUPERVISOR]
    rule.save()
    end_quiet()
    telling.end_quiet_times()
    assert (len(told(quinn)), len(told(sam))) == (1, 2)


def test_long_keys_are_told_apart():
    quinn = make_user(Role.QUALITY)
    make_rule()
    tell(make_notice("k" * 250 + "1"), make_notice("k" * 250 + "2"))
    assert len(set(told(quinn))) == 2


def test_a_person_who_is_deleted_stops_nobody_elses_number():
    quinn, other = make_user(Role.QUALITY), make_user(Role.QUALITY)
    make_rule(quiet_minutes=10)
    tell(make_notice("a"), make_notice("b"))
    quinn.delete()
    end_quiet()
    telling.end_quiet_times()
    assert len(told(other)) == 2


# --- cost --------------------------------------------------------------------------------------------------


def statements(number: int) -> int:
    make_rule(quiet_minutes=5)
    make_rule(channels=["MAIL"])
    announce(*(make_notice(f"{number}-{each}") for each in range(number)))
    events = list(MesEvent.objects.filter(event_type="NOTICE", status="PENDING"))
    with CaptureQueriesContext(connection) as captured:
        telling.tell(events)
    MesEvent.objects.all().delete()
    return len(captured)


def test_it_takes_as_many_statements_for_forty_as_for_two():
    for number in range(6):
        make_user(Role.QUALITY, email=f"q{number}@plant.example")
    statements(1)
    assert statements(2) == statements(40) <= 11
    assert Notification.objects.exists()
