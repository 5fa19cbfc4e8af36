"""Which run is, or was at a time, the active one of a station or line: whatever needs "the run of the line" asks here.

A machine that knows no run number says where and when something happened. Then the activation of its station counts,
else that of the line which the station is of. Activations of one place never overlap (the database refuses it), and one
lasts from its first moment until, without it, its last.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from mes.platform.database.prepared import fetch_all
from mes.production.decision_models import RunActivation
from mes.production.models import Run

MOMENT = timedelta(microseconds=1)


class Moment(NamedTuple):
    """Where and when something happened."""

    station_code: str
    at: datetime


def run_id_at(station: str, at: str) -> str:
    """Return the scalar in SQL that is the id of the run which was active at a station, by its code, at a time."""
    return f"""
        (SELECT coalesce({_run_id_of("station_id", "s.id", at)}, {_run_id_of("line_id", "s.line_id", at)})
           FROM mes_station s WHERE s.code = {station})
    """


def _run_id_of(column: str, place: str, at: str) -> str:
    """Only the last one that began may last still: however many there are, one row is read."""
    return f"""
        (SELECT CASE WHEN active_to IS NULL OR active_to > {at} THEN run_id END FROM mes_runactivation
          WHERE {column} = {place} AND active_from <= {at} AND (active_to IS NULL OR active_to > active_from)
          ORDER BY active_from DESC LIMIT 1)
    """


FIND = f"SELECT {run_id_at('%(station)s::text', '%(at)s::timestamptz')}"
FIND_ALL = f"""
    SELECT r.run_no
      FROM unnest(%(stations)s::text[], %(times)s::timestamptz[]) WITH ORDINALITY AS m(station, at, index)
      LEFT JOIN mes_run r ON r.id = {run_id_at("m.station", "m.at")}
     ORDER BY m.index
"""


def find_active_run(moment: Moment) -> Run | None:
    """Return the run that was active then, with its order, line and route version; None where none was."""
    [[run_id]] = fetch_all(FIND, {"station": moment.station_code, "at": moment.at})
    if run_id is None:
        return None
    runs = Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
    return runs.get(pk=run_id)


def find_active_run_nos(moments: Sequence[Moment]) -> list[str | None]:
    """Return the number of the run that was active at each of these moments, in one query."""
    if not moments:
        return []
    stations, times = zip(*moments, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(FIND_ALL, {"stations": list(stations), "times": list(times)})
        return [run_no for (run_no,) in cursor.fetchall()]


# --- what other acts on a run do to it ---------------------------------------------------------------------

BEGIN_WHERE_NONE = """
    INSERT INTO mes_runactivation (line_id, run_id, active_from, set_by, ended_by)
    SELECT %(line)s, %(run)s, %(at)s, %(by)s, ''
     WHERE NOT EXISTS (
        SELECT FROM mes_runactivation WHERE line_id = %(line)s AND (active_to IS NULL OR active_to > %(at)s)
     )
    ON CONFLICT DO NOTHING
"""


def begin_where_none(run: Run, *, by: str) -> None:
    """Make a run, which is locked, the active one of its line where the line has none.

    The line is not locked: it comes before runs. Of two that are authorized at once, the database takes the first.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_WHERE_NONE, {"line": run.line_id, "run": run.pk, "at": timezone.now(), "by": by})


def end_all(run: Run) -> None:
    """End the activations of a run that ends; its row is locked."""
    present = RunActivation.objects.filter(run=run, active_to=None)
    present.update(active_to=Greatest(Value(timezone.now()), F("active_from")), ended_by=run.status_by)
