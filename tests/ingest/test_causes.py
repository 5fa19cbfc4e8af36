"""What refused events have in common, and what is decided about all of a cause."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Track
from ingest import causes, dismissing, processing
from ingest.models import IngestEvent, OpenIngestEvent, SettledIngestEvent
from mes import errors
from mes.plant.models import Equipment, Station
from mes.platform.bulk_actions import services
from mes.platform.bulk_actions.models import BulkAction
from mes.platform.inbound.sender import Sender
from mes.platform.outbox.schedules import GOES_ON
from mes.production import runs
from tests import databases
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, make_ingest_plant, printed, push

CAUSES = "/api/ingest/events/causes"
EVENTS = "/api/ingest/events"


def read_causes(client: APIClient, **filters: Any) -> dict[str, Any]:
    answer = client.get(CAUSES, filters)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def start(client: APIClient, verb: str, expect: int = 202, **body: Any) -> dict[str, Any]:
    answer = client.post(f"{EVENTS}/{verb}", {"reason": "mended", **body})
    assert answer.status_code == expect, answer.content
    return answer.json().get("data") or answer.json()["error"]


def see(client: APIClient, action_id: str) -> dict[str, Any]:
    answer = client.get(f"/api/bulk-actions/{action_id}")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def counts(action: dict[str, Any]) -> tuple[str, int, int, int, int, int, int]:
    names = ("matched", "applied", "waiting", "refused", "dismissed", "remaining")
    return (action["status"], *(action[name] for name in names))  # type: ignore[return-value]


def refuse(client: APIClient, number: int = 3) -> list[str]:
    """Make refused events of one cause, of units that nobody registered; return their serial numbers."""
    sns = [f"LATE-{index}" for index in range(number)]
    for sn in sns:
        push(client, {**printed(sn), "runNo": "RUN-1"}, 404)
    return sns


@pytest.mark.django_db
def test_causes_say_what_is_refused_and_how_often(plant: IngestPlant, client: APIClient, send: Send) -> None:
    one, two, three = plant.sns
    Equipment.objects.create(code="EQ-1", name="x", station=Station.objects.get(code="PRN-1"), status="down")
    for sn in (one, two):
        send(printed(sn), 409)
    send(printed(three, result="NG"), 409)
    send(printed(three, result="?"), 422)
    with_unknown = send({**printed("nobody"), "runNo": "RUN-1"}, 404)
    assert with_unknown["code"] == "UNIT_NOT_FOUND"
    told = read_causes(client)
    shown = [
        tuple(item[name] for name in ("code", "subject", "stationCode", "runNo", "stepNo", "count", "failing"))
        for item in told["items"]
    ]
    assert shown == [
        ("EQUIPMENT_UNAVAILABLE", "EQ-1", "PRN-1", "RUN-1", 10, 3, 1),
        ("INGEST_PAYLOAD_INVALID", "result.path", "PRN-1", "RUN-1", 10, 1, 0),
        ("UNIT_NOT_FOUND", "nobody", "PRN-1", "RUN-1", 10, 1, 0),
    ]
    assert told["upTo"] and told["items"][0]["firstAt"] <= told["items"][0]["lastAt"] <= told["upTo"]
    assert IngestEvent.objects.get(pk=told["items"][0]["exampleId"]).error_code == "EQUIPMENT_UNAVAILABLE"
    assert [item["code"] for item in read_causes(client, subject="EQ-1")["items"]] == ["EQUIPMENT_UNAVAILABLE"]
    for filters in (
        {"stationCode": "AOI-1"},
        {"runNo": "x"},
        {"stepNo": "20"},
        {"sourceSystem": "x"},
        {"to": "2020-01-01"},
    ):
        assert read_causes(client, **filters)["items"] == []
    assert read_causes(client, status="CONFLICT")["items"] == []
    for wrong in ({"status": "DISMISSED"}, {"stepNo": "x"}, {"stepNo": "9" * 30}, {"from": "x"}, {"code": "a\0"}):
        assert client.get(CAUSES, wrong).status_code == 400


@pytest.mark.django_db
def test_a_list_of_causes_is_one_query(
    plant: IngestPlant, client: APIClient, django_assert_max_num_queries: Any
) -> None:
    refuse(client, 5)
    client.get(CAUSES)
    with django_assert_max_num_queries(2):  # the token is known
        read_causes(client)


@pytest.mark.django_db
def test_all_of_a_cause_are_tried_again_and_nothing_that_came_after(
    plant: IngestPlant, client: APIClient, committed: Any
) -> None:
    sns = refuse(client)
    up_to = read_causes(client)["upTo"]
    late = push(client, {**printed("LATER"), "runNo": "RUN-1"}, 404)
    assert late["code"] == "UNIT_NOT_FOUND"
    push(client, printed(plant.sns[0], result="?"), 422)  # of another cause
    runs.register_units(run_no="RUN-1", sns=[*sns[:2], "LATER"])
    started = start(client, "replay", code="UNIT_NOT_FOUND", runNo="RUN-1", upTo=up_to)
    assert started["matched"] == 3
    assert counts(see(client, started["id"])) == ("RUNNING", 3, 0, 0, 0, 0, 3)
    with committed():
        assert services.work_off() == "done"
    action = see(client, started["id"])
    assert counts(action) == ("DONE", 3, 2, 0, 1, 0, 0)
    assert (action["by"][:6], action["reason"]) == ("token:", "mended")
    assert sorted(SettledIngestEvent.objects.values_list("sns", flat=True)) == [["LATE-0"], ["LATE-1"]]
    assert {event.note["reason"] for event in SettledIngestEvent.objects.all()} == {"mended"}
    assert OpenIngestEvent.objects.count() == 3
    assert services.work_off() == "done"  # nothing is left to do


@pytest.mark.django_db
def test_all_of_a_cause_are_dismissed(plant: IngestPlant, client: APIClient) -> None:
    refuse(client)
    push(client, printed(plant.sns[0], result="?"), 422)
    up_to = read_causes(client)["upTo"]
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to, reason="a trial")
    services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 3, 0, 0, 0, 3, 0)
    assert OpenIngestEvent.objects.get().error_code == "INGEST_PAYLOAD_INVALID"
    again = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)
    assert again["matched"] == 0
    services.work_off()
    assert counts(see(client, again["id"])) == ("DONE", 0, 0, 0, 0, 0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("is_started", [False, True])
def test_other_content_that_came_since_is_not_dismissed(
    plant: IngestPlant, client: APIClient, is_started: bool
) -> None:
    body = {**printed("LATE-0"), "runNo": "RUN-1"}
    other = {**body, "payload": {**body["payload"], "result": "NG"}}
    push(client, body, 404)
    push(client, body, 404)  # the very same again is meant
    refuse(client, 1)
    up_to = read_causes(client)["upTo"]
    if not is_started:
        push(client, other, 404)
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)
    assert started["matched"] == 1 + is_started
    if is_started:
        push(client, other, 404)
    services.work_off()
    kept = OpenIngestEvent.objects.get()
    assert (kept.payload, len(kept.attempts), kept.status) == (other, 1, "REJECTED")
    assert SettledIngestEvent.objects.get().status == "DISMISSED"
    runs.register_units(run_no="RUN-1", sns=["LATE-0"])
    push(client, body, 201)  # the first content after all
    settled = SettledIngestEvent.objects.get(pk=kept.pk)
    assert settled.received_at > kept.received_at


@pytest.mark.django_db
def test_what_changed_before_it_is_locked_is_not_dismissed(plant: IngestPlant, client: APIClient) -> None:
    refuse(client, 1)
    kept = OpenIngestEvent.objects.get()
    before, by = kept.received_at - timedelta(seconds=1), Sender("quality")
    with pytest.raises(errors.InvalidTransition):
        dismissing.dismiss(kept.pk, reason="a trial", sender=by, up_to=before)
    assert dismissing.dismiss(kept.pk, reason="a trial", sender=by, up_to=kept.received_at).status == "DISMISSED"


@pytest.mark.django_db
def test_only_one_subject_of_a_cause(plant: IngestPlant, client: APIClient) -> None:
    refuse(client)
    up_to = read_causes(client)["upTo"]
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", subject="LATE-1", upTo=up_to)
    assert started["matched"] == 1
    assert start(client, "dismiss", code="UNIT_NOT_FOUND", stepNo=0, upTo=up_to)["matched"] == 0
    assert start(client, "dismiss", code="UNIT_NOT_FOUND", stationCode="", upTo=up_to)["matched"] == 0
    OpenIngestEvent.objects.filter(subject="LATE-1").update(subject="LATE-9")  # it was sent anew
    services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 1, 0, 0, 1, 0, 0)


@pytest.mark.django_db
def test_conflicts_are_taken_as_new_together(plant: IngestPlant, client: APIClient, committed: Any) -> None:
    one, two, three = plant.sns
    body = printed(one)
    push(client, body, 201)
    for sn in (two, three):
        push(client, {**body, "payload": {**body["payload"], "sn": sn}}, 409)
    up_to = read_causes(client)["upTo"]
    kept = start(client, "replay", code="DEDUPE_KEY_CONFLICT", upTo=up_to)
    with committed():
        services.work_off()
    assert counts(see(client, kept["id"])) == ("DONE", 2, 0, 0, 2, 0, 0)
    applied = start(client, "replay", code="DEDUPE_KEY_CONFLICT", upTo=up_to, asNew=True)
    with committed():
        services.work_off()
    assert counts(see(client, applied["id"])) == ("DONE", 2, 2, 0, 0, 0, 0)
    assert Track.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"upTo": None},
        {"upTo": "yesterday"},
        {"upTo": "2026-01-01T00:00:00"},
        {"reason": None},
        {"reason": " "},
        {"reason": "x" * 501},
        {"code": None},
        {"code": 7},
        {"stepNo": "10"},
        {"stepNo": -1},
        {"status": "DISMISSED"},
        {"asNew": "yes"},
        {"more": 1},
        {"from": "x"},
    ],
)
def test_what_is_not_said_rightly_decides_nothing(plant: IngestPlant, client: APIClient, change: Any) -> None:
    refuse(client, 1)
    body = {"code": "UNIT_NOT_FOUND", "upTo": timezone.now().isoformat(), "reason": "x", **change}
    body = {name: value for name, value in body.items() if value is not None}
    for verb in ("replay", "dismiss"):
        answer = client.post(f"{EVENTS}/{verb}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), answer.content
    assert not BulkAction.objects.exists()


@pytest.mark.django_db
def test_who_may_decide_and_see(plant: IngestPlant, client: APIClient) -> None:
    refuse(client, 2)
    up_to = read_causes(client)["upTo"]
    for verb in ("replay", "dismiss"):
        assert start(api_client("OPERATOR"), verb, 403, code="X", upTo=up_to)["code"] == "PERMISSION_DENIED"
    for pk in ("x", "0", "9223372036854775807", "99999999999999999999"):
        answer = client.get(f"/api/bulk-actions/{pk}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BULK_ACTION_NOT_FOUND")
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)
    assert see(api_client("OPERATOR"), started["id"])["matched"] == 2


@pytest.mark.django_db
def test_a_token_of_stations_decides_about_its_own(plant: IngestPlant, client: APIClient) -> None:
    refuse(client, 2)
    elsewhere = api_client("ENGINEER", stations=["AOI-1"])
    at_home = api_client("ENGINEER", stations=["PRN-1"])
    up_to = read_causes(client)["upTo"]
    assert read_causes(elsewhere)["items"] == []
    assert len(read_causes(at_home)["items"]) == 2
    assert start(elsewhere, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)["matched"] == 0
    started = start(at_home, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)
    assert elsewhere.get(f"/api/bulk-actions/{started['id']}").status_code == 404
    services.work_off()
    assert counts(see(at_home, started["id"]))[5] == 2


# --- worked off ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_bulk_action_is_worked_off_in_slices(
    plant: IngestPlant, client: APIClient, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    refuse(client, 4)
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=read_causes(client)["upTo"])
    ticks = iter([0.0, 1.0, 2.0, 3.0, *[0.0] * 100])
    monkeypatch.setattr(services, "monotonic", lambda: next(ticks))
    settings.MES_BULK_BUDGET = timedelta(seconds=2.5)
    assert services.work_off() == GOES_ON
    assert counts(see(client, started["id"])) == ("RUNNING", 4, 0, 0, 0, 2, 2)
    assert services.work_off() == "done"
    assert counts(see(client, started["id"])) == ("DONE", 4, 0, 0, 0, 4, 0)


@pytest.mark.django_db
def test_one_bad_event_is_alone(
    plant: IngestPlant, client: APIClient, committed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns = refuse(client)
    runs.register_units(run_no="RUN-1", sns=sns)
    retry = processing.retry
    bad = OpenIngestEvent.objects.get(sns=["LATE-1"]).pk

    def fail(event_id: int, **rest: Any) -> Any:
        if event_id == bad:
            raise ZeroDivisionError("by a defect")
        return retry(event_id, **rest)

    monkeypatch.setattr(processing, "retry", fail)
    started = start(client, "replay", code="UNIT_NOT_FOUND", upTo=read_causes(client)["upTo"])
    with committed():
        services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 3, 2, 0, 1, 0, 0)
    assert OpenIngestEvent.objects.get().error_code == "INTERNAL_ERROR"


@pytest.mark.django_db
def test_what_was_settled_meanwhile_counts_as_what_it_is(plant: IngestPlant, client: APIClient, committed: Any) -> None:
    """A dismissal during a replay of the same comes after it, and dismisses what is refused still."""
    sns = refuse(client)
    up_to = read_causes(client)["upTo"]
    runs.register_units(run_no="RUN-1", sns=sns[:1])
    replay = start(client, "replay", code="UNIT_NOT_FOUND", upTo=up_to)
    dismissal = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=up_to)
    by_hand = OpenIngestEvent.objects.get(sns=["LATE-1"]).pk
    assert client.post(f"{EVENTS}/{by_hand}/dismiss", {"reason": "mine"}).status_code == 200
    with committed():
        services.work_off()
    assert counts(see(client, replay["id"])) == ("DONE", 3, 1, 0, 1, 1, 0)
    assert counts(see(client, dismissal["id"])) == ("DONE", 3, 1, 0, 0, 2, 0)


@pytest.mark.django_db
def test_what_kills_every_process_is_passed_over(plant: IngestPlant, client: APIClient, committed: Any) -> None:
    refuse(client, 2)
    started = start(client, "dismiss", code="UNIT_NOT_FOUND", upTo=read_causes(client)["upTo"])
    for _death in range(services.MOST_STALLS + 1):
        assert services._claim(causes.KIND) is not None
        assert services._claim(causes.KIND) is None  # another process has it
        BulkAction.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 2, 0, 0, 1, 1, 0)


WORKER = """
import os, sys, django
sys.path.insert(0, os.getcwd())
django.setup()
from mes.platform.bulk_actions import services
from ingest import causes
work, done = services._note, []
def slowly(action, outcome):
    print(len(done), flush=True)
    done.append(outcome)
    if len(done) == 3:
        os.kill(os.getpid(), 9)  # between the event's commit and the note
    return work(action, outcome)
services._note = slowly
services.work_off()
"""


@pytest.mark.waiting
@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_half_way_loses_and_repeats_nothing(tmp_path: Path) -> None:
    client = api_client()
    make_ingest_plant()
    sns = refuse(client, 6)
    runs.register_units(run_no="RUN-1", sns=sns)
    started = start(client, "replay", code="UNIT_NOT_FOUND", upTo=read_causes(client)["upTo"])
    environment = {**os.environ, "DATABASE_URL": databases.own_url(), "SECRET_KEY": settings.SECRET_KEY}
    process = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=settings.BASE_DIR,
        env=environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        timeout=90,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-4000:]
    assert counts(see(client, started["id"])) == ("RUNNING", 6, 2, 0, 0, 0, 4)
    assert Track.objects.count() == 3
    services.work_off()
    assert Track.objects.count() == 3  # its lease is not over
    BulkAction.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 6, 6, 0, 0, 0, 0)
    assert (Track.objects.count(), OpenIngestEvent.objects.count()) == (6, 0)
