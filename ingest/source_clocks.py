"""What the last reports of source systems say of their clocks. Read when asked for: no report does anything for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

LOOKED_AT = 100  # the last reports of each source

# A report comes later than it says, never earlier: so the largest of said − received is by how much the clock is ahead
# at least, and what reports are short of it is how long they took beyond the quickest of them.
READ = f"""
    SELECT s.code, latest.most, latest.most - latest.median, latest.last_at
      FROM unnest(%(codes)s::text[]) AS s(code)
     CROSS JOIN LATERAL (
        SELECT max(said.ahead) AS most, max(said.received_at) AS last_at,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY said.ahead) AS median
          FROM (SELECT extract(epoch FROM reported_at - received_at)::double precision AS ahead, received_at
                  FROM ((SELECT reported_at, received_at FROM ingest_settledingestevent
                          WHERE source_system = s.code AND reported_at IS NOT NULL
                          ORDER BY received_at DESC LIMIT {LOOKED_AT})
                        UNION ALL
                        (SELECT reported_at, received_at FROM ingest_openingestevent
                          WHERE source_system = s.code AND reported_at IS NOT NULL
                          ORDER BY received_at DESC LIMIT {LOOKED_AT})) AS either
                 ORDER BY received_at DESC LIMIT {LOOKED_AT}) AS said
     ) AS latest
     WHERE latest.last_at IS NOT NULL
"""
# Each system is found by one look into the index, however many events it sent.
LIST_SYSTEMS = """
    WITH RECURSIVE settled AS (
        (SELECT source_system FROM ingest_settledingestevent WHERE reported_at IS NOT NULL
          ORDER BY source_system LIMIT 1)
        UNION ALL
        SELECT (SELECT e.source_system FROM ingest_settledingestevent e
                 WHERE e.reported_at IS NOT NULL AND e.source_system > s.source_system
                 ORDER BY e.source_system LIMIT 1)
          FROM settled s WHERE s.source_system IS NOT NULL
    )
    SELECT source_system FROM settled WHERE source_system IS NOT NULL
     UNION
    SELECT DISTINCT source_system FROM ingest_openingestevent WHERE source_system <> ''
     ORDER BY 1 LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class MeasuredClock:
    """The clock of a source by its last reports, in seconds: by how much it is ahead, at least; how long reports take
    beyond the quickest of them, mostly (the median). And when the last one was received.
    """

    offset_seconds: float
    lag_seconds: float
    last_at: datetime


def measure_clocks(codes: Iterable[str]) -> dict[str, MeasuredClock]:
    """Return the measured clocks of those source systems that reported a time, in one query."""
    return {code: MeasuredClock(*measured) for code, *measured in _query(READ, codes=list(codes))}


def list_systems(*, most: int) -> list[str]:
    """Return the source systems that reported machine events, in the order of their names."""
    return [code for (code,) in _query(LIST_SYSTEMS, most=most)]


def _query(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()
