"""Counting what tools were used for: the strokes of their stations and, of a line's stencil, of its prints."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from mes.line_setup.models import SetUpKind, Tool
from mes.line_setup.tools import hooks, nearing
from mes.line_setup.tools.rules import IS_WORN_BY_USES, NEARS_BY_USES
from mes.plant.models import OperationKind
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import EventStatus, EventType, MesEvent

# (tool_id, at, strokes) of the passes `p`: of the stencil of the line, and of what was loaded at the station.
_USED = f"""
    SELECT b.tool_id, p.at, p.strokes
      FROM passes p
      JOIN mes_load b ON b.line_id = p.line_id AND b.slot = '{SetUpKind.STENCIL}' AND b.loaded_at <= p.at
                     AND (b.ended_at IS NULL OR b.ended_at > p.at)
     WHERE p.is_print
    UNION ALL
    SELECT o.tool_id, p.at, p.strokes
      FROM passes p
      JOIN mes_load o ON o.station_id = p.station_id AND o.tool_id IS NOT NULL AND o.loaded_at <= p.at
                     AND (o.ended_at IS NULL OR o.ended_at > p.at)
"""
# The tools are locked in the order of their ids, and read as they are once they are locked: one that was serviced
# meanwhile counts what it was used for afterwards.
COUNT = f"""
    WITH passes AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(passes)s::jsonb)
            AS p(line_id bigint, station_id bigint, is_print boolean, at timestamptz, strokes integer)
    ), used AS MATERIALIZED ({_USED}), locked AS MATERIALIZED (
        SELECT id, serviced_at FROM mes_tool WHERE id = ANY(ARRAY(SELECT tool_id FROM used))
         ORDER BY id FOR NO KEY UPDATE
    ), counted AS MATERIALIZED (
        SELECT l.id, sum(u.strokes) AS uses,
               coalesce(sum(u.strokes) FILTER (WHERE l.serviced_at IS NULL OR l.serviced_at < u.at), 0) AS since
          FROM locked l JOIN used u ON u.tool_id = l.id
         GROUP BY l.id
    )
    UPDATE mes_tool t SET uses_since_service = t.uses_since_service + c.since, uses = t.uses + c.uses
      FROM counted c WHERE t.id = c.id
    RETURNING t.id, t.warned_at IS NULL AND {NEARS_BY_USES}, {IS_WORN_BY_USES}
"""
# What was counted for a tool is counted anew from the events of its time there: those that a handler has yet to count
# are not completed, and it waits for the tool's lock. Of before it was there, and of afterwards, none is read.
COUNT_SINCE = f"""
    WITH there AS MATERIALIZED (
        SELECT greatest(loaded_at, %(since)s) AS since, coalesce(ended_at, 'infinity') AS until
          FROM mes_load WHERE tool_id = %(tool)s AND (ended_at IS NULL OR ended_at > %(since)s)
    ), passes AS MATERIALIZED (
        SELECT (e.payload->>'lineId')::bigint AS line_id, (e.payload->>'stationId')::bigint AS station_id,
               coalesce(e.payload->>'operationKind' = '{OperationKind.PRINT}', false) AS is_print,
               e.occurred_at AS at, coalesce((e.payload->>'strokes')::integer, 1) AS strokes
          FROM mes_mesevent e
         WHERE e.event_type = '{EventType.TRACK_OUT}' AND e.status = '{EventStatus.COMPLETED}'
           AND e.occurred_at > %(since)s AND NOT e.payload ? 'supersedes'
           AND e.occurred_at >= (SELECT min(since) FROM there) AND e.occurred_at < (SELECT max(until) FROM there)
    )
    SELECT coalesce(sum(strokes), 0) FROM ({_USED}) u WHERE tool_id = %(tool)s
"""


def count_prints(events: Sequence[MesEvent]) -> None:
    """Count the strokes of units that left (TRACK_OUT) for the tools that were loaded at their stations then and, of
    prints, for the stencil that was bound to the line.

    The time of the track-out decides, so a late event counts for the tools of its time, and since a service only what
    came after it. What takes the place of another after a review tells of no other stroke. Events of before there were
    `strokes` are one each. Who should know that a tool nears a limit is told.
    """
    passes = [
        {
            "line_id": event.payload.get("lineId"),
            "station_id": event.payload.get("stationId"),
            "is_print": event.payload.get("operationKind") == OperationKind.PRINT,
            "at": event.occurred_at,
            "strokes": event.payload.get("strokes", 1),
        }
        for event in events
        if event.payload.get("strokes", 1) and not event.payload.get("supersedes")
    ]
    if not passes:
        return
    counted = fetch_all(COUNT, {"passes": as_json(passes)})
    nearing.tell([tool_id for tool_id, nears, _is_worn in counted if nears])
    if worn := [tool_id for tool_id, _nears, is_worn in counted if is_worn]:
        hooks.tell(worn)


def note_service(tool: Tool, *, before: datetime | None) -> None:
    """Have a locked tool, serviced at `serviced_at`, count what it was used for since; saved by the caller. `before` is
    when it was serviced as far as was known.

    Without a service, all uses count. What has been counted is a bound: where events are no longer kept, fewer are
    found, so an earlier service takes nothing back, and a later one adds nothing.
    """
    known, serviced = tool.uses_since_service, tool.serviced_at
    if serviced is None:
        tool.uses_since_service = max(known, tool.uses)
    elif before is not None and serviced < before:
        tool.uses_since_service = max(known, _count_since(tool, serviced))
    else:
        tool.uses_since_service = min(known, _count_since(tool, serviced)) if known else 0
    tool.warned_at = None


def _count_since(tool: Tool, since: datetime) -> int:
    if since >= timezone.now():
        return 0
    [[counted]] = fetch_all(COUNT_SINCE, {"since": since, "tool": tool.pk})
    return int(counted)


# Asked of each pass that is written: a station where no tool was ever loaded is told by one look into an index.
HANDLER = SetHandler(
    count_prints,
    interest="e.payload->>'strokes' IS DISTINCT FROM '0' AND "
    f"(e.payload->>'operationKind' = '{OperationKind.PRINT}' OR EXISTS ("
    "SELECT FROM mes_load o WHERE o.station_id = (e.payload->>'stationId')::bigint AND o.tool_id IS NOT NULL"
    " AND o.loaded_at <= e.occurred_at AND (o.ended_at IS NULL OR o.ended_at > e.occurred_at)))",
)
