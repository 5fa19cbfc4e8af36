"""What a report of a machine event says against its unit."""

from datetime import datetime

from execution.failing_reports import FailingReport, find_failing, judge_fitting
from execution.quality.defect_codes.catalogue import Codes
from execution.quality.defects import find_counting
from ingest.candidates import Candidate
from ingest.mapping.extract import UnitReport
from ingest.mapping.measurements import to_readings


def read_failing(
    candidate: Candidate, report: UnitReport, at: datetime, *, source_system: str, codes: Codes
) -> FailingReport | None:
    """Return what a report says against a unit, by the frozen limits and the defect codes; a value that does not fit
    says nothing.
    """
    step = candidate.step.step
    readings = to_readings(candidate.mapping, report.measurements, step, at=at).readings
    judged = judge_fitting(readings, step, source="AUTO", default_time=at)
    defects = find_counting(report.defects, source_system, codes)
    return find_failing(step.step_no, report.result, judged, defects)
