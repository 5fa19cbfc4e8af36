"""Events that overtake each other: they wait, are applied by themselves, expire."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Track
from ingest import processing
from ingest.envelope import decode
from ingest.models import IngestEvent, OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes import errors
from mes.production.models import Unit
from tests.execution.support import track_in, track_out
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    REFLOWING,
    IngestPlant,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    reflowed,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """A line whose oven waits too."""
    return make_ingest_plant(reflow={**REFLOWING, "waitSeconds": 60})


def ago(body: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the event as it occurred so long ago."""
    return {**body, "occurredAt": (timezone.now() - timedelta(seconds=seconds)).isoformat()}


def expire() -> None:
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))


def steps(sn: str) -> list[int]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", flat=True))


def test_a_whole_way_in_reverse_order(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    bodies = [
        ago(final_test(sn), 1),
        ago(reflowed("P-1", [sn]), 2),
        ago(inspected(sn, "end"), 3),
        ago(inspected(sn, "start"), 4),
    ]
    for body in bodies:
        send(body, 202)
    send(ago(printed(sn), 5), 201)
    assert (steps(sn), Unit.objects.get(sn=sn).status) == ([10, 20, 30, 40], "DONE")
    assert not OpenIngestEvent.objects.exists()
    assert not Track.objects.filter(is_entry_inferred=True).exists()
    assert not Track.objects.filter(is_time_doubtful=True).exists()
    for body in bodies:
        assert (send(body, 200)["status"], send(body, 200)["duplicate"]) == ("APPLIED", True)


def test_a_waiting_event_and_its_repeats(plant: IngestPlant, send: Send, client: APIClient) -> None:
    body = inspected(plant.sns[0], "end")
    first = send(body, 202)
    again = send(body, 200)
    assert (again["status"], again["duplicate"], again["eventId"]) == ("WAITING", True, first["eventId"])
    assert send({**body, "payload": {}}, 409)["code"] == "DEDUPE_KEY_CONFLICT"
    listed = client.get("/api/ingest/events", {"status": "WAITING", "sn": plant.sns[0], "runNo": "RUN-1"})
    assert [one["id"] for one in listed.json()["data"]["items"]] == [first["eventId"]]
    assert listed.json()["data"]["items"][0]["error"]["details"]["missingSteps"] == [10]
    send(printed(plant.sns[0]), 201)
    last = send(body, 200)
    assert (last["status"], last["eventId"], len(last["trackIds"])) == ("APPLIED", first["eventId"], 1)


def test_a_move_by_hand_lets_it_be_applied(plant: IngestPlant, send: Send, client: APIClient, committed: Any) -> None:
    sn = plant.sns[0]
    send(inspected(sn, "end"), 202)
    with committed():
        assert track_in(client, "PRN-1", sn).status_code == 201
    assert steps(sn) == [10]
    with committed():
        assert track_out(client, "PRN-1", sn).status_code == 200
    assert steps(sn) == [10, 20]


def test_one_that_cannot_be_applied_then_is_refused_and_frees_its_key(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    body = inspected(sn, "end", result="?")
    send(body, 202)
    send(printed(sn), 201)
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code, kept.wait_until) == ("REJECTED", "INGEST_PAYLOAD_INVALID", None)
    assert steps(sn) == [10]
    send({**body, "payload": {**body["payload"], "result": "OK"}}, 201)
    assert steps(sn) == [10, 20]


def test_waiting_ends(plant: IngestPlant, send: Send) -> None:
    body = inspected(plant.sns[0], "end")
    send(body, 202)
    assert catch_up() == 0
    expire()
    assert catch_up() == 1
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code) == ("REJECTED", "STEP_MISMATCH")
    assert catch_up() == 0
    assert send({**body, "payload": {**body["payload"], "note": "other"}}, 202)["eventId"] == str(kept.pk)


def test_one_that_another_call_gives_up_meanwhile(plant: IngestPlant, send: Send, client: APIClient) -> None:
    """Its key is free again when it is looked for."""
    send(inspected(plant.sns[0], "end", result="?"), 202)
    stale = OpenIngestEvent.objects.get()
    Unit.objects.update(current_step_no=20)
    assert catch_up() == 1
    assert OpenIngestEvent.objects.get().status == "REJECTED"
    event = decode(msgspec.json.encode(stale.payload))
    with pytest.raises(errors.InvalidTransition):
        processing.retry_waiting(stale, event, processing.SYSTEM)
    assert OpenIngestEvent.objects.get().status == "REJECTED"


def test_the_wait_counts_from_receipt(plant: IngestPlant, send: Send) -> None:
    send(ago(inspected(plant.sns[0], "end"), 3600), 202)
    left = OpenIngestEvent.objects.get().wait_until - timezone.now()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


def test_one_refused_for_order_is_tried_again_when_the_steps_came(plant: IngestPlant, send: Send) -> None:
    body = inspected(plant.sns[0], "end")
    send(body, 202)
    expire()
    catch_up()
    send(printed(plant.sns[0]), 201)
    assert steps(plant.sns[0]) == [10, 20]
    assert not OpenIngestEvent.objects.exists()
    assert send(body, 200)["status"] == "APPLIED"


def test_also_where_nothing_waits(db: None, send: Send, client: APIClient, committed: Any) -> None:
    mapping = {key: value for key, value in INSPECTING.items() if key != "waitSeconds"}
    plant = make_ingest_plant(aoi=mapping)
    sn = plant.sns[0]
    send(inspected(sn, "end"), 409)
    moments = [(timezone.now() - timedelta(minutes=minutes)).isoformat() for minutes in (2, 1)]
    with committed():  # recorded by hand, later
        assert track_in(client, "PRN-1", sn, at=moments[0]).status_code == 201
        assert track_out(client, "PRN-1", sn, at=moments[1]).status_code == 200
    assert steps(sn) == [10, 20]
    assert SettledIngestEvent.objects.count() == 1


def test_what_a_dead_process_missed_is_caught_up(plant: IngestPlant, send: Send, client: APIClient) -> None:
    one, two, _three = plant.sns
    for sn in (one, two):
        send(inspected(sn, "end"), 202)
    Unit.objects.filter(sn__in=[one, two]).update(current_step_no=20)
    assert catch_up() == 2
    assert steps(one) == steps(two) == [20]
    assert catch_up() == 0


def test_events_of_one_step_are_applied_in_order_of_occurrence(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    send(ago(inspected(sn, "end"), 1), 202)
    send(ago(inspected(sn, "start"), 2), 202)
    send(ago(printed(sn), 3), 201)
    track = Track.objects.get(step_no=20)
    assert (track.is_entry_inferred, track.out_at - track.in_at > timedelta(seconds=0.5)) == (False, True)


def test_a_batch_waits_for_the_last_of_its_units(plant: IngestPlant, send: Send) -> None:
    one, two, three = plant.sns
    Unit.objects.update(current_step_no=20)
    Unit.objects.filter(sn=three).update(current_step_no=30)
    answer = send(reflowed("P-1", plant.sns), 202)
    send(inspected(one, "end"), 201)
    assert OpenIngestEvent.objects.get().blocked_unit_id == Unit.objects.get(sn=two).pk
    send(inspected(two, "end"), 201)
    assert not OpenIngestEvent.objects.exists()
    assert SettledIngestEvent.objects.get(pk=answer["eventId"]).sns == plant.sns


def test_an_event_that_cannot_be_tried_does_not_stop_the_others(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    from ingest import processing

    one, two, _three = plant.sns
    first = send(inspected(one, "end"), 202)
    send(inspected(two, "end"), 202)
    Unit.objects.update(current_step_no=20)
    retry = processing.retry

    def flawed(event_id: int) -> Any:
        if event_id == int(first["eventId"]):
            raise OperationalError("busy")
        return retry(event_id)

    monkeypatch.setattr(processing, "retry", flawed)
    assert catch_up() == 2
    assert (steps(one), steps(two)) == ([], [20])
    monkeypatch.undo()
    assert catch_up() == 1
    assert steps(one) == [20]


def test_a_waiting_event_is_applied_behind_the_hold(plant: IngestPlant, send: Send, client: APIClient) -> None:
    from execution import dispositions

    sn = plant.sns[0]
    body = inspected(sn, "end")
    send(body, 202)
    track_in(client, "PRN-1", sn)
    dispositions.hold_unit(sn=sn, reason="x", by="test")
    send(printed(sn), 201)  # leaves; stays held
    assert (OpenIngestEvent.objects.count(), steps(sn)) == (0, [10, 20])
    unit = dispositions.release_unit(sn=sn, reason="x", by="test")
    assert (unit.status, unit.current_step_no) == ("QUEUED", 30)


def test_an_event_lets_earlier_ones_go_first_that_were_missed(
    plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    from execution import hooks
    from mes.platform.hooks import Hook

    sn = plant.sns[0]
    monkeypatch.setattr(hooks, "unit_moved", Hook())  # the process dies after its commit, before it tells of the move
    start = send(inspected(sn, "start"), 202)
    send(printed(sn), 201)
    assert IngestEvent.objects.get(pk=start["eventId"]).status == "WAITING"
    send(inspected(sn, "end"), 201)
    assert IngestEvent.objects.get(pk=start["eventId"]).status == "APPLIED"
    track = Track.objects.get(unit__sn=sn, step_no=20)
    assert (track.result, track.is_entry_inferred) == ("PASS", False)
