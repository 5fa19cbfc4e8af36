"""Storing and reading judged values. The only writer of `DataValue`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from execution.models import CarrierTrackUnit, Track
from mes.platform.database.prepared import as_json, columns_of, fetch_all
from mes.routing.judging import FailedValue, JudgedValue
from mes.specs.models import ItemType


class Owner(msgspec.Struct, frozen=True):
    """What collected values belong to. All ids are of rows.

    A value has a track or a carrier track; one of a station itself has neither, nor a run.
    """

    unit_id: int | None
    run_id: int | None
    track_id: int | None
    carrier_track_id: int | None
    station_id: int | None
    step_no: int | None
    operation_code: str


SPEC_COLUMNS = {  # in the order of snapshots.KEPT_WITH_VALUES
    "spec_id": "bigint",
    "name": "text",
    "item_type": "text",
    "measure": "text",
    "lsl": "double precision",
    "usl": "double precision",
    "target": "double precision",
    "alarm_min": "double precision",
    "alarm_max": "double precision",
}
READING_COLUMNS = {
    "value_number": "double precision",
    "value_text": "text",
    "value_boolean": "boolean",
    "value_json": "jsonb",
    "judge": "text",
    "reported_judge": "text",
    "alarmed": "boolean",
    "collected_at": "timestamptz",
}
OWNER_COLUMNS = Owner.__struct_fields__

# Reads from `owners`: a row for each event, with the JSON array of its values in `rows`. Device data embeds this in a
# larger statement, in which only the events that claimed their key have a row there. OFFSET 0: the array of the spec is
# taken out once, not for each of its columns.
INSERT_ROWS = f"""
    INSERT INTO execution_datavalue
           (received_at, record_id, source, operator, recorded_by,
            {", ".join([*OWNER_COLUMNS, *SPEC_COLUMNS, *READING_COLUMNS])})
    SELECT o.received_at, o.record_id, o.source, o.operator, o.recorded_by,
           {", ".join(f"o.{name}" for name in OWNER_COLUMNS)}, s.*, v.*
      FROM owners o CROSS JOIN LATERAL jsonb_array_elements(o.rows) AS given(value)
           CROSS JOIN LATERAL (SELECT given.value->0 AS content OFFSET 0) AS spec
           CROSS JOIN LATERAL (SELECT {columns_of("spec.content", SPEC_COLUMNS)}) AS s
           CROSS JOIN LATERAL (SELECT {columns_of("given.value", READING_COLUMNS, first=1)}) AS v
"""
OWNER_TYPES = {
    "received_at": "timestamptz",
    "source": "text",
    "operator": "text",
    "recorded_by": "text",
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


class Row(msgspec.Struct, array_like=True, gc=False):
    """A value as `INSERT_ROWS` reads it: an array of what its spec says, and READING_COLUMNS in their order. Made by
    place, not by name: with this many fields names cost several times as much.
    """

    spec: msgspec.Raw
    value_number: float | None
    value_text: str | None
    value_boolean: bool | None
    value_json: Any
    judge: str
    reported_judge: str
    alarmed: bool
    collected_at: datetime


def to_rows(values: Iterable[JudgedValue]) -> list[Row]:
    """Return judged values as the rows that `INSERT_ROWS` reads."""
    return [_row(value) for value in values]


def _row(value: JudgedValue) -> Row:
    reading = value.reading
    return Row(
        value.spec.kept,
        reading.value_number,
        reading.value_text,
        reading.value_boolean,
        reading.value_json,
        value.judge,
        value.reported_judge,
        value.alarmed,
        value.collected_at,
    )


def store(
    values: Sequence[JudgedValue], *, owner: Owner, received_at: datetime, source: str, operator: str = "", by: str
) -> None:
    """Store the judged values of a track or carrier track, in the caller's transaction. `by` is who was signed in."""
    if not values:
        return
    owner_row = {
        **msgspec.structs.asdict(owner),
        "received_at": received_at,
        "source": source,
        "operator": operator,
        "recorded_by": by,
        "rows": to_rows(values),
    }
    with connection.cursor() as cursor:
        cursor.execute(STORE, {"given": as_json(owner_row)})  # type: ignore[dict-item]


class Verdict(NamedTuple):
    """When and how the latest value of a KEY spec was judged; where it failed, what it was."""

    collected_at: datetime
    judge: str
    failed: FailedValue | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The values that a track and its carrier's pass had before.

    The ids of their specs, and of each KEY spec when and how its latest collected one was judged.
    """

    on_track: frozenset[int] = frozenset()
    on_carrier: frozenset[int] = frozenset()
    judges: Mapping[int, Verdict] = field(default_factory=dict)

    def joined(self, other: "Earlier") -> "Earlier":
        """Return these and those of the carrier's pass that the track becomes part of."""
        judges = dict(self.judges)
        for spec_id, judged in other.judges.items():
            judges[spec_id] = max(judges.get(spec_id, judged), judged, key=_rank)
        return Earlier(self.on_track | other.on_track, self.on_carrier | other.on_carrier, judges)


NOTHING_EARLIER = Earlier()

# Of several values of a spec, the latest collected that was judged; of those of one instant the worse. OFFSET 0 keeps
# the planner to the tracks' own index entries while it knows nothing of the table.
_FAILED = """json_build_array(name, COALESCE(to_json(value_number), to_json(left(value_text, 200)),
              to_json(value_boolean), value_json::json), lsl, usl, measure)::text"""
_EARLIER = f"""SELECT id, track_id, carrier_track_id, spec_id, collected_at, item_type, judge,
                      CASE WHEN item_type = 'KEY' AND judge = 'FAIL' THEN {_FAILED} END AS failed
                 FROM execution_datavalue"""
FIND_EARLIER = f"""
    SELECT DISTINCT ON (track_id, carrier_track_id, spec_id)
           track_id, carrier_track_id, spec_id, collected_at, id,
           CASE WHEN item_type = 'KEY' THEN judge ELSE '' END, failed
      FROM (
        SELECT v.* FROM unnest(%(units)s::bigint[], %(tracks)s::bigint[]) AS of (unit_id, track_id) CROSS JOIN LATERAL (
            {_EARLIER} d WHERE d.unit_id = of.unit_id AND d.track_id = of.track_id AND received_at >= %(since)s OFFSET 0
        ) AS v
        UNION ALL
        {_EARLIER} WHERE carrier_track_id = ANY(%(carrier_tracks)s::bigint[]) AND received_at >= %(since)s
      ) AS earlier
     ORDER BY track_id, carrier_track_id, spec_id, (judge <> '') DESC, collected_at DESC,
              (judge = 'FAIL') DESC, id DESC
"""


class Passing(NamedTuple):
    """A unit's track, with the carrier's pass that it is part of. Without a unit, the carrier's pass alone."""

    unit_id: int | None
    track_id: int
    carrier_track_id: int | None


def find_earlier(passes: Sequence[Passing], *, created_since: datetime) -> dict[int, Earlier]:
    """Return what came before, by track; one query.

    `created_since` is when the first of these tracks and passes was recorded, which spares the older partitions. Two
    web servers may stamp a track and its values, so a day more is searched.
    """
    own = [passing for passing in passes if passing.unit_id is not None]
    carrier_tracks = {passing.carrier_track_id for passing in passes if passing.carrier_track_id is not None}
    rows = fetch_all(
        FIND_EARLIER,
        {
            "since": created_since - timedelta(days=1),
            "units": _as_array(passing.unit_id for passing in own if passing.unit_id is not None),
            "tracks": _as_array(passing.track_id for passing in own),
            "carrier_tracks": _as_array(carrier_tracks),
        },
    )
    of_tracks: dict[int, list[tuple[Any, ...]]] = {}
    of_carriers: dict[int, list[tuple[Any, ...]]] = {}
    for track_id, carrier_track_id, *value in rows:
        owners, owner = (of_tracks, track_id) if track_id is not None else (of_carriers, carrier_track_id)
        owners.setdefault(owner, []).append(tuple(value))
    return {
        passing.track_id: _earlier(
            of_tracks.get(passing.track_id, []), of_carriers.get(passing.carrier_track_id or 0, [])
        )
        for passing in passes
    }


def _as_array(ids: Iterable[int]) -> str:
    """Return ids as the text of an array, so that they are of one type however large they are."""
    return f"{{{','.join(map(str, ids))}}}"


def _earlier(on_track: Sequence[tuple[Any, ...]], on_carrier: Sequence[tuple[Any, ...]]) -> Earlier:
    judged = sorted((row for row in (*on_track, *on_carrier) if row[3]), key=lambda row: _rank(row[1::2]))
    return Earlier(
        on_track=frozenset(row[0] for row in on_track),
        on_carrier=frozenset(row[0] for row in on_carrier),
        judges={
            spec_id: Verdict(collected_at, judge, _decode_failed(failed) if failed else None)
            for spec_id, collected_at, _id, judge, failed in judged
        },
    )


_decode_failed = msgspec.json.Decoder(FailedValue).decode


def _rank(judged: Sequence[Any]) -> tuple[datetime, bool]:
    """Return what orders values of a spec, by when they were collected and how they were judged: the last counts."""
    collected_at, judge = judged[:2]
    return collected_at, judge == "FAIL"


def on_carrier(judged: Sequence[JudgedValue]) -> Earlier:
    """Return what the values of a carrier's new pass are for the tracks that are part of it."""
    return Earlier(on_carrier=frozenset(value.spec.id for value in judged), judges=_latest({}, judged))


def is_failed(earlier: Earlier, judged: Sequence[JudgedValue] = ()) -> bool:
    """Whether values force FAIL: for some KEY spec the latest collected one fails, of one instant the worse."""
    return any(verdict.judge == "FAIL" for verdict in _latest(earlier.judges, judged).values())


def list_failed(earlier: Earlier, judged: Sequence[JudgedValue] = ()) -> list[FailedValue]:
    """Return the KEY values that force FAIL: of each spec the one that counts."""
    return [verdict.failed for verdict in _latest(earlier.judges, judged).values() if verdict.failed is not None]


def _latest(before: Mapping[int, Verdict], judged: Sequence[JudgedValue]) -> dict[int, Verdict]:
    """Return how the latest collected value of each KEY spec was judged, of those of one instant the worse."""
    judges = dict(before)
    for value in judged:
        if value.spec.item_type == ItemType.KEY and value.judge:
            verdict = Verdict(value.collected_at, value.judge, value.failed)
            judges[value.spec.id] = max(judges.get(value.spec.id, verdict), verdict, key=_rank)
    return judges


def find_failed(tracks: Iterable[Track]) -> set[int]:
    """Return the ids of those tracks whose values, with those of the carrier's pass they are part of, force FAIL."""
    return {track_id for track_id, earlier in find_of_tracks(tracks).items() if is_failed(earlier)}


def find_of_tracks(tracks: Iterable[Track]) -> dict[int, Earlier]:
    """Return the values that tracks and the carriers' passes they are part of have by now, by track; two queries."""
    of_units = {track.pk: track for track in tracks}
    if not of_units:
        return {}
    parts = CarrierTrackUnit.objects.filter(track_id__in=of_units).values_list(
        "track_id", "carrier_track_id", "carrier_track__created_at"
    )
    carried = {track_id: carrier_track_id for track_id, carrier_track_id, _at in parts}
    return find_earlier(
        [Passing(track.unit_id, pk, carried.get(pk)) for pk, track in of_units.items()],
        created_since=min([*(track.created_at for track in of_units.values()), *(at for _pk, _carrier, at in parts)]),
    )
