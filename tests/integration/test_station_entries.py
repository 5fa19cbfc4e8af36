"""Entries of people at stations: done once, answered again, kept when refused, and a failed board is never lost."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Disposition, Track
from integration.dismissing import dismiss
from integration.models import FailedMessage, SettledMessage
from integration.replay import replay_message
from mes.plant.models import Equipment
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, decide, make_run
from tests.factories import Plant, api_client, make_config, make_plant, make_station
from tests.integration.helpers import LOG, moment, nothing_changes, through_tests, track_in, track_out

ENGINEER = Sender("engineer")


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def operator(plant: Plant) -> APIClient:
    return api_client(Role.OPERATOR)


def entry(entry_id: str = "e-1", **fields: Any) -> dict[str, Any]:
    """Return the body of an entry made a moment ago; a field given as ... is left out."""
    body = {"sn": "SN-1", "entryId": entry_id, "at": moment(seconds=1), "operatorId": "Mia"} | fields
    return {name: value for name, value in body.items() if value is not ...}


def enter(client: APIClient, body: dict[str, Any], station: str = "SMT-01", query: str = "") -> Any:
    return client.post(f"/api/stations/{station}/track-in{query}", body)


def leave(client: APIClient, body: dict[str, Any], station: str = "SMT-01", result: str = "PASS") -> Any:
    return client.post(f"/api/stations/{station}/track-out", {"result": result, **body})


def stand(status: str, step_no: int = 10, held_from: str = "") -> None:
    Unit.objects.filter(sn="SN-1").update(status=status, current_step_no=step_no, held_from=held_from)


def where() -> tuple[str, str]:
    return Unit.objects.values_list("status", "held_from").get(sn="SN-1")


# --- once ----------------------------------------------------------------------------------------------------


def test_an_entry_is_done_once_and_answered_again(operator: APIClient) -> None:
    body, out = entry(), entry("e-2")
    first = assert_done(enter(operator, body), 201)
    assert first["isDuplicate"] is False
    left = assert_done(leave(operator, out))
    with nothing_changes():
        assert assert_done(enter(operator, body)) == {**first, "isDuplicate": True}
        assert assert_done(leave(operator, out)) == {**left, "isDuplicate": True}
    [track] = Track.objects.all()
    assert (track.in_at.isoformat(), track.operator_in, track.operator_out) == (body["at"], "Mia", "Mia")
    assert track.in_by == track.out_by != "Mia"
    assert set(IdempotencyKey.objects.values_list("channel", "key", "record_id")) == {
        ("station-entry", "e-1", track.pk),
        ("station-entry", "e-2", track.pk),
    }
    kept = list(SettledMessage.objects.order_by("id").values_list("entity_type", "business_key", "status"))
    assert kept == [
        ("STATION_ENTRY", key, status)
        for key, status in (("e-1", "SUCCESS"), ("e-2", "SUCCESS"), ("e-1", "DUPLICATE"), ("e-2", "DUPLICATE"))
    ]


def test_an_instant_may_be_written_otherwise_and_a_null_be_left_out(operator: APIClient) -> None:
    body = entry()
    assert_done(enter(operator, body), 201)
    utc = body["at"].replace("+00:00", "Z")
    assert assert_done(enter(operator, {**body, "at": utc, "woNo": None}))["isDuplicate"]


@pytest.mark.parametrize(
    "other", [{"sn": "SN-2"}, {"operatorId": "Ben"}, {"at": "2026-01-24T10:00:00Z"}, {"woNo": "WO-RUN-1"}]
)
def test_other_content_under_its_key_is_a_conflict_and_kept(operator: APIClient, other: dict[str, Any]) -> None:
    body = entry()
    assert_done(enter(operator, body), 201)
    with nothing_changes():
        for _time in range(2):
            assert assert_refused(enter(operator, {**body, **other}), "EVENT_ID_CONFLICT") == {"eventId": "e-1"}
    assert FailedMessage.objects.values_list("status", "count").get() == ("CONFLICT", 2)


def test_the_key_is_of_what_is_done_where(operator: APIClient) -> None:
    body = entry()
    assert_done(enter(operator, body), 201)
    assert_refused(leave(operator, body), "EVENT_ID_CONFLICT")
    assert_refused(enter(operator, body, station="REF-01"), "EVENT_ID_CONFLICT")


def test_a_conflict_that_tells_of_a_failed_board_holds_it(operator: APIClient) -> None:
    assert_done(enter(operator, entry()), 201)
    passed = entry("e-2")
    assert_done(leave(operator, passed))
    assert assert_refused(leave(operator, passed, result="FAIL"), "EVENT_ID_CONFLICT")["held"] == ["SN-1"]
    assert where() == ("ON_HOLD", "QUEUED")


def test_an_entry_for_a_unit_that_is_in_already_finds_its_track(operator: APIClient) -> None:
    track_id = track_in(operator, "SMT-01")
    answer = assert_done(enter(operator, entry()))
    assert (answer["trackId"], answer["isDuplicate"]) == (track_id, False)


def test_without_a_key_nothing_is_kept(operator: APIClient) -> None:
    body = entry(entryId=...)
    assert "isDuplicate" not in assert_done(enter(operator, body), 201)
    assert_refused(leave(operator, body, station="REF-01", result="FAIL"), "UNIT_NOT_IN_STATION")
    assert not any(model.objects.exists() for model in (IdempotencyKey, *LOG, Disposition))


def test_what_is_done_with_and_without_a_key_takes_so_many_statements(
    operator: APIClient, django_assert_num_queries: Any
) -> None:
    track_in(operator, "SMT-01", "SN-2")  # looks up the token and the frozen route
    for body, statements, again in ((entry(entryId=...), 5, 4), (entry(), 11, 5)):
        Track.objects.filter(unit__sn="SN-1").delete()
        stand("QUEUED")
        with django_assert_num_queries(statements):
            assert_done(enter(operator, body), 201)
        with django_assert_num_queries(again):
            assert_done(enter(operator, body))


def test_an_entry_says_when_it_was_made(operator: APIClient) -> None:
    details = assert_refused(enter(operator, entry(at=...)), "VALIDATION_ERROR", 400)
    assert list(details) == ["at"]
    assert FailedMessage.objects.get().dedupe_key == "e-1"


@pytest.mark.parametrize("entry_id", [5, "", " ", "x" * 300, "a\nb", ["e"], {}])
def test_a_key_that_is_none(operator: APIClient, entry_id: Any) -> None:
    with nothing_changes():
        assert_refused(enter(operator, entry(entry_id)), "VALIDATION_ERROR", 400)
    assert FailedMessage.objects.count() == 1


@pytest.mark.parametrize("name", ["stationCode", "kind", "body"])
def test_nobody_says_of_an_entry_what_the_address_says(operator: APIClient, name: str) -> None:
    assert name in assert_refused(enter(operator, entry(**{name: "REF-01"})), "VALIDATION_ERROR", 400)


def test_the_form_comes_with_the_answer_and_with_its_repeat(
    operator: APIClient, django_assert_num_queries: Any
) -> None:
    body = entry()
    first = assert_done(enter(operator, body, query="?form=true"), 201)
    asked = assert_done(operator.get("/api/stations/SMT-01/unit/SN-1/data-specs"))
    assert first["dataSpecs"] == asked["specs"]
    assert first["workInstructions"] == []
    assert first["operation"]["code"] == asked["operationCode"] and first["operation"]["name"]
    assert assert_done(enter(operator, body, query="?form=true")) == {**first, "isDuplicate": True}
    assert "dataSpecs" not in assert_done(enter(operator, body))


def test_the_form_has_the_instructions_that_are_frozen_in_the_run(operator: APIClient, plant: Plant) -> None:
    make_config(work_instructions=[{"title": "Handling", "url": "https://plant.example/handling"}])
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    shown = [{"title": "Handling", "address": "https://plant.example/handling"}]
    answers = [assert_done(enter(operator, entry(sn, sn=sn), query="?form=true"), 201) for sn in ("SN-9", "SN-1")]
    assert [answer["workInstructions"] for answer in answers] == [shown, []]


# --- refused -------------------------------------------------------------------------------------------------


def test_what_is_refused_is_kept_and_tried_again_when_it_can_be_done(operator: APIClient, plant: Plant) -> None:
    machine = Equipment.objects.create(code="EQ-1", name="Printer", station=plant.stations["SMT-01"], status="down")
    body = entry()
    with nothing_changes():
        for _time in range(2):
            assert "held" not in assert_refused(enter(operator, body), "EQUIPMENT_UNAVAILABLE")
    kept = FailedMessage.objects.get()
    assert (kept.entity_type, kept.dedupe_key, kept.count, kept.payload["stationCode"]) == (
        "STATION_ENTRY",
        "e-1",
        2,
        "SMT-01",
    )
    machine.status = "normal"
    machine.save()
    assert replay_message(message_id=kept.pk, sender=ENGINEER).answer["sn"] == "SN-1"
    assert SettledMessage.objects.get(pk=kept.pk).status == "REPLAYED"
    track = Track.objects.get()
    assert (track.in_at.isoformat(), track.operator_in) == (body["at"], "Mia")
    assert track.in_by == kept.system != ENGINEER.system
    assert assert_done(enter(operator, body))["isDuplicate"]


def test_what_is_dismissed_is_never_done(operator: APIClient) -> None:
    body = entry()
    assert_refused(leave(operator, body), "UNIT_NOT_IN_STATION")
    dismiss(message_id=FailedMessage.objects.get().pk, reason="It was another", sender=ENGINEER)
    track_in(operator, "SMT-01")
    with nothing_changes():
        answer = assert_done(leave(operator, body))
        assert answer == {"isDismissed": True, "isDuplicate": True, "message": answer["message"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(("QUEUED", 10), ("ON_HOLD", "QUEUED"), id="never in"),
        pytest.param(("QUEUED", 30), ("ON_HOLD", "QUEUED"), id="past the step"),
        pytest.param(("DONE", 30), ("ON_HOLD", "DONE"), id="done"),
        pytest.param(("OUT_FAILED", 30), ("ON_HOLD", "OUT_FAILED"), id="failed elsewhere"),
        pytest.param(("OUT_FAILED", 10), ("OUT_FAILED", ""), id="failed here"),
        pytest.param(("ON_HOLD", 10, "QUEUED"), ("ON_HOLD", "QUEUED"), id="held"),
        pytest.param(("SCRAPPED", 10), ("SCRAPPED", ""), id="scrapped"),
    ],
)
def test_a_failing_entry_that_is_refused_holds_its_unit(operator: APIClient, before: Any, after: Any) -> None:
    stand(*before)
    body = entry()
    for _time in range(2):
        details = assert_refused(leave(operator, body, result="FAIL"), "UNIT_NOT_IN_STATION")
    assert where() == after
    is_held = after[0] == "ON_HOLD"
    assert details.get("held") == (["SN-1"] if is_held else None)
    assert list(Disposition.objects.values_list("about_step_no", flat=True)) == ([10] if is_held else [])
    with nothing_changes():
        assert_refused(leave(operator, entry("e-2")), "UNIT_NOT_IN_STATION")  # a passing one does nothing


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"data": [{"specName": "Supply Voltage", "valueNumber": 9.9}]}, id="a KEY value"),
        pytest.param({"defects": [{"code": "BRIDGE", "location": "U3"}]}, id="a defect"),
        pytest.param({"defectCode": "BRIDGE"}, id="a defect by its own fields"),
    ],
)
def test_what_fails_a_unit_though_it_is_called_pass(operator: APIClient, said: dict[str, Any]) -> None:
    """The values are judged by the step at which the unit was here last."""
    stand("QUEUED", 30)
    through_tests(operator)
    answer = leave(operator, entry(**said), station="TST-01")
    assert assert_refused(answer, "UNIT_NOT_IN_STATION")["held"] == ["SN-1"]
    assert list(Disposition.objects.values_list("about_step_no", flat=True)) == [30]


@pytest.mark.parametrize("fields", [{"runNo": "RUN-9"}, {"at": "2020-01-01T00:00:00Z"}])
@pytest.mark.parametrize("station", ["SMT-01", "NOWHERE"])
def test_whatever_a_failing_entry_is_refused_for(operator: APIClient, fields: dict[str, Any], station: str) -> None:
    answer = leave(operator, entry(**fields), station=station, result="FAIL")
    assert answer.json()["error"]["details"]["held"] == ["SN-1"], answer.content


def test_of_a_unit_that_nobody_knows_nothing_is_held(operator: APIClient) -> None:
    with nothing_changes():
        assert_refused(leave(operator, entry(sn="SN-X"), result="FAIL"), "UNIT_NOT_FOUND", 404)
        assert_refused(enter(operator, entry("e-2", sn="NOREAD")), "SN_UNREADABLE", 422)
    assert set(FailedMessage.objects.values_list("error_code", flat=True)) == {"UNIT_NOT_FOUND", "SN_UNREADABLE"}


def test_deciding_about_its_unit_settles_a_failing_entry(
    operator: APIClient, django_capture_on_commit_callbacks: Any
) -> None:
    assert_refused(leave(operator, entry(), result="FAIL"), "UNIT_NOT_IN_STATION")
    with django_capture_on_commit_callbacks(execute=True):
        assert_done(decide(api_client(Role.SUPERVISOR), "release"))
    assert not FailedMessage.objects.exists()
    assert assert_done(leave(operator, entry(at=SettledMessage.objects.get().payload["body"]["at"]), result="FAIL"))


# --- when, and by whom ---------------------------------------------------------------------------------------


def test_an_entry_weeks_late_counts_when_it_was_made(operator: APIClient) -> None:
    at = timezone.now() - timedelta(days=21)
    assert_done(enter(operator, entry(at=at.isoformat())), 201)
    assert Track.objects.values_list("in_at", "is_time_doubtful").get() == (at, True)  # before its run was made


@pytest.mark.parametrize(
    ("ahead", "code"),
    [(timedelta(hours=1), "EVENT_TIME_IN_FUTURE"), (-timedelta(days=401), "EVENT_TOO_OLD")],
)
def test_a_time_that_cannot_be_is_refused_and_kept(operator: APIClient, ahead: timedelta, code: str) -> None:
    assert_refused(enter(operator, entry(at=(timezone.now() + ahead).isoformat())), code, 422)
    assert FailedMessage.objects.get().error_code == code


def test_a_clock_an_hour_behind_puts_nothing_before_what_happened(operator: APIClient) -> None:
    track_in(operator, "SMT-01")
    answer = leave(operator, entry(at=(timezone.now() - timedelta(hours=1)).isoformat()))
    assert_refused(answer, "EVENT_TIME_OUT_OF_ORDER", 422)
    assert where()[0] == "IN_STATION"


def test_another_person_may_be_signed_in_when_it_arrives(operator: APIClient) -> None:
    body = entry()
    first = assert_done(enter(operator, body), 201)
    other = api_client(Role.SUPERVISOR)
    assert assert_done(enter(other, body))["trackId"] == first["trackId"]
    assert_done(leave(other, entry("e-2")))
    track = Track.objects.get()
    assert track.operator_in == track.operator_out == "Mia"
    assert track.in_by != track.out_by


def test_who_may_not_send_is_refused_and_nothing_is_kept(plant: Plant) -> None:
    """A token of another station, somebody without the right, and nobody: it waits where it is."""
    limited, looking_on = api_client(Role.OPERATOR, stations=["REF-01"]), api_client(Role.QUALITY)
    with nothing_changes(but=()):
        for client in (limited, looking_on):
            assert_refused(enter(client, entry()), "PERMISSION_DENIED", 403)
        assert enter(APIClient(), entry()).status_code == 401


def test_a_passed_entry_for_a_unit_that_was_worked_elsewhere_meanwhile(operator: APIClient) -> None:
    track_in(operator, "SMT-01")
    track_out(operator, "SMT-01")
    with nothing_changes():
        assert_refused(leave(operator, entry(at=moment())), "UNIT_NOT_IN_STATION")
    assert FailedMessage.objects.get().held_unit_ids == []


def later_attempt(operator: APIClient) -> tuple[str, str]:
    """Have a unit in for its second attempt, after it failed the first a minute ago; return both tracks."""
    now = timezone.now()
    first = assert_done(enter(operator, entry("i-1", at=(now - timedelta(seconds=90)).isoformat())), 201)
    assert_done(leave(operator, entry("o-1", at=(now - timedelta(seconds=60)).isoformat()), result="FAIL"))
    stand("QUEUED")  # as where a retest is allowed
    second = assert_done(enter(operator, entry("i-2", at=(now - timedelta(seconds=30)).isoformat())), 201)
    return first["trackId"], second["trackId"]


@pytest.mark.parametrize("result", ["PASS", "FAIL"])
@pytest.mark.parametrize("names_track", [True, False])
def test_a_late_entry_closes_no_later_attempt(operator: APIClient, result: str, names_track: bool) -> None:
    """A terminal that was cut off recorded it for the first attempt; what it says against the unit holds it."""
    first, second = later_attempt(operator)
    late = entry("e-9", at=(timezone.now() - timedelta(seconds=75)).isoformat())
    named, code, status = ({"trackId": first}, "UNIT_NOT_IN_STATION", 409)
    if not names_track:
        named, code, status = ({}, "EVENT_TIME_OUT_OF_ORDER", 422)
    details = assert_refused(leave(operator, late | named, result=result), code, status)
    assert Track.objects.values_list("out_at", flat=True).get(pk=second) is None
    assert details.get("held") == (["SN-1"] if result == "FAIL" else None)


def test_an_entry_closes_the_track_that_it_names(operator: APIClient) -> None:
    _first, second = later_attempt(operator)
    assert assert_done(leave(operator, entry("e-9", trackId=second)))["trackId"] == second


@pytest.mark.parametrize("is_in_again", [True, False])
def test_a_late_track_in_is_no_later_attempt(operator: APIClient, is_in_again: bool) -> None:
    """Else the PASS that follows it would close an attempt that it knows nothing of."""
    _first, second = later_attempt(operator)
    if not is_in_again:
        Track.objects.filter(pk=second).delete()
        stand("QUEUED")
    late = entry("e-8", at=(timezone.now() - timedelta(seconds=80)).isoformat())
    assert_refused(enter(operator, late), "EVENT_TIME_OUT_OF_ORDER", 422)


def test_a_late_track_in_begins_no_later_attempt_of_what_failed_elsewhere(operator: APIClient, plant: Plant) -> None:
    make_station("SMT-02", line=plant.line, group=plant.groups["PRINTERS"])
    now = timezone.now()
    assert_done(enter(operator, entry("i-1", at=(now - timedelta(seconds=60)).isoformat()), station="SMT-02"), 201)
    failed = entry("o-1", at=(now - timedelta(seconds=40)).isoformat())
    assert_done(leave(operator, failed, station="SMT-02", result="FAIL"))
    stand("QUEUED")  # as where a retest is allowed
    for kind in (enter, leave):
        late = entry(f"e-{kind.__name__}", at=(now - timedelta(seconds=50)).isoformat())
        code, status = ("EVENT_TIME_OUT_OF_ORDER", 422) if kind is enter else ("UNIT_NOT_IN_STATION", 409)
        assert_refused(kind(operator, late), code, status)
    assert_done(enter(operator, entry("i-2")), 201)


def test_what_is_entered_at_once_is_not_late_for_a_clock_that_is_ahead(operator: APIClient) -> None:
    """As where a machine that is a minute ahead told when the unit left."""
    ahead = (timezone.now() + timedelta(minutes=1)).isoformat()
    track_in(operator, "SMT-01")
    track_out(operator, "SMT-01", result="FAIL", at=ahead)
    stand("QUEUED")
    assert_done(enter(operator, entry()), 201)
    Track.objects.filter(out_at=None).update(in_at=ahead)
    assert_done(leave(operator, entry("e-2")))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"defects": [{"code": "BRIDGE", "location": "U\u0007"}]}, id="a designator"),
        pytest.param({"data": [{"specName": "Supply Voltage", "valueNumber": "9.9"}]}, id="a value"),
        pytest.param({"data": [{"specName": "Supply Voltage"}]}, id="a value that is none"),
        pytest.param({"what": 1}, id="a field that nobody knows"),
        pytest.param({"at": "yesterday"}, id="a time"),
    ],
)
def test_a_failing_entry_that_is_malformed_holds_its_unit(operator: APIClient, fields: dict[str, Any]) -> None:
    track_in(operator, "SMT-01")
    body = entry(**fields)
    for _time in range(2):
        details = assert_refused(leave(operator, body, result="FAIL"), "VALIDATION_ERROR", 400)
        assert details["held"] == ["SN-1"]
    assert where() == ("ON_HOLD", "IN_STATION")
    assert FailedMessage.objects.get().count == 2
    assert "held" not in assert_refused(leave(operator, entry("e-2", **fields)), "VALIDATION_ERROR", 400)
