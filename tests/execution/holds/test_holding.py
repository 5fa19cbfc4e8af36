"""Holding units by a condition, catching what comes, and what is decided about them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DataValue, Defect, HoldBatch, Track
from execution.quality.defect_codes.services import relabel_waiting
from execution.quality.holds import batches, catching, services
from execution.quality.holds.condition import Condition
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import EventStatus, EventType, MesEvent
from mes.platform.outbox.processor import process_due
from mes.platform.signatures.models import Signature
from mes.platform.signatures.queries import is_unchanged
from mes.production.hold_models import HeldUnit, Hold, HoldStatus
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, put_at, track_in, track_out
from tests.factories import Plant, api_client, make_plant, make_user

pytestmark = pytest.mark.django_db

YEAR = timedelta(days=365)


@pytest.fixture
def quality() -> APIClient:
    return api_client(Role.QUALITY)


def hold(client: APIClient, *, status: int = 201, **body: Any) -> dict[str, Any]:
    return assert_done(client.post("/api/holds", {"scope": "UNITS", "reason": "Hot oven", **body}), status)


def held_sns() -> list[str]:
    return sorted(Unit.objects.filter(status="ON_HOLD").values_list("sn", flat=True))


def counts(client: APIClient, hold_no: str) -> dict[str, Any]:
    return assert_done(client.get(f"/api/holds/{hold_no}"))["counts"]


# --- holding and releasing ------------------------------------------------------------------------------------


def test_units_are_held_released_and_decided_about_all_or_none(quality: APIClient) -> None:
    plant = make_plant(units=5)
    operator = api_client(Role.OPERATOR)
    operator_refused = operator.post("/api/holds", {"scope": "UNITS", "condition": {"runNo": "RUN-1"}, "reason": "x"})
    assert operator_refused.status_code == 403
    body = {"scope": "UNITS", "condition": {"runNo": "RUN-1"}, "reason": "x", "expectedCount": 4}
    assert assert_refused(quality.post("/api/holds", body), "HOLD_COUNT_CHANGED") == {"count": 5, "expected": 4}
    never = {"scope": "UNITS", "condition": {"stationCode": "SMT-01"}, "reason": "x", "catches": False}
    assert_refused(quality.post("/api/holds", never), "VALIDATION_ERROR", 400)
    for wrong in ({"condition": None}, {"code": "RUN-1"}, {"reason": " "}, {"catches": 1}):
        assert_refused(quality.post("/api/holds", {**body, "expectedCount": 5, **wrong}), "VALIDATION_ERROR", 400)
    assert not Hold.objects.exists() and not held_sns()

    made = hold(quality, condition={"sns": plant.sns}, catches=False, expectedCount=5, owner="quinn")
    no = made["holdNo"]
    assert (made["scope"], made["source"], made["status"], made["owner"]) == ("UNITS", "PERSON", "OPEN", "quinn")
    assert made["condition"] == {"sns": plant.sns} and made["catches"] is False
    assert held_sns() == plant.sns
    assert_refused(track_in(operator), "UNIT_ON_HOLD")

    def end(verb: str, status: int = 200, **body: Any) -> Any:
        return quality.post(f"/api/holds/{no}/{verb}", {"reason": "looked at", **body})

    details = assert_refused(end("release", sns=["SN-1", "SN-99"]), "UNIT_NOT_IN_HOLD")
    assert details == {"hold": no, "sns": ["SN-99"]} and len(held_sns()) == 5
    assert_done(end("release", sns=["SN-1"]))
    assert_refused(end("release", sns=["SN-1", "SN-2"]), "UNIT_NOT_IN_HOLD")
    assert_refused(end("dispose", sns=["SN-2", "SN-1"], type="SCRAP"), "UNIT_NOT_IN_HOLD")
    assert_refused(end("dispose", sns=["SN-2"], type="SCRAP", toStepNo=10), "VALIDATION_ERROR", 400)
    assert_done(end("dispose", sns=["SN-2"], type="SCRAP"))
    assert_done(end("dispose", sns=["SN-3"], type="REWORK", toStepNo=10))
    assert {u.sn: u.status for u in Unit.objects.all()} == {
        "SN-1": "QUEUED",
        "SN-2": "SCRAPPED",
        "SN-3": "QUEUED",
        "SN-4": "ON_HOLD",
        "SN-5": "ON_HOLD",
    }
    # One that something else holds as well stays held.
    hold(quality, condition={"sns": ["SN-4"]}, catches=False)
    done = assert_done(end("release"))
    assert done["status"] == "RELEASED" and held_sns() == ["SN-4"]
    assert done["counts"] == {
        "units": 5, "open": 0, "released": 3, "reworked": 1, "scrapped": 1, "toApply": None, "pending": 0
    }  # fmt: skip
    assert [each["act"] for each in done["history"]] == ["HELD", "RELEASED", "SCRAP", "REWORK", "RELEASED"]
    assert [each["count"] for each in done["history"]] == [None, 1, 1, 1, 2]
    assert_refused(end("release"), "INVALID_TRANSITION")
    assert_refused(quality.get("/api/holds/H-0"), "HOLD_NOT_FOUND", 404)
    assert_refused(quality.get("/api/holds/x"), "HOLD_NOT_FOUND", 404)
    for query, expected in (("status=RELEASED", 1), ("scope=RUN", 0), ("sn=SN-5", 1), ("sn=SN-99", 0)):
        assert len(assert_done(quality.get(f"/api/holds?{query}"))["items"]) == expected
    assert_refused(quality.get("/api/holds?colour=red"), "VALIDATION_ERROR", 400)


def test_a_person_signs_the_end_of_a_hold_of_several_units(client: Any) -> None:
    make_plant(units=3)
    person = make_user(Role.QUALITY, username="quinn", first_name="Quinn", last_name="Ito")
    browser = APIClient()
    browser.force_login(person)
    no = hold(browser, condition={"runNo": "RUN-1"}, catches=False)["holdNo"]
    signature = {"username": "quinn", "password": "secret", "meaning": "Approved"}
    address = f"/api/holds/{no}/release"
    assert_refused(browser.post(address, {"reason": "fine"}), "SIGNATURE_REQUIRED")
    wrong = {**signature, "password": "wrong"}
    assert_refused(browser.post(address, {"reason": "fine", "signature": wrong}), "SIGNATURE_REFUSED", 403)
    assert len(held_sns()) == 3
    done = assert_done(browser.post(address, {"reason": "fine", "signature": signature}))
    assert done["signed"] and done["signature"]["signer"] == "quinn" and not held_sns()
    signed = Signature.objects.get()
    assert '"sns":["SN-1","SN-2","SN-3"]' in signed.document and is_unchanged(signed) and signed.is_intact
    # Of one unit nobody signs.
    no = hold(browser, condition={"sns": ["SN-1"]}, catches=False)["holdNo"]
    done = assert_done(browser.post(f"/api/holds/{no}/release", {"reason": "fine"}))
    assert (done["signed"], done["signature"]) == (False, None)


def test_places_are_held_and_released_here_as_by_their_own_addresses(quality: APIClient) -> None:
    plant = make_plant()
    operator = api_client(Role.OPERATOR)
    for scope, code, refusal in (("LINE", "SMT-A", "LINE_ON_HOLD"), ("STATION", "SMT-01", "STATION_STOPPED")):
        first = hold(operator, scope=scope, code=code)
        assert hold(quality, scope=scope, code=code, status=200)["holdNo"] == first["holdNo"]
        assert (first["scope"], first["code"], first["source"]) == (scope, code, "PERSON")
        assert_refused(track_in(operator), refusal)
        address = f"/api/holds/{first['holdNo']}/release"
        assert operator.post(address, {"reason": "on"}).status_code == 403
        assert_refused(quality.post(address, {"reason": "on", "sns": ["SN-1"]}), "VALIDATION_ERROR", 400)
        done = assert_done(quality.post(address, {"reason": "on"}))
        assert (done["status"], done["endReason"]) == ("RELEASED", "on")
        assert [each["act"] for each in done["history"]] == ["HELD", "RELEASED"]
    assert operator.post("/api/holds", {"scope": "RUN", "code": "RUN-1", "reason": "x"}).status_code == 403
    first = hold(quality, scope="RUN", code="RUN-1")
    assert hold(quality, scope="RUN", code="RUN-1", status=200)["holdNo"] == first["holdNo"]
    assert_refused(track_in(operator), "RUN_ON_HOLD")
    assert_done(quality.post(f"/api/holds/{first['holdNo']}/release", {"reason": "on"}))
    assert_done(track_in(operator), 201)
    for scope, code in (("RUN", "R-9"), ("LINE", "L-9"), ("STATION", "S-9")):
        refused = quality.post("/api/holds", {"scope": scope, "code": code, "reason": "x"})
        assert_refused(refused, f"{scope}_NOT_FOUND", 404)
    Hold.objects.create(scope="RUN", run=plant.run, source="OQC", reason="Lot failed", opened_by="quinn")
    oqc = Hold.objects.latest("id").hold_no
    assert_refused(quality.post(f"/api/holds/{oqc}/release", {"reason": "on"}), "INVALID_TRANSITION")


# --- many units -----------------------------------------------------------------------------------------------


def work_off() -> None:
    """Have the worker do all that waits, however often that makes more: time stands still in the test's transaction."""
    while MesEvent.objects.filter(status=EventStatus.PENDING).update(next_attempt_at=timezone.now() - YEAR):
        process_due(budget=timedelta(seconds=60))


def test_who_reads_what_holds_units_reads_no_conditions(quality: APIClient) -> None:
    """One may name ten thousand units, and would come with each unit that is released."""
    plant = make_plant(units=3)
    hold(quality, condition={"sns": plant.sns}, catches=False)
    with CaptureQueriesContext(connection) as asked:
        assert_done(quality.post("/api/stations/SMT-01/permit", {"sn": "SN-1"}))
        assert_done(quality.get("/api/trace/units/SN-1"))
        assert_done(quality.post("/api/units/SN-1/release", {"reason": "fine"}))
        assert_done(api_client().post("/api/units/SN-2/scrap", {"reason": "burnt"}))
    joined = [query["sql"] for query in asked if "mes_heldunit" in query["sql"] and "mes_hold" in query["sql"]]
    assert len(joined) > 2
    assert [sql for sql in joined if '"mes_hold"."condition"' in sql] == []


def test_many_are_held_and_released_in_batches(quality: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "LARGEST_AT_ONCE", 4)
    monkeypatch.setattr(batches, "BATCH", 4)
    make_plant(units=10)
    made = hold(quality, condition={"runNo": "RUN-1"}, catches=False, status=202)
    no = made["holdNo"]
    assert made["counts"]["toApply"] == 10 and made["counts"]["pending"] == 10 and not held_sns()

    # A worker that dies within a batch: its transaction is rolled back, and nothing of it is there.
    original, seen = batches.hold_locked, []

    def dying(hold: Hold, units: Any, *, by: str) -> None:
        original(hold, units, by=by)
        seen.append(len(units))
        if len(seen) == 2:
            raise ConnectionError("the worker died")

    monkeypatch.setattr(batches, "hold_locked", dying)
    work_off()
    assert seen == [4, 4] and len(held_sns()) == 4
    MesEvent.objects.filter(event_type=EventType.HOLD_APPLY, status=EventStatus.FAILED).update(
        status=EventStatus.PENDING
    )
    work_off()
    assert seen == [4, 4, 4, 2] and len(held_sns()) == 10
    assert HeldUnit.objects.count() == 10 and not HoldBatch.objects.exists()
    hold_row = Hold.objects.get()
    assert (hold_row.to_apply, hold_row.applied_up_to) == (None, Unit.objects.latest("id").pk)

    done = assert_done(quality.post(f"/api/holds/{no}/release", {"reason": "fine"}), 202)
    assert done["status"] == "OPEN" and done["counts"]["pending"] == 10
    work_off()
    assert not held_sns()
    assert Hold.objects.get().status == HoldStatus.RELEASED
    assert counts(quality, no)["released"] == 10


def test_a_hold_decides_about_no_other_and_what_is_refused_later_stays_held(
    quality: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(units=4)
    no = hold(quality, condition={"runNo": "RUN-1"}, catches=False)["holdNo"]
    Hold.objects.update(source="INSPECTION")  # which a rework answers
    other = hold(quality, condition={"sns": ["SN-1"]}, catches=False, reason="Scratch")["holdNo"]
    Unit.objects.filter(sn="SN-2").update(run=None)  # its run ended before it was made

    def dispose(*sns: str, to: int | None = 10) -> Any:
        body = {"sns": sns, "type": "REWORK", "toStepNo": to, "reason": "again"}
        return quality.post(f"/api/holds/{no}/dispose", body)

    for largest in (1000, 2):  # at once, and by the worker
        monkeypatch.setattr(services, "LARGEST_AT_ONCE", largest)
        assert assert_refused(dispose("SN-3", "SN-4", "SN-1"), "UNIT_ON_HOLD")["holds"] == [other]
        assert_refused(dispose("SN-3", "SN-4", "SN-2"), "UNIT_RUN_NOT_FOUND", 404)
        Unit.objects.filter(sn="SN-2").update(run_id=Unit.objects.get(sn="SN-3").run_id)
        assert_refused(dispose("SN-3", "SN-4", "SN-2", to=99), "STEP_MISMATCH")
        Unit.objects.filter(sn="SN-2").update(run=None)
    assert len(held_sns()) == 4 and not HoldBatch.objects.exists()

    Unit.objects.filter(sn="SN-2").update(run_id=Unit.objects.get(sn="SN-3").run_id)
    assert_done(dispose("SN-2", "SN-3", "SN-4"), 202)
    hold(quality, condition={"sns": ["SN-3"]}, catches=False, reason="Burnt")  # before the worker came to it
    work_off()
    assert held_sns() == ["SN-1", "SN-3"] and counts(quality, no)["reworked"] == 2


def test_what_was_yet_to_be_held_is_not_when_the_hold_ends_before(
    quality: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LARGEST_AT_ONCE", 2)
    make_plant(units=3)
    no = hold(quality, condition={"runNo": "RUN-1"}, catches=False, status=202)["holdNo"]
    assert assert_done(quality.post(f"/api/holds/{no}/release", {"reason": "fine"}))["status"] == "RELEASED"
    work_off()
    assert not held_sns() and not HeldUnit.objects.exists()
    # Nor is scrapped what somebody released before the worker came to it.
    no = hold(quality, condition={"runNo": "RUN-1"}, catches=False, status=202)["holdNo"]
    work_off()
    body = {"sns": held_sns(), "type": "SCRAP", "reason": "burnt"}
    assert_done(quality.post(f"/api/holds/{no}/dispose", body), 202)
    assert_done(quality.post("/api/units/SN-1/release", {"reason": "not this one"}))
    work_off()
    assert list(Unit.objects.order_by("sn").values_list("status", flat=True)) == ["QUEUED", "SCRAPPED", "SCRAPPED"]


def test_statements_grow_with_batches_not_with_units() -> None:
    plant = make_plant(units=80)
    numbers = []
    for size in (10, 70):
        sns = tuple(plant.sns[-size:])
        with CaptureQueriesContext(
            connection,
        ) as asked:
            done = services.hold_units(condition=Condition(sns=sns), reason="x", by="q", catches=False)
            services.release(hold_no=done.hold.hold_no, reason="y", by="q")
        numbers.append(len(asked))
    assert numbers[0] == numbers[1] and numbers[0] < 60, numbers


# --- what comes later -----------------------------------------------------------------------------------------


def passes(sn: str, result: str = "PASS") -> None:
    person = api_client(Role.ADMIN)
    assert_done(track_in(person, sn=sn), 201)
    assert_done(track_out(person, sn=sn, result=result))


def test_what_comes_to_fit_by_a_move_is_held_and_only_that(quality: APIClient) -> None:
    make_plant(units=4)
    passes("SN-4")
    MesEvent.objects.all().delete()
    put_at(20, "SN-3")
    assert_done(track_in(api_client(Role.ADMIN), "REF-01", sn="SN-3"), 201)
    assert set(MesEvent.objects.values_list("status", flat=True)) == {"COMPLETED"}  # nothing catches: nobody is asked
    made = hold(quality, condition={"stationCode": "SMT-01", "from": timezone.now().isoformat()})
    no = made["holdNo"]
    assert made["catches"] is True and not held_sns()
    passes("SN-1")
    work_off()
    assert held_sns() == ["SN-1"]
    assert HeldUnit.objects.get().held_by == "system"
    # What people decided about is not caught again for the same pass, but for a new one.
    assert_done(quality.post(f"/api/holds/{no}/release", {"sns": ["SN-1"], "reason": "looked at"}))
    catching.sweep()
    work_off()
    assert not held_sns() and Hold.objects.get().status == HoldStatus.OPEN
    put_at(10)
    passes("SN-1")
    work_off()
    assert held_sns() == ["SN-1"]
    # Released as a whole it catches nothing more.
    assert assert_done(quality.post(f"/api/holds/{no}/release", {"reason": "fixed"}))["status"] == "RELEASED"
    passes("SN-2")
    work_off()
    assert not held_sns()


def test_what_comes_to_fit_by_a_defect_is_held_whoever_says_so(quality: APIClient) -> None:
    plant = make_plant(units=3)
    passes("SN-1")
    first = hold(quality, condition={"defectCode": "BRIDGE"})["holdNo"]
    assert not held_sns()
    assert_done(quality.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN"}), 201)
    work_off()
    assert not held_sns()
    assert_done(quality.post("/api/defects", {"unitSn": "SN-1", "code": "BRIDGE", "location": "u3"}), 201)
    work_off()
    assert held_sns() == ["SN-1"]
    # What a machine said long ago, and only now means this.
    Defect.objects.create(
        unit=plant.units[1], run=plant.run, step_no=10, source="MACHINE", source_system="aoi-1", code="D7",
        reported_code="D7", found_at=timezone.now(),
    )  # fmt: skip
    assert_done(api_client(Role.ENGINEER).post("/api/defect-aliases", {"reported": "D7", "code": "BRIDGE"}), 201)
    relabel_waiting()
    work_off()
    assert held_sns() == ["SN-1", "SN-2"]
    # What people decided about is not caught again for the same defect, nor for what it is by itself.
    of_run = hold(quality, condition={"runNo": "RUN-1"}, catches=True)["holdNo"]
    for hold_no, sn in ((first, "SN-1"), (of_run, "SN-1"), (of_run, "SN-3")):
        assert_done(quality.post(f"/api/holds/{hold_no}/release", {"sns": [sn], "reason": "looked at"}))
    catching.sweep()
    work_off()
    assert held_sns() == ["SN-2"]


def test_what_comes_to_fit_by_a_value_is_held_by_the_sweep(quality: APIClient) -> None:
    plant = make_plant(units=2)
    oven = plant.stations["REF-01"]
    for unit in plant.units:
        Track.objects.create(
            unit=unit, run=plant.run, step_no=20, operation_code="REFLOW", station=oven, source="AUTO",
            in_at=timezone.now(), out_at=timezone.now(), result="PASS",
        )  # fmt: skip
    hold(quality, condition={"specName": "Peak Temperature", "valueMin": 249})
    for unit, value in zip(plant.units, (249, 248.9), strict=True):
        DataValue.objects.create(
            received_at=timezone.now(), unit=unit, track=unit.tracks.get(), spec=plant.peak, operation_code="REFLOW",
            name="Peak Temperature", item_type="KEY", value_number=value, source="AUTO", collected_at=timezone.now(),
        )  # fmt: skip
    catching.sweep()
    work_off()
    assert held_sns() == ["SN-1"]


def test_a_hold_that_names_what_is_gone_stops_no_other(quality: APIClient, plant_of_two: Plant) -> None:
    hold(quality, condition={"stationCode": "SMT-01"})
    Hold.objects.update(condition={"stationCode": "GONE"})
    hold(quality, condition={"operationCode": "PRINT"})
    passes("SN-1")
    work_off()
    assert held_sns() == ["SN-1"]


@pytest.fixture
def plant_of_two() -> Plant:
    return make_plant()
