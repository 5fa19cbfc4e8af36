"""Refusals with stable codes. `docs/errors.md` lists each with what to do about it.

A service raises; nothing returns failure from inside a transaction, because returning would commit.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

from django.db.models import Choices, TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mes.labels import Action, Entity

LONGEST_SUBJECT = 200
# The details that name what a refusal is about: of several, the first.
_SUBJECTS = ("equipment", "sn", "station", "names", "problems")


class DomainError(Exception):
    """A refusal the caller can act on. `code` is public interface: never rename one.

    The message is formatted with the keyword arguments, which also become `details` (keys in camelCase). A member of
    choices stands in the message by its label and in `details` by its value.
    `keep` is called after the rollback by the service that owns the transaction: it writes what survives the refusal.
    """

    code: str = "DOMAIN_ERROR"
    status: int = 409
    message: str | Promise = _("The operation was refused.")
    retry_after: int | None = None  # seconds after which the same may succeed
    keep: Callable[[], None] | None = None

    def __init__(self, /, **details: Any) -> None:
        self.details = {name: _as_value(value) for name, value in details.items()}
        super().__init__(str(self.message).format(**{name: _in_words(value) for name, value in details.items()}))

    @property
    def subject(self) -> str:
        """What it is about, by which causes of refusals are told apart: a machine, unit, station, spec, path or field;
        empty where it is about none of them.
        """
        told = next((self.details[name] for name in _SUBJECTS if self.details.get(name)), "")
        first = told[0] if isinstance(told, list) else told
        return str(first).partition(": ")[0][:LONGEST_SUBJECT]

    def with_details(self, **details: Any) -> Self:
        """Return the same refusal with further details, for one of several messages that share it."""
        copy = type(self).__new__(type(self))
        copy.args, copy.details = self.args, {**self.details, **details}
        return copy


def _as_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_value(each) for each in value]
    return value.value if isinstance(value, Choices) else value


def _in_words(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(_in_words(each)) for each in value)
    return value.label if isinstance(value, Choices) else value


class ValidationFailed(DomainError):
    """Malformed input found below the API layer. `fields` maps field paths to messages."""

    code, status = "VALIDATION_ERROR", 400
    message = _("Some fields are missing or malformed; see details.")

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(**fields)

    @property
    def subject(self) -> str:
        """The first field that is malformed."""
        return next(iter(self.details), "")[:LONGEST_SUBJECT]


class ParseFailed(DomainError):
    code, status, message = "PARSE_ERROR", 400, _("The body is not valid JSON: {reason}")

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class SheetUnreadable(DomainError):
    code, status, message = "SHEET_UNREADABLE", 400, _("The file cannot be read: {reason}")


class PayloadTooLarge(DomainError):
    code, status = "PAYLOAD_TOO_LARGE", 413
    message = _("The body is larger than {limit} bytes; send less at once.")


class StationNotAllowed(DomainError):
    """The sender's token is limited to stations, and this is not one of them."""

    code, status = "PERMISSION_DENIED", 403
    message = _("This token is not for station “{station}” but for: {stations}.")


class LineNotAllowed(StationNotAllowed):
    """The sender's token is limited to stations, and they are of other lines than this."""

    message = _("This token is for stations of other lines than “{line}”: {stations}.")


class ConfirmationNotAllowed(DomainError):
    """People confirm by hand, systems report; a role may do one of them."""

    code, status = "PERMISSION_DENIED", 403
    message = _("Your role may not confirm preparations as “{source}”.")


class DecisionNotAllowed(DomainError):
    """Who may approve or refuse depends on what was asked for."""

    code, status = "PERMISSION_DENIED", 403
    message = _("You may not decide this; it needs the role {roles}.")


class WithdrawalNotAllowed(DomainError):
    """What was asked for is taken back by whoever asked."""

    code, status = "PERMISSION_DENIED", 403
    message = _("“{requester}” asked for this and may withdraw it.")


class AttachmentOfOther(DomainError):
    """Somebody takes a file away that another person attached."""

    code, status = "PERMISSION_DENIED", 403
    message = _("“{by}” attached this: they or somebody with the role Quality may take it away.")


# --- 404: the named thing does not exist ------------------------------------------------------------------


class NotFound(DomainError):
    """Base of the `…_NOT_FOUND` family."""

    code, status, message = "NOT_FOUND", 404, _("There is nothing here.")

    @property
    def subject(self) -> str:
        """The code or number that nothing has."""
        return str(self.details.get("code") or super().subject)[:LONGEST_SUBJECT]


class LineNotFound(NotFound):
    code, message = "LINE_NOT_FOUND", _("There is no line “{code}”.")


class StationGroupNotFound(NotFound):
    code, message = "STATION_GROUP_NOT_FOUND", _("There is no station group “{code}”.")


class StationNotFound(NotFound):
    code, message = "STATION_NOT_FOUND", _("There is no station “{code}”.")


class EquipmentNotFound(NotFound):
    code, message = "EQUIPMENT_NOT_FOUND", _("There is no equipment “{code}”.")


class OperationNotFound(NotFound):
    code, message = "OPERATION_NOT_FOUND", _("There is no operation “{code}”.")


class MaterialNotFound(NotFound):
    code, message = "MATERIAL_NOT_FOUND", _("There is no material “{code}”.")


class LotNotFound(NotFound):
    code, message = "LOT_NOT_FOUND", _("There is no lot “{code}”.")


class ApprovalNotFound(NotFound):
    code, message = "APPROVAL_NOT_FOUND", _("There is no approval “{code}”.")


class DeviationNotFound(NotFound):
    code, message = "DEVIATION_NOT_FOUND", _("There is no deviation “{code}”.")


class ReferenceUnitNotFound(NotFound):
    code, message = "REFERENCE_UNIT_NOT_FOUND", _("There is no reference unit “{code}”.")


class BomItemNotFound(NotFound):
    code, message = "BOM_ITEM_NOT_FOUND", _("There is no BOM item “{code}”.")


class SpecNotFound(NotFound):
    code, message = "SPEC_NOT_FOUND", _("There is no data collection spec “{code}”.")


class RouteNotFound(NotFound):
    code, message = "ROUTE_NOT_FOUND", _("There is no route “{code}”.")


class RouteVersionNotFound(NotFound):
    code, message = "ROUTE_VERSION_NOT_FOUND", _("Route “{route}” has no version {code}.")


class ExecutionConfigNotFound(NotFound):
    code, message = "EXECUTION_CONFIG_NOT_FOUND", _("There is no execution config “{code}”.")


class MappingExampleNotFound(NotFound):
    code, message = "MAPPING_EXAMPLE_NOT_FOUND", _("There is no example “{code}”.")


class StepNotFound(NotFound):
    code, message = "STEP_NOT_FOUND", _("The route of run “{run}” has no step {code}.")


class WorkOrderNotFound(NotFound):
    code, message = "WORK_ORDER_NOT_FOUND", _("There is no work order “{code}”.")


class RunNotFound(NotFound):
    code, message = "RUN_NOT_FOUND", _("There is no run “{code}”.")


class UnitNotFound(NotFound):
    code, message = "UNIT_NOT_FOUND", _("There is no unit “{code}”.")


class UnitNotRegistered(UnitNotFound):
    """The run that was named makes no unit on the fly."""

    message = _("There is no unit “{code}”, and run “{run}” takes only units that were registered for it beforehand.")


class UnitRunNotFound(NotFound):
    code, message = "UNIT_RUN_NOT_FOUND", _("Unit “{code}” is in no run.")


class TrackNotFound(NotFound):
    code = "TRACK_NOT_FOUND"
    message = _("There is no such track; the unit was not tracked there. Track it in, then replay or send again.")


class CarrierTrackNotFound(NotFound):
    code, message = "CARRIER_TRACK_NOT_FOUND", _("There is no carrier track “{code}”.")


class CarrierNotFound(NotFound):
    code, message = "CARRIER_NOT_FOUND", _("There is no carrier “{code}”.")


class SourceNotFound(NotFound):
    code, message = "SOURCE_NOT_FOUND", _("There is no source “{code}”.")


class IngestEventNotFound(NotFound):
    code, message = "INGEST_EVENT_NOT_FOUND", _("There is no ingest event “{code}”.")


class BulkActionNotFound(NotFound):
    code, message = "BULK_ACTION_NOT_FOUND", _("There is no bulk action “{code}”.")


class ImportNotFound(NotFound):
    code, message = "IMPORT_NOT_FOUND", _("There is no import “{code}”.")


class CheckFormNotFound(NotFound):
    code, message = "CHECK_FORM_NOT_FOUND", _("There is no check form “{code}”.")


class CheckRecordNotFound(NotFound):
    code, message = "CHECK_RECORD_NOT_FOUND", _("There is no check record “{code}”.")


class SetUpListNotFound(NotFound):
    code, message = "SETUP_LIST_NOT_FOUND", _("There is no set-up list “{code}”, or it is not released.")


class LoadNotFound(NotFound):
    code, message = "LOAD_NOT_FOUND", _("There is no load “{code}”; it may have been corrected.")


class ToolNotFound(NotFound):
    code, message = "TOOL_NOT_FOUND", _("There is no tool “{code}”.")


class StencilNotFound(NotFound):
    code, message = "STENCIL_NOT_FOUND", _("There is no stencil “{code}”.")


class ReadinessItemNotFound(NotFound):
    code, message = "READINESS_ITEM_NOT_FOUND", _("The readiness of this run has no failed item “{code}”.")


class PrepPolicyNotFound(NotFound):
    code, message = "PREP_POLICY_NOT_FOUND", _("No prep policy “{code}” applies to this run.")


class FaiNotFound(NotFound):
    code, message = "FAI_NOT_FOUND", _("There is no first article inspection “{code}”.")


class FaiTemplateNotFound(NotFound):
    code, message = "FAI_TEMPLATE_NOT_FOUND", _("There is no first article template “{code}”.")


class MessageNotFound(NotFound):
    code, message = "MESSAGE_NOT_FOUND", _("There is no message “{code}”.")


class TimeRuleNotFound(NotFound):
    code, message = "TIME_RULE_NOT_FOUND", _("There is no time rule “{code}”.")


class TimeRuleInstanceNotFound(NotFound):
    code, message = "TIME_RULE_INSTANCE_NOT_FOUND", _("There is no clock “{code}”.")


class RemarkNotFound(NotFound):
    code, message = "REMARK_NOT_FOUND", _("There is no remark “{code}”.")


class EventNotFound(NotFound):
    code, message = "EVENT_NOT_FOUND", _("There is no event “{code}”.")


class SavedViewNotFound(NotFound):
    code, message = "SAVED_VIEW_NOT_FOUND", _("There is no saved view “{code}”.")


# --- 409: a state forbids it now --------------------------------------------------------------------------


class HoldNotFound(NotFound):
    code, message = "HOLD_NOT_FOUND", _("There is no hold “{code}”.")


class NotificationRuleNotFound(NotFound):
    code, message = "NOTIFICATION_RULE_NOT_FOUND", _("There is no notification rule “{code}”.")


class HoldRuleNotFound(NotFound):
    code, message = "HOLD_RULE_NOT_FOUND", _("There is no hold rule “{code}”.")


class QualificationNotFound(NotFound):
    code, message = "QUALIFICATION_NOT_FOUND", _("There is no qualification “{code}”.")


class PersonNotFound(NotFound):
    code, message = "PERSON_NOT_FOUND", _("There is no person “{code}”.")


class DefectNotFound(NotFound):
    code, message = "DEFECT_NOT_FOUND", _("There is no defect “{code}”.")


class DefectCodeUnknown(NotFound):
    """In an address; where somebody names it, see `DefectCodeNotFound`."""

    code, message = "DEFECT_CODE_NOT_FOUND", _("There is no defect code “{code}”.")


class DefectAliasNotFound(NotFound):
    code, message = "DEFECT_ALIAS_NOT_FOUND", _("There is no alias of a defect code “{code}”.")


class ReworkTaskNotFound(NotFound):
    code, message = "REWORK_TASK_NOT_FOUND", _("There is no rework task “{code}”.")


class OqcNotFound(NotFound):
    code, message = "OQC_NOT_FOUND", _("There is no outgoing inspection “{code}”.")


class SamplingRuleNotFound(NotFound):
    code, message = "SAMPLING_RULE_NOT_FOUND", _("There is no sampling rule “{code}”.")


class SamplingStateNotFound(NotFound):
    code, message = "SAMPLING_STATE_NOT_FOUND", _("There is no sampling state “{code}”.")


class StoredFileNotFound(NotFound):
    code, message = "FILE_NOT_FOUND", _("There is no file “{code}”.")


class AttachmentNotFound(NotFound):
    code, message = "ATTACHMENT_NOT_FOUND", _("There is no attachment “{code}”.")


class SignatureNotFound(NotFound):
    code, message = "SIGNATURE_NOT_FOUND", _("There is no signature “{code}”.")


class SavedViewExists(DomainError):
    code, message = "SAVED_VIEW_EXISTS", _("You have a view “{name}” of this list already.")


class TooManySavedViews(DomainError):
    code, message = "TOO_MANY_SAVED_VIEWS", _("You have {most} saved views already; delete one first.")


class InUse(DomainError):
    code, message = "IN_USE", _("It is in use by {users} and cannot be deleted.")


class LastAdmin(DomainError):
    code, message = "LAST_ADMIN", _("The last active Admin stays. Make somebody else an Admin first.")


class InvalidTransition(DomainError):
    """`state` is a member of the choices of the thing's status, or of `labels.State`."""

    code = "INVALID_TRANSITION"
    message = _("“{action}” is not possible: {entity} is “{state}”.")

    def __init__(self, *, action: Action, entity: Entity, state: TextChoices) -> None:
        super().__init__(action=action, entity=entity, state=state)


class RouteReadOnly(DomainError):
    code = "ROUTE_READ_ONLY"
    message = _("The steps of route “{route}” come from the ERP and cannot be changed here.")


class RouteVersionNotReady(DomainError):
    code = "ROUTE_VERSION_NOT_READY"
    message = _("There is no usable route version: {reason}")


class RouteAmbiguous(DomainError):
    code = "ROUTE_AMBIGUOUS"
    message = _("Several routes of product “{product}” are in effect: {routes}. Name one in the work order.")


class UnitsNotFinished(DomainError):
    code = "UNITS_NOT_FINISHED"
    message = _("{count} unit(s) of the run were started and are neither done nor scrapped.")


class RunStarted(DomainError):
    code = "RUN_STARTED"
    message = _("Run “{run}” has begun, or units in it have: it stays so.")


class OrderRunsOpen(DomainError):
    """`runs` names the first of them."""

    code, message = "ORDER_RUNS_OPEN", _("Order “{order}” has {count} open run(s); close them first.")


class OrderMade(DomainError):
    code, message = "ORDER_MADE", _("Order “{order}” has {count} unit(s) made; complete it instead.")


class RunInOqc(DomainError):
    code, message = "RUN_IN_OQC", _("Run “{run}” is in its outgoing inspection and stands still until that is decided.")

    @property
    def subject(self) -> str:
        """The run: what is refused so is found by it when the inspection is decided."""
        return str(self.details["run"])


class StationStopped(DomainError):
    code, message = "STATION_STOPPED", _("Station “{station}” is stopped: {reason}")


class CheckSubjectMismatch(DomainError):
    """A form is switched off, or not about this thing."""

    code, message = "CHECK_SUBJECT_MISMATCH", _("The form “{form}” is switched off, or not about “{subject}”.")


class CheckNotToVerify(DomainError):
    code, message = "CHECK_NOT_TO_VERIFY", _("Check “{code}” waits for nobody: it is verified, or needs not be.")


class CheckVerifierIsRecorder(DomainError):
    code, message = "CHECK_VERIFIER_IS_RECORDER", _("“{by}” recorded the check; another person must verify it.")


class OperatorNotQualified(DomainError):
    """`operator` is who was asked about, None where a token names nobody."""

    code = "OPERATOR_NOT_QUALIFIED"
    message = _("“{operator}” is not qualified for operation “{operation}”, which step {step_no} asks for.")
    unnamed = _("Step {step_no} asks for somebody who is qualified for operation “{operation}”, and nobody is named.")

    def __init__(self, *, operator: str | None, operation: str, step_no: int) -> None:
        if operator is None:
            self.message = self.unnamed
        super().__init__(operator=operator, operation=operation, step_no=step_no)


class RepairOpen(DomainError):
    code, message = "REPAIR_OPEN", _("Unit “{sn}” waits for its repair before step {step_no}.")


class UnitInstalled(DomainError):
    """`sn` is the unit that the part is in."""

    code, message = "UNIT_INSTALLED", _("“{serial}” is in unit “{sn}”; take it out there first.")


class ChildNotDone(DomainError):
    code, message = "CHILD_NOT_DONE", _("Unit “{serial}” is {status}; only a finished unit becomes part of another.")


class BomMismatch(DomainError):
    code = "BOM_MISMATCH"
    message = _("Unit “{serial}” is a {material}, which is not the part that is named, or no part of {product}.")


class UnitInItself(DomainError):
    code, message = "UNIT_IN_ITSELF", _("Unit “{sn}” is, or is in, “{serial}”: it cannot contain it.")


class HoldCountChanged(DomainError):
    """`count` is how many units match by now."""

    code = "HOLD_COUNT_CHANGED"
    message = _("{count} units match by now, not {expected}. Look at them again; nothing is held.")


class UnitNotInHold(DomainError):
    """`sns` names the first of them."""

    code, message = "UNIT_NOT_IN_HOLD", _("Hold {hold} does not hold these (any more): {sns}")


class FalseCallOfValue(DomainError):
    code = "FALSE_CALL_OF_VALUE"
    message = _("The defect was made from a value outside its limits; a value is no false call.")


class ReentryLimitReached(DomainError):
    code = "REENTRY_LIMIT_REACHED"
    message = _("Step {step_no} was entered again {count} time(s) by rework, and {limit} is the limit.")


class RepairRecordMissing(DomainError):
    code, message = "REPAIR_RECORD_MISSING", _("Nothing is recorded of what was done about: {defects}")


class FaiStepNotPassed(DomainError):
    code = "FAI_STEP_NOT_PASSED"
    message = _("“{sn}” has not passed step {step_no} yet, to which “{item}” belongs.")


class OqcRequired(DomainError):
    code, message = "OQC_REQUIRED", _("Run “{run}” needs an outgoing inspection that passed: {reason}")


class UnitNotInSample(DomainError):
    code, message = "UNIT_NOT_IN_SAMPLE", _("“{sn}” is not in the sample of this inspection.")


class OqcItemsOpen(DomainError):
    code, message = "OQC_ITEMS_OPEN", _("The inspection cannot be decided yet, items are missing: {items}")


class OqcDecisionContradicts(DomainError):
    code = "OQC_DECISION_CONTRADICTS"
    message = _("{nonconforming} nonconforming unit(s) make it {computed}, not {decision}.")


class SamplingDiscontinued(DomainError):
    code = "SAMPLING_DISCONTINUED"
    message = _("Sampling of “{product}” by rule “{rule}” is discontinued until Quality resumes it.")


class SignatureRequired(DomainError):
    code, message = "SIGNATURE_REQUIRED", _("Sign this with your name, your password and what you mean by it.")


class SignerMismatch(DomainError):
    code, message = "SIGNER_MISMATCH", _("“{signer}” is not who is signed in; everybody signs for themselves.")


class SignatureRefused(DomainError):
    code, status = "SIGNATURE_REFUSED", 403
    message = _("The name or the password is wrong, or “{signer}” may not sign this.")


class SignOnLocked(DomainError):
    """`seconds` says when it may be tried again."""

    code, status = "SIGN_ON_LOCKED", 429
    message = _("Too many wrong attempts; try again in {seconds} seconds.")

    def __init__(self, *, seconds: int) -> None:
        super().__init__(seconds=seconds)
        self.retry_after = seconds


class SigningBusy(DomainError):
    """Passwords are checked one at a time; nothing was checked."""

    code, status, retry_after = "TRY_AGAIN", 503, 2
    message = _("Many people are signing at this moment. Try again in some seconds.")


class TerminalRequired(DomainError):
    code, status = "TERMINAL_REQUIRED", 403
    message = _("Badges sign on at terminals only, and this browser is none. Sign in by name and password.")


class TerminalRevoked(DomainError):
    code, status = "TERMINAL_REVOKED", 403
    message = _(
        "“{terminal}” is no terminal any more. What waits to be sent stays in this browser until somebody signs in "
        "here by name and password."
    )


class SignOnRefused(DomainError):
    code, status = "SIGN_ON_REFUSED", 403
    message = _("This badge is not known, or the PIN is wrong.")


class SignOnSuperseded(DomainError):
    code = "SIGN_ON_SUPERSEDED"
    message = _("Somebody else signed on at “{terminal}” at the same moment. Look who is signed on now.")


class SecondFactorAtTerminal(DomainError):
    """Badge and PIN are right, but they must not stand in for the second factor that this person is asked for."""

    code, status = "SECOND_FACTOR_REQUIRED", 403
    message = _("You need your second factor, which a badge does not replace. Sign in by name and password.")


class NoWorkAtTerminals(DomainError):
    """Badge and PIN are right, but no role of the person has work that is done at a terminal."""

    code, status = "PERMISSION_DENIED", 403
    message = _("No role of yours works at stations. Sign in by name and password.")


class LineOnHold(DomainError):
    code, message = "LINE_ON_HOLD", _("Line “{line}” is stopped: {reason}")

    @property
    def subject(self) -> str:
        """The line: what is refused so is found by it when the line goes on."""
        return str(self.details["line"])


class NoActiveRun(DomainError):
    code, message = "NO_ACTIVE_RUN", _("No run was active at “{place}” then; name one, or make one the active run.")


class RunInPrep(DomainError):
    code, message = "RUN_IN_PREP", _("Run “{run}” is in preparation; authorize it first.")


class RunNotAuthorized(DomainError):
    code, message = "RUN_NOT_AUTHORIZED", _("Run “{run}” is not authorized yet; authorize it first.")


class RunOnHold(DomainError):
    code, message = "RUN_ON_HOLD", _("Run “{run}” is on hold and waits for a decision.")

    @property
    def subject(self) -> str:
        """The run: what is refused so is found by it when the run goes on."""
        return str(self.details["run"])


class RunClosed(DomainError):
    code, message = "RUN_CLOSED", _("Run “{run}” is closed.")


class ReadinessCheckFailed(DomainError):
    """`items` lists every failed item with what to do about it."""

    code = "READINESS_CHECK_FAILED"
    message = _("Run “{run}” is not ready, {count} item(s) failed: {reasons}")


class ReadinessItemNotWaivable(DomainError):
    code, message = "READINESS_ITEM_NOT_WAIVABLE", _("“{item}” cannot be waived; it must be corrected.")


class PrepSourceMismatch(DomainError):
    code = "PREP_SOURCE_MISMATCH"
    message = _(
        "“{name}” is not confirmed this way (“{source}”); its policy says: “{confirm_mode}”, source “{data_source}”."
    )


class FaiNotPassed(DomainError):
    code, message = "FAI_NOT_PASSED", _("Run “{run}” needs a first article that passed: {reason}")


class FaiNotSigned(DomainError):
    code, message = "FAI_NOT_SIGNED", _("The first article of run “{run}” is not signed yet: {reason}")


class FaiOpen(DomainError):
    code, message = "FAI_OPEN", _("Run “{run}” already has an unfinished first article inspection; finish that one.")


class FaiItemsOpen(DomainError):
    code = "FAI_ITEMS_OPEN"
    message = _("The first article cannot pass, items are missing or failed: {items}")


class FaiSamplesComplete(DomainError):
    code, message = "FAI_SAMPLES_COMPLETE", _("The inspection already has its {quantity} sample unit(s).")


class FaiSignerIsInspector(DomainError):
    code = "FAI_SIGNER_IS_INSPECTOR"
    message = _("“{signer}” took part in this inspection; another person must sign it.")


class RunWorkOrderMismatch(DomainError):
    code = "RUN_WORK_ORDER_MISMATCH"
    message = _("Run “{run}” belongs to work order “{expected}”, not to “{work_order}”.")


class RunQuantityExceeded(DomainError):
    code, message = "RUN_QTY_EXCEEDED", _("Run “{run}” is planned for {plan} unit(s); {count} would exceed that.")


class RunQuantityTooLow(DomainError):
    code, message = "RUN_QTY_TOO_LOW", _("Run “{run}” has {count} unit(s) that are not scrapped; {plan} is less.")


class OrderQuantityExceeded(DomainError):
    code = "ORDER_QTY_EXCEEDED"
    message = _("Order “{order}” allows {allowed} unit(s), and its runs are for {committed}: {count} more exceed that.")


class OrderQuantityTooLow(DomainError):
    code = "ORDER_QTY_TOO_LOW"
    message = _("Order “{order}” has {count} unit(s) made or under way; it would allow {allowed}.")


class ScanAmbiguous(DomainError):
    """`kinds` are those of the things that are called so."""

    code, message = "SCAN_AMBIGUOUS", _("“{text}” means several things: {kinds}. Open the one that you mean.")


class CarrierEmpty(DomainError):
    code, message = "CARRIER_EMPTY", _("Carrier “{carrier}” carries no unit.")


class RunMismatch(DomainError):
    code, message = "RUN_MISMATCH", _("These units belong to several runs.")


class UnitRunMismatch(DomainError):
    code, message = "UNIT_RUN_MISMATCH", _("Unit “{sn}” does not belong to run “{run}”.")


class UnitAlreadyInStation(DomainError):
    code, message = "UNIT_ALREADY_IN_STATION", _("Unit “{sn}” is in station “{station}”; track it out there first.")


class UnitNotInStation(DomainError):
    code, message = "UNIT_NOT_IN_STATION", _("Unit “{sn}” is not in station “{station}”; track it in first.")


class UnitAlreadyDone(DomainError):
    code, message = "UNIT_ALREADY_DONE", _("Unit “{sn}” is done.")


class UnitOutFailed(DomainError):
    code, message = "UNIT_OUT_FAILED", _("Unit “{sn}” failed and waits for a disposition.")


class TimeTooEarly(DomainError):
    """The least time of a time rule is not over; `earliestAt` says when it is."""

    code = "TIME_TOO_EARLY"
    message = _("“{sn}” may not enter before {earliestAt}: {rule}.")


class UnitOnHold(DomainError):
    code, message = "UNIT_ON_HOLD", _("Unit “{sn}” is on hold: {reason}")


class UnitScrapped(DomainError):
    code, message = "UNIT_SCRAPPED", _("Unit “{sn}” is scrapped.")


class UnitsNotMovable(DomainError):
    """`units` has `sn` and `code` of each that cannot be moved, `reasons` why, in words. None is moved."""

    reasons: Mapping[str, str] = {}
    code, message = "UNITS_NOT_MOVABLE", _("{count} of these units cannot be moved; none was.")


class UnitStarted(DomainError):
    code, message = "UNIT_STARTED", _("Unit “{sn}” has been in a station for its run: move it to another run.")


class UnitIsSample(DomainError):
    code, message = "UNIT_IS_SAMPLE", _("Unit “{sn}” is a sample of a first article that is not finished.")


class UnitInOpenRun(DomainError):
    code, message = "UNIT_IN_OPEN_RUN", _("Unit “{sn}” is in run “{run}”, which is open: move it instead.")


class ProductMismatch(DomainError):
    code = "PRODUCT_MISMATCH"
    message = _("Unit “{sn}” is a “{product}”; run “{run}” makes “{run_product}” and does not take it.")


class StepRequired(DomainError):
    code, status = "STEP_REQUIRED", 422
    message = _("The routes differ before the unit's step: say at which step of run “{run}” it goes on.")


class SnTaken(DomainError):
    code, message = (
        "SN_TAKEN",
        _("“{sn}” is taken: a unit has this serial number, another one had it, or it is a reference unit's."),
    )


class PanelLoaded(DomainError):
    code, message = "PANEL_LOADED", _("Panel “{panel}” carries other boards already; unload it first.")


class BoardLabelled(DomainError):
    code, message = (
        "BOARD_LABELLED",
        _("The board at position {position} of panel “{panel}” has the label “{sn}”; relabel it to change that."),
    )


class SnIsReference(DomainError):
    code, message = "SN_IS_REFERENCE", _("“{sn}” is a reference unit: it checks machines and is not made.")


class ApproverIsRequester(DomainError):
    code, message = "APPROVER_IS_REQUESTER", _("Another person than the one who asked must approve.")


class ApprovalRequested(DomainError):
    code, message = "APPROVAL_REQUESTED", _("This was asked for already; it waits for a decision.")


class StationMismatch(DomainError):
    code = "STATION_MISMATCH"
    message = _("Station “{station}” may not run step {step_no} ({operation}), the unit's current step.")


class StationServesNoStep(DomainError):
    """Counts came from a station that serves no such step; they belong to no unit."""

    code, message = "STATION_MISMATCH", _("Station “{station}” does not serve that step of run “{run}”.")


class StepMismatch(DomainError):
    code, message = "STEP_MISMATCH", _("The unit is at step {current}, not at step {step_no}.")


class WaitExpired(StepMismatch):
    """An event waited for its unit to reach the step, and its time is over."""

    message = _("Waited {waited_seconds} s for step {step_no}, but the unit is at step {current}.")


class StationLineMismatch(DomainError):
    code, message = "STATION_LINE_MISMATCH", _("Station “{station}” belongs to line “{line}”, the run to “{run_line}”.")


class EquipmentUnavailable(DomainError):
    code, message = (
        "EQUIPMENT_UNAVAILABLE",
        _("Equipment “{equipment}” of station “{station}” is not ready: its status is “{equipment_status}”."),
    )


class LineOccupied(DomainError):
    code = "LINE_OCCUPIED"
    message = _("“{bound}” is bound to line “{line}”; unbind it first, or replace it.")


class BoundElsewhere(DomainError):
    code = "BOUND_ELSEWHERE"
    message = _("“{code}” is bound to line “{line}”; unbind it there first, or replace it.")


class SetUpIncomplete(DomainError):
    """`slots` say in words what `faults` do by `{slot, code}`."""

    code, message = "SETUP_INCOMPLETE", _("The set-up of station “{station}” is not good: {slots}.")


class SetUpListReleased(DomainError):
    code = "LIST_RELEASED"
    message = _("Set-up list {revision} of route “{route}” on line “{line}” is released: make a new revision.")


class SetUpRunAmbiguous(DomainError):
    code = "SETUP_RUN_AMBIGUOUS"
    message = _("Several runs may be meant at station “{station}”: {runs}. Name one.")


class LoadedElsewhere(DomainError):
    """It is in a slot of another station or line, or in another slot."""

    code = "BOUND_ELSEWHERE"
    message = _("“{code}” is in slot “{slot}” of “{place}”; take it out there first, or move it.")


class SlotOccupied(DomainError):
    code = "SLOT_OCCUPIED"
    message = _("In slot “{slot}” of “{station}” is “{loaded}”: replace it, or splice behind it.")


class SlotEmpty(DomainError):
    code, message = "SLOT_EMPTY", _("In slot “{slot}” of “{station}” is nothing of the kind.")


class SlotLocked(DomainError):
    code = "SLOT_LOCKED"
    message = _("Slot “{slot}” of “{station}” is locked after {wrong} wrong parts: somebody must unlock it.")


class WrongPart(DomainError):
    code = "WRONG_PART"
    message = _("“{loaded}” does not belong in slot “{slot}” of “{station}”. What belongs there: {expected}.")


class ToolNotReady(DomainError):
    code, message = "TOOL_NOT_READY", _("Tool “{tool}” is not ready.")


class ToolWorn(DomainError):
    code, message = "TOOL_WORN", _("Tool “{tool}” is worn: it was used as often, or as long, as it may be.")


class NotBound(DomainError):
    code, message = "NOT_BOUND", _("“{code}” is not bound to line “{line}”.")


class LotExists(DomainError):
    code, message = "LOT_EXISTS", _("There is a lot “{lot}” already.")


class LotMaterialMismatch(DomainError):
    code = "LOT_MATERIAL_MISMATCH"
    message = _("Lot “{lot}” is of material “{material}”, not “{told}”.")


class LotStatusInvalid(DomainError):
    code, message = "LOT_STATUS_INVALID", _("Lot “{lot}” is in status “{status}”, in which this cannot be done.")


class QuantityExceeded(DomainError):
    code, message = "QUANTITY_EXCEEDED", _("Lot “{lot}” has {rest} left: {quantity} cannot be taken out.")


class LotBlocked(DomainError):
    code, message = "LOT_BLOCKED", _("Lot “{lot}” is blocked.")


class LotUsedUp(DomainError):
    code, message = "LOT_USED_UP", _("Lot “{lot}” is used up.")


class LotExpired(DomainError):
    code, message = "LOT_EXPIRED", _("Lot “{lot}” is past its expiry date.")


class MsdExpired(DomainError):
    code, message = "MSD_EXPIRED", _("The floor life of lot “{lot}” is used up.")


class TimeRuleNotWaivable(DomainError):
    code, message = "TIME_RULE_NOT_WAIVABLE", _("Clocks of rule “{rule}” may not be waived.")


class OutboundOff(DomainError):
    code, message = "OUTBOUND_OFF", _("No ERP is configured: set MES_ERP_URL and MES_ERP_SECRET first.")


class RunNotReported(DomainError):
    code, message = "RUN_NOT_REPORTED", _("The run {run} is for engineering: the ERP is not told of it.")


class RemarkCorrected(DomainError):
    code = "REMARK_CORRECTED"
    message = _("Somebody else has corrected this remark; read it again and correct the latest version.")


class KeyConflict(DomainError):
    """Base of the refusals of a key that was used with other content."""


class EventIdConflict(KeyConflict):
    code, message = "EVENT_ID_CONFLICT", _("Event id “{event_id}” was used with other content.")


class EditConflict(DomainError):
    code = "EDIT_CONFLICT"
    message = _("“{name}” was changed since you read it. Read it again, and change what is still to be changed.")


class ImportHasErrors(DomainError):
    code = "IMPORT_HAS_ERRORS"
    message = _("{count} cell(s) of the sheet are wrong: mend them, and send the sheet again.")


class ImportStale(DomainError):
    code = "IMPORT_STALE"
    message = _("What the sheet names was changed since it was checked: {names}. Send the sheet again.")


class DedupeKeyConflict(KeyConflict):
    code = "DEDUPE_KEY_CONFLICT"
    message = _("Key “{key}” of “{source_system}” was used with other content.")


# --- 422: well-formed but cannot be applied ---------------------------------------------------------------


class Unprocessable(DomainError):
    """Base of the refusals of well-formed content."""

    status = 422


class SlotUnknown(Unprocessable):
    code, message = "SLOT_UNKNOWN", _("The set-up list of run “{run}” has no slot “{slot}” at station “{station}”.")


class TooManyAttachments(Unprocessable):
    code, message = "TOO_MANY_ATTACHMENTS", _("It has {most} files already; take one away first.")


class AttachmentSigned(Unprocessable):
    """Somebody takes a file away that was there when its record was signed."""

    code, message = "ATTACHMENT_SIGNED", _("The record was signed with this file; it stays.")


class FileQuotaExceeded(Unprocessable):
    """Somebody sends more than a day's files that nothing uses."""

    code = "FILE_QUOTA_EXCEEDED"
    message = _("You sent {most} MiB of files within a day that nothing uses. Use them, or go on tomorrow.")


class FileTypeRefused(Unprocessable):
    code, message = "FILE_TYPE_REFUSED", _("The file is not taken: {reason}.")


class ScanTypeMismatch(Unprocessable):
    code, message = "SCAN_TYPE_MISMATCH", _("“{text}” is {kind}. What is wanted here is {wanted}.")


class LabelUnreadable(Unprocessable):
    code, message = "LABEL_UNREADABLE", _("This label cannot be read: {why}")


class SnUnreadable(Unprocessable):
    code, message = "SN_UNREADABLE", _("“{sn}” is no serial number: the reader could not read one.")


class SnMaskMismatch(Unprocessable):
    code, message = "SN_MASK_MISMATCH", _("“{sn}” is no serial number of this route, whose masks are {masks}.")


class DataSpecNotFound(Unprocessable):
    code, message = "DATA_SPEC_NOT_FOUND", _("No active data collection spec of this operation is named: {names}")


class SpecNotBound(Unprocessable):
    code, message = "SPEC_NOT_BOUND", _("Not collected at this step (not bound in its route version): {names}")


class SpecNotAuto(Unprocessable):
    code, message = "SPEC_NOT_AUTO", _("Collected by hand, not by a device: {names}")


class DataTypeMismatch(Unprocessable):
    code, message = "DATA_TYPE_MISMATCH", _("Values of another type than their spec's: {names}")


class SpecWithoutNumbers(DataTypeMismatch):
    """Limits were tried on a spec whose values have none."""

    message = _("“{name}” collects no numbers: limits say nothing about its values.")


class RequiredDataMissing(Unprocessable):
    code, message = "REQUIRED_DATA_MISSING", _("Required values are missing: {names}")


class IngestMappingMissing(Unprocessable):
    code = "INGEST_MAPPING_MISSING"
    message = _("No step of type {event_type} with an ingest mapping is in the routes of the open runs concerned.")


class IngestMappingReadsNothing(IngestMappingMissing):
    """Steps of the type have mappings, but the event fulfils none's `when`."""

    message = _("No step of type {event_type} in the routes of the open runs concerned reads this event by a mapping.")


class ApplyingFailed(DomainError):
    """Kept with a message that could not be applied for a reason that nobody foresaw, which the log has."""

    code, status = "INTERNAL_ERROR", 500
    message = _("Something went wrong here, not with you. It is kept; tell your administrator the request id.")


class IngestAttemptFailed(DomainError):
    """Kept with a machine event whose attempt ended in a way that nobody foresaw. No answer has it."""

    code, status = "INTERNAL_ERROR", 500
    message = _("It could not be tried again ({problem}). It is kept and tried by itself, less and less often.")


class IngestPayloadInvalid(Unprocessable):
    code, message = "INGEST_PAYLOAD_INVALID", _("The mapping does not fit the payload: {problems}")


class IngestMappingTooCostly(IngestPayloadInvalid):
    """The problems are the paths."""

    code = "INGEST_MAPPING_TOO_COSTLY"
    message = _("Paths of the mapping take too many steps, or find too much, in this event: {problems}")


class DefectCodeNotFound(Unprocessable):
    """`nearest` are the codes that look most like it."""

    code, message = "DEFECT_CODE_NOT_FOUND", _("There is no active defect code “{code}”. Nearest: {nearest}")


class ResultContradictsDefect(Unprocessable):
    code = "RESULT_CONTRADICTS_DEFECT"
    message = _("A unit with open defects does not pass: {defects}")


class StepAmbiguous(Unprocessable):
    code = "STEP_AMBIGUOUS"
    message = _("Station “{station}” serves several steps of run “{run}” ({steps}): name one by stepNo.")


class TooManyRows(Unprocessable):
    code, message = "TOO_MANY_ROWS", _("These are more than {most} rows: take fewer at once.")


class EventTimeInFuture(Unprocessable):
    code, message = "EVENT_TIME_IN_FUTURE", _("{at} lies in the future; check the sender's clock.")


class EventTimeOutOfOrder(Unprocessable):
    code, message = "EVENT_TIME_OUT_OF_ORDER", _("{at} lies before {previous}, when the unit's previous move was made.")


class ActivationOutOfOrder(EventTimeOutOfOrder):
    """Another run was the active one of the place then."""

    message = _("{at} lies before {previous}, since when or until when another run was the active one there.")


class EventTooOld(Unprocessable):
    code, message = "EVENT_TOO_OLD", _("{at} is more than {days} days ago; such events are no longer accepted.")
