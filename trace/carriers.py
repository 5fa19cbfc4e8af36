"""Everything about one carrier: which units it carried, and its own passes with their values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trace import carrier_reading
from trace.carrier_reading import CarriedRow, CarrierRow, PartRow, PassedRow
from trace.unit_rows import CarrierPassRow, CarrierTrackRow, LoadRow, ValueRow
from trace.values import value_as_json


@dataclass(frozen=True)
class CarrierPass:
    """A carrier's pass with what was collected on it, and the units that took part where they are asked for."""

    track: PassedRow | CarrierTrackRow
    units: Sequence[PartRow]
    values: Sequence[ValueRow]

    @property
    def rows(self) -> list[tuple[ValueRow, bool]]:
        """The values, each with whether a later value of the same spec decides in its place."""
        latest = {value.name: value.pk for value in self.values}
        return [(value, latest[value.name] != value.pk) for value in self.values]


@dataclass(frozen=True)
class CarrierTrace:
    """A carrier, its newest loads and its newest passes, newest first."""

    carrier: CarrierRow
    loads: Sequence[CarriedRow]
    passes: Sequence[CarrierPass]

    @cached_property
    def current(self) -> list[CarriedRow]:
        """What it carries now, by position."""
        carried = [load for load in self.loads if load.unloaded_at is None]
        return sorted(carried, key=lambda load: (load.position, load.pk))

    @cached_property
    def earlier(self) -> list[CarriedRow]:
        """What it carried before."""
        return [load for load in self.loads if load.unloaded_at is not None]


@dataclass(frozen=True)
class UnitCarriers:
    """The carriers of one unit, in the order things happened."""

    loads: Sequence[LoadRow]
    passes: Sequence[CarrierPassRow]
    values: Sequence[ValueRow]

    @cached_property
    def passes_with_values(self) -> list[CarrierPass]:
        """The passes, newest first."""
        of_pass = _group_by_pass(self.values)
        return [
            CarrierPass(part.carrier_track, (), of_pass.get(part.carrier_track_id, []))
            for part in reversed(self.passes)
        ]

    @cached_property
    def by_track(self) -> dict[int, CarrierPass]:
        """The carrier's pass by the unit's own."""
        newest_first = zip(reversed(self.passes), self.passes_with_values, strict=True)
        return {part.track_id: carrier_pass for part, carrier_pass in newest_first}


def get_carrier_trace(*, carrier_no: str) -> CarrierTrace:
    """Load the trace of a carrier in two statements. Raises CarrierNotFound."""
    carrier = carrier_reading.read_carrier(carrier_no)
    values = _group_by_pass(carrier_reading.read_values(carrier.passes))
    passes = [CarrierPass(track, track.parts, values.get(track.id, [])) for track in carrier.passes]
    return CarrierTrace(carrier, carrier.loads, passes)


def _group_by_pass(values: Iterable[ValueRow]) -> dict[int | None, list[ValueRow]]:
    groups: dict[int | None, list[ValueRow]] = {}
    for value in values:
        groups.setdefault(value.carrier_track_id, []).append(value)
    return groups


# --- as JSON -------------------------------------------------------------------------------------------------


def load_as_json(load: CarriedRow | LoadRow) -> dict[str, Any]:
    """Return a load without saying of which unit or carrier."""
    return {
        "id": str(load.pk),
        "position": load.position or None,
        "loadedAt": load.loaded_at,
        "unloadedAt": load.unloaded_at,
    }


def track_as_json(track: PassedRow | CarrierTrackRow) -> dict[str, Any]:
    """Return a carrier's pass without saying of which carrier."""
    return {
        "id": str(track.pk),
        "runNo": track.run.run_no,
        "stepNo": track.step_no,
        "operationCode": track.operation_code,
        "stationCode": track.station.code if track.station else None,
        "inAt": track.in_at,
        "outAt": track.out_at,
    }


def as_json(trace: CarrierTrace) -> dict[str, Any]:
    """Return a trace in the words of the HTTP interface."""
    return {
        "carrier": {"carrierNo": trace.carrier.carrier_no, "createdAt": trace.carrier.created_at},
        "carrierLoads": [{**load_as_json(load), "sn": load.unit.sn} for load in trace.loads],
        "carrierTracks": [_pass_as_json(carrier_pass) for carrier_pass in trace.passes],
    }


def _pass_as_json(carrier_pass: CarrierPass) -> dict[str, Any]:
    return {
        **track_as_json(carrier_pass.track),
        "units": [
            {"sn": part.track.unit.sn, "trackId": str(part.track_id), "result": part.track.result or None}
            for part in carrier_pass.units
        ],
        "dataValues": [value_as_json(value) for value in carrier_pass.values],
    }
