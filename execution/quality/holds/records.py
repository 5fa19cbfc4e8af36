"""Decisions about units with the cases that they open: one statement, however many."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import timezone

from execution.models import Disposition, DispositionAction
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import interest
from mes.production import hold_notices, locking
from mes.production.hold_models import Hold, HoldScope, HoldStatus
from mes.production.hold_notices import HeldUnits
from mes.production.models import Unit, UnitStatus

_DECISION_TYPES = {
    "unit_id": "bigint",
    "run_id": "bigint",
    "action": "text",
    "from_status": "text",
    "to_status": "text",
    "held_from": "text",
    "step_no": "integer",
    "reason": "text",
    "decided_by": "text",
    "approved_by": "text",
    "decided_at": "timestamptz",
    "about_step_no": "integer",
    "about_event_id": "bigint",
    "about_message_id": "bigint",
}
_CASE_TYPES = {
    "source": "text",
    "reason": "text",
    "condition": "jsonb",
    "owner": "text",
    "catches": "boolean",
    "opened_by": "text",
    "opened_at": "timestamptz",
}
_UNIT_TYPES = {"status": "text", "held_from": "text", "hold_reason": "text"}
_GIVEN_TYPES = {"place": "integer", **_DECISION_TYPES, "case_no": "integer", "case_reason": "text", "hold_id": "bigint"}


def _types(types: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


_DECISION = ", ".join(_DECISION_TYPES)
_OPENING = (DispositionAction.HOLD, DispositionAction.UNSCRAP)

# A case is made only if a unit needs it that no open case of the same reason holds already. A case that is named is
# locked, and is none any more if it ended meanwhile. What a unit is held by stands still under its lock, so the rows
# read here are those of now.
WRITE = f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(decisions)s::jsonb) AS g({_types(_GIVEN_TYPES)})
    ), named AS MATERIALIZED (
        SELECT id FROM mes_hold
         WHERE id = ANY(ARRAY(SELECT hold_id FROM given WHERE case_no IS NOT NULL AND hold_id IS NOT NULL))
           AND status = '{HoldStatus.OPEN}'
         ORDER BY id FOR SHARE
    ), holding AS MATERIALIZED (
        SELECT h.unit_id, h.hold_id, c.reason
          FROM mes_heldunit h JOIN mes_hold c ON c.id = h.hold_id
         WHERE h.ended_at IS NULL
           AND h.unit_id = ANY(ARRAY(SELECT unit_id FROM given
                                      WHERE case_no IS NOT NULL AND from_status = '{UnitStatus.ON_HOLD}'))
    ), told AS MATERIALIZED (
        SELECT g.place, min(h.hold_id) AS hold_id
          FROM given g JOIN holding h ON h.unit_id = g.unit_id AND h.reason = g.case_reason
         WHERE g.case_no IS NOT NULL AND g.hold_id IS NULL
         GROUP BY g.place
    ), made AS MATERIALIZED (
        SELECT c.*, nextval('mes_hold_id_seq') AS id
          FROM jsonb_to_recordset(%(cases)s::jsonb) AS c(no integer, {_types(_CASE_TYPES)})
         WHERE no = ANY(ARRAY(SELECT case_no FROM given
                               WHERE hold_id IS NULL AND place <> ALL(ARRAY(SELECT place FROM told))))
    ), opened AS (
        INSERT INTO mes_hold (id, scope, status, ended_by, end_reason, {", ".join(_CASE_TYPES)})
        SELECT id, '{HoldScope.UNITS}', '{HoldStatus.OPEN}', '', '', {", ".join(_CASE_TYPES)} FROM made
    ), placed AS MATERIALIZED (
        SELECT g.*, told.place IS NULL AS is_new,
               CASE WHEN g.case_no IS NULL THEN g.hold_id ELSE coalesce(named.id, told.hold_id, made.id) END AS case_id
          FROM given g
          LEFT JOIN named ON named.id = g.hold_id
          LEFT JOIN told ON told.place = g.place
          LEFT JOIN made ON made.no = g.case_no AND g.hold_id IS NULL
         WHERE g.case_no IS NULL OR g.hold_id IS NULL
            OR NOT EXISTS (SELECT FROM holding h WHERE h.unit_id = g.unit_id AND h.hold_id = g.hold_id)
    ), held AS (
        INSERT INTO mes_heldunit (hold_id, unit_id, held_at, held_by, ended_by, "end", end_reason)
        SELECT DISTINCT ON (case_id, unit_id) case_id, unit_id, decided_at, decided_by, '', '', ''
          FROM placed WHERE case_no IS NOT NULL AND is_new AND case_id IS NOT NULL
         ORDER BY case_id, unit_id, place
        ON CONFLICT DO NOTHING
    ), units AS (
        UPDATE mes_unit u SET {", ".join(f"{name} = g.{name}" for name in _UNIT_TYPES)}, updated_at = %(now)s
          FROM jsonb_to_recordset(%(units)s::jsonb) AS g(id bigint, {_types(_UNIT_TYPES)})
         WHERE u.id = g.id AND u.id = ANY(%(unit_ids)s::bigint[])
    ), decided AS (
        INSERT INTO execution_disposition ({_DECISION}, hold_id)
        SELECT {_DECISION}, case_id FROM placed ORDER BY place
    )
    SELECT place, case_id, case_no IS NOT NULL AND is_new AND hold_id IS NULL, {interest(NoticeEvent.HOLD_OPENED)}
      FROM placed
"""


def write(decisions: Sequence[Disposition], *, units: Iterable[Unit] = ()) -> None:
    """Write decisions about locked units in their order, and the present state of `units`.

    A hold is written with its case. Unsaved ones that tell the same of units of one run become one case; of a unit that
    an open case with this reason holds already, the decision belongs to that. Each decision knows its case afterwards.
    Raises Outdated where a saved case was named that has ended meanwhile.
    """
    now, units = timezone.now(), list(units)
    cases: dict[Any, tuple[int, Hold]] = {}
    rows = [_row(place, decision, cases) for place, decision in enumerate(decisions)]
    written = fetch_all(
        WRITE,
        {
            "decisions": as_json(rows),
            "cases": as_json([_case_row(no, hold) for no, hold in cases.values() if hold.pk is None]),
            "units": as_json([_unit_row(unit) for unit in units]),
            "unit_ids": [unit.pk for unit in units],
            "now": now,
        },
    )
    by_no = dict(cases.values())
    made: dict[int, list[Disposition]] = {}
    for place, case_id, is_made, _is_wanted in written:
        no = rows[place].get("case_no")
        if no is None:
            continue
        if case_id is None:
            raise locking.Outdated
        if is_made:
            by_no[no].pk = case_id
            decisions[place].hold = by_no[no]
            made.setdefault(no, []).append(decisions[place])
        else:
            decisions[place].hold_id = case_id
    for unit in units:
        unit.updated_at = now
    if made and written[0][-1]:
        hold_notices.tell_units([_told(by_no[no], held) for no, held in made.items()], is_wanted=True)


def _told(hold: Hold, decisions: Sequence[Disposition]) -> HeldUnits:
    sns = [decision.unit.sn for decision in decisions[: hold_notices.NAMED]]
    return HeldUnits(
        hold, len(decisions), sns, {decision.run_id for decision in decisions if decision.run_id is not None}
    )


def _row(place: int, decision: Disposition, cases: dict[Any, tuple[int, Hold]]) -> dict[str, Any]:
    row = {"place": place, **{name: getattr(decision, name) for name in _DECISION_TYPES}}
    row["hold_id"] = decision.hold_id
    if decision.action in _OPENING:
        hold = decision.hold
        assert hold is not None  # whoever holds has a reason
        no, hold = cases.setdefault(_key(hold, decision), (len(cases), hold))
        row |= {"case_no": no, "case_reason": hold.reason, "hold_id": hold.pk}
    return row


def _key(hold: Hold, decision: Disposition) -> Any:
    """Return by what holds are one case: a saved one by itself, others by what they say, and the run of the unit."""
    if hold.pk is not None:
        return hold.pk
    said = tuple(str(getattr(hold, name)) for name in _CASE_TYPES if name != "opened_at")
    return (decision.run_id, *said)


def _unit_row(unit: Unit) -> dict[str, Any]:
    return {"id": unit.pk, **{name: getattr(unit, name) for name in _UNIT_TYPES}}


def _case_row(no: int, hold: Hold) -> dict[str, Any]:
    return {"no": no, **{name: getattr(hold, name) for name in _CASE_TYPES}}
