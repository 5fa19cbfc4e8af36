"""Storing and reading judged values. The only writer of `DataValue`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection
from django.db.models import Q

from execution.collecting import JudgedValue
from execution.models import DataValue, Track
from mes.specs.models import ItemType


class Owner(msgspec.Struct, frozen=True):
    """What collected values belong to. All ids are of rows; a value has a track or a carrier track."""

    unit_id: int | None
    run_id: int
    track_id: int | None
    carrier_track_id: int | None
    station_id: int | None
    step_no: int
    operation_code: str


ROW_COLUMNS = {
    "spec_id": "bigint",
    "name": "text",
    "item_type": "text",
    "value_number": "double precision",
    "value_text": "text",
    "value_boolean": "boolean",
    "value_json": "jsonb",
    "measure": "text",
    "lsl": "double precision",
    "usl": "double precision",
    "target": "double precision",
    "alarm_min": "double precision",
    "alarm_max": "double precision",
    "judge": "text",
    "reported_judge": "text",
    "alarmed": "boolean",
    "collected_at": "timestamptz",
}
OWNER_COLUMNS = Owner.__struct_fields__

# Reads from `owners`: a row for each event, with the JSON array of its values in `rows`. Device data embeds this in a
# larger statement, in which only the events that claimed their key have a row there.
INSERT_ROWS = f"""
    INSERT INTO execution_datavalue
           (received_at, record_id, source, operator, {", ".join(OWNER_COLUMNS)}, {", ".join(ROW_COLUMNS)})
    SELECT o.received_at, o.record_id, o.source, o.operator,
           {", ".join(f"o.{name}" for name in OWNER_COLUMNS)}, {", ".join(f"v.{name}" for name in ROW_COLUMNS)}
      FROM owners o CROSS JOIN LATERAL jsonb_to_recordset(o.rows)
           AS v({", ".join(f"{name} {kind}" for name, kind in ROW_COLUMNS.items())})
"""
OWNER_TYPES = {
    "received_at": "timestamptz",
    "source": "text",
    "operator": "text",
    "unit_id": "bigint",
    "run_id": "bigint",
    "track_id": "bigint",
    "carrier_track_id": "bigint",
    "station_id": "bigint",
    "step_no": "integer",
    "operation_code": "text",
    "rows": "jsonb",
}
STORE = f"""
    WITH owners AS (
        SELECT NULL::bigint AS record_id, g.*
          FROM jsonb_to_record(%(given)s::jsonb) AS g({", ".join(f"{n} {kind}" for n, kind in OWNER_TYPES.items())})
    ) {INSERT_ROWS}
"""


def to_rows(values: Iterable[JudgedValue]) -> list[dict[str, Any]]:
    """Return judged values as the rows that `INSERT_ROWS` reads."""
    return [_row(value) for value in values]


def _row(value: JudgedValue) -> dict[str, Any]:
    spec, reading = value.spec, value.reading
    return {
        "spec_id": spec.id,
        "name": spec.name,
        "item_type": spec.item_type,
        "value_number": reading.value_number,
        "value_text": reading.value_text,
        "value_boolean": reading.value_boolean,
        "value_json": reading.value_json,
        "measure": spec.unit,
        "lsl": spec.lsl,
        "usl": spec.usl,
        "target": spec.target,
        "alarm_min": spec.alarm_min,
        "alarm_max": spec.alarm_max,
        "judge": value.judge,
        "reported_judge": value.reported_judge,
        "alarmed": value.alarmed,
        "collected_at": value.collected_at,
    }


def owned(values: Iterable[JudgedValue], *, owner: Owner, source: str, operator: str) -> dict[str, Any]:
    """Return one row of `owners`, without its record and when it was received."""
    return {**msgspec.structs.asdict(owner), "source": source, "operator": operator, "rows": to_rows(values)}


def store(
    values: Sequence[JudgedValue], *, owner: Owner, received_at: datetime, source: str, operator: str = ""
) -> None:
    """Store the judged values of a track or carrier track, in the caller's transaction."""
    if not values:
        return
    given = {**owned(values, owner=owner, source=source, operator=operator), "received_at": received_at}
    with connection.cursor() as cursor:
        cursor.execute(STORE, {"given": msgspec.json.encode(given).decode()})


def since(track: Track) -> datetime:
    """Return the earliest time at which values of a track can have been received, which spares the older partitions.

    A day earlier than it was recorded: two web servers may stamp the two, and a carrier's pass comes first.
    """
    return track.created_at - timedelta(days=1)


def list_spec_ids(*, received_since: datetime, **owner: int) -> set[int]:
    """Return the specs that have a value on a track (`track_id`) or a carrier's pass (`carrier_track_id`)."""
    rows = DataValue.objects.filter(received_at__gte=received_since, **owner)
    return set(rows.order_by().values_list("spec_id", flat=True))


def get_deciding_judges(*, track: Track, carrier_track_id: int | None = None) -> Mapping[int, tuple[datetime, str]]:
    """Return (collected at, judge) of the latest collected value of each KEY spec on a track and its carrier pass."""
    place = Q(track_id=track.pk)
    if carrier_track_id is not None:
        place |= Q(carrier_track_id=carrier_track_id)
    rows = (
        DataValue.objects.filter(place, item_type=ItemType.KEY, received_at__gte=since(track))
        .exclude(judge="")
        .order_by("collected_at", "id")
        .values_list("spec_id", "collected_at", "judge")
    )
    return {spec_id: (collected_at, judge) for spec_id, collected_at, judge in rows}


def is_failed_by_data(track: Track, *, carrier_track_id: int | None = None) -> bool:
    """Whether the values of a track and its carrier pass force FAIL: for some KEY spec the latest collected fails."""
    judges = get_deciding_judges(track=track, carrier_track_id=carrier_track_id)
    return any(judge == "FAIL" for _at, judge in judges.values())
