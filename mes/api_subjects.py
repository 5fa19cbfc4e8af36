"""The subjects of the API's document, in the order in which somebody comes to them, and the codes of their refusals."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from mes import errors

QUICK_START = settings.BASE_DIR / "docs" / "quick-start.md"


@dataclass(frozen=True)
class Subject:
    """What belongs together: operations whose address begins, behind /api/, with one of `paths`.

    `codes` are those of refusals that its operations answer beside the common ones.
    """

    name: str
    about: str
    paths: tuple[str, ...]
    codes: str = ""


SUBJECTS = (
    Subject(
        "Readings of machines",
        "Values that devices measured, and inspections. One message, or up to 1,000 at once.",
        ("integration/device-data", "integration/station-data", "integration/inspection", "integration/material-uses"),
        "TRACK_NOT_FOUND RUN_NOT_FOUND UNIT_NOT_FOUND STATION_NOT_FOUND EQUIPMENT_NOT_FOUND EVENT_ID_CONFLICT "
        "RUN_MISMATCH STATION_MISMATCH DATA_SPEC_NOT_FOUND SPEC_NOT_BOUND DATA_TYPE_MISMATCH "
        "EVENT_TIME_IN_FUTURE EVENT_TOO_OLD",
    ),
    Subject(
        "Machine events",
        "Events in a machine's own words, read by the mapping of a step; previews and presets of mappings.",
        ("ingest", "sources"),
        "INGEST_EVENT_NOT_FOUND SOURCE_NOT_FOUND UNIT_NOT_FOUND STATION_NOT_FOUND DEDUPE_KEY_CONFLICT STEP_MISMATCH "
        "UNIT_ON_HOLD RUN_IN_PREP INGEST_MAPPING_MISSING INGEST_PAYLOAD_INVALID STEP_AMBIGUOUS EVENT_TIME_IN_FUTURE",
    ),
    Subject(
        "Stations, units and carriers",
        "By hand: tracking units and carriers in and out, entering values, holding and releasing.",
        ("stations", "units", "carriers", "scans", "reference-units"),
        "STATION_NOT_FOUND UNIT_NOT_FOUND TRACK_NOT_FOUND CARRIER_NOT_FOUND RUN_NOT_AUTHORIZED RUN_ON_HOLD "
        "UNIT_ALREADY_IN_STATION UNIT_NOT_IN_STATION UNIT_ALREADY_DONE UNIT_OUT_FAILED UNIT_ON_HOLD "
        "UNIT_SCRAPPED STATION_MISMATCH STEP_MISMATCH OPERATOR_NOT_QUALIFIED TIME_TOO_EARLY SETUP_INCOMPLETE "
        "DEFECT_CODE_NOT_FOUND RESULT_CONTRADICTS_DEFECT "
        "REQUIRED_DATA_MISSING SN_UNREADABLE SN_MASK_MISMATCH SN_TAKEN SN_IS_REFERENCE REFERENCE_UNIT_NOT_FOUND "
        "SCAN_AMBIGUOUS SCAN_TYPE_MISMATCH LOT_NOT_FOUND TOOL_NOT_FOUND LOT_BLOCKED LOT_USED_UP LOT_EXPIRED "
        "TOOL_NOT_READY TOOL_WORN SLOT_LOCKED WRONG_PART BOUND_ELSEWHERE SLOT_OCCUPIED SLOT_EMPTY",
    ),
    Subject(
        "Orders and runs",
        "Work orders, runs with their units, and what the ERP sends and is told.",
        ("work-orders", "runs", "approvals", "deviations", "integration/work-orders", "integration/outbound"),
        "WORK_ORDER_NOT_FOUND RUN_NOT_FOUND LINE_NOT_FOUND ROUTE_NOT_FOUND INVALID_TRANSITION ROUTE_VERSION_NOT_READY "
        "SETUP_LIST_NOT_FOUND "
        "READINESS_CHECK_FAILED RUN_STARTED RUN_CLOSED UNITS_NOT_FINISHED ORDER_QTY_EXCEEDED RUN_QTY_EXCEEDED "
        "RUN_ON_HOLD RUN_QTY_TOO_LOW ORDER_QTY_TOO_LOW ORDER_RUNS_OPEN ORDER_MADE "
        "APPROVAL_NOT_FOUND DEVIATION_NOT_FOUND APPROVER_IS_REQUESTER",
    ),
    Subject(
        "Readiness and first articles",
        "What must be in order before a run starts, and the first boards that are inspected.",
        ("readiness", "prep-policies", "fai", "fai-templates"),
        "RUN_NOT_FOUND READINESS_ITEM_NOT_FOUND PREP_POLICY_NOT_FOUND FAI_NOT_FOUND FAI_TEMPLATE_NOT_FOUND FAI_OPEN "
        "FAI_ITEMS_OPEN FAI_SIGNER_IS_INSPECTOR INVALID_TRANSITION EDIT_CONFLICT SIGNATURE_REQUIRED SIGNER_MISMATCH "
        "SIGNATURE_REFUSED SIGN_ON_LOCKED",
    ),
    Subject(
        "People at stations",
        "Who is signed on at a terminal, and who is qualified for which operation.",
        ("sign-on", "sign-off", "qualifications"),
        "QUALIFICATION_NOT_FOUND PERSON_NOT_FOUND OPERATION_NOT_FOUND EDIT_CONFLICT TERMINAL_REQUIRED TERMINAL_REVOKED "
        "SIGN_ON_REFUSED SIGN_ON_LOCKED SIGN_ON_SUPERSEDED",
    ),
    Subject(
        "Quality",
        "Electronic signatures of what was inspected and decided.",
        ("signatures",),
        "SIGNATURE_NOT_FOUND",
    ),
    Subject(
        "Defects",
        "What is wrong with units, the tree of its codes, and what machines call them.",
        ("defects", "defect-codes", "defect-aliases"),
        "UNIT_NOT_FOUND UNIT_RUN_NOT_FOUND RUN_NOT_FOUND DEFECT_CODE_NOT_FOUND DEFECT_ALIAS_NOT_FOUND "
        "UNIT_RUN_MISMATCH STEP_MISMATCH IN_USE EDIT_CONFLICT",
    ),
    Subject(
        "Outgoing inspection",
        "How lots are sampled before they leave, their inspections, and what is decided about those that failed.",
        ("oqc",),
        "RUN_NOT_FOUND OQC_NOT_FOUND SAMPLING_RULE_NOT_FOUND SAMPLING_STATE_NOT_FOUND UNIT_NOT_FOUND "
        "INVALID_TRANSITION IN_USE EDIT_CONFLICT",
    ),
    Subject(
        "Holds",
        "What keeps units, runs, stations and lines still.",
        ("holds", "hold-rules"),
        "HOLD_NOT_FOUND HOLD_RULE_NOT_FOUND OPERATION_NOT_FOUND IN_USE EDIT_CONFLICT "
        "HOLD_COUNT_CHANGED UNIT_NOT_IN_HOLD SIGNATURE_REQUIRED SIGNER_MISMATCH SIGNATURE_REFUSED "
        "RUN_NOT_FOUND LINE_NOT_FOUND STATION_NOT_FOUND UNIT_NOT_FOUND INVALID_TRANSITION UNIT_ON_HOLD STEP_MISMATCH",
    ),
    Subject(
        "Defects and repair",
        "What was found wrong with units, what is decided about it, and the bench.",
        ("defects", "rework-tasks"),
        "DEFECT_NOT_FOUND REWORK_TASK_NOT_FOUND FALSE_CALL_OF_VALUE REENTRY_LIMIT_REACHED REPAIR_RECORD_MISSING "
        "INVALID_TRANSITION STEP_MISMATCH UNIT_ON_HOLD SIGNATURE_REQUIRED SIGNATURE_REFUSED SIGNER_MISMATCH",
    ),
    Subject(
        "Files",
        "Instructions and photos: PDF, PNG and JPEG, and what they are attached to.",
        ("files", "attachments"),
        "FILE_NOT_FOUND ATTACHMENT_NOT_FOUND DEFECT_NOT_FOUND FAI_NOT_FOUND OQC_NOT_FOUND HOLD_NOT_FOUND "
        "FILE_TYPE_REFUSED TOO_MANY_ATTACHMENTS",
    ),
    Subject(
        "Trace and reports",
        "What happened to a unit or a carrier, what a line made, and what was wrong with it.",
        ("trace", "reports", "where-used"),
        "UNIT_NOT_FOUND CARRIER_NOT_FOUND LINE_NOT_FOUND STATION_NOT_FOUND REMARK_NOT_FOUND REMARK_CORRECTED "
        "LOT_NOT_FOUND MATERIAL_NOT_FOUND TOOL_NOT_FOUND HOLD_COUNT_CHANGED",
    ),
    Subject(
        "Plant",
        "Lines, stations, machines, operations, materials.",
        ("lines", "station-groups", "equipment", "operations", "materials", "bom-items"),
        "LINE_NOT_FOUND STATION_GROUP_NOT_FOUND EQUIPMENT_NOT_FOUND OPERATION_NOT_FOUND MATERIAL_NOT_FOUND "
        "BOM_ITEM_NOT_FOUND IN_USE EDIT_CONFLICT",
    ),
    Subject(
        "Specs and routes",
        "What is measured, the steps, how a step is executed; compiling, versions and their differences.",
        ("data-collection-specs", "routes", "execution-configs"),
        "SPEC_NOT_FOUND ROUTE_NOT_FOUND ROUTE_VERSION_NOT_FOUND EXECUTION_CONFIG_NOT_FOUND MAPPING_EXAMPLE_NOT_FOUND "
        "OPERATION_NOT_FOUND ROUTE_READ_ONLY IN_USE EDIT_CONFLICT DATA_TYPE_MISMATCH",
    ),
    Subject(
        "Line set-up",
        "Tools, stencils and solder paste, what is bound to a line, and what its slots must hold.",
        (
            "loads",
            "tools",
            "check-forms",
            "check-records",
            "stencils",
            "solder-paste-lots",
            "solder-paste-usages",
            "setup-lists",
        ),
        "LOAD_NOT_FOUND TOOL_NOT_FOUND CHECK_FORM_NOT_FOUND CHECK_RECORD_NOT_FOUND CHECK_SUBJECT_MISMATCH "
        "CHECK_NOT_TO_VERIFY CHECK_VERIFIER_IS_RECORDER SETUP_LIST_NOT_FOUND LIST_RELEASED ROUTE_NOT_FOUND "
        "STENCIL_NOT_FOUND LINE_NOT_FOUND LINE_OCCUPIED BOUND_ELSEWHERE NOT_BOUND EDIT_CONFLICT SCAN_TYPE_MISMATCH",
    ),
    Subject(
        "Notifications",
        "Who is told of what happens, and how.",
        ("notification-rules",),
        "NOTIFICATION_RULE_NOT_FOUND LINE_NOT_FOUND EDIT_CONFLICT",
    ),
    Subject(
        "Time rules",
        "Within which time something must happen, and the clocks that run.",
        ("time-rules",),
        "TIME_RULE_NOT_FOUND TIME_RULE_INSTANCE_NOT_FOUND TIME_RULE_NOT_WAIVABLE INVALID_TRANSITION EDIT_CONFLICT",
    ),
    Subject(
        "Status of machines and what was refused",
        "Reports of other systems, and refused messages: causes, trying again, dismissing.",
        ("integration", "bulk-actions"),
        "MESSAGE_NOT_FOUND BULK_ACTION_NOT_FOUND EQUIPMENT_NOT_FOUND LINE_NOT_FOUND "
        "EVENT_ID_CONFLICT INVALID_TRANSITION "
        "EVENT_TIME_IN_FUTURE",
    ),
    Subject(
        "Audit and system",
        "Who changed what, spreadsheets, saved views, the outbox.",
        (),
        "EVENT_NOT_FOUND SAVED_VIEW_NOT_FOUND SAVED_VIEW_EXISTS INVALID_TRANSITION TOO_MANY_ROWS",
    ),
)

# Answered by any operation that has the status.
COMMON = {
    "400": "VALIDATION_ERROR PARSE_ERROR BAD_REQUEST",
    "401": "NOT_AUTHENTICATED",
    "403": "PERMISSION_DENIED SECOND_FACTOR_REQUIRED",
    "404": "NOT_FOUND",
    "405": "METHOD_NOT_ALLOWED",
    "406": "NOT_ACCEPTABLE",
    "408": "BODY_TOO_LATE",
    "413": "PAYLOAD_TOO_LARGE",
    "415": "UNSUPPORTED_MEDIA_TYPE",
    "429": "TOO_MANY_REQUESTS",
    "503": "TRY_AGAIN OVERLOADED",
}


def subject_of(path: str) -> Subject:
    """Return the subject of an address; of several that fit, that of the longest beginning."""
    inside = f"{path.removeprefix('/api/')}/"
    fitting = [(len(start), subject) for subject in SUBJECTS for start in subject.paths if _begins(inside, start)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else SUBJECTS[-1]


def _begins(inside: str, start: str) -> bool:
    """Below integration/, messages of one kind differ by what stands behind a hyphen."""
    return inside.startswith((f"{start}/", f"{start}-") if "/" in start else f"{start}/")


def statuses_of_codes() -> dict[str, str]:
    """Return the status of each code, as the refusals declare it."""
    found, todo = dict[str, str](), [errors.DomainError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if isinstance(getattr(kind, "code", None), str):
            found[kind.code] = str(kind.status)
    return found


def arrange(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Put operations under their subjects, codes at their answers, and the quick start first.

    Called for the whole document (SPECTACULAR_SETTINGS).
    """
    statuses = statuses_of_codes()
    for path, operations in result["paths"].items():
        subject = subject_of(path)
        for operation in operations.values():
            operation["tags"] = [subject.name]
            for status, response in operation["responses"].items():
                own = [code for code in subject.codes.split() if statuses[code] == status]
                if codes := [*own, *COMMON.get(status, "").split()]:
                    told = ", ".join(f"`{code}`" for code in codes)
                    response["description"] = f"{response.get('description', '')} {told}".strip()
    result["tags"] = [{"name": subject.name, "description": subject.about} for subject in SUBJECTS]
    result["info"]["description"] = f"{result['info']['description']}\n\n{QUICK_START.read_text()}"
    return result
