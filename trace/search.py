"""Finding units, runs, work orders and carriers by what a scanner reads or a person begins to type."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from execution.models import Carrier
from mes.platform.scans import UNIT, read_scan, take_part
from mes.production.identity_models import UnitAlias
from mes.production.models import Run, Unit, WorkOrder
from trace.runs import RunState, build_states

SHOWN = 20


@dataclass(frozen=True)
class Found:
    """What begins with the text. `exact_wo_no` is set when an order is called exactly so."""

    text: str
    units: Sequence[Unit]
    runs: Sequence[RunState]
    has_more_units: bool
    has_more_runs: bool
    carriers: Sequence[Carrier] = ()
    has_more_carriers: bool = False
    orders: Sequence[WorkOrder] = ()
    has_more_orders: bool = False
    exact_wo_no: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing begins with the text."""
        return not (self.units or self.runs or self.carriers or self.orders)


def read_text(scanned: str) -> tuple[str, str]:
    """Return what to look for, and in words what is wrong with a label that names no unit.

    Of a label, that is its serial number; a plain text, and a label that cannot be used, are looked for as they are.
    """
    try:
        return take_part(scanned, UNIT), ""
    except ValidationError as error:
        return read_scan(scanned).text, " ".join(error.messages)


def find(text: str) -> Found:
    """Search serial numbers, run numbers, work orders and carriers by their beginning, as written, else in capitals.

    Each kind is one query over an index, units one more by serial numbers that they had.
    """
    results = _find(text)
    capitals = text.upper()
    return _find(capitals) if results.is_empty and capitals != text else results


def _find(text: str) -> Found:
    units = list(Unit.objects.filter(sn__startswith=text).select_related("run").order_by("sn")[: SHOWN + 1])
    earlier = UnitAlias.objects.filter(sn__startswith=text).select_related("unit__run").order_by("sn")
    units = list({unit.pk: unit for unit in (*units, *(alias.unit for alias in earlier[: SHOWN + 1]))}.values())
    runs = list(_runs().filter(run_no__startswith=text).order_by("run_no")[: SHOWN + 1])
    orders = list(WorkOrder.objects.filter(wo_no__startswith=text).order_by("wo_no")[: SHOWN + 1])
    of_orders = list(_runs().filter(work_order__in=orders[:SHOWN]).order_by("work_order__wo_no", "-id")[: SHOWN + 1])
    carriers = list(Carrier.objects.filter(carrier_no__startswith=text).order_by("carrier_no")[: SHOWN + 1])
    together = list({run.pk: run for run in (*runs, *of_orders)}.values())
    states = build_states(together[:SHOWN])
    return Found(
        text=text,
        units=units[:SHOWN],
        runs=[states[run.pk] for run in together[:SHOWN]],
        has_more_units=len(units) > SHOWN,
        has_more_runs=len(together) > SHOWN,
        carriers=carriers[:SHOWN],
        has_more_carriers=len(carriers) > SHOWN,
        orders=orders[:SHOWN],
        has_more_orders=len(orders) > SHOWN,
        exact_wo_no=text if orders and orders[0].wo_no == text else None,
    )


def _runs() -> QuerySet[Run]:
    return Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
