"""A plant with two runs of one product, and what units are made to have been through."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Track
from mes.plant.models import Station
from mes.production.models import Run, Unit
from mes.routing.compilation import compile_route
from mes.routing.models import RouteVersion
from tests.factories import Plant, build_config, make_plant, make_route, make_run
from tests.integration.helpers import nothing_changes


class Asking:
    """Who asks, in a test."""

    client: APIClient


asking = Asking()
OPERATIONS = {10: ("PRINT", "SMT-01"), 20: ("REFLOW", "REF-01"), 30: ("TEST", "TST-01")}


def make_two_runs(*, units: int = 3, plan_qty: int = 100) -> tuple[Plant, Run]:
    """Make RUN-1 with units SN-1, SN-2, … and RUN-2 of the same version and product, without any."""
    plant = make_plant(units=units)
    return plant, make_run(plant.version, plant.line, run_no="RUN-2", plan_qty=plan_qty)


def make_version(*steps: tuple[int, str], code: str = "ROUTE-2", **fields: Any) -> RouteVersion:
    """Compile a route of MANUAL steps; of the plant's product, unless another is given."""
    routing = make_route(code, steps=steps, **fields)
    build_config(routing, station_type="MANUAL").save()
    return compile_route(code=code)[0]


def make_done(*sns: str, run_no: str = "RUN-1", status: str = "DONE") -> None:
    """Have units passed every step of the plant's route."""
    for sn in sns:
        make_passed(sn, 10, 20, 30)
    Unit.objects.filter(sn__in=sns).update(status=status, held_from="", current_step_no=30)


def make_passed(sn: str, *step_nos: int, result: str = "PASS") -> None:
    """Have a unit passed steps of the plant's route in its run, and stand at the next one."""
    unit = Unit.objects.get(sn=sn)
    at = timezone.now() - timedelta(hours=1)
    for step_no in step_nos:
        operation, _station = OPERATIONS[step_no]
        Track.objects.create(
            unit=unit,
            run_id=unit.run_id,
            step_no=step_no,
            operation_code=operation,
            station_id=_station_id(step_no),
            source="MANUAL",
            in_at=at,
            out_at=at + timedelta(minutes=step_no),
            result=result,
            claimed_result=result,
        )
        following = step_no if result == "FAIL" or step_no == 30 else step_no + 10
        Unit.objects.filter(pk=unit.pk).update(current_step_no=following)


def _station_id(step_no: int) -> int:
    return Station.objects.values_list("pk", flat=True).get(code=OPERATIONS[step_no][1])


def move(sns: Sequence[str] | str, to_run_no: str | None = "RUN-2", *, run_no: str = "RUN-1", **body: Any) -> Any:
    """Ask for a move."""
    named = [sns] if isinstance(sns, str) else list(sns)
    body = {"sns": named, "toRunNo": to_run_no, "reason": "Oven down", **body}
    return asking.client.post(f"/api/runs/{run_no}/units/move", body)


def bring_back(sns: Sequence[str] | str, run_no: str, **body: Any) -> Any:
    """Ask for a return."""
    named = [sns] if isinstance(sns, str) else list(sns)
    return asking.client.post(f"/api/runs/{run_no}/units/return", {"sns": named, "reason": "Complaint", **body})


def split(plan_qty: int, *, run_no: str = "RUN-1", **body: Any) -> Any:
    """Ask for a split."""
    return asking.client.post(f"/api/runs/{run_no}/split", {"planQty": plan_qty, "reason": "Friday", **body})


def moved(answer: Any) -> dict[str, int | None]:
    """Return the step at which each unit goes on."""
    assert answer.status_code == 200, answer.json()
    return {each["sn"]: each["stepNo"] for each in answer.json()["data"]["moved"]}


def refused(answer: Any) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def faults(answer: Any) -> dict[str, str]:
    """Return the code of each unit that could not be moved."""
    assert refused(answer) == (409, "UNITS_NOT_MOVABLE")
    return {each["sn"]: each["code"] for each in answer.json()["error"]["details"]["units"]}


__all__ = [
    "asking",
    "bring_back",
    "faults",
    "make_done",
    "make_passed",
    "make_two_runs",
    "make_version",
    "move",
    "moved",
    "nothing_changes",
    "refused",
    "split",
]
