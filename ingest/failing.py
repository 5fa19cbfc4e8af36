"""What a report of a machine event says against its unit."""

from datetime import datetime

from execution.failing_reports import FailingReport, find_failing, judge_fitting
from ingest.candidates import Candidate
from ingest.mapping.extract import UnitReport
from ingest.mapping.measurements import to_readings


def read_failing(candidate: Candidate, report: UnitReport, at: datetime) -> FailingReport | None:
    """Return what a report says against a unit, by the frozen limits; a value that does not fit says nothing."""
    step = candidate.step.step
    readings = to_readings(candidate.mapping, report.measurements, step, at=at).readings
    judged = judge_fitting(readings, step, source="AUTO", default_time=at)
    return find_failing(step.step_no, report.result, judged)
