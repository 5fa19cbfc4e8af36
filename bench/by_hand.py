"""A run that is done by hand, made once when somebody asks for it: units that wait, and units in its first station.

Imported when Django is set up.
"""

from typing import Any

from django.db import connection

from bench.case import number
from bench.plant import make_step, start_run
from execution import tracking
from execution.models import Track
from mes.plant.models import Line, OperationKind
from mes.production import runs
from mes.production.models import Run, Unit
from mes.routing.models import Routing

RUN, WAITING, INSIDE = "BENCH-HAND", "BENCH-HAND-WAITING", "BENCH-HAND-INSIDE"
OPERATION, STATION = "HAND", "BENCH-HAND"
LEAVING, ENTERING, HELD = "OUT", "IN", "HELD"  # what the units of this run are for, as their numbers end


def make_once() -> None:
    """Make the run and the two units that all others are made like, unless they are there."""
    if Run.objects.filter(run_no=RUN).exists():
        return
    line = Line.objects.get(code="BENCH")
    routing = Routing.objects.create(code=RUN, name="By hand", product_code="HAND")
    for step_no, code in ((10, OPERATION), (20, "HAND-PACK")):
        make_step(line, routing, step_no, code, operation_kind=OperationKind.ASSEMBLE)
    start_run(line, routing, RUN, WAITING)
    runs.register_units(run_no=RUN, sns=[INSIDE])
    tracking.track_in(run_no=RUN, sn=INSIDE, station_code=STATION, operator="bench")


def make_leaving(round_no: int, clients: int, each: int) -> None:
    """Make units that are in the first station, for the numbers of a round."""
    make_once()
    _make_units(INSIDE, LEAVING, round_no, clients, each)


def make_waiting(purpose: str, round_no: int, each: int) -> list[str]:
    """Make units that wait for their first station; return their serial numbers."""
    make_once()
    _make_units(WAITING, purpose, round_no, 1, each)
    first = number(round_no=round_no, client=0, count=0)
    return [f"B{first + count}-{purpose}" for count in range(each)]


# Units like a template, each with a copy of the track that the template is in, if it is in one; in SQL, since they are
# many.
_MAKE = """
    WITH made AS (
        INSERT INTO mes_unit (sn, {unit})
        SELECT 'B' || (%(first)s + client * 1000000000000 + count) || '-' || %(purpose)s, {unit}
          FROM mes_unit, generate_series(0, %(clients)s - 1) AS client, generate_series(0, %(each)s - 1) AS count
         WHERE sn = %(template)s
        RETURNING id
    )
    INSERT INTO execution_track (unit_id, {track})
    SELECT made.id, {track}
      FROM execution_track, made WHERE unit_id = (SELECT id FROM mes_unit WHERE sn = %(template)s)
"""


def _make_units(template: str, purpose: str, round_no: int, clients: int, each: int) -> None:
    unit = [str(field.column) for field in Unit._meta.concrete_fields if field.column not in ("id", "sn")]
    track = [str(field.column) for field in Track._meta.concrete_fields if field.column not in ("id", "unit_id")]
    values: dict[str, Any] = {
        "first": number(round_no=round_no, client=0, count=0),
        "purpose": purpose,
        "clients": clients,
        "each": each,
        "template": template,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MAKE.format(unit=", ".join(unit), track=", ".join(track)), values)
        cursor.execute("ANALYZE mes_unit, execution_track")
