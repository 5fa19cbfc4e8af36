"""What is kept of the set-up of stations for runs, read with the picture of a unit: no statement of its own."""

from collections.abc import Iterable
from datetime import datetime

import msgspec


class SlotFault(msgspec.Struct, frozen=True):
    """What is wrong with a slot."""

    slot: str
    code: str


class SlotExpiry(msgspec.Struct, frozen=True):
    """What will be wrong with a slot from a time on."""

    slot: str
    code: str
    at: datetime


class KeptSetUp(msgspec.Struct, array_like=True, frozen=True):
    """A station as it was looked at last."""

    station_id: int
    faults: list[SlotFault]
    expiries: list[SlotExpiry]

    def list_faults(self, at: datetime) -> list[dict[str, str]]:
        """Return what is wrong at a time, `{slot, code}`: time alone spoils things, too."""
        found = [(fault.slot, fault.code) for fault in self.faults]
        found += [(expiry.slot, expiry.code) for expiry in self.expiries if expiry.at <= at]
        return [{"slot": slot, "code": code} for slot, code in found]


# Of a run `r` on a line that enforces it, the stations of which something is wrong or will be: `[[station, faults,
# expiries], …]`. “null” where nothing is kept, though it has a list: it is to be looked at.
KEPT_OF_RUN = """
    (SELECT CASE
         WHEN EXISTS (SELECT FROM mes_runstationsetup WHERE run_id = r.id)
         THEN (SELECT json_agg(json_build_array(station_id, faults, expiries))::text FROM mes_runstationsetup
                WHERE run_id = r.id AND (faults <> '[]' OR good_until IS NOT NULL))
         WHEN EXISTS (SELECT FROM mes_runsetuplist WHERE run_id = r.id) THEN 'null'
     END FROM mes_line WHERE id = r.line_id AND material_control = 'ENFORCE')
"""

decode_set_ups = msgspec.json.Decoder(list[KeptSetUp] | None).decode


def list_faults(set_ups: Iterable[KeptSetUp], station_id: int, at: datetime) -> list[dict[str, str]]:
    """Return what is wrong with a station at a time."""
    return [fault for kept in set_ups if kept.station_id == station_id for fault in kept.list_faults(at)]
