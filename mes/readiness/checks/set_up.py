"""FEEDER, TOOL, MSD, and of MATERIAL the lots: what the slots of the run's set-up list must hold is there, and is good.

Each fault of a slot is an item; a station without faults of a kind is one that passed.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.labels import SetUpFault
from mes.line_setup.set_up_lists import queries, services
from mes.line_setup.set_up_lists.goodness import RunSetUp, SlotSetUp, StationSetUp, look_at_run
from mes.line_setup.set_up_lists.models import SetUpItemKind
from mes.readiness.registry import Check, Facts, Finding

FEEDER, MATERIAL, TOOL, MSD = "FEEDER", "MATERIAL", "TOOL", "MSD"
OF_SLOTS = (SetUpFault.SLOT_EMPTY, SetUpFault.WRONG_PART, SetUpFault.WRONG_PROGRAM, SetUpFault.SLOT_LOCKED)
OF_LOTS = (SetUpFault.LOT_BLOCKED, SetUpFault.LOT_USED_UP, SetUpFault.LOT_EXPIRED)
OF_TOOLS = (*OF_SLOTS, SetUpFault.TOOL_NOT_READY, SetUpFault.TOOL_WORN)
ACTIONS: dict[str, str | Promise] = {
    SetUpFault.SLOT_EMPTY: gettext_lazy("Load it: scan the slot and what goes there."),
    SetUpFault.WRONG_PART: gettext_lazy("Take it out, and load what the list names."),
    SetUpFault.WRONG_PROGRAM: gettext_lazy("Load the program that the list names."),
    SetUpFault.SLOT_LOCKED: gettext_lazy("Have a supervisor unlock the slot, then load the right part."),
    SetUpFault.LOT_BLOCKED: gettext_lazy("Load another lot, or have Quality unblock it."),
    SetUpFault.LOT_USED_UP: gettext_lazy("Load another lot, or count what is left."),
    SetUpFault.LOT_EXPIRED: gettext_lazy("Load another lot."),
    SetUpFault.MSD_EXPIRED: gettext_lazy("Load another lot, and have this one baked."),
    SetUpFault.TOOL_NOT_READY: gettext_lazy("Take another tool, or wait until it is reported ready."),
    SetUpFault.TOOL_WORN: gettext_lazy("Have it serviced, or take another tool."),
}


def _is_tool(slot: SlotSetUp) -> bool:
    return slot.item.kind == SetUpItemKind.TOOL


def _is_part(slot: SlotSetUp) -> bool:
    return slot.item.kind == SetUpItemKind.PART


def look(facts: Facts) -> RunSetUp:
    """Return how the run is set up. At the gate neither its slots nor what is in them change until it is passed."""
    if facts.is_gate:
        services.lock_set_up_of(facts.run, queries.list_of_run(facts.run))
    return look_at_run(facts.run, at=facts.now, is_locking=facts.is_gate)


def _evaluate_feeders(facts: Facts) -> Iterator[Finding]:
    """Yield one item where there is no list; else those of parts and programs."""
    found = facts.once(look)
    if found.revision is None:
        yield Finding(
            FEEDER,
            facts.run.run_no,
            "SETUP_LIST_MISSING",
            _("Run “%(run)s” has no set-up list on line “%(line)s”.")
            % {"run": facts.run.run_no, "line": facts.run.line.code},
            _("Release a set-up list for the route on this line, and bind the run to it."),
        )
        return
    yield from _judge(found, FEEDER, OF_SLOTS, lambda slot: not _is_tool(slot))


def evaluate(
    facts: Facts, item_type: str, codes: Collection[str], concerns: Callable[[SlotSetUp], bool]
) -> Iterator[Finding]:
    """Yield the items of one kind."""
    yield from _judge(facts.once(look), item_type, codes, concerns)


def _judge(
    found: RunSetUp, item_type: str, codes: Collection[str], concerns: Callable[[SlotSetUp], bool]
) -> Iterator[Finding]:
    for station in found.stations:
        slots = [slot for slot in station.slots if concerns(slot)]
        faults = [(slot, code) for slot in slots for code in slot.faults if code in codes]
        for slot, code in faults:
            yield _tell(item_type, station, slot, SetUpFault(code))
        if slots and not faults:
            yield Finding(item_type, station.station.code, evidence={"slots": len(slots)})


def _tell(item_type: str, station: StationSetUp, slot: SlotSetUp, code: SetUpFault) -> Finding:
    named = {"station": station.station.code, "slot": slot.item.slot, "what": code.label}
    return Finding(
        item_type,
        f"{station.station.code} {slot.item.slot}",
        code.value,
        _("Slot %(slot)s of station “%(station)s”: %(what)s.") % named,
        str(ACTIONS[code]),
        _describe(station, slot),
    )


def _describe(station: StationSetUp, slot: SlotSetUp) -> dict[str, Any]:
    things = [load.lot or load.tool or load.program for load in slot.loads]
    return {
        "stationCode": station.station.code,
        "slot": slot.item.slot,
        "expected": ", ".join(slot.place.names),
        "loaded": ", ".join(map(str, things)) or None,
    }


list_lots = partial(evaluate, item_type=MATERIAL, codes=OF_LOTS, concerns=_is_part)
CHECKS = (
    Check(FEEDER, gettext_lazy("Feeders and programs, by the set-up list"), _evaluate_feeders, 32),
    Check(
        TOOL,
        gettext_lazy("Tools, by the set-up list"),
        partial(evaluate, item_type=TOOL, codes=OF_TOOLS, concerns=_is_tool),
        34,
    ),
    Check(
        MSD,
        gettext_lazy("Floor life of what is loaded"),
        partial(evaluate, item_type=MSD, codes=(SetUpFault.MSD_EXPIRED,), concerns=_is_part),
        36,
    ),
)
