"""Deviations: asked for and approved by two, who goes past a step or runs it elsewhere, until when."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from execution import moves
from execution.deviations import services
from execution.deviations.models import Deviation
from execution.models import Disposition, ReworkTask
from mes.platform.accounts.roles import Role
from mes.production import hooks
from mes.production.decision_models import Approval, Decision
from mes.production.hold_models import Hold
from mes.production.models import Run, Unit
from tests.execution.support import (
    assert_done,
    assert_refused,
    decide,
    make_run,
    nothing_written,
    put_at,
    track_in,
    track_out,
)
from tests.factories import Plant, api_client, hold_units, make_line, make_station, put_runs
from tests.integration.helpers import nothing_changes

pytestmark = pytest.mark.usefixtures("plant")


@pytest.fixture
def quality(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def hours(number: float) -> str:
    return (timezone.now() + timedelta(hours=number)).isoformat()


def ask(client: APIClient, **body: Any) -> Any:
    asked = {"type": "SKIP", "stepNo": 20, "expiresAt": hours(8), "reason": "The oven is down.", **body}
    return client.post("/api/runs/RUN-1/deviations", asked)


@pytest.fixture
def allow(supervisor: APIClient, quality: APIClient) -> Any:
    """Return a function that has a deviation of RUN-1 in force; it returns its number."""

    def allow(**body: Any) -> str:
        asked = assert_done(ask(supervisor, **body), 202)
        assert_done(quality.post(f"/api/approvals/{asked['approvalId']}/approve", {}))
        return asked["deviationNo"]

    return allow


def place(sn: str = "SN-1") -> tuple[str, int | None]:
    unit = Unit.objects.get(sn=sn)
    return unit.status, unit.current_step_no


def skips(sn: str = "SN-1") -> list[int | None]:
    found = Disposition.objects.filter(unit__sn=sn, action="SKIP").order_by("id")
    return list(found.values_list("step_no", flat=True))


def over(number: str, **ago: float) -> None:
    """Let a deviation be over since then."""
    Deviation.objects.filter(pk=number[4:]).update(expires_at=timezone.now() - timedelta(**ago))


def pass_through(operator: APIClient, station: str, sn: str = "SN-1", **body: Any) -> dict[str, Any]:
    assert_done(track_in(operator, station, sn), 201)
    return assert_done(track_out(operator, station, sn, **body))


# --- two people --------------------------------------------------------------------------------------------


def test_it_counts_once_another_person_approved_it(supervisor, quality, operator) -> None:
    put_at(20)
    asked = assert_done(ask(supervisor), 202)
    assert place() == ("QUEUED", 20)
    assert not Run.objects.get().has_deviations
    [listed] = assert_done(quality.get("/api/deviations?runNo=RUN-1"))["items"]
    assert (listed["deviationNo"], listed["approvalId"]) == (asked["deviationNo"], asked["approvalId"])
    assert (listed["status"], listed["sns"], listed["operationCode"]) == ("REQUESTED", None, "REFLOW")
    [waiting] = assert_done(quality.get("/api/approvals?type=DEVIATION&status=REQUESTED"))["items"]
    assert re.fullmatch(r"Skip step 20 of run RUN-1 until .* \d\d:\d\d: all units", waiting["description"])
    assert_refused(supervisor.post(f"/api/approvals/{asked['approvalId']}/approve", {}), "PERMISSION_DENIED", 403)
    assert_done(quality.post(f"/api/approvals/{asked['approvalId']}/approve", {}))
    assert Run.objects.get().has_deviations
    assert place() == ("QUEUED", 30)
    skip = Disposition.objects.get()
    assert (skip.action, skip.step_no, skip.from_status, skip.to_status) == ("SKIP", 20, "QUEUED", "QUEUED")
    assert skip.reason == f"{asked['deviationNo']}: The oven is down."
    decision = Decision.objects.get()
    assert (decision.act, decision.changes) == ("deviate", {"deviation": [None, asked["deviationNo"]]})
    assert (skip.decided_by, skip.approved_by) == (decision.decided_by, decision.approved_by)
    [shown] = assert_done(quality.get("/api/trace/units/SN-1"))["deviations"]
    assert (shown["deviationNo"], shown["status"], shown["stepNo"]) == (asked["deviationNo"], "IN_FORCE", 20)


@pytest.mark.parametrize("act", ["refuse", "withdraw"])
def test_refused_or_withdrawn_it_is_never_in_force(quality, act: str) -> None:
    admin = api_client(Role.ADMIN)
    asked = assert_done(ask(admin), 202)
    assert_done((quality if act == "refuse" else admin).post(f"/api/approvals/{asked['approvalId']}/{act}", {}))
    deviation = Deviation.objects.get()
    assert deviation.status == {"refuse": "REFUSED", "withdraw": "WITHDRAWN"}[act]
    with nothing_written():
        assert_refused(
            quality.post(f"/api/deviations/{asked['deviationNo']}/end", {"reason": "x"}), "INVALID_TRANSITION"
        )


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.INTEGRATION])
def test_others_do_not_ask(db: None, role: Role) -> None:
    client = api_client(role)
    with nothing_changes():
        assert_refused(ask(client), "PERMISSION_DENIED", 403)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"stepNo": 10}, "VALIDATION_ERROR", 400),
        ({"stepNo": 11}, "STEP_NOT_FOUND", 404),
        ({"expiresAt": hours(-1)}, "VALIDATION_ERROR", 400),
        ({"expiresAt": hours(24 * 30 + 1)}, "VALIDATION_ERROR", 400),
        ({"reason": " "}, "VALIDATION_ERROR", 400),
        ({"stationCodes": ["SMT-01"]}, "VALIDATION_ERROR", 400),
        ({"type": "STATION"}, "VALIDATION_ERROR", 400),
        ({"type": "STATION", "stationCodes": ["SMT-01", "NO"]}, "STATION_NOT_FOUND", 404),
        ({"sns": ["SN-1", "NO"]}, "UNIT_NOT_FOUND", 404),
        ({"sns": ["SN-1", "OTHER"]}, "UNIT_RUN_MISMATCH", 409),
        ({"sns": []}, "VALIDATION_ERROR", 400),
    ],
)
def test_what_cannot_be_asked_for_writes_nothing(plant: Plant, supervisor, body: Any, code: str, status: int) -> None:
    make_run(plant, run_no="RUN-2", sns=["OTHER"])
    with nothing_changes():
        assert_refused(ask(supervisor, **body), code, status)


def test_of_a_run_that_ended_none_is_asked_for_or_approved(supervisor, quality) -> None:
    asked = assert_done(ask(supervisor), 202)
    put_runs("COMPLETED")
    with nothing_changes():
        assert_refused(ask(supervisor), "RUN_CLOSED")
        assert_refused(quality.post(f"/api/approvals/{asked['approvalId']}/approve", {}), "RUN_CLOSED")


def test_what_would_be_over_is_not_approved(supervisor, quality) -> None:
    asked = assert_done(ask(supervisor), 202)
    over(asked["deviationNo"], seconds=1)
    with nothing_changes():
        assert_refused(quality.post(f"/api/approvals/{asked['approvalId']}/approve", {}), "INVALID_TRANSITION")


@pytest.mark.parametrize("path", ["deviations/DEV-0/end", "deviations/X/end", "deviations/DEV-1x/end"])
def test_what_is_not_there_is_told(supervisor, path: str) -> None:
    assert_refused(supervisor.post(f"/api/{path}", {"reason": "x"}), "DEVIATION_NOT_FOUND", 404)
    assert_refused(supervisor.get("/api/deviations?status=IN_FORCE"), "VALIDATION_ERROR", 400)


# --- a step is skipped -------------------------------------------------------------------------------------


def test_who_comes_to_a_skipped_step_goes_past_it(operator, allow) -> None:
    allow()
    assert pass_through(operator, "SMT-01")["nextStepNo"] == 30
    assert (place(), skips()) == (("QUEUED", 30), [20])
    assert_done(track_in(operator, "TST-01"), 201)
    steps = assert_done(operator.get("/api/trace/units/SN-1"))["steps"]
    assert [step["state"] for step in steps] == ["PASSED", "SKIPPED", "HERE"]


def test_past_the_last_step_a_unit_is_done(operator, allow) -> None:
    put_at(20)
    allow(stepNo=30)
    answer = pass_through(operator, "REF-01")
    assert (answer["status"], answer["nextStepNo"]) == ("DONE", None)
    assert skips() == [30]


def test_several_skipped_steps_are_passed_at_once(operator, allow) -> None:
    allow()
    allow(stepNo=30)
    assert pass_through(operator, "SMT-01")["status"] == "DONE"
    assert skips() == [20, 30]


def test_only_the_named_units_go_past(operator, allow) -> None:
    allow(sns=["SN-1"])
    for sn, step_no in (("SN-1", 30), ("SN-2", 20)):
        assert pass_through(operator, "SMT-01", sn)["nextStepNo"] == step_no
    assert assert_done(operator.get("/api/deviations"))["items"][0]["sns"] == ["SN-1"]


def test_a_held_unit_goes_past_behind_its_hold_or_as_it_is_released(operator, supervisor, allow) -> None:
    for sn in ("SN-1", "SN-2"):
        put_at(20, sn)
    assert_done(decide(supervisor, "hold", "SN-1"))
    allow()
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.status, unit.held_from, unit.current_step_no) == ("ON_HOLD", "QUEUED", 30)
    assert_done(decide(supervisor, "release", "SN-1"))
    assert place() == ("QUEUED", 30)
    # One that stood there all the time, past every rule: its release sends it on.
    put_at(20, "SN-2")
    hold_units("SN-2")
    assert_done(decide(supervisor, "release", "SN-2"))
    assert (place("SN-2"), skips("SN-2")) == (("QUEUED", 30), [20, 20])


def test_rework_leads_past_a_skipped_step(operator, supervisor, allow) -> None:
    put_at(30)
    allow()
    assert_done(track_in(operator, "TST-01"), 201)
    assert_done(decide(supervisor, "hold"))
    assert_done(decide(supervisor, "rework", toStepNo=20))
    assert (place(), skips()) == (("QUEUED", 30), [20])


def test_a_retest_at_a_skipped_step_is_not_waited_for(plant: Plant, operator, allow, monkeypatch) -> None:
    put_at(20)
    assert_done(track_in(operator, "REF-01"), 201)
    allow()
    leads_to = moves.rules.leads_to
    monkeypatch.setattr(moves.rules, "leads_to", lambda **given: leads_to(**{**given, "retest_limit": 1}))
    assert assert_done(track_out(operator, "REF-01", result="FAIL"))["nextStepNo"] == 30
    assert skips() == [20]


def test_no_skip_makes_a_board_done_that_failed_or_has_a_defect(plant: Plant, operator, allow, monkeypatch) -> None:
    for sn in ("SN-1", "SN-2"):
        put_at(30, sn)
    assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN"}), 201)
    assert_done(track_in(operator, "TST-01", "SN-2"), 201)
    allow(stepNo=30)
    done = ("ON_HOLD", 30, "DONE")
    stand = Unit.objects.order_by("sn").values_list("status", "current_step_no", "held_from")
    assert list(stand) == [done, ("IN_STATION", 30, "")]
    leads_to = moves.rules.leads_to
    monkeypatch.setattr(moves.rules, "leads_to", lambda **given: leads_to(**{**given, "retest_limit": 1}))
    assert_done(track_out(operator, "TST-01", "SN-2", result="FAIL"))
    assert list(stand.all()) == [done, done]
    assert set(Hold.objects.values_list("source", flat=True)) == {"DEFECT"}


def test_a_unit_in_the_station_of_a_skipped_step_stays_there(operator, allow) -> None:
    put_at(20)
    assert_done(track_in(operator, "REF-01"), 201)
    allow()
    assert place() == ("IN_STATION", 20)
    assert assert_done(track_out(operator, "REF-01"))["nextStepNo"] == 30


def test_the_moment_of_the_move_counts(operator, allow) -> None:
    number = allow()
    over(number, minutes=10)
    [listed] = assert_done(operator.get("/api/deviations"))["items"]
    assert listed["status"] == "EXPIRED"
    assert pass_through(operator, "SMT-01")["nextStepNo"] == 20
    at = {"at": (timezone.now() - timedelta(minutes=20)).isoformat()}  # it left in time, and is reported late
    assert_done(track_in(operator, "SMT-01", "SN-2", **at), 201)
    assert assert_done(track_out(operator, "SMT-01", "SN-2", **at))["nextStepNo"] == 30


# --- a step is run elsewhere -------------------------------------------------------------------------------


def test_the_named_stations_run_the_step_whatever_they_are(operator, allow) -> None:
    make_station("LAB-01", line=make_line("LAB"), station_type="TEST")
    put_at(30)
    with nothing_written():
        assert_refused(track_in(operator, "LAB-01"), "STATION_MISMATCH")
    allow(type="STATION", stepNo=30, stationCodes=["LAB-01"], sns=["SN-1"])
    put_at(30, "SN-2")
    queue = assert_done(operator.get("/api/stations/LAB-01/queue"))
    assert [(each["sn"], each["stepNo"]) for each in queue["waiting"]] == [("SN-1", 30)]
    assert assert_done(operator.get("/api/stations/LAB-01/unit/SN-1/data-specs"))["stepNo"] == 30
    assert_refused(track_in(operator, "LAB-01", "SN-2"), "STATION_MISMATCH")
    assert_done(track_in(operator, "LAB-01"), 201)
    with nothing_written():
        assert_refused(track_out(operator, "LAB-01"), "REQUIRED_DATA_MISSING", 422)
    data = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    assert assert_done(track_out(operator, "LAB-01", data=data))["status"] == "DONE"


def test_no_other_step_is_run_there(operator, allow) -> None:
    make_station("LAB-01")
    allow(type="STATION", stepNo=30, stationCodes=["LAB-01"])
    put_at(20)
    with nothing_written():
        assert_refused(track_in(operator, "LAB-01"), "STATION_MISMATCH")


# --- its end -----------------------------------------------------------------------------------------------


def test_ended_it_covers_nobody_any_more(operator, supervisor, allow) -> None:
    number = allow()
    assert_done(supervisor.post(f"/api/deviations/{number}/end", {"reason": "The oven works."}))
    assert not Run.objects.get().has_deviations
    assert pass_through(operator, "SMT-01")["nextStepNo"] == 20
    with nothing_written():
        refused = supervisor.post(f"/api/deviations/{number}/end", {"reason": "Again."})
        assert assert_refused(refused, "INVALID_TRANSITION")["state"] == "ENDED"
    assert Decision.objects.order_by("-id")[0].changes == {"deviation": [number, None]}


def test_the_mark_stays_while_another_is_in_force(supervisor, allow) -> None:
    first, _second = allow(), allow(stepNo=30)
    assert_done(supervisor.post(f"/api/deviations/{first}/end", {"reason": "x"}))
    assert Run.objects.get().has_deviations


def test_the_end_of_a_run_ends_them(allow) -> None:
    allow()
    run = Run.objects.get()
    for listener in hooks.run_ended:
        if listener is services.end_of_run:
            listener(run)
    assert (Deviation.objects.get().status, Run.objects.get().has_deviations) == ("ENDED", False)


def test_the_worker_closes_what_is_over_since_a_day(allow) -> None:
    number = allow()
    over(number, hours=23)
    assert services.expire_deviations() == 0
    over(number, hours=25)
    assert (services.expire_deviations(), services.expire_deviations()) == (1, 0)
    assert (Deviation.objects.get().status, Run.objects.get().has_deviations) == ("EXPIRED", False)


def test_a_deviation_costs_no_further_statement(operator, allow) -> None:
    """What is in force is read with the unit."""
    make_station("LAB-01")
    pass_through(operator, "SMT-01")  # starts the run
    without = _count(operator, "SMT-01", "SN-2")
    allow(type="STATION", stationCodes=["LAB-01"])
    assert _count(operator, "LAB-01", "SN-1") == without


def _count(operator: APIClient, station: str, sn: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        pass_through(operator, station, sn)
    return len(captured)


def test_a_request_names_what_it_is_for(supervisor) -> None:
    make_station("LAB-01")
    assert_done(ask(supervisor, type="STATION", stationCodes=["LAB-01"], sns=["SN-2"]), 202)
    assert re.fullmatch(r"Run step 20 of run RUN-1 at LAB-01 until .* \d\d:\d\d: SN-2", approvals_words())


def approvals_words() -> str:
    return services.KIND.describe(Approval.objects.select_related("run").get())


def test_a_unit_is_named_by_any_label_it_had(supervisor, quality, operator) -> None:
    relabelled = supervisor.post("/api/units/SN-1/relabel", {"newSn": "SN-9", "reason": "Burnt."})
    assert_done(relabelled)
    asked = assert_done(ask(supervisor, sns=["SN-1", "SN-9"]), 202)
    assert_done(quality.post(f"/api/approvals/{asked['approvalId']}/approve", {}))
    assert assert_done(quality.get("/api/deviations"))["items"][0]["sns"] == ["SN-9"]
    assert pass_through(operator, "SMT-01")["nextStepNo"] == 30


def test_a_board_that_is_to_be_repaired_goes_past_no_step_before(allow, supervisor):
    put_at(30)
    assert_done(track_in(supervisor, "TST-01"), 201)
    assert_done(track_out(supervisor, "TST-01", result="FAIL"))
    allow(stepNo=30)
    assert_done(decide(supervisor, "rework", toStepNo=30, repair=True))
    assert place() == ("QUEUED", 30)
    assert_done(supervisor.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN", "stepNo": 10}), 201)
    task = ReworkTask.objects.get()
    body = {"defectId": str(task.defects.get().pk), "action": "RESOLDERED", "result": "FIXED"}
    assert_done(supervisor.post(f"/api/rework-tasks/{task.pk}/repair-record", body), 201)
    assert_done(supervisor.post(f"/api/rework-tasks/{task.pk}/complete"))
    assert (place(), skips()) == (("ON_HOLD", 30), [30])  # the other one was found since
    assert assert_done(decide(supervisor, "release"))["status"] == "DONE"
