"""Accepted reports of machines, before they are kept."""

from dataclasses import dataclass
from datetime import datetime

from mes.production_counts.windows import NO_COUNTS, Counts


@dataclass(frozen=True, slots=True, order=True)
class Machine:
    """Whose counters they are: a machine at a step of a run."""

    run_id: int
    station_id: int
    step_no: int
    equipment_id: str
    line_id: int
    operation_code: str

    @property
    def key(self) -> tuple[int, int, int, str]:
        return self.run_id, self.station_id, self.step_no, self.equipment_id


@dataclass(frozen=True, slots=True)
class NewReport:
    """An accepted report. `id` and `received_at` are those of its device data record."""

    id: int
    received_at: datetime
    machine: Machine
    window_start: datetime
    window_end: datetime
    is_cumulative: bool
    counts: Counts
    moduli: Counts = NO_COUNTS
