"""Counting what a stencil was used for since it was cleaned."""

from collections.abc import Sequence

from mes.line_setup.models import SetUpKind
from mes.plant.models import OperationKind
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import MesEvent

# The stencils are locked in the order of their ids, and read as they are once they are locked: one that was cleaned
# meanwhile counts what was printed afterwards.
COUNT = f"""
    WITH used AS MATERIALIZED (
        SELECT b.stencil_id, p.at
          FROM jsonb_to_recordset(%(prints)s::jsonb) AS p(line_id bigint, at timestamptz)
          JOIN mes_linebinding b ON b.line_id = p.line_id AND b.kind = '{SetUpKind.STENCIL}' AND b.bound_at <= p.at
                                AND (b.unbound_at IS NULL OR b.unbound_at > p.at)
    ), locked AS MATERIALIZED (
        SELECT id, serviced_at FROM mes_tool WHERE id = ANY(ARRAY(SELECT stencil_id FROM used))
         ORDER BY id FOR NO KEY UPDATE
    ), counted AS MATERIALIZED (
        SELECT l.id, count(*) AS prints
          FROM locked l JOIN used u ON u.stencil_id = l.id AND (l.serviced_at IS NULL OR l.serviced_at < u.at)
         GROUP BY l.id
    )
    UPDATE mes_tool t SET uses_since_service = t.uses_since_service + c.prints, uses = t.uses + c.prints
      FROM counted c WHERE t.id = c.id RETURNING t.id
"""


def count_prints(events: Sequence[MesEvent]) -> None:
    """Count the boards that left a printing step for the stencils that were bound to their lines then (TRACK_OUT).

    The time of the track-out decides, so a late event counts for the stencil of its time, and none from before the
    last cleaning counts. What takes the place of another after a review tells of no other print.
    """
    prints = [
        {"line_id": event.payload.get("lineId"), "at": event.occurred_at}
        for event in events
        if event.payload.get("operationKind") == OperationKind.PRINT and not event.payload.get("supersedes")
    ]
    if prints:
        fetch_all(COUNT, {"prints": as_json(prints)})


HANDLER = SetHandler(count_prints, interest=f"e.payload->>'operationKind' = '{OperationKind.PRINT}'")
