"""What the page of a station shows: whether it may work, what waits and what is in it, and what went wrong most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from execution import queries, unit_state
from execution.entering import Entering
from execution.permit_reasons import Reason, explain
from execution.quality.models import Defect
from execution.quality.record_types import DEFECT
from execution.station_page.figures import ShiftFigures, shift_figures
from mes import errors
from mes.plant.models import Station
from mes.platform.database.prepared import fetch_all
from mes.platform.files.queries import attach

READ = unit_state.statement(takes_track_id=False)
MOST_USED = 9  # one for each key of digits
USED_SINCE = timedelta(weeks=4)
MOST_INSIDE = 500  # units that are told, those that entered first
LOOKED_AT = 5000  # defects of the plant, the newest: so that looking costs the same however many there are

# Of each operation at a station, the codes that were named most. A defect without a track counts for none.
USED_CODES = f"""
    SELECT t.operation_code, found.code
      FROM (SELECT code, track_id, station_id FROM execution_defect
             WHERE found_at >= %(since)s::timestamptz AND found_at <= %(until)s::timestamptz
             ORDER BY found_at DESC LIMIT {LOOKED_AT}) AS found
      JOIN execution_track t ON t.id = found.track_id
     WHERE found.station_id = ANY(ARRAY[%(station_id)s::bigint])
     GROUP BY t.operation_code, found.code
     ORDER BY t.operation_code, count(*) DESC, found.code
"""


@dataclass(frozen=True)
class StationNow:
    """A station as it is now. `reasons` are why no unit may enter it, whichever: it, its line or its machines stand
    still. `inside` and `waiting` are as the interface lists them (`queries.get_station_queue`), at most `MOST_INSIDE`
    and `QUEUE_LIMIT`.
    """

    station: Station
    reasons: Sequence[Reason]
    inside: Sequence[Mapping[str, Any]]
    waiting: Sequence[Mapping[str, Any]]
    figures: ShiftFigures

    @property
    def is_more_inside(self) -> bool:
        """Whether more units may be inside than are told."""
        return len(self.inside) >= MOST_INSIDE

    @property
    def is_more_waiting(self) -> bool:
        """Whether more units wait than are told."""
        return len(self.waiting) >= queries.QUEUE_LIMIT


def load_now(station_code: str) -> StationNow:
    """Load a station in six statements, one more where a run has deviations, and at most one where it stands still.

    Raises StationNotFound.
    """
    now = timezone.now()
    place = unit_state.load_states([], stations=[station_code], locked=None, reading=READ).station_states.get(
        station_code
    )
    if place is None:
        raise errors.StationNotFound(code=station_code)
    refusals = Entering(place, None, None, now, by_machine=False).list_refusals()
    queue = queries.get_station_queue(station_code, most_inside=MOST_INSIDE)
    return StationNow(
        station=place.station,
        reasons=explain([(refusal, None) for refusal in refusals]),
        inside=queue["inStation"],
        waiting=queue["waiting"],
        figures=shift_figures([place.station], now)[place.station.pk],
    )


def list_defects(track_id: int) -> list[Defect]:
    """Return the defects of a pass with their files, as they were named; two statements."""
    found = list(Defect.objects.filter(track=track_id).order_by("id"))
    attach(DEFECT, found)
    return found


def list_most_used(station: Station) -> dict[str, list[str]]:
    """Return the defect codes that were named most at a station of late, by operation, the most used first; one
    statement, whose cost does not grow with the plant.
    """
    now = timezone.now()
    given = {"since": now - USED_SINCE, "until": now, "station_id": station.pk}
    found: dict[str, list[str]] = {}
    for operation, code in fetch_all(USED_CODES, given):
        found.setdefault(operation, []).append(code)
    return {operation: codes[:MOST_USED] for operation, codes in found.items()}
