"""What a transfer costs: as many statements for a hundred units as for a thousand."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from execution.models import Carrier, CarrierLoad
from execution.transfers import services, splits
from mes.production.models import Run, RunStatus, Unit
from tests.execution.transfers.support import make_version
from tests.factories import make_plant, make_run

FEW, MANY = 100, 1000
TOLD = {"reason": "Oven down", "by": "ann"}


def make_units(count: int, status: str) -> list[str]:
    """Make RUN-1 with so many units, of two statuses, ten on each carrier, and RUN-2 that differs at step 20."""
    plant = make_plant(units=0, plan_qty=2000)
    names = [f"SN-{number}" for number in range(count)]
    Unit.objects.bulk_create(
        Unit(sn=sn, run=plant.run, work_order=plant.order, current_step_no=10, status=status) for sn in names
    )
    Unit.objects.filter(sn__endswith="7").update(status="ON_HOLD", held_from=status)
    carriers = Carrier.objects.bulk_create(Carrier(carrier_no=f"P-{number}") for number in range(count // 10))
    units = Unit.objects.order_by("id")
    CarrierLoad.objects.bulk_create(
        CarrierLoad(carrier=carriers[index // 10], unit=unit) for index, unit in enumerate(units)
    )
    version = make_version((10, "PRINT"), (20, "TEST"))
    make_run(version, plant.line, run_no="RUN-2", plan_qty=2000)
    return names


def move(sns: list[str]) -> Any:
    return services.move_units(run_no="RUN-1", sns=sns[:-1], to_run_no="RUN-2", **TOLD)


def move_to_step(sns: list[str]) -> Any:
    return services.move_units(run_no="RUN-1", sns=sns[:-1], to_run_no="RUN-2", to_step_no=10, **TOLD)


def take_back(sns: list[str]) -> Any:
    return services.take_back(run_no="RUN-1", sns=sns[:-1], **TOLD)


def bring_back(sns: list[str]) -> Any:
    Run.objects.filter(run_no="RUN-1").update(status=RunStatus.COMPLETED)
    Run.objects.filter(run_no="RUN-2").update(kind="REWORK")
    return services.return_units(run_no="RUN-2", sns=sns[:-1], **TOLD)


def split(sns: list[str]) -> Any:
    return splits.split_run(run_no="RUN-1", plan_qty=1500, sns=sns[:-1], **TOLD)


@pytest.mark.parametrize(
    ("transfer", "status"),
    [(move, "QUEUED"), (move_to_step, "OUT_FAILED"), (take_back, "QUEUED"), (bring_back, "DONE"), (split, "QUEUED")],
)
def test_statements_do_not_grow_with_the_units(
    db: None, transfer: Callable[[list[str]], Any], status: str, django_capture_on_commit_callbacks: Any
) -> None:
    counts = []
    for count in (FEW, MANY):
        with transaction.atomic():
            sns = make_units(count, status)
            with CaptureQueriesContext(connection) as seen, django_capture_on_commit_callbacks(execute=True):
                transfer(sns)
            counts.append(len(seen))
            assert Unit.objects.filter(run__run_no="RUN-1").count() == 1
            transaction.set_rollback(True)
    assert counts[0] == counts[1] <= 40
