"""The words of refusals: one table of the actions, things and states that their messages name.

The values are stable and stand in the `details` of a refusal; the labels stand in its message. The states of a thing
are the choices of its model; here are only those that no column holds.
"""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Action(TextChoices):
    """What was asked for, as it stands in quotes."""

    ACCEPT = "accept", _("Accept")
    ACKNOWLEDGE = "acknowledge", _("Acknowledge")
    ACTIVATE = "activate", _("Make the active run")
    APPLY = "apply", _("Apply")
    APPROVE = "approve", _("Approve")
    AUTHORIZE = "authorize", _("Authorize")
    CANCEL = "cancel", _("Cancel")
    CHANGE = "change", _("Change")
    CHANGE_PRODUCT_OR_ROUTE = "change product or route", _("Change product or route")
    CLOSE = "close", _("Close")
    CLOSE_FOR_REWORK = "close for rework", _("Close for rework")
    COMPLETE = "complete", _("Complete")
    CREATE_A_RUN = "create a run", _("Create a run")
    DEPANEL = "depanel", _("Depanel")
    DEVIATE = "deviate", _("Allow a deviation")
    DISMISS = "dismiss", _("Dismiss")
    DISPOSE = "dispose", _("Decide")
    DRAW = "draw", _("Draw the sample")
    END = "end", _("End")
    END_DEVIATION = "end deviation", _("End a deviation")
    ENTER = "enter", _("Track in")
    EXPIRE = "expire", _("Expire")
    FAIL = "fail", _("Fail")
    FALSE_CALL = "false call", _("Call it a false call")
    FINISH = "finish", _("Finish")
    HOLD = "hold", _("Put on hold")
    MOVE = "move", _("Move to another run")
    PASS = "pass", _("Pass")
    QUEUE = "queue", _("Send to the next step")
    RECORD_ITEMS = "record items", _("Record items")
    RECORD_REPAIR = "record repair", _("Record a repair")
    REFUSE = "refuse", _("Refuse")
    RELABEL = "relabel", _("Relabel")
    RELEASE = "release", _("Release")
    RELEASE_TO_ANOTHER_LINE = "release to another line", _("Release to another line")
    REOPEN = "reopen", _("Reopen")
    REPLAY = "replay", _("Replay")
    REPORT_THE_COMPLETION = "report the completion", _("Report the completion")
    RESUME = "resume", _("Resume")
    RETRY = "retry", _("Try again")
    RETURN = "return", _("Return into a run")
    REVOKE = "revoke", _("Revoke the authorization")
    REWORK = "rework", _("Rework")
    RUN_NOW = "run now", _("Run now")
    SCRAP = "scrap", _("Scrap")
    SIGN = "sign", _("Sign")
    SKIP = "skip", _("Skip the step")
    SPLIT = "split", _("Split")
    START = "start", _("Start")
    TAKE_BACK = "take back", _("Take back")
    UNDO_SCRAP = "undo scrap", _("Undo the scrap")
    WAIT = "wait", _("Let wait")
    WAIVE = "waive", _("Waive")
    WITHDRAW = "withdraw", _("Withdraw")


class Entity(TextChoices):
    """What the action was asked of, as the subject of a sentence."""

    APPROVAL = "approval", _("the approval")
    CLOCK = "clock", _("the clock")
    DEFECT = "defect", _("the defect")
    DEVIATION = "deviation", _("the deviation")
    EVENT = "event", _("the event")
    FIRST_ARTICLE = "first article", _("the first article")
    HOLD = "hold", _("the hold")
    IMPORT = "import", _("the import")
    INGEST_EVENT = "ingest event", _("the machine event")
    LINE = "line", _("the line")
    MESSAGE = "message", _("the message")
    OQC = "outgoing inspection", _("the outgoing inspection")
    READINESS_ITEM = "readiness item", _("the readiness item")
    REWORK_TASK = "rework task", _("the rework task")
    RUN = "run", _("the run")
    SAMPLING = "sampling", _("the sampling")
    SCHEDULED_TASK = "scheduled task", _("the scheduled task")
    STATION = "station", _("the station")
    UNIT = "unit", _("the unit")
    WORK_ORDER = "work order", _("the work order")


class State(TextChoices):
    """States that follow from more than one column."""

    ACKNOWLEDGED = "EXPIRED and acknowledged", _("Expired and acknowledged")
    IN_PRODUCTION = "in production", _("In production")
    RUNNING = "running", _("Running")
    SIGNED = "SIGNED", _("Signed")


class SetUpFault(TextChoices):
    """What may be wrong with a slot, and with what is in it."""

    SLOT_EMPTY = "SLOT_EMPTY", _("empty")
    WRONG_PART = "WRONG_PART", _("wrong part")
    WRONG_PROGRAM = "WRONG_PROGRAM", _("wrong program")
    LOT_BLOCKED = "LOT_BLOCKED", _("the lot is blocked")
    LOT_USED_UP = "LOT_USED_UP", _("the lot is used up")
    LOT_EXPIRED = "LOT_EXPIRED", _("the lot is past its expiry date")
    MSD_EXPIRED = "MSD_EXPIRED", _("the floor life of the lot is over")
    TOOL_NOT_READY = "TOOL_NOT_READY", _("the tool is not ready")
    TOOL_WORN = "TOOL_WORN", _("the tool is worn")
    SLOT_LOCKED = "SLOT_LOCKED", _("locked after wrong parts")
