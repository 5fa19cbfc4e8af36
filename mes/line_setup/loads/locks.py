"""The set-up of a line, or of a station that is on none, changes under an advisory lock of its own.

Scans of one line wait for each other, and for no other line. Taken after the runs and before the units
(`mes.production.locking`); lots and tools are locked after it. Loads and marks change under it alone.
"""

from collections.abc import Iterable

from django.db import connection

from mes.line_setup.loads.rules import Place

# One statement, in the order of the array: PostgreSQL asks for one lock after the other.
LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended(key, 0))
      FROM (SELECT key FROM unnest(%s::text[]) WITH ORDINALITY AS asked(key, place) ORDER BY place OFFSET 0) ordered
"""


def lock_set_up(*, lines: Iterable[int] = (), stations: Iterable[int] = ()) -> None:
    """Let nobody change what these lines, or stations of no line, are set up with until the transaction ends.

    Several are locked in the order of their ids, lines first, and all at once.

    What must hold at any time is held by constraints; the lock lets each load be read from all marks of its slot, and
    gives the second of two scans a clear answer.
    """
    keys = [f"mes.line_setup.line.{pk}" for pk in sorted(set(lines))]
    keys += [f"mes.line_setup.station.{pk}" for pk in sorted(set(stations))]
    if keys:
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [keys])


def lock_owners(owners: Iterable[Place]) -> None:
    """Lock the set-up of lines, and of stations that are on none, as `owner_of` names them."""
    wanted = set(owners)
    lock_set_up(
        lines=(owner.pk for owner in wanted if owner.of == "line"),
        stations=(owner.pk for owner in wanted if owner.of == "station"),
    )


def owner_of(*, line_id: int | None, station_id: int | None) -> Place:
    """Return whose lock it is: that of the line, or of a station that is on none."""
    if line_id is not None:
        return Place("line", line_id)
    assert station_id is not None  # of one place, by constraint
    return Place("station", station_id)
