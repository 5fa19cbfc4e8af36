"""The rows of clocks, many written in one statement."""

from collections.abc import Sequence
from typing import Any

from mes.platform.database.prepared import as_json, fetch_all
from mes.time_rules.models import InstanceStatus, TimeRuleInstance

_TYPES = {
    "run_id": "bigint",
    "line_id": "bigint",
    "status": "text",
    "duration_minutes": "integer",
    "min_minutes": "integer",
    "warning_minutes": "integer",
    "start_key": "text",
    "started_at": "timestamptz",
    "warning_at": "timestamptz",
    "expires_at": "timestamptz",
    "earliest_at": "timestamptz",
    "expired_at": "timestamptz",
    "ended_at": "timestamptz",
    "ending": "text",
    "decided_at": "timestamptz",
    "decided_by": "text",
    "decision_reason": "text",
}
UPDATE = f"""
    UPDATE mes_timeruleinstance i SET {", ".join(f"{name} = r.{name}" for name in _TYPES)}
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(id bigint, {", ".join(f"{n} {kind}" for n, kind in _TYPES.items())})
     WHERE i.id = r.id RETURNING i.id
"""


def as_row(instance: TimeRuleInstance) -> dict[str, Any]:
    """Return what events and decisions change of a clock."""
    return {name: getattr(instance, name) for name in ("id", *_TYPES)}


def update(instances: Sequence[TimeRuleInstance]) -> None:
    """Write clocks that there are. Those that run come last: of each definition and entity, one may run."""
    rows = [as_row(instance) for instance in instances]
    for of_kind in (
        [row for row in rows if row["status"] != InstanceStatus.ACTIVE],
        [row for row in rows if row["status"] == InstanceStatus.ACTIVE],
    ):
        if of_kind:
            fetch_all(UPDATE, {"rows": as_json(of_kind)})
