"""The active run of a line and of its stations, stop and go on: who may, what is refused, and what follows."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine, Notification
from mes.production import active_runs, line_acts, run_acts, stops
from mes.production.active_runs import Moment
from mes.production.decision_models import Decision, RunActivation
from mes.production.hold_models import Hold, HoldDecision
from mes.production.models import Run
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig
from tests.execution.support import assert_done, assert_refused, nothing_written
from tests.factories import Plant, api_client, make_line, make_plant, make_run, make_station, make_user, put_runs

LINE = "/api/lines/SMT-A"


@pytest.fixture
def plant(db: None) -> Plant:
    made = make_plant()
    make_run(made.version, made.line, run_no="RUN-2")
    return made


@pytest.fixture
def operator(db: None) -> APIClient:
    return api_client(Role.OPERATOR)


def activate(client: APIClient, run_no: str | None = "RUN-1", status: int = 200, **fields: Any) -> Any:
    return assert_done(client.post(f"{LINE}/active-run", {"runNo": run_no, **fields}), status)


def active(station: str = "SMT-01", at: Any = None) -> str | None:
    run = active_runs.find_active_run(Moment(station, at or timezone.now()))
    return None if run is None else run.run_no


# --- the active run ----------------------------------------------------------------------------------------


def test_a_line_has_none_at_first(plant: Plant, operator: APIClient) -> None:
    answer = assert_done(operator.get(f"{LINE}/status"))
    assert answer == {"hold": None, "activeRun": None, "stationRuns": {}, "openRuns": ["RUN-1", "RUN-2"]}
    assert active() is None


def test_one_run_follows_the_other(plant: Plant, operator: APIClient) -> None:
    began = timezone.now() - timedelta(hours=2)
    activate(operator, "RUN-1", at=began.isoformat())
    changed = timezone.now() - timedelta(hours=1)
    answer = activate(operator, "RUN-2", at=changed.isoformat())
    assert answer["activeRun"] == "RUN-2"
    assert active(at=changed - timedelta(microseconds=1)) == "RUN-1"
    assert active(at=changed) == "RUN-2"
    assert active(at=began - timedelta(seconds=1)) is None
    activate(operator, None)
    assert active(at=timezone.now() + timedelta(seconds=1)) is None
    assert active(at=changed) == "RUN-2"
    acts = list(Decision.objects.order_by("id").values_list("act", "changes", "decided_by"))
    by = acts[0][2]
    assert acts == [
        ("activate", {"activeRun": [None, "RUN-1"]}, by),
        ("activate", {"activeRun": ["RUN-1", "RUN-2"]}, by),
        ("activate", {"activeRun": ["RUN-2", None]}, by),
    ]


def test_a_shared_station_is_told_of_at_the_line_whose_run_is_active_there(plant: Plant, operator: APIClient) -> None:
    make_station("XRAY-01")
    make_line("SMT-B")
    assert activate(operator, "RUN-1", stationCode="XRAY-01")["stationRuns"] == {"XRAY-01": "RUN-1"}
    assert assert_done(operator.get("/api/lines/SMT-B/status"))["stationRuns"] == {}


def test_a_station_goes_ahead_of_its_line(plant: Plant, operator: APIClient) -> None:
    activate(operator, "RUN-1")
    answer = activate(operator, "RUN-2", stationCode="SMT-01")
    assert (answer["activeRun"], answer["stationRuns"]) == ("RUN-1", {"SMT-01": "RUN-2"})
    assert (active("SMT-01"), active("REF-01")) == ("RUN-2", "RUN-1")
    activate(operator, None, stationCode="SMT-01")
    assert active("SMT-01") == "RUN-1"


def test_the_same_again_changes_nothing(plant: Plant, operator: APIClient) -> None:
    activate(operator)
    with nothing_written():
        activate(operator)
        activate(operator, at=(timezone.now() - timedelta(days=1)).isoformat())
    activate(operator, None, stationCode="SMT-01")
    assert (RunActivation.objects.count(), Decision.objects.count()) == (1, 1)


def test_from_the_very_moment_on_at_which_the_present_one_began(plant: Plant, operator: APIClient) -> None:
    at = (timezone.now() - timedelta(minutes=5)).isoformat()
    activate(operator, "RUN-1", at=at)
    activate(operator, "RUN-2", at=at)
    activate(operator, "RUN-1", at=at)
    assert active(at=timezone.now() - timedelta(minutes=5)) == "RUN-1"
    assert RunActivation.objects.filter(active_to=None).count() == 1


def test_a_clock_that_is_a_little_ahead_means_now(plant: Plant, operator: APIClient) -> None:
    activate(operator, "RUN-1", at=(timezone.now() + timedelta(minutes=4)).isoformat())
    assert active() == "RUN-1"
    activate(operator, "RUN-2")
    assert active() == "RUN-2"


@pytest.mark.parametrize(
    ("before", "fields", "code", "status"),
    [
        ({}, {"runNo": "RUN-9"}, "RUN_NOT_FOUND", 404),
        ({}, {"stationCode": "X"}, "STATION_NOT_FOUND", 404),
        ({"status": "COMPLETED"}, {}, "RUN_CLOSED", 409),
        ({"status": "CANCELLED"}, {}, "RUN_CLOSED", 409),
        ({"line": "SMT-B"}, {}, "STATION_LINE_MISMATCH", 409),
        ({"line": "SMT-B"}, {"stationCode": "SMT-01"}, "STATION_LINE_MISMATCH", 409),
        ({}, {"stationCode": "B-01"}, "STATION_LINE_MISMATCH", 409),
        ({}, {"at": "2199-01-01T00:00:00Z"}, "EVENT_TIME_IN_FUTURE", 422),
        ({}, {"at": "2026-01-01T00:00:00"}, "VALIDATION_ERROR", 400),
        ({}, {"at": "yesterday"}, "VALIDATION_ERROR", 400),
        ({}, {"runNo": ""}, "VALIDATION_ERROR", 400),
        ({}, {"runNo": 5}, "VALIDATION_ERROR", 400),
        ({}, {"run": "RUN-1"}, "VALIDATION_ERROR", 400),
    ],
)
def test_what_is_refused(
    plant: Plant, operator: APIClient, before: dict[str, str], fields: dict[str, Any], code: str, status: int
) -> None:
    other = make_line("SMT-B")
    make_station("B-01", line=other)
    if "status" in before:
        put_runs(before["status"], run_no="RUN-1")
    if "line" in before:
        Run.objects.filter(run_no="RUN-1").update(line=other)
    with nothing_written():
        assert_refused(operator.post(f"{LINE}/active-run", {"runNo": "RUN-1", **fields}), code, status)
    assert not RunActivation.objects.exists()


def test_the_run_has_to_be_named_also_as_none(plant: Plant, operator: APIClient) -> None:
    assert_refused(operator.post(f"{LINE}/active-run", {}), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize("run_no", ["RUN-2", None])
def test_not_before_the_present_one_began_nor_the_last_one_ended(
    plant: Plant, operator: APIClient, run_no: str | None
) -> None:
    activate(operator, "RUN-1")
    early = (timezone.now() - timedelta(minutes=1)).isoformat()
    body = {"runNo": run_no, "at": early}
    assert_refused(operator.post(f"{LINE}/active-run", body), "EVENT_TIME_OUT_OF_ORDER", 422)
    activate(operator, None)
    body = {"runNo": "RUN-2", "at": early}
    assert_refused(operator.post(f"{LINE}/active-run", body), "EVENT_TIME_OUT_OF_ORDER", 422)
    assert RunActivation.objects.count() == 1


def test_a_run_of_another_line_may_be_at_a_station_that_its_route_names(plant: Plant, operator: APIClient) -> None:
    other = make_line("SMT-B")
    RouteExecutionConfig.objects.filter(step_no=10).update(allowed_station_codes=["SMT-01"])
    version, _changed = compile_route(code=plant.routing.code)
    make_run(version, other, run_no="RUN-B")
    assert_refused(operator.post(f"{LINE}/active-run", {"runNo": "RUN-B"}), "STATION_LINE_MISMATCH")
    activate(operator, "RUN-B", stationCode="SMT-01")
    assert (active("SMT-01"), active("REF-01")) == ("RUN-B", None)


def test_a_station_of_all_lines_has_only_its_own(plant: Plant, operator: APIClient) -> None:
    make_station("SHARED")
    activate(operator, "RUN-1")
    assert active("SHARED") is None
    activate(operator, "RUN-1", stationCode="SHARED")
    assert active("SHARED") == "RUN-1"


def test_all_at_once(plant: Plant, operator: APIClient) -> None:
    now = timezone.now()
    activate(operator, "RUN-1", at=(now - timedelta(hours=1)).isoformat())
    activate(operator, "RUN-2", at=(now - timedelta(minutes=30)).isoformat())
    moments = [Moment("REF-01", now - timedelta(minutes=minutes)) for minutes in (70, 50, 10)]
    moments.append(Moment("nowhere", now))
    assert active_runs.find_active_run_nos(moments) == [None, "RUN-1", "RUN-2", None]
    assert active_runs.find_active_run_nos([]) == []


# --- other acts --------------------------------------------------------------------------------------------


def test_authorizing_makes_a_run_active_where_none_is(db: None) -> None:
    made = make_plant(authorize=False)
    make_run(made.version, made.line, run_no="RUN-2", authorize=False)
    supervisor = api_client(Role.SUPERVISOR)
    for run_no in ("RUN-1", "RUN-2"):
        assert_done(supervisor.post(f"/api/runs/{run_no}/authorize", {"action": "AUTHORIZE"}))
    assert assert_done(supervisor.get(f"{LINE}/status"))["activeRun"] == "RUN-1"
    assert_done(supervisor.post("/api/runs/RUN-1/authorize", {"action": "REVOKE"}))
    assert active() == "RUN-1"


def test_the_end_of_a_run_ends_its_activations(plant: Plant, operator: APIClient) -> None:
    activate(operator, "RUN-1")
    activate(operator, "RUN-1", stationCode="SMT-01")
    activate(operator, "RUN-2", stationCode="REF-01")
    put_runs("IN_PROGRESS", run_no="RUN-1")
    run_acts.close(run_no="RUN-1", by="sue", reason="done")
    answer = assert_done(operator.get(f"{LINE}/status"))
    assert (answer["activeRun"], answer["stationRuns"]) == (None, {"REF-01": "RUN-2"})
    assert set(RunActivation.objects.exclude(active_to=None).values_list("ended_by", flat=True)) == {"sue"}


# --- stop and go on ----------------------------------------------------------------------------------------


def test_a_stop_waits_for_runs_that_deviations_may_bring_to_the_line(plant: Plant) -> None:
    elsewhere = make_run(plant.version, make_line("SMT-B"), run_no="RUN-9")
    assert elsewhere.pk not in stops.list_touched(plant.line)
    Run.objects.filter(pk=elsewhere.pk).update(has_deviations=True)
    assert elsewhere.pk in stops.list_touched(plant.line)


def test_a_line_is_stopped_and_goes_on(plant: Plant, operator: APIClient) -> None:
    answer = assert_done(operator.post(f"{LINE}/hold", {"reason": "Wrong reel"}))
    hold = Hold.objects.get()
    assert (answer["hold"]["reason"], answer["hold"]["by"]) == ("Wrong reel", hold.opened_by)
    with nothing_written():
        again = assert_done(operator.post(f"{LINE}/hold", {"reason": "Another reason"}))
    assert again["hold"] == answer["hold"]
    supervisor = api_client(Role.SUPERVISOR)
    assert assert_done(supervisor.post(f"{LINE}/resume", {"reason": "Mended"}))["hold"] is None
    assert_refused(supervisor.post(f"{LINE}/resume", {}), "INVALID_TRANSITION")
    acts = list(Decision.objects.order_by("id").values_list("act", "reason", "line__code"))
    assert acts == [("hold", "Wrong reel", "SMT-A"), ("resume", "Mended", "SMT-A")]


def test_followers_of_a_line_are_told_once_of_its_stop(plant: Plant, operator: APIClient) -> None:
    here, elsewhere = make_user(Role.QUALITY), make_user(Role.SUPERVISOR)
    FollowedLine.objects.create(user=here, line=plant.line)
    FollowedLine.objects.create(user=elsewhere, line=make_line("SMT-B"))
    for _again in range(2):
        assert_done(operator.post(f"{LINE}/hold", {"reason": "Wrong reel"}))
    told = Notification.objects.get()
    assert (told.recipient_id, told.address) == (here.pk, "/lines/SMT-A/")
    assert "Wrong reel" in told.text


@pytest.mark.parametrize("reason", [None, "", "   ", "x" * 501, 5])
def test_a_stop_says_why(plant: Plant, operator: APIClient, reason: Any) -> None:
    with nothing_written():
        assert_refused(operator.post(f"{LINE}/hold", {"reason": reason}), "VALIDATION_ERROR", 400)
    assert not Hold.objects.exists()


@pytest.mark.parametrize(
    ("act", "body", "allowed"),
    [
        ("active-run", {"runNo": "RUN-1"}, {Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN}),
        ("hold", {"reason": "x"}, {Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN}),
        ("resume", {}, {Role.SUPERVISOR, Role.QUALITY, Role.ADMIN}),
    ],
)
def test_who_may(plant: Plant, act: str, body: dict[str, Any], allowed: set[Role]) -> None:
    for role in Role:
        HoldDecision.objects.all().delete()
        Hold.objects.all().delete()
        if act == "resume":
            line_acts.hold(line_code="SMT-A", reason="x", by="test")
        answer = api_client(role).post(f"{LINE}/{act}", body)
        assert answer.status_code == (200 if role in allowed else 403), (role, answer.content)


def test_a_token_of_stations_acts_on_its_line_and_for_its_stations(plant: Plant) -> None:
    make_station("B-01", line=make_line("SMT-B"))
    own, foreign = api_client(Role.OPERATOR, ["SMT-01"]), api_client(Role.OPERATOR, ["B-01"])
    activate(own, "RUN-1", stationCode="SMT-01")
    assert_refused(own.post(f"{LINE}/active-run", {"runNo": None, "stationCode": "REF-01"}), "PERMISSION_DENIED", 403)
    for path, body in (("active-run", {"runNo": "RUN-1"}), ("hold", {"reason": "x"})):
        assert_refused(foreign.post(f"{LINE}/{path}", body), "PERMISSION_DENIED", 403)
    assert_refused(foreign.get(f"{LINE}/status"), "PERMISSION_DENIED", 403)


def test_an_unknown_line(db: None) -> None:
    client = api_client(Role.ADMIN)
    assert_refused(client.get("/api/lines/X/status"), "LINE_NOT_FOUND", 404)
    for path, body in (("active-run", {"runNo": None}), ("hold", {"reason": "x"}), ("resume", {})):
        assert_refused(client.post(f"/api/lines/X/{path}", body), "LINE_NOT_FOUND", 404)
