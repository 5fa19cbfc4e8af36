"""The tables of the state machines, walked whole: what the contract names leads somewhere, all else is refused."""

import pytest

from mes.errors import InvalidTransition
from mes.production import transitions
from mes.production.models import RunStatus, UnitStatus, WorkOrderStatus

# Contract 1.4. A unit's release leads where it was held from, which the table leaves open.
EXPECTED = {
    "work order": {
        ("release", "RECEIVED"): "RELEASED",
        ("release", "RELEASED"): "RELEASED",
        ("start", "RELEASED"): "IN_PROGRESS",
        ("start", "IN_PROGRESS"): "IN_PROGRESS",
        ("complete", "IN_PROGRESS"): "COMPLETED",
    },
    "run": {
        ("authorize", "PREP"): "AUTHORIZED",
        ("revoke", "AUTHORIZED"): "PREP",
        ("start", "AUTHORIZED"): "IN_PROGRESS",
        ("hold", "IN_PROGRESS"): "ON_HOLD",
        ("close", "IN_PROGRESS"): "COMPLETED",
        ("release", "ON_HOLD"): "COMPLETED",
        ("close for rework", "ON_HOLD"): "CLOSED_REWORK",
        ("scrap", "ON_HOLD"): "SCRAPPED",
    },
    "unit": {
        ("enter", "QUEUED"): "IN_STATION",
        ("queue", "IN_STATION"): "QUEUED",
        ("finish", "IN_STATION"): "DONE",
        ("fail", "IN_STATION"): "OUT_FAILED",
        ("rework", "OUT_FAILED"): "QUEUED",
        ("rework", "DONE"): "QUEUED",
        ("rework", "ON_HOLD"): "QUEUED",
        ("release", "ON_HOLD"): "",
        **{("hold", state): "ON_HOLD" for state in ("QUEUED", "IN_STATION", "DONE", "OUT_FAILED")},
        **{("scrap", state): "SCRAPPED" for state in ("QUEUED", "IN_STATION", "DONE", "OUT_FAILED", "ON_HOLD")},
    },
}
TABLES = {
    "work order": (transitions.WORK_ORDER, WorkOrderStatus),
    "run": (transitions.RUN, RunStatus),
    "unit": (transitions.UNIT, UnitStatus),
}
CASES = [
    (entity, action, state)
    for entity, (table, states) in TABLES.items()
    for action in (*table, "unheard of")
    for state in states.values
]


@pytest.mark.parametrize(("entity", "action", "state"), CASES)
def test_every_action_in_every_state(entity, action, state):
    table = TABLES[entity][0]
    expected = EXPECTED[entity].get((action, state))
    if expected is not None:
        assert transitions.next_state(table, action=action, state=state, entity=entity) == expected
        return
    with pytest.raises(InvalidTransition) as refusal:
        transitions.next_state(table, action=action, state=state, entity=entity)
    assert refusal.value.details == {"action": action, "entity": entity, "state": state}
    assert action in str(refusal.value)
    assert state in str(refusal.value)


def test_the_tables_hold_nothing_more():
    found = {
        entity: {(action, state): end for action, ends in table.items() for state, end in ends.items()}
        for entity, (table, _states) in TABLES.items()
    }
    assert found == EXPECTED
