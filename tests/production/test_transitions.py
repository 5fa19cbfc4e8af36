"""The state machines, every action in every state: what the contract names leads somewhere, all else is refused."""

from pathlib import Path

import pytest
from django.conf import settings

from mes.errors import InvalidTransition
from mes.labels import Action
from mes.production import transitions

# Contract 1.4 and docs/orders.md. A unit's release and a run's resuming lead where it was held from, and an order's
# reopening where it was, which the tables leave open.
OPEN_RUN = ("PREP", "AUTHORIZED", "IN_PROGRESS", "ON_HOLD")
EXPECTED = {
    "work order": {
        ("release", "RECEIVED"): "RELEASED",
        ("release", "RELEASED"): "RELEASED",
        ("start", "RELEASED"): "IN_PROGRESS",
        ("start", "IN_PROGRESS"): "IN_PROGRESS",
        **{("complete", state): "COMPLETED" for state in ("RELEASED", "IN_PROGRESS")},
        **{("cancel", state): "CANCELLED" for state in ("RECEIVED", "RELEASED", "IN_PROGRESS")},
        **{("reopen", state): "" for state in ("COMPLETED", "CANCELLED")},
    },
    "run": {
        ("authorize", "PREP"): "AUTHORIZED",
        ("revoke", "AUTHORIZED"): "PREP",
        ("start", "AUTHORIZED"): "IN_PROGRESS",
        **{("hold", state): "ON_HOLD" for state in OPEN_RUN},
        ("resume", "ON_HOLD"): "",
        **{("close", state): "COMPLETED" for state in OPEN_RUN},
        **{("cancel", state): "CANCELLED" for state in OPEN_RUN},
        ("reopen", "COMPLETED"): "IN_PROGRESS",
        ("reopen", "CANCELLED"): "PREP",
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
        ("undo scrap", "SCRAPPED"): "ON_HOLD",
        ("skip", "QUEUED"): "",
        **{("hold", state): "ON_HOLD" for state in ("QUEUED", "IN_STATION", "DONE", "OUT_FAILED")},
        **{("scrap", state): "SCRAPPED" for state in ("QUEUED", "IN_STATION", "DONE", "OUT_FAILED", "ON_HOLD")},
    },
}
MACHINES = {machine.entity.value: machine for machine in (transitions.WORK_ORDER, transitions.RUN, transitions.UNIT)}
CASES = [
    (entity, action, state) for entity, machine in MACHINES.items() for action in Action for state in machine.states
]


@pytest.mark.parametrize(("entity", "action", "state"), CASES)
def test_every_action_in_every_state(entity, action, state):
    machine = MACHINES[entity]
    expected = EXPECTED[entity].get((action.value, state.value))
    if expected is not None:
        assert machine.next_state(action, state.value) == expected
        return
    with pytest.raises(InvalidTransition) as refusal:
        machine.next_state(action, state.value)
    assert refusal.value.details == {"action": action.value, "entity": entity, "state": state.value}
    assert str(refusal.value) == f"“{action.label}” is not possible: {machine.entity.label} is “{state.label}”."


@pytest.mark.parametrize(("entity", "column"), [("work order", "order"), ("run", "run")])
def test_the_page_has_the_same_tables(entity, column):
    page = (Path(settings.BASE_DIR) / "docs" / "orders.md").read_text()
    table = page.split(f"| {column} | from | to |\n|---|---|---|\n")[1].split("\n\n")[0]
    told = {}
    for row in table.splitlines():
        action, states, end = (cell.strip() for cell in row.strip("|").split("|"))
        told |= {(action, state): end.replace("where it was", "") for state in states.split(", ")}
    assert told == EXPECTED[entity]


def test_the_tables_hold_nothing_more():
    found = {
        entity: {(action, state): end for action, ends in machine.table.items() for state, end in ends.items()}
        for entity, machine in MACHINES.items()
    }
    assert found == EXPECTED
