"""Units are moved to another run, and taken back: all or none of those that are named."""

from typing import Any

import pytest
from django.utils import timezone

from execution.models import Carrier, CarrierLoad, Track
from execution.quality.first_article.models import FaiStatus, FirstArticle, FirstArticleSample
from mes.production.decision_models import UnitMove
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Run, RunStatus, Unit
from mes.production.queries import count_units
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from tests.execution.transfers.support import (
    asking,
    faults,
    make_done,
    make_passed,
    make_two_runs,
    make_version,
    move,
    moved,
    nothing_changes,
    refused,
)
from tests.factories import api_client, hold_units, make_run, put_runs
from tests.integration.helpers import track_in


def states() -> list[tuple[Any, ...]]:
    return list(Unit.objects.order_by("sn").values_list("sn", "run__run_no", "status", "current_step_no"))


def test_units_go_with_status_step_hold_and_order(db: None) -> None:
    _plant, target = make_two_runs(units=4)
    make_passed("SN-2", 10)
    make_passed("SN-3", 10, result="FAIL")
    Unit.objects.filter(sn="SN-3").update(status="OUT_FAILED")
    make_passed("SN-4", 10)
    hold_units("SN-4", reason="scratch")
    answer = move(["SN-2", "SN-1", "SN-3", "SN-4"])
    assert answer.status_code == 200
    assert moved(answer) == {"SN-2": 20, "SN-1": 10, "SN-3": 10, "SN-4": 20}
    assert states() == [
        ("SN-1", "RUN-2", "QUEUED", 10),
        ("SN-2", "RUN-2", "QUEUED", 20),
        ("SN-3", "RUN-2", "OUT_FAILED", 10),
        ("SN-4", "RUN-2", "ON_HOLD", 20),
    ]
    assert set(Unit.objects.values_list("work_order", "held_from", "hold_reason")) == {
        (target.work_order_id, "", ""),
        (target.work_order_id, "QUEUED", "scratch"),
    }
    kept = UnitMove.objects.order_by("unit__sn").values_list("unit__sn", "act", "status", "step_no", "counted_as")
    assert list(kept) == [
        ("SN-1", "MOVE", "QUEUED", 10, ""),
        ("SN-2", "MOVE", "QUEUED", 20, ""),
        ("SN-3", "MOVE", "OUT_FAILED", 10, ""),
        ("SN-4", "MOVE", "ON_HOLD", 20, ""),
    ]
    assert set(UnitMove.objects.values_list("from_run__run_no", "to_run__run_no", "reason")) == {
        ("RUN-1", "RUN-2", "Oven down")
    }


def test_each_unit_that_cannot_go_is_named_and_none_goes(db: None) -> None:
    plant, _target = make_two_runs(units=6)
    make_done("SN-2")
    track_in(asking.client, "SMT-01", "SN-3")
    Unit.objects.filter(sn="SN-4").update(status="SCRAPPED")
    hold_units("SN-5", held_from="DONE")
    other = make_run(plant.version, plant.line, run_no="RUN-3", sns=["SN-9"])
    Unit.objects.filter(sn="SN-6").update(run=None)
    assert other.run_no == "RUN-3"
    with nothing_changes():
        answer = move(["SN-1", "SN-2", "SN-3", "SN-4", "SN-5", "SN-6", "SN-9", "SN-404"])
    assert faults(answer) == {
        "SN-2": "UNIT_ALREADY_DONE",
        "SN-3": "UNIT_ALREADY_IN_STATION",
        "SN-4": "UNIT_SCRAPPED",
        "SN-5": "UNIT_ALREADY_DONE",
        "SN-6": "UNIT_RUN_MISMATCH",
        "SN-9": "UNIT_RUN_MISMATCH",
        "SN-404": "UNIT_NOT_FOUND",
    }
    assert answer.json()["error"]["details"]["count"] == 7


def test_a_unit_that_was_held_in_a_station_does_not_go(db: None) -> None:
    make_two_runs()
    track_in(asking.client, "SMT-01", "SN-1")
    asking.client.post("/api/units/SN-1/hold", {"reason": "smoke"})
    with nothing_changes():
        assert faults(move("SN-1")) == {"SN-1": "UNIT_ALREADY_IN_STATION"}


@pytest.mark.parametrize("status", ["CREATED", "INSPECTING", "PASSED"])
def test_a_sample_stays_until_its_first_article_is_decided(db: None, status: str) -> None:
    plant, _target = make_two_runs()
    article = FirstArticle.objects.create(run=plant.run, sample_qty=1, created_by="ann", status=FaiStatus(status))
    FirstArticleSample.objects.create(first_article=article, unit=plant.units[0])
    if status == "PASSED":
        assert move("SN-1").status_code == 200
        return
    for to_run_no in ("RUN-2", None):
        with nothing_changes():
            assert faults(move(["SN-1", "SN-2"], to_run_no)) == {"SN-1": "UNIT_IS_SAMPLE"}


@pytest.mark.parametrize("ended", [RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.SCRAPPED])
@pytest.mark.parametrize("run_no", ["RUN-1", "RUN-2"])
def test_both_runs_must_be_open(db: None, ended: str, run_no: str) -> None:
    make_two_runs()
    put_runs(ended, run_no=run_no)
    with nothing_changes():
        assert refused(move("SN-1")) == (409, "RUN_CLOSED")


@pytest.mark.parametrize("status", [RunStatus.PREP, RunStatus.ON_HOLD, RunStatus.IN_PROGRESS])
def test_every_open_run_takes_and_gives_units(db: None, status: str) -> None:
    make_two_runs()
    put_runs(status)
    assert move("SN-1").status_code == 200


def test_runs_must_be_known_and_two(db: None) -> None:
    make_two_runs()
    with nothing_changes():
        assert refused(move("SN-1", "RUN-9")) == (404, "RUN_NOT_FOUND")
        assert refused(move("SN-1", run_no="RUN-9")) == (404, "RUN_NOT_FOUND")
        assert refused(move("SN-1", "RUN-1")) == (400, "VALIDATION_ERROR")
        assert refused(move("SN-1", reason="  ")) == (400, "VALIDATION_ERROR")
        assert refused(move([])) == (400, "VALIDATION_ERROR")
        assert refused(move(["SN-1"] * 1001)) == (400, "VALIDATION_ERROR")


def test_a_unit_named_twice_goes_once(db: None) -> None:
    make_two_runs()
    assert moved(move(["SN-1", "SN-1"])) == {"SN-1": 10}


def test_an_earlier_serial_number_names_its_unit(db: None) -> None:
    make_two_runs()
    UnitAlias.objects.create(sn="OLD-1", unit=Unit.objects.get(sn="SN-1"), reason="torn label", relabelled_by="ann")
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    with nothing_changes():
        assert faults(move(["OLD-1", "GOLD-1"])) == {"GOLD-1": "SN_IS_REFERENCE"}
    assert moved(move(["OLD-1", "SN-1"])) == {"SN-1": 10}


def test_the_target_must_have_room(db: None) -> None:
    make_two_runs(plan_qty=2)
    with nothing_changes():
        assert refused(move(["SN-1", "SN-2", "SN-3"])) == (409, "RUN_QTY_EXCEEDED")
    assert move(["SN-1", "SN-2"]).status_code == 200


def test_another_product_is_not_taken(db: None) -> None:
    plant, _target = make_two_runs()
    make_run(make_version((10, "PRINT"), product_code="BOARD-2"), plant.line, run_no="RUN-3")
    with nothing_changes():
        assert faults(move("SN-1", "RUN-3")) == {"SN-1": "PRODUCT_MISMATCH"}


# --- the step ----------------------------------------------------------------------------------------------


def test_a_step_is_asked_for_where_the_routes_differ_before_it(db: None) -> None:
    plant, _target = make_two_runs()
    make_run(make_version((10, "PRINT"), (15, "AOI"), (20, "REFLOW")), plant.line, run_no="RUN-3")
    make_passed("SN-1", 10)
    with nothing_changes():
        assert refused(move("SN-1", "RUN-3")) == (422, "STEP_REQUIRED")
        assert faults(move("SN-1", "RUN-3", toStepNo=20)) == {"SN-1": "STEP_MISMATCH"}  # AOI was never passed
        assert faults(move("SN-1", "RUN-3", toStepNo=12)) == {"SN-1": "STEP_MISMATCH"}
    assert moved(move("SN-2", "RUN-3")) == {"SN-2": 10}  # nothing differs before it
    assert moved(move("SN-1", "RUN-3", toStepNo=15)) == {"SN-1": 15}
    assert states()[:2] == [("SN-1", "RUN-3", "QUEUED", 15), ("SN-2", "RUN-3", "QUEUED", 10)]


def test_the_same_operations_under_other_numbers_are_another_route(db: None) -> None:
    plant, _target = make_two_runs()
    make_run(make_version((11, "PRINT"), (20, "REFLOW"), (30, "TEST")), plant.line, run_no="RUN-3")
    make_passed("SN-1", 10)
    assert refused(move("SN-1", "RUN-3")) == (422, "STEP_REQUIRED")
    assert move("SN-1", "RUN-3", toStepNo=20).status_code == 200


def test_an_operation_that_failed_last_is_not_passed(db: None) -> None:
    make_two_runs()
    make_passed("SN-1", 10)
    make_passed("SN-1", 20)
    make_passed("SN-1", 20, result="FAIL")
    Unit.objects.filter(sn="SN-1").update(status="OUT_FAILED")
    with nothing_changes():
        assert faults(move("SN-1", toStepNo=30)) == {"SN-1": "STEP_MISMATCH"}
    assert move("SN-1", toStepNo=20).status_code == 200


def test_what_a_rework_sends_a_unit_back_to_is_not_passed(db: None) -> None:
    make_two_runs()
    make_passed("SN-1", 10, 20)
    answer = asking.client.post("/api/units/SN-1/hold", {"reason": "cold joint"})
    answer = asking.client.post("/api/units/SN-1/rework", {"reason": "again", "toStepNo": 10})
    assert answer.status_code == 200
    with nothing_changes():
        assert faults(move("SN-1", toStepNo=20)) == {"SN-1": "STEP_MISMATCH"}
    assert moved(move("SN-1")) == {"SN-1": 10}


def test_an_operation_that_comes_twice_is_passed_once_by_one_pass(db: None) -> None:
    plant, _target = make_two_runs()
    version = make_version((10, "PRINT"), (20, "REFLOW"), (30, "PRINT"), (40, "TEST"))
    make_run(version, plant.line, run_no="RUN-3", sns=["SN-7"])
    make_run(version, plant.line, run_no="RUN-4")
    make_passed("SN-7", 10, 20)
    assert faults(move("SN-7", "RUN-4", run_no="RUN-3", toStepNo=40)) == {"SN-7": "STEP_MISMATCH"}
    assert move("SN-7", "RUN-4", run_no="RUN-3", toStepNo=30).status_code == 200


# --- carriers, clocks --------------------------------------------------------------------------------------


def put_on_carrier(*sns: str, carrier_no: str = "PANEL-1") -> Carrier:
    carrier = Carrier.objects.create(carrier_no=carrier_no)
    for place, unit in enumerate(Unit.objects.filter(sn__in=sns)):
        CarrierLoad.objects.create(carrier=carrier, unit=unit, position=str(place))
    return carrier


def carried() -> list[str]:
    return list(CarrierLoad.objects.filter(unloaded_at=None).order_by("unit__sn").values_list("unit__sn", flat=True))


def test_units_that_leave_others_on_their_carrier_are_unloaded(db: None) -> None:
    make_two_runs()
    carrier = put_on_carrier("SN-1", "SN-2", "SN-3")
    move(["SN-1", "SN-2"])
    assert carried() == ["SN-3"]
    carrier.refresh_from_db()
    assert carrier.changed_at is not None


def test_units_that_leave_together_stay_on_their_carrier(db: None) -> None:
    make_two_runs()
    put_on_carrier("SN-1", "SN-2")
    put_on_carrier("SN-3", carrier_no="PANEL-2")
    move(["SN-1", "SN-2"])
    assert carried() == ["SN-1", "SN-2", "SN-3"]


def test_clocks_run_on(db: None) -> None:
    plant, _target = make_two_runs()
    rule, _made = TimeRuleDefinition.objects.get_or_create(
        code="T-1", defaults={"duration_minutes": 10, "start_event": "TRACK_IN"}
    )
    TimeRuleInstance.objects.create(
        definition=rule,
        definition_code="T-1",
        duration_minutes=10,
        warning_minutes=5,
        entity_type="UNIT",
        entity_id="SN-1",
        run=plant.run,
        status="ACTIVE",
        started_at=timezone.now(),
        expires_at=timezone.now(),
    )
    before = list(TimeRuleInstance.objects.values())
    assert move("SN-1").status_code == 200
    assert list(TimeRuleInstance.objects.values()) == before


# --- what moved units do then ------------------------------------------------------------------------------


def test_a_moved_unit_goes_on_in_its_new_run_alone(db: None) -> None:
    make_two_runs()
    make_passed("SN-1", 10)
    move("SN-1")
    client = asking.client
    old = client.post("/api/stations/REF-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    assert refused(old) == (409, "UNIT_RUN_MISMATCH")
    new = client.post("/api/stations/REF-01/track-in", {"runNo": "RUN-2", "sn": "SN-1"})
    assert (new.status_code, new.json()["data"]["stepNo"]) == (201, 20)
    assert Run.objects.get(run_no="RUN-2").status == RunStatus.IN_PROGRESS
    assert list(Track.objects.order_by("id").values_list("run__run_no", flat=True)) == ["RUN-1", "RUN-2"]
    told = client.get("/api/trace/units/SN-1").json()["data"]
    assert [(m["act"], m["fromRunNo"], m["toRunNo"], m["stepNo"]) for m in told["moves"]] == [
        ("MOVE", "RUN-1", "RUN-2", 20)
    ]
    page = client_of_people().get("/trace/units/SN-1/").content.decode()
    assert "From run RUN-1 to run RUN-2" in page


def client_of_people() -> Any:
    from django.test import Client

    from tests.factories import make_user

    client = Client()
    client.force_login(make_user("SUPERVISOR"))
    return client


# --- taking back -------------------------------------------------------------------------------------------


def test_units_that_were_not_begun_are_taken_back_and_registered_anywhere(db: None) -> None:
    _plant, target = make_two_runs()
    answer = move(["SN-1", "SN-2"], None)
    assert moved(answer) == {"SN-1": None, "SN-2": None}
    assert states()[:2] == [("SN-1", None, "QUEUED", None), ("SN-2", None, "QUEUED", None)]
    kept = UnitMove.objects.values_list("act", "from_run__run_no", "to_run", "counted_as")
    assert list(dict.fromkeys(kept)) == [("TAKE_BACK", "RUN-1", None, "")]
    answer = asking.client.post("/api/runs/RUN-2/units", {"sns": ["SN-1"]})
    assert answer.status_code == 201
    assert Unit.objects.get(sn="SN-1").work_order_id == target.work_order_id


def test_a_unit_that_was_begun_is_not_taken_back(db: None) -> None:
    make_two_runs()
    make_passed("SN-1", 10)
    Unit.objects.filter(sn="SN-3").update(status="SCRAPPED")
    with nothing_changes():
        assert faults(move(["SN-1", "SN-2", "SN-3"], None)) == {"SN-1": "UNIT_STARTED", "SN-3": "UNIT_SCRAPPED"}


def test_a_unit_begun_in_another_run_alone_is_taken_back(db: None) -> None:
    make_two_runs()
    make_passed("SN-1", 10)
    move("SN-1")
    assert move("SN-1", None, run_no="RUN-2").status_code == 200


def test_counts_are_of_where_units_are(db: None) -> None:
    plant, target = make_two_runs()
    move(["SN-1", "SN-2"])
    counts = count_units([plant.run, target])
    assert (counts[plant.run.pk]["QUEUED"], counts[target.pk]["QUEUED"]) == (1, 2)


# --- who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"), [("OPERATOR", 403), ("QUALITY", 403), ("ENGINEER", 403), ("SUPERVISOR", 200)]
)
def test_a_supervisor_moves_units(db: None, role: str, status: int) -> None:
    make_two_runs()
    body = {"sns": ["SN-1"], "toRunNo": "RUN-2", "reason": "Oven down"}
    assert api_client(role).post("/api/runs/RUN-1/units/move", body).status_code == status
