"""Refused events are kept until somebody decides: conflicts, dismissals, and decisions about the units they hold."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Disposition, Track
from execution.quality.holds import cases
from ingest import dismissing
from ingest.models import IngestEvent, OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.plant.models import Equipment, Station
from mes.platform.inbound.models import IdempotencyKey
from mes.production import runs
from mes.production.hold_models import Hold
from mes.production.models import Unit
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    REFLOWING,
    RESULT,
    IngestPlant,
    event,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
)

pytestmark = pytest.mark.django_db


class _By:
    """The token of the client, whatever its number."""

    def __eq__(self, name: object) -> bool:
        return str(name).startswith("token:ADMIN-")

    def __hash__(self) -> int:
        return 0


BY: Any = _By()


def listed(client: APIClient, **filters: str) -> list[dict[str, Any]]:
    answer = client.get("/api/ingest/events", filters)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["items"]


def decide(client: APIClient, event_id: Any, action: str, expect: int, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/ingest/events/{event_id}/{action}", body)
    assert answer.status_code == expect, answer.content
    return answer.json().get("data") or answer.json()["error"]


def other(body: dict[str, Any], **payload: Any) -> dict[str, Any]:
    """The same key with other content."""
    return {**body, "payload": {**body["payload"], **payload}}


# --- conflicts -------------------------------------------------------------------------------------------------


def test_a_conflict_is_kept_for_each_other_content_and_counts_up(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    one, two, _three = plant.sns
    body = printed(one)
    send(body, 201)
    for _time in range(3):
        assert send(other(body, sn=two), 409)["code"] == "DEDUPE_KEY_CONFLICT"
    send(other(body, result="NG", sn=two), 409)
    kept = listed(client, status="CONFLICT")
    assert [(item["count"], item["dedupeKey"], item["error"]["code"]) for item in kept] == [
        (1, body["dedupeKey"], "DEDUPE_KEY_CONFLICT"),
        (3, body["dedupeKey"], "DEDUPE_KEY_CONFLICT"),
    ]
    assert {item["id"] for item in listed(client, sn=two)} == {item["id"] for item in kept}
    assert {item["id"] for item in listed(client, runNo="RUN-1", stationCode="PRN-1")} >= {item["id"] for item in kept}
    assert send(body, 200)["duplicate"]


def test_a_conflict_that_reports_a_failure_holds_its_unit(plant: IngestPlant, send: Send) -> None:
    one, two, _three = plant.sns
    body = printed(one)
    send(body, 201)
    for _time in range(2):
        error = send(other(body, sn=two, result="NG"), 409)
        assert error["details"]["held"] == [two]
    unit = Unit.objects.get(sn=two)
    assert (unit.status, unit.held_from, Disposition.objects.count()) == ("ON_HOLD", "QUEUED", 1)
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.is_failing, kept.held_unit_ids) == ("CONFLICT", True, [unit.pk])


def test_a_conflict_is_applied_as_new_only_and_under_a_key_of_its_own(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    one, two, _three = plant.sns
    body = printed(one)
    send(body, 201)
    conflict = other(body, sn=two)
    send(conflict, 409)
    kept = OpenIngestEvent.objects.get()
    assert decide(client, kept.pk, "replay", 409)["code"] == "INVALID_TRANSITION"
    assert Track.objects.count() == 1
    answer = decide(client, kept.pk, "replay", 200, asNew=True, reason="two boards, one key")
    assert (answer["status"], answer["eventId"]) == ("APPLIED", str(kept.pk))
    settled = SettledIngestEvent.objects.get(pk=kept.pk)
    assert settled.dedupe_key != body["dedupeKey"] and settled.payload == conflict
    assert (settled.note["replayedBy"], settled.note["reason"]) == (BY, "two boards, one key")
    assert (Track.objects.count(), OpenIngestEvent.objects.count()) == (2, 0)
    again = send(conflict, 200)
    assert (again["duplicate"], again["eventId"]) == (True, str(kept.pk))
    assert send(body, 200)["eventId"] != str(kept.pk)


def test_a_conflict_never_waits_and_stays_one_when_it_is_refused(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    one, two, _three = plant.sns
    body = inspected(one, "end")
    Unit.objects.filter(sn=one).update(current_step_no=20)
    send(body, 201)
    send(other(body, sn=two), 409)
    kept = OpenIngestEvent.objects.get()
    assert decide(client, kept.pk, "replay", 409, asNew=True)["code"] == "STEP_MISMATCH"
    kept.refresh_from_db()
    assert (kept.status, kept.error_code, kept.count) == ("CONFLICT", "STEP_MISMATCH", 2)
    assert kept.blocked_unit_id is None
    with_printed = send(printed(two), 201)
    assert with_printed["status"] == "APPLIED"
    assert OpenIngestEvent.objects.get().status == "CONFLICT"  # it is not tried by itself
    decide(client, kept.pk, "replay", 200, asNew=True)


def test_only_a_conflict_is_taken_as_new(plant: IngestPlant, client: APIClient, send: Send) -> None:
    send(printed("nobody"), 404)
    kept = OpenIngestEvent.objects.get()
    assert "asNew" in decide(client, kept.pk, "replay", 400, asNew=True)["details"]
    assert decide(client, kept.pk, "replay", 400, asNew="yes")["code"] == "VALIDATION_ERROR"


def test_another_result_of_one_test_is_a_conflict_too(plant: IngestPlant, client: APIClient, send: Send) -> None:
    one, two, _three = plant.sns
    Unit.objects.update(current_step_no=40)
    body = final_test(one)
    send(body, 201)
    second = {**other(body, sn=two), "dedupeKey": "another"}
    assert send(second, 409)["code"] == "DEDUPE_KEY_CONFLICT"
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.sent_key, kept.sns) == ("CONFLICT", "another", [two])
    decide(client, kept.pk, "replay", 200, asNew=True)
    assert set(Track.objects.values_list("unit__sn", flat=True)) == {one, two}


def test_a_key_that_waits_is_spent_for_other_content(plant: IngestPlant, client: APIClient, send: Send) -> None:
    one = plant.sns[0]
    body = inspected(one, "end")
    send(body, 202)
    send(other(body, result="NG"), 409)
    assert {item["status"] for item in listed(client)} == {"WAITING", "CONFLICT"}
    assert Unit.objects.get(sn=one).status == "ON_HOLD"


# --- dismissing --------------------------------------------------------------------------------------------------


def test_a_dismissed_event_is_decided_and_its_key_spent(plant: IngestPlant, client: APIClient, send: Send) -> None:
    body = printed("nobody")
    send(body, 404)
    kept = OpenIngestEvent.objects.get()
    shown = decide(client, kept.pk, "dismiss", 200, reason="a trial")
    assert (shown["status"], shown["note"]["dismissedBy"], shown["note"]["reason"]) == ("DISMISSED", BY, "a trial")
    assert not OpenIngestEvent.objects.exists()
    again = send(body, 200)
    assert (again["duplicate"], again["status"], again["eventId"]) == (True, "DISMISSED", str(kept.pk))
    assert [item["status"] for item in listed(client)] == ["DISMISSED"]
    runs.register_units(run_no="RUN-1", sns=["nobody"])
    assert send(body, 200)["duplicate"]
    assert decide(client, kept.pk, "replay", 409)["code"] == "INVALID_TRANSITION"
    assert decide(client, kept.pk, "dismiss", 409, reason="x")["code"] == "INVALID_TRANSITION"
    send(other(body, extra=1), 409)
    assert OpenIngestEvent.objects.get().status == "CONFLICT"
    assert not Track.objects.exists()


def test_a_dismissed_conflict_that_comes_again_is_a_duplicate(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    body = printed(plant.sns[0])
    send(body, 201)
    conflict = other(body, result="NG")
    send(conflict, 409)
    kept = OpenIngestEvent.objects.get()
    decide(client, kept.pk, "dismiss", 200, reason="the machine repeats itself wrongly")
    assert (send(conflict, 200)["eventId"], OpenIngestEvent.objects.count()) == (str(kept.pk), 0)


def test_only_what_is_refused_is_dismissed(plant: IngestPlant, client: APIClient, send: Send) -> None:
    waiting = send(inspected(plant.sns[0], "end"), 202)["eventId"]
    applied = send(printed(plant.sns[1]), 201)["eventId"]
    for event_id in (waiting, applied):
        assert decide(client, event_id, "dismiss", 409, reason="x")["code"] == "INVALID_TRANSITION"
    assert decide(client, waiting, "dismiss", 400)["code"] == "VALIDATION_ERROR"
    assert decide(client, waiting, "dismiss", 400, reason=" ")["code"] == "VALIDATION_ERROR"
    assert decide(client, "9223372036854775807", "dismiss", 404, reason="x")["code"] == "INGEST_EVENT_NOT_FOUND"
    assert decide(api_client("OPERATOR"), waiting, "dismiss", 403, reason="x")["code"] == "PERMISSION_DENIED"


def test_a_malformed_body_that_is_dismissed_is_not_kept_again(plant: IngestPlant, client: APIClient) -> None:
    for _time in range(2):
        assert client.post("/api/ingest/events", b"{", content_type="application/json").status_code == 400
    decide(client, OpenIngestEvent.objects.get().pk, "dismiss", 200, reason="nonsense")
    assert client.post("/api/ingest/events", b"{", content_type="application/json").status_code == 400
    assert not OpenIngestEvent.objects.exists()


def test_dismissing_releases_nobody(plant: IngestPlant, client: APIClient, send: Send) -> None:
    sn = plant.sns[0]
    Unit.objects.filter(sn=sn).update(status="DONE", current_step_no=40)
    send(printed(sn, result="NG"), 409)
    decide(client, OpenIngestEvent.objects.get().pk, "dismiss", 200, reason="look at the board itself")
    assert Unit.objects.get(sn=sn).status == "ON_HOLD"


# --- decisions about units -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["release", "rework", "scrap"])
def test_deciding_about_a_unit_dismisses_the_reports_that_held_it(
    plant: IngestPlant, client: APIClient, send: Send, committed: Any, decision: str
) -> None:
    one, two, _three = plant.sns
    Unit.objects.update(status="DONE", current_step_no=40)
    send(printed(one, result="NG"), 409)
    send(final_test(one, result="NG"), 409)
    send(printed(one), 409)  # passing: it held nobody
    send(printed(two, result="NG"), 409)
    with committed():
        assert client.post(f"/api/units/{one}/{decision}", {"reason": "looked at"}).status_code == 200
    open_events = {(event.sns[0], event.is_failing) for event in OpenIngestEvent.objects.all()}
    assert open_events == {(one, False), (two, True)}
    dismissed = SettledIngestEvent.objects.filter(status="DISMISSED")
    assert all((event.note["dismissedBy"], event.note["reason"]) == (BY, "looked at") for event in dismissed)
    assert dismissed.count() == 2


def test_ending_one_case_dismisses_its_reports_alone(plant: IngestPlant, send: Send, committed: Any) -> None:
    sn = plant.sns[0]
    Unit.objects.update(status="DONE", current_step_no=40)
    send(printed(sn, result="NG"), 409)
    send(final_test(sn, result="NG"), 409)
    first, second = OpenIngestEvent.objects.order_by("id").values_list("pk", flat=True)
    by_event = dict(Disposition.objects.filter(action="HOLD").values_list("about_event_id", "hold"))
    [unit] = Unit.objects.filter(sn=sn)
    for event_id, left in ((second, {first}), (first, set())):
        with committed():
            cases.end_cases([unit], hold=Hold.objects.get(pk=by_event[event_id]), reason="looked at", by="quality")
        assert set(OpenIngestEvent.objects.values_list("pk", flat=True)) == left
        assert dismissing.dismiss_missed() == 0  # the other has nothing to do with it
    assert Unit.objects.get(sn=sn).status == "DONE"


def test_a_panel_is_dismissed_when_all_that_it_holds_are_decided(send: Send, committed: Any) -> None:
    items = {key: value for key, value in REFLOWING.items() if key != "snListPath"}
    items |= {"unitsPath": "payload.boards", "snPath": "sn", "result": {**RESULT, "path": "result"}}
    plant = make_ingest_plant(reflow={**items, "batchPolicy": "ALL_OR_NOTHING"})
    one, two, three = plant.sns
    boards = [{"sn": one, "result": "NG"}, {"sn": two, "result": "NG"}, {"sn": three, "result": "OK"}]
    send(event("BATCH", {"station": "OVN-1", "boards": boards}), 409)
    with committed():
        dispositions.release_unit(sn=one, reason="good", by="quality", may_end_all=True)
    assert OpenIngestEvent.objects.count() == 1
    assert dismissing.dismiss_missed() == 0  # it has nothing to do with it yet
    with committed():
        dispositions.scrap_unit(sn=two, reason="bad", by="quality")
    assert SettledIngestEvent.objects.get().note["decision"] == "SCRAP"


def test_what_a_crash_left_is_dismissed_by_the_clock(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    Unit.objects.update(status="DONE", current_step_no=40)
    body = printed(sn, result="NG")
    send(body, 409)
    send(printed(plant.sns[1], result="NG"), 409)
    dispositions.release_unit(sn=sn, reason="good", by="quality")  # nothing follows: its process died
    dispositions.hold_unit(sn=sn, reason="look again", by="quality")
    dispositions.release_unit(sn=sn, reason="good", by="quality")
    assert OpenIngestEvent.objects.count() == 2
    send(body, 409)  # meanwhile the machine says it again
    assert Unit.objects.get(sn=sn).status == "DONE"
    catch_up()
    assert OpenIngestEvent.objects.get().sns == [plant.sns[1]]
    assert not IdempotencyKey.objects.filter(key=OpenIngestEvent.objects.get().dedupe_key).exists()


def test_a_hold_after_the_decision_keeps_the_report_open(plant: IngestPlant, send: Send, committed: Any) -> None:
    sn = plant.sns[0]
    Unit.objects.update(status="DONE", current_step_no=40)
    send(printed(sn, result="NG"), 409)
    with committed():
        dispositions.release_unit(sn=sn, reason="good", by="quality")
    send(final_test(sn, result="NG"), 409)
    assert dismissing.dismiss_missed() == 0
    assert (OpenIngestEvent.objects.count(), Unit.objects.get(sn=sn).status) == (1, "ON_HOLD")


def test_each_event_that_says_the_same_holds_the_unit_by_itself(plant: IngestPlant, send: Send) -> None:
    """Both came before a release, and held the unit after it: nobody has decided about either."""
    sn = plant.sns[0]
    bodies = [final_test(sn, result="NG") for _number in range(2)]
    event_ids = [int(send(body, 202)["eventId"]) for body in bodies]
    dispositions.hold_unit(sn=sn, reason="count", by="quality")
    dispositions.release_unit(sn=sn, reason="counted", by="quality")
    for _time in range(2):  # the second time, they are the very same again
        OpenIngestEvent.objects.update(wait_until=timezone.now(), next_attempt_at=None)
        catch_up()
        assert dismissing.dismiss_missed() == 0
        assert sorted(OpenIngestEvent.objects.values_list("pk", "status")) == [(pk, "REJECTED") for pk in event_ids]
        for body in bodies:
            send(body, 202)
    OpenIngestEvent.objects.update(wait_until=timezone.now(), next_attempt_at=None)
    catch_up()
    held = Disposition.objects.filter(about_event_id__isnull=False).order_by("id")
    assert list(held.values_list("about_event_id", flat=True)) == event_ids
    assert " · " not in Unit.objects.get(sn=sn).hold_reason
    dispositions.release_unit(sn=sn, reason="good", by="quality")
    assert dismissing.dismiss_missed() == 2


# --- what a refused event carries ----------------------------------------------------------------------------------


def test_a_refused_event_lists_under_what_it_resolved(plant: IngestPlant, client: APIClient, send: Send) -> None:
    sn = plant.sns[0]
    Equipment.objects.create(code="EQ-1", name="x", station=Station.objects.get(code="PRN-1"), status="down")
    send(printed(sn), 409)
    send({**printed("nobody"), "runNo": "RUN-1"}, 404)
    send(printed("nobody"), 404)
    unknown_unit, of_run, known = listed(client)
    assert [(known[name]) for name in ("runNo", "stationCode", "stepNo", "sns")] == ["RUN-1", "PRN-1", 10, [sn]]
    assert [(of_run[name]) for name in ("runNo", "stationCode", "stepNo")] == ["RUN-1", "PRN-1", 10]
    assert [(unknown_unit[name]) for name in ("runNo", "stationCode", "stepNo")] == [None, "PRN-1", None]
    kept = OpenIngestEvent.objects.get(error_code="EQUIPMENT_UNAVAILABLE")
    assert (kept.subject, kept.unit_ids) == ("EQ-1", [Unit.objects.get(sn=sn).pk])
    shown = client.get(f"/api/trace/units/{sn}").json()["data"]["ingestEvents"]
    assert [item["id"] for item in shown] == [known["id"]]


def test_a_dismissed_event_stays_in_the_trace_of_its_unit(plant: IngestPlant, client: APIClient, send: Send) -> None:
    sn = plant.sns[0]
    send(printed(sn, result="?"), 422)
    decide(client, OpenIngestEvent.objects.get().pk, "dismiss", 200, reason="a trial")
    shown = client.get(f"/api/trace/units/{sn}").json()["data"]["ingestEvents"]
    assert [item["status"] for item in shown] == ["DISMISSED"]


# --- tried again by itself -------------------------------------------------------------------------------------------


def at(seconds: float) -> str:
    return (timezone.now() + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(("after_out", "status"), [(-60, "REJECTED"), (-4, "APPLIED"), (1, "APPLIED")])
def test_by_itself_only_what_occurred_after_the_last_out(
    plant: IngestPlant, send: Send, after_out: int, status: str
) -> None:
    """Whatever the skew: a person may still replay it."""
    sn = plant.sns[0]
    waiting = send(inspected(sn, "end") | {"occurredAt": at(-100 + after_out)}, 202)["eventId"]
    send(printed(sn) | {"occurredAt": at(-100)}, 201)
    event = IngestEvent.objects.get(pk=waiting)
    assert (event.status, event.error_code) == (status, "EVENT_TIME_OUT_OF_ORDER" if status == "REJECTED" else "")
    assert catch_up() == 0  # it is not tried for ever


def test_a_person_s_replay_asks_the_ordinary_guards(plant: IngestPlant, client: APIClient, send: Send) -> None:
    sn = plant.sns[0]
    waiting = send(inspected(sn, "end") | {"occurredAt": at(-160)}, 202)["eventId"]
    send(printed(sn) | {"occurredAt": at(-100)}, 201)
    decide(client, waiting, "replay", 200, reason="the clocks differ")
    settled = SettledIngestEvent.objects.get(pk=waiting)
    assert (settled.status, settled.note) == ("APPLIED", {"replayedBy": BY, "reason": "the clocks differ"})


def test_after_a_rework_it_is_of_an_earlier_pass(plant: IngestPlant, client: APIClient, send: Send) -> None:
    sn = plant.sns[0]
    waiting = send(inspected(sn, "end"), 202)["eventId"]
    dispositions.hold_unit(sn=sn, reason="x", by="quality")
    dispositions.rework_unit(sn=sn, reason="once more", by="quality")
    send(printed(sn), 201)
    event = IngestEvent.objects.get(pk=waiting)
    assert (event.status, event.error_code) == ("REJECTED", "STEP_MISMATCH")
    assert Unit.objects.get(sn=sn).current_step_no == 20


def test_what_was_refused_for_its_order_is_tried_by_the_same_conditions(client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(aoi={**{k: v for k, v in INSPECTING.items() if k != "waitSeconds"}})
    one, two, _three = plant.sns
    send(inspected(one, "end") | {"occurredAt": at(-50)}, 409)
    send(inspected(two, "end") | {"occurredAt": at(-160)}, 409)
    for sn in (one, two):
        send(printed(sn) | {"occurredAt": at(-100)}, 201)
    assert list(Unit.objects.filter(sn__in=[one, two]).order_by("sn").values_list("current_step_no", flat=True)) == [
        30,
        20,
    ]
    kept = OpenIngestEvent.objects.get()
    assert (kept.error_code, kept.blocked_unit_id) == ("EVENT_TIME_OUT_OF_ORDER", None)


def test_what_a_machine_or_a_run_in_preparation_refused_is_a_person_s(client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(authorize=False)
    sn = plant.sns[0]
    send(printed(sn), 409)
    answer = client.post("/api/runs/RUN-1/authorize", {"action": "AUTHORIZE"})
    assert answer.status_code in (200, 409)
    plant.run.refresh_from_db()
    plant.run.status = "AUTHORIZED"
    plant.run.save(update_fields=["status"])
    assert (catch_up(), OpenIngestEvent.objects.count()) == (0, 1)
    decide(client, OpenIngestEvent.objects.get().pk, "replay", 200)


def test_no_event_of_a_batch_takes_another_with_it(
    plant: IngestPlant, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one whose refusal cannot be kept by what it says."""
    from ingest import refused_reports

    one, two, _three = plant.sns
    hold_failing = refused_reports.hold_failing

    def fail(event: Any, *rest: Any) -> Any:
        if event.key == "bad":
            raise ZeroDivisionError
        return hold_failing(event, *rest)

    monkeypatch.setattr(refused_reports, "hold_failing", fail)
    bad = {**printed("nobody"), "dedupeKey": "bad"}
    answer = client.post("/api/ingest/events/batch", {"events": [printed(one), bad, printed(two)]})
    assert [result["status"] for result in answer.json()["data"]["results"]] == ["APPLIED", "REJECTED", "APPLIED"]
    assert OpenIngestEvent.objects.get().dedupe_key == "bad"


def test_old_statuses_stay_closed_to_dismissal(plant: IngestPlant) -> None:
    from ingest.models import IngestStatus
    from ingest.transitions import INGEST_EVENT

    leads = {(str(action), state, to) for action, table in INGEST_EVENT.table.items() for state, to in table.items()}
    assert {(state, to) for _action, state, to in leads} == {
        (IngestStatus.WAITING, IngestStatus.APPLIED),
        (IngestStatus.REJECTED, IngestStatus.APPLIED),
        (IngestStatus.REJECTED, IngestStatus.WAITING),
        (IngestStatus.REJECTED, IngestStatus.DISMISSED),
        (IngestStatus.CONFLICT, IngestStatus.APPLIED),
        (IngestStatus.CONFLICT, IngestStatus.DISMISSED),
    }
