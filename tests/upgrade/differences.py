"""Where the new code answers other than the old one, each with its reason. Emptied when the dump is made anew.

What is not told here is a defect: of the new code, or of this list. What the new code does instead is tested by name.
"""

from typing import Any

# Words of answers and pages: as the old code said it, as the new one does. Words of errors are not compared.
REWORDED: dict[str, str] = {
    " was too late. Say": " was not in time. Say",  # a clock may have been ended too early
    "Boards since then": "Uses since then",  # of a stencil: a print of four boards is one use
}

MAPPINGS = "mappings read more of what machines say"

# Fields that answers have now and had not then, by their names, and why. Clients pass over what they do not know.
ADDED: dict[str, str] = {
    **dict.fromkeys(("materialControl", "lowUnits"), "lines say what they do about a set-up that is not good"),
    **dict.fromkeys(
        ("manufacturerParts", "msl", "bodyThicknessMm", "isShared", "traceLevel"),
        "materials say how makers call them, how they are kept and how they are traced",
    ),
    "refDes": "items of a BOM say where they stand on their parent",
    "aliases": "units have serial numbers that they had before",
    "unreadable": "items that name no unit are told",
    "aboutStepNo": "decisions name the step and the event that they are about",
    "inBy": "passes tell who was signed in, beside who is said to have done it",
    "outBy": "passes tell who was signed in, beside who is said to have done it",
    "recordedBy": "values and reports tell who was signed in, beside who is said to have done it",
    "operatorId": "readings of a unit tell who is said to have taken them",
    "overrunPercent": "orders say by how much their runs may exceed them",
    "kind": "orders and runs say what they are made for",
    "runKind": "reports and messages to the ERP say what runs are made for",
    "made": "orders say what their runs use up of them",
    "committed": "orders say what their runs use up of them",
    "allowed": "orders say what their runs use up of them",
    "overPlanned": "orders say what their runs use up of them",
    "runs": "orders name their runs",
    "heldFrom": "runs say where they go on",
    "holds": "runs and units say what holds them",
    "holdNo": "decisions name the case that they opened or ended",
    "deviations": "units tell the deviations that cover them",
    "isFinished": "events tell the pass by which a unit is done",
    "isOptional": "steps may be optional",
    "files": "defects, inspected items and holds have files",
    "workInstructions": "steps tell what they are worked by",
    "requiresQualification": "steps may ask for somebody who is qualified",
    "reworkTasks": "units tell of their stays at the bench",
    "repairs": "units tell of their stays at the bench",
    "reentryLimit": "steps limit how often rework leads into them again",
    "allowedQty": "orders say by how much their runs may exceed them",
    "aboutEventId": "decisions name the step and the event that they are about",
    "aboutMessageId": "decisions name the message that they are about",
    "approvedBy": "decisions that two people take tell who approved",
    "moves": "units tell from which run they went to which",
    "snMasks": "routes have masks of serial numbers",
    "reportedAt": "what a machine says is kept beside what it means, where its clock is off",
    "driftDifferences": "the list of versions tells what compiling would change",
    "warnings": MAPPINGS,
    "mappings": MAPPINGS,
    "defects": MAPPINGS,
    **dict.fromkeys(
        ("id", "runNo", "stationCode", "reportedCode", "category", "quantity", "source", "foundBy", "foundAt"),
        "defects say what was reported, by what, where and when",
    ),
    **dict.fromkeys(("settledBy", "settledAt", "settledReason"), "defects say how they were settled"),
    "isFalseCall": MAPPINGS,
    "isTimeDoubtful": MAPPINGS,
    "measuredWithoutUnit": MAPPINGS,
    "leftOut": MAPPINGS,
    "block": MAPPINGS,
    "outcome": "a preview says what an example of the event would expect",
    "sentence": "time rules and prep policies are said in words, too",
    "actualNumber": "items of first articles are judged by their limits",
    "claimedResult": "items of first articles are judged by their limits",
    "signed": "first articles say whether a person signed them by password",
    "signature": "first articles say whether a person signed them by password",
    **dict.fromkeys(("minMinutes", "action", "earliestAt", "early"), "time rules have least times"),
    "formCode": "preparations may ask for checks",
    "strokes": "prints of several boards are one use",
    "traceability": "units say how far they can be traced",
    "note": "machine events keep who had them replayed or dismissed, and why",
}

FUNCTIONS = "unknown functions in paths are found when a route is compiled"
DEFECTS = "what a person said was wrong at a failed pass is a defect, which is open"
EVERY_FAIL = "a pass that failed always has a defect"
OF_CARRIERS = "passes and runs show the values that their carriers and failing units had"
SIGNED_IN = "pages of units tell who was signed in when device data came"
BEFORE_ITS_RUN = "a pass before its run was made is in doubt"
SETS = "events of a type are handled together: what is new of one batch is listed by type"
RESOLVED = "refused events carry the run, station and step that they resolved"
CONFLICTS = "other content under a spent key holds a unit of which it says that it failed"
KEPT = "the page shows causes first"
CARRIERS = "units that are done or scrapped leave their carriers, also those of before"
HELD = "what machines report of a held unit moves it behind its hold"
LISTS = "the units of a run have a list of their own, which its page leads to"

# Lists that were always empty and are filled now, by their names, and why.
FILLED = {"materials": "what was bound to the line was a load of it, and is told of the boards that it printed"}

# By address or case: the part of the answers that differs, and why.
DIFFERENT: dict[str, dict[str, str]] = {
    "an_event_out_of_order_is_applied_after_its_missing_steps": {
        f" 9 trace/units/O-ORDER.body.data.tracks.{place}.isTimeDoubtful": BEFORE_ITS_RUN for place in range(4)
    },
    "a_waiting_event_whose_unit_was_sent_back_expires": {"": "the task that catches up died of it (KeyError)"},
    "a_carrier_with_a_scrapped_unit_goes_on": {"": CARRIERS},
    "refused_messages_are_sent_again": {
        " 0 ingest/events": CONFLICTS,
        " 22 ingest/events": HELD,
        " 23 ingest/events": CARRIERS,
    },
    "machines_go_on_with_old_routes": {" 6 ingest/events": HELD},
    "rejected_events_replay_when_their_cause_is_mended": {
        " 3 ingest/events/48.body.data.receivedAt": "other content under a refused key is received when it comes"
    },
    "the_rest_of_a_partial_batch_is_applied": {"": HELD},
    "what_waits_for_a_transaction_is_applied_when_that_names_its_unit": {
        " 1 ingest/events?sn=O-TRANSACTION": "the entry is reported before the exit: a later one is of another pass"
    },
    "accepted_keys_are_sent_with_other_content": {
        " 12 ingest/events.body.error.details.held": CONFLICTS,
        " 29 integration/inspection-result.body.error.details.held": CONFLICTS,
        " 30 integration/inspection-result.body.error.details.held": CONFLICTS,
        " 13 ingest/events.body.error.details.held": CONFLICTS,
    },
    "what_waited_too_long_is_rejected_and_comes_right_later": {
        " 1 ingest/events?sn=O-TOO-LONG.body.data.items.0.stationCode": RESOLVED,
        " 1 ingest/events?sn=O-TOO-LONG.body.data.items.1.stationCode": RESOLVED,
        " 3 ingest/events?sn=O-TOO-LONG.body.data.items.1.stationCode": RESOLVED,
    },
    "strange_mappings_hinder_nobody_else": {" 9 trace/units/X-1.body.data.ingestEvents": RESOLVED},
    "clocks_are_swept": {" 8 time-rules/instances?pageSize=200.body.data.items": SETS},
    "/first-articles/FAI-INSPECTING/": {".body": "it says that what fails is held"},
    "/first-articles/FAI-PASSED/": {".body": "it is signed by password"},
    "/notifications/": {".body": "it leads to the rules of who is told of what"},
    "/ingest/events/": {".body": KEPT},
    "/ingest/events/?status=REJECTED": {".body": KEPT},
    "/api/time-rules?pageSize=200": {".body.data.items": "there is a preset of how long solder paste thaws, inactive"},
    "/api/trace/units/P-1": {".body.data.carrierLoads.0.unloadedAt": CARRIERS},
    "/api/trace/units/S-2": {".body.data.carrierLoads.0.unloadedAt": CARRIERS},
    "/api/trace/carriers/PALLET-1": {".body.data.carrierLoads.3.unloadedAt": CARRIERS},
    "/api/trace/carriers/TRAY-1": {".body.data.carrierLoads.1.unloadedAt": CARRIERS},
    "/api/trace/units/B-FAILED": {
        ".body.data.defects.0.status": DEFECTS,
        ".body.data.defects.1.status": DEFECTS,
    },
    "units_go_on_by_hand": {
        " 14 trace/units/B-FAILED.body.data.defects.0.status": DEFECTS,
        " 14 trace/units/B-FAILED.body.data.defects.1.status": DEFECTS,
        " 13 trace/units/B-HELD-IN.body.data.defects": EVERY_FAIL,
    },
    "/trace/units/R-GOOD/": {".body": SIGNED_IN},
    "/trace/units/R-LATE/": {".body": SIGNED_IN},
    "/trace/units/P-1/": {".body": CARRIERS},
    "/trace/units/P-2/": {".body": OF_CARRIERS},
    "/trace/units/P-5/": {".body": OF_CARRIERS},
    "/trace/runs/BOARD-1/": {".body": LISTS},
    "/trace/runs/BOARD-OLD/": {".body": LISTS},
    "/trace/runs/BOARD-SCRAPPED/": {".body": LISTS},
    "/trace/runs/OPEN/": {".body": LISTS},
    "/trace/runs/READY-2/": {".body": LISTS},
    "/trace/runs/FAI-SIGNED/": {".body": LISTS},
    "/trace/runs/CLOCKS/": {".body": LISTS},
    "/trace/runs/PANEL-1/": {".body": OF_CARRIERS},
    "/trace/units/S-2/": {".body": CARRIERS},
    "/trace/carriers/PALLET-1/": {".body": CARRIERS},
    "/trace/carriers/TRAY-1/": {".body": CARRIERS},
    "/api/routes/STRANGE/versions": {".body.data.items.0.drift": FUNCTIONS},
    "/api/routes/STRANGE/versions/1": {".body.data.drift": FUNCTIONS},
    "unchanged_routes_compile_to_their_versions": {" 9 routes/STRANGE/compile": FUNCTIONS},
}


PARTED = "boards are taken off on the page of their carrier"
KINDS = "reports are about one kind of runs, and say about which"
LINES = "lines have a page, to which others lead"
STEERED = "a unit is relabelled on its page, where it also says what two decided"
STARTS = "the start page leads to the pages of lines, and shows what waits by role"
PHOTOS = "inspected items take photos"
ACTS = {
    "/first-articles/FAI-FAILED/": PHOTOS,
    "/first-articles/FAI-SIGNED/": PHOTOS,
    "/": STARTS,
    "/api/reports/in-out?lineCode=SMT-1&from=2026-11-26&to=2026-11-29&format=csv": KINDS,
    "/api/reports/production?lineCode=SMT-1&from=2026-11-26&to=2026-11-29&format=csv": KINDS,
    "/reports/in-out/?line=SMT-1": KINDS,
    "/reports/record/?line=SMT-1": KINDS,
    "/reports/picture/?line=SMT-1": "reports lead to that of defects",
    "/readiness/": LINES,
    "/readiness/runs/FAI-INSPECTING/": LINES,
    "/readiness/runs/READY-1/": LINES,
    "/readiness/runs/READY-2/": LINES,
    "/readiness/runs/READY-3/": LINES,
    "/trace/carriers/PALLET-5/": PARTED,
    "/trace/carriers/PALLET-O-TRANSACTION/": PARTED,
    "/trace/carriers/PALLET-PART/": PARTED,
    "/trace/units/B-FAILED/": STEERED,
    "/trace/units/B-HELD-IN/": STEERED,
    "/trace/units/B-IN/": STEERED,
    "/trace/units/B-REWORKED/": STEERED,
    "/trace/units/B-SCRAPPED/": STEERED,
    "/trace/units/C-ACKNOWLEDGED/": STEERED,
    "/trace/units/F-INSPECTING-1/": STEERED,
    "/trace/units/I-REVIEW/": STEERED,
    "/trace/units/O-PART-3/": STEERED,
    "/trace/units/O-TOO-LONG/": STEERED,
}
for _address, _reason in ACTS.items():
    DIFFERENT.setdefault(_address, {})[".body"] = _reason


def is_told(name: str, place: str) -> bool:
    """Whether a part of an answer may differ."""
    return any(place.startswith(part) for part in DIFFERENT.get(name, ()))


def reworded(value: Any) -> Any:
    """Return an old answer in the words of the new code."""
    if isinstance(value, dict):
        return {name: reworded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [reworded(inner) for inner in value]
    if isinstance(value, str):
        for old, new in REWORDED.items():
            value = value.replace(old, new)
    return value
