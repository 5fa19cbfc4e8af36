"""A plant whose runs are inspected before they leave, and the calls for it."""

from typing import Any

from rest_framework.test import APIClient

from execution.models import SamplingRule, Track
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from tests.execution.support import assert_done, track_in, track_out
from tests.factories import Plant, make_plant, make_run


def make_rule(**fields: Any) -> SamplingRule:
    told = {"code": "OQC", "name": "Before it leaves", "scheme": "ALL", "product_code": "", **fields}
    return SamplingRule.objects.create(**told)


def make_lot(plant: Plant, run_no: str, *, units: int = 2, last: int = 0) -> Run:
    """Make a run in progress whose units are done, but the `last` ones, which wait at the last step."""
    sns = [f"{run_no}-{number}" for number in range(1, units + 1)]
    run = make_run(plant.version, plant.line, run_no=run_no, sns=sns, plan_qty=units)
    Run.objects.filter(pk=run.pk).update(status=RunStatus.IN_PROGRESS, started_at=run.created_at)
    finish(run, sns[: units - last])
    Unit.objects.filter(sn__in=sns[units - last :]).update(current_step_no=30)
    run.refresh_from_db()
    return run


def finish(run: Run, sns: list[str]) -> None:
    """Let units have passed the last step."""
    station = run.line.stations.get(code="TST-01")
    for unit in Unit.objects.filter(sn__in=sns):
        at = run.created_at
        Track.objects.create(
            unit=unit, run=run, station=station, step_no=30, operation_code="TEST", source="MANUAL", attempt=1,
            in_at=at, out_at=at, result="PASS",
        )  # fmt: skip
    Unit.objects.filter(sn__in=sns).update(status=UnitStatus.DONE, current_step_no=30)


def pass_last(client: APIClient, run: Run, sn: str) -> None:
    """Pass a unit through the last step by hand."""
    assert_done(track_in(client, "TST-01", sn, run.run_no), 201)
    data = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    assert_done(track_out(client, "TST-01", sn, run.run_no, data=data))


def draw(client: APIClient, run: Run, **body: Any) -> dict[str, Any]:
    return assert_done(client.post(f"/api/oqc/run/{run.run_no}", body), 201)


def act(client: APIClient, inspection: dict[str, Any], name: str, **body: Any) -> Any:
    return client.post(f"/api/oqc/{inspection['id']}/{name}", body)


def inspect(client: APIClient, run: Run, *, bad: int = 0, decision: str | None = None) -> dict[str, Any]:
    """Draw the lot of a run, record an item of each sampled unit, the first ones failed, and decide."""
    inspection = draw(client, run)
    assert_done(act(client, inspection, "start"))
    for number, sn in enumerate(inspection["sampleSns"]):
        result = "FAIL" if number < bad else "PASS"
        assert_done(act(client, inspection, "items", unitSn=sn, itemName="Look", result=result), 201)
    return assert_done(act(client, inspection, "complete", decision=decision))


__all__ = ["act", "draw", "finish", "inspect", "make_lot", "make_plant", "make_rule", "pass_last"]
