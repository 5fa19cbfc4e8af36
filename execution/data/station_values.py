"""Values of a station itself, such as the program a machine has loaded: of no unit, and of no run."""

from collections.abc import Sequence

from django.utils import timezone

from execution.data import values
from mes import errors
from mes.plant.models import Operation, Station
from mes.platform.database.lookup import get_or_raise
from mes.routing import judging
from mes.routing.judging import JudgedValue, Reading
from mes.status_reports.history import Report, keep
from mes.status_reports.models import ReportKind, StatusReport


def report_station_values(
    report: Report, *, station_code: str, operation_code: str, readings: Sequence[Reading]
) -> tuple[StatusReport, list[JudgedValue]]:
    """Take values of a station, collected at the time of the report and judged by the live specs of an operation.

    They fail no pass and hold no unit. Raises StationNotFound, OperationNotFound, ValidationFailed, DataSpecNotFound,
    SpecNotAuto, DataTypeMismatch.
    """
    judging.check_shape(readings)
    station = get_or_raise(Station.objects, errors.StationNotFound, code=station_code)
    if not Operation.objects.filter(code=operation_code).exists():
        raise errors.OperationNotFound(code=operation_code)
    judged = judging.collect_live(readings, operation_code, source=report.source, default_time=report.event_time)
    owner = values.Owner(
        unit_id=None,
        run_id=None,
        track_id=None,
        carrier_track_id=None,
        station_id=station.pk,
        step_no=None,
        operation_code=operation_code,
    )
    values.store(
        judged,
        owner=owner,
        received_at=timezone.now(),
        source=report.source,
        operator=report.operator_id,
        by=report.recorded_by,
    )
    return keep(report, kind=ReportKind.STATION_DATA, subject=station_code), judged
