"""The sweep over open events: one bad event never stops it, nor keeps the others from their turn."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection, connections
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Track
from ingest import attempts, processing
from ingest.models import OpenIngestEvent
from ingest.open_events import LONGEST_DELAY, delay_after
from ingest.processing import catch_up
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.factories import make_user
from tests.ingest.conftest import Send
from tests.ingest.support import INSPECTING, IngestPlant, inspected, make_ingest_plant, make_two_sided_plant

pytestmark = pytest.mark.django_db
AT_ONCE = {key: value for key, value in INSPECTING.items() if key != "waitSeconds"}
Fail = Callable[..., list[int]]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Return a function that has attempts at events fail in a way nobody foresaw, and returns which were tried."""
    retry = processing.retry

    def have_fail(*event_ids: int, error: Exception | None = None) -> list[int]:
        tried: list[int] = []

        def flawed(event_id: int) -> Any:
            tried.append(event_id)
            if event_id in event_ids:
                raise error or KeyError("waitSeconds")
            return retry(event_id)

        monkeypatch.setattr(processing, "retry", flawed)
        return tried

    return have_fail


def expire() -> None:
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))


def waiting(plant: IngestPlant, send: Send) -> list[int]:
    """Have an inspection of each unit wait, and let each be tried by the next sweep; return their ids in order."""
    event_ids = [int(send(inspected(sn, "end"), 202)["eventId"]) for sn in plant.sns]
    Unit.objects.update(current_step_no=20)
    return event_ids


def steps(sn: str) -> list[int]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", flat=True))


# --- the fault ---------------------------------------------------------------------------------------------


def test_an_event_whose_unit_was_reworked_to_a_step_that_does_not_wait_expires(send: Send) -> None:
    """It waits for the second inspection; after the rework it is for the first one, whose mapping sets no wait."""
    plant = make_two_sided_plant(first=AT_ONCE, second=INSPECTING)
    sn, other = plant.sns[:2]
    Unit.objects.update(current_step_no=30)
    reworked = send(inspected(sn, "end"), 202)["eventId"]
    later = send(inspected(other, "end"), 202)["eventId"]
    dispositions.hold_unit(sn=sn, reason="x", by="test")
    dispositions.rework_unit(sn=sn, reason="x", by="test", to_step_no=10)
    expire()
    assert catch_up() == 2
    refused = OpenIngestEvent.objects.get(pk=reworked)
    assert (refused.status, refused.error_code) == ("REJECTED", "STEP_MISMATCH")
    details = refused.error["details"]
    assert (details["stepNo"], details["missingSteps"], details["waitedSeconds"]) == (20, [10], 60)
    assert OpenIngestEvent.objects.get(pk=later).status == "REJECTED"
    assert catch_up() == 0


def test_the_wait_that_is_told_is_the_one_that_was_set(send: Send) -> None:
    """Not that of the step which the event is for after the rework."""
    plant = make_two_sided_plant(first={**INSPECTING, "waitSeconds": 999}, second=INSPECTING)
    Unit.objects.update(current_step_no=30)
    send(inspected(plant.sns[0], "end"), 202)
    dispositions.hold_unit(sn=plant.sns[0], reason="x", by="test")
    dispositions.rework_unit(sn=plant.sns[0], reason="x", by="test", to_step_no=10)
    expire()
    catch_up()
    assert OpenIngestEvent.objects.get().error["details"]["waitedSeconds"] == 60


def test_the_waits_of_events_from_before_are_worked_out(plant: IngestPlant, send: Send) -> None:
    send(inspected(plant.sns[0], "end"), 202)
    OpenIngestEvent.objects.update(wait_seconds=None)
    with connection.cursor() as cursor:
        cursor.execute(import_module("ingest.migrations.0004_kept_waits").KEEP_WAITS)
    assert OpenIngestEvent.objects.get().wait_seconds == 60


# --- one bad event -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), OperationalError("busy"), MemoryError()])
def test_the_others_go_on_and_the_event_keeps_why(plant: IngestPlant, send: Send, fail: Fail, error: Exception) -> None:
    first, *_others = waiting(plant, send)
    fail(first, error=error)
    assert catch_up() == 3
    assert [steps(sn) for sn in plant.sns] == [[], [20], [20]]
    kept = OpenIngestEvent.objects.get()
    assert (kept.pk, kept.status, kept.error_code, kept.failures) == (first, "WAITING", "INTERNAL_ERROR", 1)
    assert type(error).__name__ in kept.error["message"]
    assert kept.error["details"]["failures"] == 1


def test_people_see_it_among_the_open_events(plant: IngestPlant, send: Send, fail: Fail, client: Any) -> None:
    first, *_others = waiting(plant, send)
    fail(first)
    catch_up()
    client.force_login(make_user(Role.ENGINEER))
    page = client.get(reverse("ingest-events")).content.decode()
    assert "INTERNAL_ERROR" in page
    assert "KeyError" in page
    assert "failed once, next attempt" in page


def test_after_the_first_failure_it_is_tried_by_the_next_sweep_then_less_and_less_often(
    plant: IngestPlant, send: Send, fail: Fail
) -> None:
    first, *_others = waiting(plant, send)
    tried = fail(first)
    assert [catch_up(), catch_up(), catch_up()] == [3, 1, 0]
    assert tried.count(first) == 2
    kept = OpenIngestEvent.objects.get()
    assert kept.failures == 2
    assert timedelta(0) < kept.next_attempt_at - timezone.now() <= delay_after(2)
    delays = [delay_after(failures) for failures in range(1, 100)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (timedelta(0), LONGEST_DELAY)


def test_once_mended_it_is_applied(plant: IngestPlant, send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_others = waiting(plant, send)
    fail(first)
    catch_up(), catch_up()
    monkeypatch.undo()
    assert catch_up() == 0  # not yet
    OpenIngestEvent.objects.update(next_attempt_at=timezone.now())
    assert catch_up() == 1
    assert steps(plant.sns[0]) == [20]
    assert not OpenIngestEvent.objects.exists()


def test_one_that_goes_on_waiting_no_longer_tells_of_its_failure(
    plant: IngestPlant, send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_others = waiting(plant, send)
    fail(first)
    catch_up()
    monkeypatch.undo()
    Unit.objects.update(current_step_no=10)
    processing.retry(first)
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code, kept.failures) == ("WAITING", "STEP_MISMATCH", 0)


def test_a_rejected_event_whose_attempt_fails_stays_rejected(
    send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = make_ingest_plant(aoi=AT_ONCE)
    body = inspected(plant.sns[0], "end")
    send(body, 409)
    Unit.objects.update(current_step_no=20)
    kept = OpenIngestEvent.objects.get()
    fail(kept.pk)
    assert catch_up() == 1
    kept.refresh_from_db()
    assert (kept.status, kept.error_code) == ("REJECTED", "INTERNAL_ERROR")
    monkeypatch.undo()
    assert send(body, 201)["eventId"] == str(kept.pk)


def test_a_move_goes_on_to_the_next_event_too(plant: IngestPlant, send: Send, fail: Fail) -> None:
    """Not only the sweep meets a bad event: what follows a move does, after the commit."""
    first = waiting(plant, send)[0]
    fail(first)
    processing.try_blocked(Unit.objects.get(sn=plant.sns[0]).pk)
    assert OpenIngestEvent.objects.get(pk=first).error_code == "INTERNAL_ERROR"


def test_the_others_go_on_where_the_failure_cannot_be_kept_either(
    plant: IngestPlant, send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(event_id: int, problem: str) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    first, *_others = waiting(plant, send)
    fail(first)
    monkeypatch.setattr(processing, "keep_failure", busy)
    assert catch_up() == 3
    assert [steps(sn) for sn in plant.sns] == [[], [20], [20]]


def test_a_lost_connection_ends_the_sweep(
    plant: IngestPlant, send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other event would fare better, and the operations page shows that the task failed."""
    first, *_others = waiting(plant, send)
    tried = fail(first, error=InterfaceError("connection lost"))
    monkeypatch.setattr(connections["default"], "is_usable", lambda: False)
    with pytest.raises(InterfaceError):
        catch_up()
    assert tried == [first]


# --- one that fails until its wait is over -----------------------------------------------------------------


def break_attempts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have every attempt fail, in a way nobody foresaw, at a function that it calls."""

    def flawed(*_args: Any, **_named: Any) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(attempts, name, flawed)


def test_one_that_fails_until_its_wait_is_over_is_rejected_and_holds_its_unit(
    plant: IngestPlant, send: Send, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = inspected(plant.sns[0], "end", result="NG")
    event_id = send(body, 202)["eventId"]
    Unit.objects.update(current_step_no=20)
    break_attempts(monkeypatch, "load_context")
    catch_up(), catch_up()
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.failures, kept.next_attempt_at) == ("WAITING", 2, kept.wait_until)
    assert Unit.objects.get(sn=plant.sns[0]).status == "QUEUED"
    expire()
    OpenIngestEvent.objects.update(next_attempt_at=timezone.now())
    assert catch_up() == 1
    kept.refresh_from_db()
    assert (kept.status, kept.error_code, kept.is_failing) == ("REJECTED", "INTERNAL_ERROR", True)
    assert Unit.objects.get(sn=plant.sns[0]).status == "ON_HOLD"
    assert client.post(f"/api/ingest/events/{event_id}/dismiss", {"reason": "looked at"}).status_code == 200


def test_one_that_cannot_even_be_read_then_is_kept_by_its_body(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = inspected(plant.sns[0], "end", result="NG")
    send(body, 202)
    expire()
    break_attempts(monkeypatch, "find_candidates")
    catch_up()
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code, kept.payload["dedupeKey"]) == (
        "REJECTED",
        "INTERNAL_ERROR",
        body["dedupeKey"],
    )
    monkeypatch.undo()
    assert send(body, 202)["eventId"] == str(kept.pk)  # its key is free again


def test_a_replay_that_fails_so_is_answered_and_kept(
    plant: IngestPlant, send: Send, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = send(inspected(plant.sns[0], "end"), 202)["eventId"]
    break_attempts(monkeypatch, "load_context")
    client.raise_request_exception = False
    answer = client.post(f"/api/ingest/events/{event_id}/replay").json()["error"]
    assert (answer["code"], "It is kept" in answer["message"]) == ("INTERNAL_ERROR", True)
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code, kept.failures) == ("WAITING", "INTERNAL_ERROR", 1)
    assert "KeyError" in kept.error["message"]


# --- turns -------------------------------------------------------------------------------------------------


def test_those_that_always_fail_do_not_keep_later_ones_from_being_tried(
    plant: IngestPlant, send: Send, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "CATCH_UP_LIMIT", 2)
    first, second, _third = waiting(plant, send)
    fail(first, second)
    assert catch_up() == 2
    assert [steps(sn) for sn in plant.sns] == [[], [], []]
    assert catch_up() == 2
    assert [steps(sn) for sn in plant.sns] == [[], [], [20]]


def test_those_that_stay_due_for_another_reason_take_turns(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: here, an attempt that has no effect."""
    monkeypatch.setattr(processing, "CATCH_UP_LIMIT", 1)
    event_ids = waiting(plant, send)
    tried: list[int] = []
    monkeypatch.setattr(processing, "retry", tried.append)
    for _round in range(6):
        catch_up()
    assert tried == [*event_ids, *event_ids]


def test_an_event_that_kills_the_process_gives_way_as_well(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "CATCH_UP_LIMIT", 1)
    first, second, _third = waiting(plant, send)
    tried: list[int] = []

    def die(event_id: int) -> None:
        tried.append(event_id)
        raise SystemExit

    monkeypatch.setattr(processing, "retry", die)
    for _round in range(2):
        with pytest.raises(SystemExit):
            catch_up()
    assert tried == [first, second]


def test_what_is_tried_at_once_is_tried_in_order_of_occurrence(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = waiting(plant, send)
    OpenIngestEvent.objects.filter(pk=first).update(next_attempt_at=timezone.now())  # tried before
    tried: list[int] = []
    monkeypatch.setattr(processing, "retry", tried.append)
    catch_up()
    assert tried == [first, second, third]
