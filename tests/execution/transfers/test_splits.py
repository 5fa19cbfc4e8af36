"""A run is split: a part of its plan, with units, becomes a run of its own."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from execution.models import Carrier, CarrierLoad
from execution.quality.first_article.models import FirstArticle, FirstArticleSample
from mes.production.decision_models import Decision, UnitMove
from mes.production.models import Run, RunStatus, Unit
from tests.execution.transfers.support import (
    faults,
    make_done,
    make_passed,
    nothing_changes,
    refused,
    split,
)
from tests.factories import Plant, api_client, hold_units, make_line, make_plant, put_runs


@pytest.fixture
def plant(db: None) -> Plant:
    """RUN-1, planned for ten, with SN-1 … SN-8."""
    return make_plant(units=8, plan_qty=10)


def of(run_no: str) -> list[str]:
    return list(Unit.objects.filter(run__run_no=run_no).order_by("id").values_list("sn", flat=True))


def locked_tables(statements: CaptureQueriesContext) -> list[str]:
    """Return the tables of which rows were locked, in the order in which they first were."""
    locking = [each["sql"] for each in statements.captured_queries if "FOR NO KEY UPDATE" in each["sql"]]
    return list(dict.fromkeys(re.findall(r'FROM "(\w+)"', " ".join(sql.partition("WHERE")[0] for sql in locking))))


def test_the_last_untouched_units_go_that_the_rest_has_no_room_for(plant: Plant) -> None:
    make_passed("SN-8", 10)
    make_line("SMT-B")
    Run.objects.update(kind="ENGINEERING", shift_code="EARLY")
    answer = split(5, lineCode="SMT-B")
    assert answer.status_code == 201
    told = answer.json()["data"]
    assert (told["runNo"], told["status"], told["planQty"], told["lineCode"]) == ("WO-RUN-1-02", "PREP", 5, "SMT-B")
    assert of("WO-RUN-1-02") == ["SN-5", "SN-6", "SN-7"]
    source, run = Run.objects.order_by("id")
    assert (source.plan_qty, run.plan_qty, run.kind, run.units_registered) == (5, 5, "ENGINEERING", True)
    assert (run.route_version_id, run.work_order_id, run.shift_code) == (
        source.route_version_id,
        source.work_order_id,
        "",
    )
    assert set(UnitMove.objects.values_list("act", "to_run__run_no")) == {("MOVE", "WO-RUN-1-02")}
    kept = Decision.objects.order_by("id").values_list("run__run_no", "act", "changes", "reason")
    assert list(kept) == [
        ("RUN-1", "split", {"planQty": [10, 5], "splitInto": [None, "WO-RUN-1-02"]}, "Friday"),
        ("WO-RUN-1-02", "split", {"splitFrom": [None, "RUN-1"]}, "Friday"),
    ]


def test_carriers_are_locked_before_the_order(plant: Plant) -> None:
    carrier = Carrier.objects.create(carrier_no="P-1")
    CarrierLoad.objects.bulk_create(CarrierLoad(carrier=carrier, unit=unit) for unit in Unit.objects.all())
    with CaptureQueriesContext(connection) as statements:
        assert split(5, sns=["SN-1", "SN-2", "SN-3"]).status_code == 201
    assert locked_tables(statements) == ["mes_run", "mes_unit", "execution_carrier", "mes_workorder"]


def test_units_with_room_stay(plant: Plant) -> None:
    assert split(2, runNo="RUN-B").status_code == 201
    assert of("RUN-B") == []
    assert Run.objects.get(run_no="RUN-B").line_id == plant.line.pk


def test_named_units_go_along_with_their_step(plant: Plant) -> None:
    make_passed("SN-1", 10)
    hold_units("SN-2")
    assert split(2, runNo="RUN-B", sns=["SN-1", "SN-2"]).status_code == 201
    assert of("RUN-B") == ["SN-1", "SN-2"]
    assert Unit.objects.get(sn="SN-1").current_step_no == 20


def test_named_units_are_asked_as_by_a_move(plant: Plant) -> None:
    make_done("SN-1")
    with nothing_changes():
        assert faults(split(3, sns=["SN-1", "SN-2", "SN-404"])) == {
            "SN-1": "UNIT_ALREADY_DONE",
            "SN-404": "UNIT_NOT_FOUND",
        }


def test_scrapped_units_take_no_room(plant: Plant) -> None:
    Unit.objects.filter(sn__in=["SN-1", "SN-2"]).update(status="SCRAPPED")
    assert split(4, runNo="RUN-B").status_code == 201
    assert of("RUN-B") == []


@pytest.mark.parametrize("plan_qty", [10, 11])
def test_at_least_one_is_left(plant: Plant, plan_qty: int) -> None:
    with nothing_changes():
        assert refused(split(plan_qty)) == (409, "RUN_QTY_TOO_LOW")


def test_the_rest_keeps_room_for_the_units_that_stay(plant: Plant) -> None:
    for sn in ("SN-1", "SN-2", "SN-3", "SN-4", "SN-5"):
        make_passed(sn, 10)
    article = FirstArticle.objects.create(run=plant.run, sample_qty=1, created_by="ann", status="INSPECTING")
    FirstArticleSample.objects.create(first_article=article, unit=Unit.objects.get(sn="SN-8"))
    with nothing_changes():
        assert refused(split(5)) == (409, "RUN_QTY_TOO_LOW")  # SN-6 and SN-7 may go, three would have to
        assert refused(split(5, sns=["SN-7"])) == (409, "RUN_QTY_TOO_LOW")
    assert split(4, runNo="RUN-B").status_code == 201
    assert of("RUN-B") == ["SN-6", "SN-7"]


def test_the_new_run_has_room_for_the_named_ones(plant: Plant) -> None:
    with nothing_changes():
        assert refused(split(2, sns=["SN-1", "SN-2", "SN-3"])) == (409, "RUN_QTY_EXCEEDED")


def test_what_is_named_must_be_there(plant: Plant) -> None:
    with nothing_changes():
        assert refused(split(2, lineCode="NOWHERE")) == (404, "LINE_NOT_FOUND")
        assert refused(split(2, run_no="RUN-9")) == (404, "RUN_NOT_FOUND")
        assert refused(split(2, runNo="RUN-1")) == (400, "VALIDATION_ERROR")
    put_runs(RunStatus.COMPLETED)
    with nothing_changes():
        assert refused(split(2)) == (409, "RUN_CLOSED")


def test_an_order_that_the_erp_lowered_may_be_split_still(plant: Plant) -> None:
    plant.order.planned_qty = 3
    plant.order.save()
    assert split(2).status_code == 201


def test_a_supervisor_splits(plant: Plant) -> None:
    body = {"planQty": 2, "reason": "Friday"}
    assert api_client("OPERATOR").post("/api/runs/RUN-1/split", body).status_code == 403
    assert api_client("SUPERVISOR").post("/api/runs/RUN-1/split", body).status_code == 201
