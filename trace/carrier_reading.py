"""Everything about one carrier, read in two prepared statements: it with its loads and passes, then the values."""

from datetime import datetime

import msgspec

from execution.models import TrackResult
from mes.errors import CarrierNotFound
from mes.platform.database.prepared import fetch_all
from mes.production.models import UnitStatus
from trace.unit_rows import Named, Row, RunNamed, ValueRow, label
from trace.values import CLOCKS_DIFFER

MOST_LOADS = 500  # the newest; carriers are used for years
MOST_PASSES = 100


class LoadedUnit(Row, frozen=True, gc=False):
    """A unit that was loaded: `mes.production.models.Unit`."""

    sn: str
    status: str

    def get_status_display(self) -> str:
        return label(UnitStatus, self.status)


class CarriedRow(Row, frozen=True, gc=False):
    """A unit on the carrier: `execution.models.CarrierLoad`."""

    unit: LoadedUnit
    position: str
    loaded_at: datetime
    unloaded_at: datetime | None


class UnitNamed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A unit by its serial number."""

    sn: str


class PartTrack(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The pass of a unit that took part in the carrier's."""

    unit: UnitNamed
    result: str

    def get_result_display(self) -> str:
        return label(TrackResult, self.result)


class PartRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A unit's part in the carrier's pass: `execution.models.CarrierTrackUnit`."""

    track_id: int
    track: PartTrack


class PassedRow(Row, frozen=True, gc=False):
    """A pass of the carrier, with the units that took part: `execution.models.CarrierTrack`."""

    run: RunNamed
    step_no: int
    operation_code: str
    station: Named | None
    in_at: datetime
    out_at: datetime | None
    created_at: datetime
    parts: list[PartRow]


class CarrierRow(msgspec.Struct, frozen=True, gc=False):
    """A carrier, its newest loads and its newest passes, newest first."""

    carrier_no: str
    created_at: datetime
    loads: list[CarriedRow]
    passes: list[PassedRow]


_LOADS = f"""
    (SELECT json_agg(json_build_array(l.id, json_build_array(u.id, u.sn, u.status), l.position, l.loaded_at,
                                      l.unloaded_at) ORDER BY l.id DESC)::text
       FROM (SELECT * FROM execution_carrierload WHERE carrier_id = c.id ORDER BY id DESC LIMIT {MOST_LOADS}) AS l
       JOIN mes_unit u ON u.id = l.unit_id)
"""
_PARTS = """
    (SELECT json_agg(json_build_array(p.track_id, json_build_array(json_build_array(u.sn), t.result)) ORDER BY p.id)
       FROM execution_carriertrackunit p
       JOIN execution_track t ON t.id = p.track_id
       JOIN mes_unit u ON u.id = t.unit_id
      WHERE p.carrier_track_id = x.id)
"""
_PASSES = f"""
    (SELECT json_agg(json_build_array(
                x.id, (SELECT json_build_array(run_no) FROM mes_run WHERE id = x.run_id), x.step_no, x.operation_code,
                (SELECT json_build_array(code) FROM mes_station WHERE id = x.station_id), x.in_at, x.out_at,
                x.created_at, coalesce({_PARTS}, '[]')) ORDER BY x.id DESC)::text
       FROM (SELECT * FROM execution_carriertrack WHERE carrier_id = c.id ORDER BY id DESC LIMIT {MOST_PASSES}) AS x)
"""
FIND = f"""
    SELECT c.carrier_no, c.created_at, {_LOADS}, {_PASSES}
      FROM execution_carrier c WHERE c.carrier_no = ANY(ARRAY[%(carrier_no)s])
"""
# Nothing was received long before the passes were recorded, which spares the older partitions.
FIND_VALUES = f"""
    SELECT {", ".join(ValueRow.__struct_fields__)} FROM execution_datavalue
     WHERE carrier_track_id = ANY(%(carrier_track_ids)s::bigint[]) AND received_at >= %(since)s
     ORDER BY collected_at, id
"""
_decode_loads = msgspec.json.Decoder(list[CarriedRow]).decode
_decode_passes = msgspec.json.Decoder(list[PassedRow]).decode


def read_carrier(carrier_no: str) -> CarrierRow:
    """Read a carrier. Raises CarrierNotFound."""
    found = fetch_all(FIND, {"carrier_no": carrier_no})
    if not found:
        raise CarrierNotFound(code=carrier_no)
    number, created_at, loads, passes = found[0]
    return CarrierRow(
        number, created_at, _decode_loads(loads) if loads else [], _decode_passes(passes) if passes else []
    )


def read_values(passes: list[PassedRow]) -> list[ValueRow]:
    """Read what was collected on passes, in the order of collection."""
    if not passes:
        return []
    since = min(track.created_at for track in passes) - CLOCKS_DIFFER
    names = {"carrier_track_ids": [track.id for track in passes], "since": since}
    return [ValueRow(*row) for row in fetch_all(FIND_VALUES, names, binary=True)]
