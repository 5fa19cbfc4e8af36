"""Ids by time, where no index has the time: ids are given as rows come, so halving finds them.

An index would be paid by every row that is written. A row gets its id a moment before or after its time, at most as
long as a request or an import takes: who asks takes `SLACK` more on each side and compares the times themselves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mes.platform.database.prepared import fetch_all

SLACK = timedelta(hours=1)

# Each turn looks at the one row in the middle: thirty turns for a billion rows.
_SEARCH = """
    WITH RECURSIVE ends AS (
        SELECT coalesce((SELECT id FROM {table} ORDER BY id LIMIT 1), 0) AS low,
               coalesce((SELECT id FROM {table} ORDER BY id DESC LIMIT 1), -1) + 1 AS high
    ), search AS (
        SELECT asked.place, asked.moment, ends.low, ends.high
          FROM ends, unnest(%(moments)s::timestamptz[]) WITH ORDINALITY AS asked (moment, place)
         UNION ALL
        SELECT s.place, s.moment,
               CASE WHEN found.at < s.moment THEN found.id + 1 ELSE s.low END,
               CASE WHEN found.at < s.moment THEN s.high ELSE (s.low + s.high) / 2 END
          FROM search s
          LEFT JOIN LATERAL (SELECT id, {column} AS at FROM {table} WHERE id >= (s.low + s.high) / 2
                              ORDER BY id LIMIT 1) AS found ON true
         WHERE s.low < s.high
    )
    SELECT low FROM search WHERE low >= high ORDER BY place
"""


def ids_between(
    table: str, column: str, since: datetime | None, until: datetime | None
) -> tuple[int | None, int | None]:
    """Return ids of a table from which on, and before which, all rows of a period lie; one statement, none for a period
    without ends. `column` has the times.
    """
    asked = [("since", since - SLACK)] if since is not None else []
    asked += [("until", until + SLACK)] if until is not None else []
    if not asked:
        return None, None
    found = dict(zip((name for name, _moment in asked), _search(table, column, [m for _n, m in asked]), strict=True))
    return found.get("since"), found.get("until")


def _search(table: str, column: str, moments: Sequence[datetime]) -> list[int]:
    """Return for each moment an id before which no row of it or later lies."""
    rows = fetch_all(_SEARCH.format(table=table, column=column), {"moments": list(moments)})
    return [row[0] for row in rows]
