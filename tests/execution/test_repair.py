"""What is decided about defects, the bench, and how often a board may come again."""

import re
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Defect, RepairRecord, ReworkTask, Track
from execution.quality.repair.models import ReworkTaskStatus
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.platform.signatures.models import Signature
from mes.production.hold_models import HeldUnit
from mes.production.models import Unit
from mes.routing.models import RouteExecutionConfig
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
from tests.factories import Plant, api_client, make_user
from trace.runs import Filter, get_run_page

STATIONS = {10: "SMT-01", 20: "REF-01", 30: "TST-01"}
SIGNATURE = {"username": "quinn", "password": "secret", "meaning": "approved"}


@pytest.fixture
def quality(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def fail(client: APIClient, step_no: int = 10, *locations: str, sn: str = "SN-1", **out: Any) -> list[Defect]:
    """Have a board fail at a step with a defect at each of these designators; return them."""
    put_at(step_no, sn)
    track_id = assert_done(track_in(client, STATIONS[step_no], sn), 201)["trackId"]
    assert_done(track_out(client, STATIONS[step_no], sn, result="FAIL", defectCode="BRIDGE", **out))
    track = Track.objects.get(pk=track_id)
    first = Defect.objects.filter(track=track).earliest("id")
    Defect.objects.filter(pk=first.pk).update(location=locations[0] if locations else "")
    for location in locations[1:]:
        Defect.objects.create(
            unit_id=track.unit_id,
            run_id=track.run_id,
            track=track,
            step_no=step_no,
            code="BRIDGE",
            location=location,
            found_at=track.out_at,
        )
    return list(Defect.objects.filter(track=track).order_by("id"))


def settle(client: APIClient, defect: Defect, type: str, **body: Any) -> Any:
    return client.post(f"/api/defects/{defect.pk}/disposition", {"type": type, "reason": "looked at", **body})


def state(sn: str = "SN-1") -> tuple[str, int | None, str]:
    return Unit.objects.values_list("status", "current_step_no", "held_from").get(sn=sn)


def verdict() -> tuple[str, str, str]:
    return Track.objects.values_list("result", "result_override", "claimed_result").latest("id")


# --- false calls ------------------------------------------------------------------------------------------


def test_the_last_false_call_makes_the_pass_a_pass(plant: Plant, supervisor: APIClient) -> None:
    first, second = fail(supervisor, 10, "C1", "C2")
    answer = assert_done(settle(supervisor, first, "FALSE_CALL"))
    assert (answer["status"], answer["unitStatus"], answer["unitSn"]) == ("FALSE_CALL", "OUT_FAILED", "SN-1")
    assert verdict() == ("FAIL", "", "FAIL")
    assert assert_done(settle(supervisor, second, "FALSE_CALL"))["unitStatus"] == "QUEUED"
    assert (verdict(), state()) == (("PASS", "REVIEW", "FAIL"), ("QUEUED", 20, ""))
    told = MesEvent.objects.filter(event_type="TRACK_OUT").order_by("id")
    assert [event.payload["result"] for event in told] == ["FAIL", "PASS"]
    page = get_run_page(run_no="RUN-1", chosen=Filter())
    assert (page.yields[0].percent, page.yields[0].percent_as_claimed) == (100, 0)
    assert (page.first_pass_yield, page.first_pass_yield_as_claimed) == (100, 0)
    for type in ("FALSE_CALL", "REWORK", "SCRAP", "HOLD"):
        with nothing_written():
            assert assert_refused(settle(supervisor, first, type), "INVALID_TRANSITION")["state"] == "FALSE_CALL"


def test_what_was_real_keeps_the_pass_a_fail(plant: Plant, supervisor: APIClient) -> None:
    real, false = fail(supervisor, 10, "C1", "C2")
    Defect.objects.filter(pk=real.pk).update(status="ACCEPTED")
    assert_done(settle(supervisor, false, "FALSE_CALL"))
    assert (verdict(), state()) == (("FAIL", "", "FAIL"), ("OUT_FAILED", 10, ""))


@pytest.mark.parametrize("override", ["REWORK", "SCRAP", "SKIP"])
def test_a_pass_that_nobody_finished_stays_a_fail(plant: Plant, supervisor: APIClient, override: str) -> None:
    [defect] = fail(supervisor)
    Track.objects.update(result_override=override)
    assert_done(settle(supervisor, defect, "FALSE_CALL"))
    assert (verdict(), state()) == (("FAIL", override, "FAIL"), ("OUT_FAILED", 10, ""))


def test_a_value_is_no_false_call_and_saves_no_board(plant: Plant, supervisor: APIClient) -> None:
    """The last step asks for a KEY value: one that failed, or none at all, stands against the board."""
    bad = [{"specName": "Supply Voltage", "valueNumber": 9.9}]
    for sn, data in (("SN-1", bad), ("SN-2", [])):
        [defect, *_others] = fail(supervisor, 30, sn=sn, data=data)
        assert_done(settle(supervisor, defect, "FALSE_CALL"))
        assert (verdict()[0], state(sn)) == ("FAIL", ("OUT_FAILED", 30, ""))
    of_value = Defect.objects.create(
        unit=defect.unit,
        run=defect.run,
        track=defect.track,
        step_no=30,
        code="OUT_OF_LIMITS",
        source="VALUE",
        found_at=defect.found_at,
    )
    with nothing_written():
        assert_refused(settle(supervisor, of_value, "FALSE_CALL"), "FALSE_CALL_OF_VALUE")


def test_a_false_call_frees_no_held_board_and_overrides_no_decision(plant: Plant, supervisor: APIClient) -> None:
    [held], [reworked] = fail(supervisor), fail(supervisor, sn="SN-2")
    assert_done(decide(supervisor, "hold"))
    assert_done(settle(supervisor, held, "FALSE_CALL"))
    assert state() == ("ON_HOLD", 20, "QUEUED")
    assert assert_done(decide(supervisor, "release"))["status"] == "QUEUED"
    assert_done(decide(supervisor, "rework", "SN-2"))
    assert_done(settle(supervisor, reworked, "FALSE_CALL"))
    assert (verdict()[0], state("SN-2")) == ("PASS", ("QUEUED", 10, ""))


def test_a_false_call_makes_no_board_done_with_another_defect(plant: Plant, supervisor: APIClient) -> None:
    good = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    [false] = fail(supervisor, 30, data=good)
    for code in ("SOLDER_BALL", "OPEN"):
        assert_done(supervisor.post("/api/defects", {"unitSn": "SN-1", "code": code, "stepNo": 10}), 201)
    assert assert_done(settle(supervisor, false, "FALSE_CALL"))["unitStatus"] == "ON_HOLD"
    assert (verdict()[0], state()) == ("PASS", ("ON_HOLD", 30, "DONE"))
    case = HeldUnit.objects.get().hold
    assert (case.source, case.reason) == ("DEFECT", "Done with what was found wrong: OPEN")
    assert assert_done(decide(supervisor, "release"))["status"] == "DONE"


# --- hold, release, scrap ---------------------------------------------------------------------------------


def test_a_defect_holds_and_its_release_accepts_it(plant: Plant, supervisor: APIClient, quality: APIClient) -> None:
    first, second = fail(supervisor, 10, "C1", "C2")
    path = f"/api/defects/{first.pk}/release"
    assert_refused(quality.post(path, {"reason": "x"}), "INVALID_TRANSITION")  # nothing holds it
    for defect in (first, second, first):  # again: it is held already
        answer = assert_done(settle(quality, defect, "HOLD"))
        assert (answer["status"], answer["unitStatus"]) == ("OPEN", "ON_HOLD")
    assert list(HeldUnit.objects.values_list("hold__source", flat=True)) == ["DEFECT", "DEFECT"]
    answer = assert_done(quality.post(path, {"reason": "within class 2"}))
    assert (answer["status"], answer["unitStatus"]) == ("ACCEPTED", "ON_HOLD")  # the other one holds it still
    answer = assert_done(quality.post(path.replace(str(first.pk), str(second.pk)), {"reason": "within class 2"}))
    assert (answer["status"], answer["unitStatus"]) == ("ACCEPTED", "OUT_FAILED")
    assert_refused(quality.post(path, {"reason": "x"}), "INVALID_TRANSITION")
    assert_refused(quality.post("/api/defects/0/release", {"reason": "x"}), "DEFECT_NOT_FOUND", 404)
    assert_refused(quality.post("/api/defects/x/disposition", {"type": "HOLD", "reason": "x"}), "DEFECT_NOT_FOUND", 404)


def test_scrapping_settles_all_that_is_open(plant: Plant, supervisor: APIClient) -> None:
    first, _second = fail(supervisor, 10, "C1", "C2")
    assert_done(settle(supervisor, first, "REWORK"))
    assert_done(settle(supervisor, first, "SCRAP"))
    assert state() == ("SCRAPPED", 10, "")
    assert set(Defect.objects.values_list("status", "settled_reason")) == {("SCRAPPED", "looked at")}
    assert ReworkTask.objects.get().status == ReworkTaskStatus.CANCELLED


def test_the_same_said_of_two_defects_is_a_case_of_both(plant: Plant, supervisor: APIClient) -> None:
    first, second = fail(supervisor, 10, "C1", "C1")
    for defect in (first, second):
        assert_done(settle(supervisor, defect, "HOLD"))
    for defect, status in ((first, "ON_HOLD"), (second, "OUT_FAILED")):
        answer = assert_done(supervisor.post(f"/api/defects/{defect.pk}/release", {"reason": "class 2"}))
        assert (answer["status"], answer["unitStatus"]) == ("ACCEPTED", status)


# --- the bench --------------------------------------------------------------------------------------------


def test_the_bench_settles_each_defect_and_lets_the_board_go(plant: Plant, supervisor: APIClient) -> None:
    operator = api_client(Role.OPERATOR)
    first, second = fail(supervisor, 10, "C1", "C2")
    answer = assert_done(settle(supervisor, first, "REWORK"))
    [task] = assert_done(operator.get("/api/rework-tasks?status=OPEN"))["items"]
    assert (task["id"], task["unitSn"], task["toStepNo"]) == (answer["reworkTaskId"], "SN-1", 10)
    assert [(each["id"], each["location"]) for each in task["defects"]] == [
        (str(first.pk), "C1"),
        (str(second.pk), "C2"),
    ]
    base = f"/api/rework-tasks/{task['id']}"
    with nothing_written():
        assert assert_refused(operator.post(f"{base}/complete"), "REPAIR_RECORD_MISSING")["defects"] == [
            "BRIDGE C1",
            "BRIDGE C2",
        ]
    part = {"materialCode": "CAP-100N", "lotNo": "L-1", "location": "c1"}
    body = {"defectId": str(first.pk), "action": "REPLACED", "result": "NOT_FIXED", "replaced": [part]}
    assert assert_done(operator.post(f"{base}/repair-record", body), 201)["replaced"] == [{**part, "location": "C1"}]
    assert_done(operator.post(f"{base}/repair-record", body | {"result": "FIXED"}), 201)  # the latest counts
    assert_refused(operator.post(f"{base}/complete"), "REPAIR_RECORD_MISSING")
    none = {"defectId": str(second.pk), "action": "NONE", "result": "NO_FAULT_FOUND", "remark": "measured"}
    assert_done(operator.post(f"{base}/repair-record", none), 201)
    assert_refused(operator.post(f"{base}/repair-record", none | {"defectId": "0"}), "DEFECT_NOT_FOUND", 404)
    assert assert_done(operator.post(f"{base}/complete"))["status"] == "DONE"
    assert list(Defect.objects.order_by("id").values_list("status", "settled_reason")) == [
        ("REPAIRED", ""),
        ("NO_FAULT_FOUND", "measured"),
    ]
    assert state() == ("QUEUED", 10, "")
    for name, sent in (("repair-record", none), ("complete", None), ("cancel", {"reason": "x"})):
        assert_refused(supervisor.post(f"{base}/{name}", sent), "INVALID_TRANSITION")
    assert_refused(supervisor.post("/api/rework-tasks/0/complete"), "REWORK_TASK_NOT_FOUND", 404)


def test_what_is_not_fixed_holds_the_board(plant: Plant, supervisor: APIClient) -> None:
    defect, false = fail(supervisor, 10, "C1", "C2")
    task_id = assert_done(settle(supervisor, defect, "REWORK"))["reworkTaskId"]
    body = {"defectId": str(defect.pk), "action": "RESOLDERED", "result": "NOT_FIXED"}
    assert_done(settle(supervisor, false, "FALSE_CALL"))
    nothing = supervisor.post(f"/api/rework-tasks/{task_id}/repair-record", body | {"defectId": str(false.pk)})
    assert assert_refused(nothing, "INVALID_TRANSITION")["state"] == "FALSE_CALL"
    assert_done(supervisor.post(f"/api/rework-tasks/{task_id}/repair-record", body), 201)
    assert_done(supervisor.post(f"/api/rework-tasks/{task_id}/complete"))
    assert state() == ("ON_HOLD", 10, "QUEUED")
    assert HeldUnit.objects.get(ended_at=None).hold.source == "REPAIR"
    defect.refresh_from_db()
    assert defect.status == "OPEN"
    again = assert_done(settle(supervisor, defect, "REWORK"))  # rework is the answer to it
    assert (again["unitStatus"], again["reworkTaskId"] not in (None, task_id)) == ("QUEUED", True)


def test_a_further_rework_keeps_the_board_at_the_bench_unless_told(plant: Plant, supervisor: APIClient) -> None:
    def open_task() -> ReworkTask | None:
        return ReworkTask.objects.filter(status="OPEN").first()

    fail(supervisor)
    assert_done(decide(supervisor, "rework"))
    assert open_task() is None  # by the unit's page, without bench
    fail(supervisor)
    assert_done(decide(supervisor, "rework", repair=True))
    first = open_task()
    assert first is not None and first.defects.count() == 2
    for repair in ({}, {"repair": False}):
        assert_done(decide(supervisor, "hold"))
        assert_done(decide(supervisor, "rework", **repair))
        assert (open_task() is None) == bool(repair)
    assert ReworkTask.objects.filter(status="CANCELLED").count() == 2
    task_id = ReworkTask.objects.latest("id").pk
    assert_refused(supervisor.post(f"/api/rework-tasks/{task_id}/cancel", {"reason": "x"}), "INVALID_TRANSITION")


def test_a_task_goes_along_into_another_run_and_may_be_cancelled(plant: Plant, supervisor: APIClient) -> None:
    [defect] = fail(supervisor)
    task_id = assert_done(settle(supervisor, defect, "REWORK"))["reworkTaskId"]
    make_run(plant, run_no="RUN-2", sns=[])
    body = {"sns": ["SN-1"], "toRunNo": "RUN-2", "reason": "another line"}
    assert_done(api_client().post("/api/runs/RUN-1/units/move", body))
    path = f"/api/rework-tasks/{task_id}"
    task = assert_done(supervisor.get(path))
    assert (task["status"], task["runNo"]) == ("OPEN", "RUN-2")
    assert supervisor.post(f"{path}/cancel", {"reason": " "}).status_code == 400
    ended = assert_done(supervisor.post(f"{path}/cancel", {"reason": "retest first"}))
    assert (ended["status"], ended["endReason"]) == ("CANCELLED", "retest first")
    assert not RepairRecord.objects.exists()


# --- the limit --------------------------------------------------------------------------------------------


def again(client: APIClient, step_no: int = 10, **body: Any) -> Any:
    """Have the board pass the first steps as they come, fail at one, and ask for its rework to the first."""
    for number in (each for each in STATIONS if each < step_no):
        put_at(number)
        assert_done(track_in(client, STATIONS[number]), 201)
        assert_done(track_out(client, STATIONS[number]))
    fail(client, step_no)
    return decide(client, "rework", toStepNo=10, **body)


def test_nobody_passes_the_limit_of_re_entries_unsigned(plant: Plant, quality: APIClient) -> None:
    client = api_client()
    for _round in range(3):
        assert_done(again(client))
        last = Track.objects.latest("id")
        last.pk, last.attempt = None, last.attempt + 50
        last.save(force_insert=True)  # another pass of one round: no entry by rework
    assert assert_refused(again(client), "REENTRY_LIMIT_REACHED") == {"stepNo": 10, "limit": 3, "count": 3}
    defect = Defect.objects.latest("id")
    with nothing_written():
        assert_refused(settle(client, defect, "REWORK"), "REENTRY_LIMIT_REACHED")
        assert decide(api_client(Role.SUPERVISOR), "rework", overrideLimit=True).status_code == 403
        assert decide(quality, "rework").status_code == 403  # only beyond the limit
        wrong = {**SIGNATURE, "password": "x"}
        assert_refused(decide(quality, "rework", overrideLimit=True, signature=wrong), "SIGNATURE_REFUSED", 403)
    make_user(Role.QUALITY, username="quinn", first_name="Quinn", last_name="Q")
    done = assert_done(decide(quality, "rework", overrideLimit=True, signature=SIGNATURE))
    signature = Signature.objects.get()
    assert done["signed"] and (done["signature"]["id"], done["signature"]["signer"]) == (str(signature.pk), "quinn")
    assert (signature.record_type, signature.signer, signature.meaning) == ("REENTRY", "quinn", "approved")
    assert state() == ("QUEUED", 10, "")
    assert assert_refused(again(client), "REENTRY_LIMIT_REACHED")["count"] == 4
    unsigned = assert_done(settle(quality, Defect.objects.latest("id"), "REWORK", overrideLimit=True))
    assert (unsigned["signed"], unsigned["signature"], unsigned["category"]) == (False, None, "TERMINATION")


def test_a_person_signs_beyond_the_limit_for_themselves(plant: Plant, client: Any) -> None:
    machine = api_client()
    RouteExecutionConfig.objects.update(reentry_limit=0)
    run = make_run(plant, run_no="RUN-2", sns=["SN-7"])
    assert assert_done(track_in(machine, sn="SN-7", run_no="RUN-2"), 201)
    assert_done(track_out(machine, sn="SN-7", run_no="RUN-2", result="FAIL"))
    assert_refused(decide(machine, "rework", "SN-7"), "REENTRY_LIMIT_REACHED")
    assert run.units.get().rework_no == 0
    client.force_login(make_user(Role.QUALITY, username="quinn"))
    body = {"reason": "once more", "overrideLimit": True}
    path, kind = "/api/units/SN-7/rework", "application/json"
    assert_refused(client.post(path, body, kind), "SIGNATURE_REQUIRED")
    other = {**SIGNATURE, "username": "olga"}
    assert_refused(client.post(path, body | {"signature": other}, kind), "SIGNER_MISMATCH")
    form = {"reason": "once more", "signature.username": "quinn", "signature.meaning": "Approved"}
    fail(machine)  # of a run that was made before there was a limit of none
    offers = [
        "Rework beyond the limit" in client.get(f"/trace/units/{sn}/").content.decode() for sn in ("SN-7", "SN-1")
    ]
    assert offers == [True, False]
    client.post("/trace/unit-acts/rework-beyond/SN-7/", form | {"signature.password": "x"})
    assert run.units.get().rework_no == 0
    client.post("/trace/unit-acts/rework-beyond/SN-7/", form | {"signature.password": "secret"})
    assert (run.units.get().rework_no, Signature.objects.get().signer) == (1, "quinn")


def test_each_step_from_there_to_here_counts(plant: Plant) -> None:
    client = api_client()
    for _round in range(2):
        assert_done(again(client, 20))
    assert_done(again(client, 10))  # the first step was entered more often than the second
    assert assert_refused(again(client, 20), "REENTRY_LIMIT_REACHED") == {"stepNo": 10, "limit": 3, "count": 3}
    assert_done(decide(client, "rework", toStepNo=20))  # nothing of it before that step
    assert_refused(again(client, 20), "REENTRY_LIMIT_REACHED")


# --- the pages --------------------------------------------------------------------------------------------


def test_the_pages_of_bench_and_review(plant: Plant, client: Any) -> None:
    """From a find to the retest by pages: what another board had at the same place is told."""
    machine = api_client()
    for sn in ("SN-2", "SN-1"):
        [defect] = fail(machine, 10, "C1", sn=sn)
        Defect.objects.filter(pk=defect.pk).update(source="MACHINE")
    client.force_login(make_user(Role.SUPERVISOR, username="sue"))
    page = client.get("/defects/review/").content.decode()
    assert "2 left" in page and "SN-2" in page and "Not here" not in page
    Defect.objects.filter(pk=defect.pk).update(source="VALUE")
    page = client.get("/defects/review/").content.decode()
    assert "1 left" in page and "Not here: 1 unit has a value" in page and 'href="/trace/units/SN-1/"' in page
    Defect.objects.filter(pk=defect.pk).update(source="MACHINE")
    older = Defect.objects.earliest("id")
    sent = client.post(f"/defects/review/{older.pk}/rework/?station=", {"reason": "real"}, follow=True)
    assert "1 left" in sent.content.decode()
    task = ReworkTask.objects.get()
    assert client.get("/repair/?scan=SN-2").headers["Location"] == f"/repair/{task.pk}/"
    assert "does not wait for a repair" in client.get("/repair/?scan=SN-1").content.decode()
    form = {
        "defectId": str(older.pk),
        "result": "FIXED",
        "replaced": "CAP-100N | L-1\r\n[)>\x1e06\x1dPRES-1\x1d1TL9\x1e\x04",
    }
    refused = client.post(f"/repair/{task.pk}/record/", form, follow=True).content.decode()
    assert "Say what was done." in refused and not RepairRecord.objects.exists()
    client.post(f"/repair/{task.pk}/record/", form | {"action": "REPLACED"})
    assert RepairRecord.objects.get().replaced == [
        {"materialCode": "CAP-100N", "location": "C1", "lotNo": "L-1"},
        {"materialCode": "RES-1", "location": "C1", "lotNo": "L9"},
    ]
    page = client.get(f"/repair/{task.pk}/").content.decode()
    assert "Everything is recorded" in page and re.search(r'class="state tone-good">.{,99}</svg>Fixed</span>', page)
    done = client.post(f"/repair/{task.pk}/complete/", follow=True).content.decode()
    assert "SN-2 goes to step 10" in done and "SMT-01" in done
    told = assert_done(machine.get("/api/trace/units/SN-2"))
    assert [(each["status"], each["defectIds"]) for each in told["reworkTasks"]] == [("DONE", [str(older.pk)])]
    assert [(each["location"], each["result"]) for each in told["repairs"]] == [("C1", "FIXED")]
    page = client.get("/trace/units/SN-2/").content.decode()
    assert "RES-1" in page and re.search(r'class="state tone-good">.{,99}</svg>Fixed</span>', page)
    newer = Defect.objects.latest("id")
    client.post(f"/defects/review/{newer.pk}/rework/?station=", {"reason": "real"})
    assert "on the page of their unit" in client.get("/defects/review/").content.decode()
    other = client.get(f"/repair/{ReworkTask.objects.latest('id').pk}/").content.decode()
    assert "fixed 1 of 1" in other and "RES-1" in other
