"""What deviations allow a unit at a moment. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from execution.deviations.models import DeviationType
from mes.routing.snapshots import StepSnapshot


class InForce(msgspec.Struct, array_like=True, frozen=True):
    """A deviation that covers a unit, as far as its moves depend on it."""

    id: int
    type: str
    step_no: int
    operation_code: str
    station_codes: list[str]
    expires_at: datetime
    requested_by: str
    approved_by: str
    reason: str

    def is_about(self, step: StepSnapshot, at: datetime) -> bool:
        """Whether it is about a step, and not over at that moment: the moment of the move counts."""
        return (self.step_no, self.operation_code) == (step.step_no, step.operation_code) and at < self.expires_at


# Those of the run of a unit `u`, where the run `r` says that it has any: read with the unit, in no further statement.
COVERING = """
    CASE WHEN r.has_deviations THEN (
        SELECT json_agg(json_build_array(d.id, d.type, d.step_no, d.operation_code, d.station_codes, d.expires_at,
                                         d.requested_by, d.approved_by, d.reason) ORDER BY d.id)::text
          FROM execution_deviation d
         WHERE d.run_id = r.id AND d.status = 'IN_FORCE' AND (d.unit_ids IS NULL OR u.id = ANY(d.unit_ids))
    ) END
"""
decode = msgspec.json.Decoder(list[InForce]).decode


def find_skip(in_force: Iterable[InForce], step: StepSnapshot, at: datetime) -> InForce | None:
    """Return the deviation by which a unit goes past a step."""
    skips = (each for each in in_force if each.type == DeviationType.SKIP and each.is_about(step, at))
    return next(skips, None)


def lets_run(in_force: Sequence[InForce], station_code: str, step: StepSnapshot, at: datetime) -> bool:
    """Whether a deviation lets a station, of whatever type, group and line, run a step."""
    return any(
        each.type == DeviationType.STATION and station_code in each.station_codes and each.is_about(step, at)
        for each in in_force
    )
