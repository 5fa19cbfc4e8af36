"""Rows of every list, many at once."""

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from execution.models import DataValue
from ingest.models import SettledIngestEvent
from integration.models import FailedMessage, SettledMessage
from mes.line_setup.checks.models import CheckForm, CheckRecord
from mes.line_setup.models import MaterialLot, Tool
from mes.plant.models import Operation
from mes.platform.notifications.rule_models import NotificationRule
from mes.production.hold_models import Hold, HoldScope
from mes.production.models import Run, Unit, WorkOrder
from mes.qualifications.models import Qualification
from mes.routing.models import Routing
from mes.specs.models import DataCollectionSpec
from tests.factories import Plant, build_operation, build_spec


def make_rows(plant: Plant, number: int, *, first: int = 0, at: datetime | None = None) -> None:
    """Make so many rows more of every list, a second apart."""
    at = at or timezone.now() - timedelta(hours=1)
    numbers = range(first, first + number)
    make_values(plant, [at + timedelta(seconds=n) for n in range(number)])
    WorkOrder.objects.bulk_create(WorkOrder(wo_no=f"L-{n:04}", product_code="P", planned_qty=1) for n in numbers)
    Run.objects.bulk_create(
        Run(run_no=f"L-{n:04}", work_order=plant.order, line=plant.line, route_version=plant.version, plan_qty=1)
        for n in numbers
    )
    Unit.objects.bulk_create(Unit(sn=f"L-{n:04}", work_order=plant.order, run=plant.run) for n in numbers)
    Routing.objects.bulk_create(Routing(code=f"L-{n:04}", name="Route") for n in numbers)
    DataCollectionSpec.objects.bulk_create(build_spec(plant.operations["PRINT"], f"L-{n:04}") for n in numbers)
    someone = User.objects.order_by("pk").first() or User.objects.create(username="l")
    operations = Operation.objects.bulk_create(build_operation(f"L-{n:04}") for n in numbers)
    Qualification.objects.bulk_create(Qualification(person=someone, operation=each) for each in operations)
    MaterialLot.objects.bulk_create(MaterialLot(lot_id=f"L-{n:04}") for n in numbers)
    Hold.objects.bulk_create(
        Hold(scope=HoldScope.UNITS, reason=f"L-{n:04}", opened_by="quality", opened_at=at) for n in numbers
    )
    form = CheckForm.objects.order_by("pk").first()
    CheckRecord.objects.bulk_create(
        CheckRecord(form=form, subject_type="TOOL", subject_code=f"L-{n:04}", verdict="PASS", at=at) for n in numbers
    )
    Tool.objects.bulk_create(Tool(tool_id=f"L-{n:04}") for n in numbers)
    NotificationRule.objects.bulk_create(
        NotificationRule(name=f"L-{n:04}", event="HOLD_OPENED", roles=["QUALITY"], channels=["APP"]) for n in numbers
    )
    SettledIngestEvent.objects.bulk_create(
        SettledIngestEvent(
            received_at=at,
            source_system="S",
            dedupe_key=f"L-{n:04}",
            status="APPLIED",
            payload={},
            run=plant.run,
            station=plant.stations["REF-01"],
            sns=["SN-1"],
        )
        for n in numbers
    )
    SettledMessage.objects.bulk_create(
        SettledMessage(
            received_at=at,
            direction="INBOUND",
            entity_type="STENCIL_STATUS",
            business_key=f"L-{n:04}",
            dedupe_key=f"L-{n:04}",
            status="SUCCESS",
        )
        for n in numbers
    )
    FailedMessage.objects.bulk_create(
        FailedMessage(
            received_at=at,
            direction="INBOUND",
            entity_type="DEVICE_DATA",
            business_key=f"F-{n:04}",
            dedupe_key=f"F-{n:04}",
            status="FAILED",
            error_code="TRACK_NOT_FOUND",
            digest=b"x",
        )
        for n in numbers
    )


def make_values(plant: Plant, times: list[datetime], **fields: object) -> list[DataValue]:
    """Make a value at each of these times, in this order."""
    given = {
        "unit": plant.units[0],
        "run": plant.run,
        "station": plant.stations["REF-01"],
        "spec": plant.peak,
        "step_no": 20,
        "operation_code": "REFLOW",
        "name": "Peak Temperature",
        "item_type": "KEY",
        "lsl": 235,
        "usl": 250,
        "judge": "PASS",
        "source": "AUTO",
    }
    return DataValue.objects.bulk_create(
        DataValue(**{"received_at": at, "collected_at": at, "value_number": 200 + n, **given, **fields})
        for n, at in enumerate(times)
    )
