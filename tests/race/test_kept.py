"""A refused report is dismissed and tried again at the same moment: one of the two comes first, and the other finds it.

The control takes the key out of the dismissal: then an event is applied and dismissed both.
"""

from collections import Counter
from collections.abc import Callable
from threading import Event
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Track
from ingest import dismissing, left_out
from ingest.models import IngestEvent, OpenIngestEvent, PartialIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.platform.bulk_actions import services
from mes.platform.bulk_actions.models import BulkAction
from mes.platform.inbound import keys
from mes.production import runs
from mes.production.models import Unit
from tests.factories import api_client
from tests.ingest.support import make_ingest_plant, printed, push
from tests.ingest.test_panels import PANEL, panel
from tests.integration.helpers import another, at_once

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = 6


@pytest.fixture
def client(transactional_db: None) -> APIClient:
    return api_client()


def refused(client: APIClient, number: int = TIMES) -> list[int]:
    """Refuse events of units that are registered afterwards, so that they can be applied now."""
    make_ingest_plant()
    sns = [f"LATE-{index}" for index in range(number)]
    for sn in sns:
        push(client, printed(sn), 404)
    runs.register_units(run_no="RUN-1", sns=sns)
    return list(OpenIngestEvent.objects.order_by("id").values_list("pk", flat=True))


def decide(client: APIClient, event_id: int, action: str) -> Callable[[], str]:
    def make() -> str:
        body = {"reason": "x"} if action == "dismiss" else {}
        answer = another(client).post(f"/api/ingest/events/{event_id}/{action}", body)
        said = answer.json()
        return f"{action} {said['data']['status'] if said['ok'] else said['error']['code']}"

    return make


def both(client: APIClient, event_ids: list[int]) -> Counter[tuple[str, ...]]:
    """Dismiss each event and try it again at the same moment; return how each pair was answered."""
    pairs = []
    for event_id in event_ids:
        answers = at_once(decide(client, event_id, "dismiss"), decide(client, event_id, "replay"))
        pairs.append(tuple(sorted(answers)))
    return Counter(pairs)


ONE_WINS = {
    ("dismiss DISMISSED", "replay INVALID_TRANSITION"),
    ("dismiss INVALID_TRANSITION", "replay APPLIED"),
}


def test_an_event_is_dismissed_or_applied(client: APIClient) -> None:
    event_ids = refused(client)
    assert set(both(client, event_ids)) <= ONE_WINS
    statuses = Counter(IngestEvent.objects.values_list("status", flat=True))
    assert statuses["APPLIED"] + statuses["DISMISSED"] == TIMES
    assert Track.objects.count() == statuses["APPLIED"]
    assert SettledIngestEvent.objects.count() == TIMES


@pytest.mark.parametrize("is_claimed", [True, False], ids=["with the key", "the control: without it"])
def test_a_replay_in_the_middle_of_a_dismissal(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, is_claimed: bool
) -> None:
    [event_id] = refused(client, 1)
    is_locked, settle = Event(), dismissing._settle

    def settle_slowly(open_event: OpenIngestEvent, note: dict[str, Any]) -> None:
        is_locked.set()
        sleep(1)  # the replay comes as far as it can
        settle(open_event, note)

    def replay() -> str:
        is_locked.wait(timeout=30)
        return decide(client, event_id, "replay")()

    monkeypatch.setattr(dismissing, "_settle", settle_slowly)
    if not is_claimed:
        claims_nothing = SimpleNamespace(claim=lambda *key: True, spend=keys.spend)
        monkeypatch.setattr(dismissing, "keys", claims_nothing)
    answers = set(at_once(decide(client, event_id, "dismiss"), replay))
    statuses = Counter(SettledIngestEvent.objects.values_list("status", flat=True))
    if is_claimed:
        assert answers == {"dismiss DISMISSED", "replay INVALID_TRANSITION"}
        assert (statuses, Track.objects.count()) == ({"DISMISSED": 1}, 0)
    else:
        assert answers == {"dismiss DISMISSED", "replay APPLIED"}
        assert (statuses, Track.objects.count()) == ({"DISMISSED": 1, "APPLIED": 1}, 1)


def test_a_unit_is_released_while_its_report_is_tried_again(client: APIClient) -> None:
    """Whatever comes first: the report is dismissed or still refused and dismissed by the clock, never lost."""
    sns = make_ingest_plant(units=TIMES).sns
    Unit.objects.update(status="DONE", current_step_no=40)
    for sn in sns:
        push(client, printed(sn, result="NG"), 409)
    for sn, event_id in zip(sns, OpenIngestEvent.objects.order_by("id").values_list("pk", flat=True), strict=True):
        at_once(
            lambda sn=sn: dispositions.release_unit(sn=sn, reason="good", by="quality"),  # type: ignore[misc]
            decide(client, event_id, "replay"),
        )
    catch_up()
    assert Counter(IngestEvent.objects.values_list("status", flat=True)) == {"DISMISSED": TIMES}
    assert set(Unit.objects.values_list("status", flat=True)) == {"DONE"}


def test_two_workers_work_off_one_bulk_action(client: APIClient) -> None:
    event_ids = refused(client)
    body: dict[str, Any] = {"code": "UNIT_NOT_FOUND", "upTo": "2100-01-01T00:00:00Z", "reason": "x"}
    for verb in ("replay", "dismiss"):
        assert client.post(f"/api/ingest/events/{verb}", body).status_code == 202
    at_once(services.work_off, times=3)
    services.work_off()
    replayed, dismissed = BulkAction.objects.order_by("id")
    assert (replayed.status, replayed.applied, dismissed.status) == ("DONE", TIMES, "DONE")
    assert Track.objects.count() == len(event_ids) == dismissed.applied


# --- what an applied event left out ------------------------------------------------------------------------


@pytest.mark.parametrize("is_locked", [True, False], ids=["with the lock", "the control: without it"])
def test_a_replay_in_the_middle_of_a_dismissal_of_what_was_left_out(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    plant = make_ingest_plant(units=2, reflow={**PANEL, "waitSeconds": 0})
    one, two = plant.sns
    Unit.objects.filter(sn=one).update(current_step_no=30)
    event_id = int(push(client, panel([one, two], "OK", "OK"), 201)["eventId"])
    Unit.objects.filter(sn=two).update(current_step_no=30)
    is_under_way, add_note = Event(), dismissing._add_note

    def add_slowly(*given: Any) -> None:
        is_under_way.set()
        sleep(1)  # the replay comes as far as it can
        add_note(*given)

    def replay() -> str:
        is_under_way.wait(timeout=30)
        return decide(client, event_id, "replay")()

    monkeypatch.setattr(dismissing, "_add_note", add_slowly)
    if not is_locked:
        monkeypatch.setattr(left_out, "lock", read_unlocked)
    answers = set(at_once(decide(client, event_id, "dismiss"), replay))
    dismissed = (SettledIngestEvent.objects.get().note or {}).get("dismissedBy") is not None
    assert dismissed and not PartialIngestEvent.objects.exists()
    if is_locked:
        assert answers == {"dismiss APPLIED", "replay INVALID_TRANSITION"}
        assert Track.objects.count() == 1
    else:
        assert answers == {"dismiss APPLIED", "replay APPLIED"}
        assert Track.objects.count() == 2


def read_unlocked(event_id: int) -> tuple[PartialIngestEvent, SettledIngestEvent] | None:
    partial = PartialIngestEvent.objects.filter(pk=event_id).first()
    return partial and (partial, SettledIngestEvent.objects.get(pk=event_id))
