"""What needs an engineer now: what is found of each kind, since when, and where it leads."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from ingest.models import OpenIngestEvent
from integration.models import FailedMessage
from mes.platform.accounts.roles import Capability, Role
from mes.platform.accounts.tokens import issue_token, revoke_token
from mes.platform.monitoring import engineer_work
from mes.platform.monitoring.engineer_work import Found
from mes.platform.outbox.models import TaskOutcome
from tests.factories import make_user
from tests.platform.outbox.support import make_event

pytestmark = pytest.mark.django_db
NOW = timezone.now()
_numbers = count()
EVERYTHING = frozenset(Capability)


def find(name: str) -> Found:
    found = {kind.name: found for kind, found in engineer_work.find_all(EVERYTHING)}
    return found[name]


def lead(address: str) -> str:
    """Return the page that a link leads to."""
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def make_message(code: str, subject: str, *, days: int, status: str = "FAILED") -> FailedMessage:
    at = NOW - timedelta(days=days)
    return FailedMessage.objects.create(
        received_at=at,
        last_at=at,
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        status=status,
        error_code=code,
        subject=subject,
        dedupe_key=str(next(_numbers)),
        digest=b"",
    )


def test_refused_messages_are_told_by_cause_with_the_way_to_them() -> None:
    make_message("TRACK_NOT_FOUND", "T-1", days=9)
    make_message("DATA_SPEC_NOT_FOUND", "Peak", days=2)
    make_message("DATA_SPEC_NOT_FOUND", "Peak", days=3)
    make_message("DATA_SPEC_NOT_FOUND", "Peak", days=1, status="RETRYING")
    found = find("refused messages")
    assert (found.count, found.oldest) == (3, NOW - timedelta(days=9))
    assert [(entry.name, entry.count, entry.since) for entry in found.entries] == [
        ("DATA_SPEC_NOT_FOUND · Peak", 2, NOW - timedelta(days=3)),
        ("TRACK_NOT_FOUND · T-1", 1, NOW - timedelta(days=9)),
    ]
    assert "Make the spec" in str(found.entries[0].why)
    listed = lead(found.entries[0].link)
    assert listed.count("Peak") > 0
    assert "T-1" not in listed


def test_a_cause_with_several_subjects_names_none() -> None:
    make_message("TRACK_NOT_FOUND", "T-1", days=1)
    make_message("TRACK_NOT_FOUND", "T-2", days=1)
    make_message("", "", days=1)
    assert [str(entry.name) for entry in find("refused messages").entries] == ["TRACK_NOT_FOUND", "without a code"]


def test_refused_machine_events_are_told_by_cause() -> None:
    for number, status in enumerate(["REJECTED", "CONFLICT", "WAITING"]):
        OpenIngestEvent.objects.create(
            received_at=NOW - timedelta(hours=number + 1),
            last_at=NOW,
            source_system="oven",
            dedupe_key=f"k{number}",
            status=status,
            wait_until=NOW if status == "WAITING" else None,
            error_code="UNIT_NOT_FOUND",
            subject="SN-1",
            payload={},
            digest=b"",
        )
    found = find("refused machine events")
    assert (found.count, found.oldest) == (2, NOW - timedelta(hours=2))
    assert "SN-1" in lead(found.entries[0].link)


def test_dead_letters_are_told_by_type() -> None:
    for number in range(3):
        make_event(f"k{number}", status="DEAD", event_type="TRACK_IN" if number else "DATA_ALARM")
    make_event("well", status="COMPLETED")
    found = find("dead letters")
    assert (found.count, [(str(entry.name), entry.count) for entry in found.entries]) == (
        3,
        [("Track in", 2), ("Data alarm", 1)],
    )


def test_failed_tasks_have_their_error_and_a_button() -> None:
    Schedule.objects.get(name="retention")
    TaskOutcome.objects.update_or_create(
        name="retention",
        defaults={"failures": 2, "error": "KeyError: 'x'", "failing_since": NOW, "begun_at": NOW, "failed_at": NOW},
    )
    found = find("scheduled tasks")
    (entry,) = found.entries
    assert (found.count, found.oldest, str(entry.why)) == (1, NOW, "Failed. KeyError: 'x'")
    assert entry.act is not None
    assert (entry.act.address, entry.act.fields["task"]) == ("/operations/tasks/run/", "retention")


def test_tokens_that_end_soon_are_told_the_first_first() -> None:
    def make(name: str, **within: int) -> Any:
        return issue_token(name=name, role=Role.OPERATOR, expires_at=timezone.now() + timedelta(**within))[0]

    make("in two weeks", days=13, hours=23)
    make("tomorrow", days=1)
    make("next month", days=30)
    revoke_token(make("revoked", days=2))
    issue_token(name="for ever", role=Role.OPERATOR)
    found = find("ending tokens")
    assert [str(entry.name) for entry in found.entries] == ["tomorrow", "in two weeks"]
    assert (found.count, found.oldest) == (2, found.entries[0].since)


def test_a_kind_is_found_only_for_those_who_may_do_something_about_it() -> None:
    names = {kind.name for kind, _found in engineer_work.find_all(frozenset())}
    assert not names & {"refused messages", "scheduled tasks", "ending tokens"}
    engineer = {kind.name for kind, _found in engineer_work.find_all({Capability.REPLAY})}
    assert "refused messages" in engineer
    assert "ending tokens" not in engineer


def test_no_more_entries_are_told_than_fit() -> None:
    for number in range(9):
        make_message(f"CODE_{number}", "", days=1)
    found = find("refused messages")
    assert (found.count, len(found.entries)) == (9, engineer_work.MOST_ENTRIES)
