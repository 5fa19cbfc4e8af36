"""Gathers the subjects' models for Django."""

from mes.line_setup.checks.models import CheckForm, CheckRecord
from mes.line_setup.loads.models import Load, LoadMark, LoadScan, SlotLock
from mes.line_setup.lots.models import LotEvent, MaterialLot
from mes.line_setup.models import MaintenanceTask, SolderPasteUsage
from mes.line_setup.set_up_lists.models import RunSetUpList, RunStationSetUp, SetUpItem, SetUpList
from mes.line_setup.tools.models import Tool
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.platform.accounts.models import DeviceToken
from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.bulk_actions.models import BulkAction
from mes.platform.files.models import FileAttachment, StoredFile, StoredFilePart
from mes.platform.inbound.models import IdempotencyKey, Source
from mes.platform.lists.models import SavedView
from mes.platform.monitoring.models import IntegrityCheck, SystemTrouble
from mes.platform.notifications.models import FollowedLine, Notification
from mes.platform.notifications.rule_models import NoticeWindow, NotificationRule
from mes.platform.outbox.models import MesEvent, TaskOutcome, WorkerHeartbeat
from mes.platform.sign_in.models import (
    AttemptCount,
    Badge,
    RecoveryCode,
    SecondFactor,
    SecondFactorRule,
    SignOn,
    Terminal,
)
from mes.platform.signatures.models import Signature
from mes.production.decision_models import Approval, Decision, RunActivation, UnitMove
from mes.production.hold_models import HeldUnit, Hold, HoldDecision, HoldRule, HoldRuleNotice
from mes.production.identity_models import ReferencePass, ReferenceUnit, UnitAlias
from mes.production.models import Run, Unit, WorkOrder
from mes.production_counts.models import (
    CountReport,
    CountStream,
    HourlyCount,
    RecordRemark,
    RecordSignature,
)
from mes.qualifications.models import Qualification
from mes.readiness.models import PrepConfirmation, PrepPolicy, ReadinessCheck, ReadinessItem, ReadinessWaiver
from mes.routing.drift_models import DriftPosition, RouteDrift
from mes.routing.models import (
    FaiTemplate,
    MappingExample,
    RouteExecutionConfig,
    RouteVersion,
    RouteVersionFile,
    Routing,
    RoutingStep,
)
from mes.specs.models import DataCollectionSpec
from mes.spreadsheets.models import SheetImport
from mes.status_reports.models import StatusReport
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark

__all__ = [
    "Approval",
    "AttemptCount",
    "AuditEntry",
    "AuditSeal",
    "Badge",
    "BomItem",
    "BulkAction",
    "CheckForm",
    "CheckRecord",
    "CountReport",
    "CountStream",
    "DataCollectionSpec",
    "Decision",
    "DeviceToken",
    "DriftPosition",
    "Equipment",
    "FaiTemplate",
    "FileAttachment",
    "FollowedLine",
    "HeldUnit",
    "Hold",
    "HoldDecision",
    "HoldRule",
    "HoldRuleNotice",
    "HourlyCount",
    "IdempotencyKey",
    "IntegrityCheck",
    "Line",
    "Load",
    "LoadMark",
    "LoadScan",
    "LotEvent",
    "MaintenanceTask",
    "MappingExample",
    "Material",
    "MaterialLot",
    "MesEvent",
    "NoticeWindow",
    "Notification",
    "NotificationRule",
    "Operation",
    "PrepConfirmation",
    "PrepPolicy",
    "Qualification",
    "ReadinessCheck",
    "ReadinessItem",
    "ReadinessWaiver",
    "RecordRemark",
    "RecordSignature",
    "RecoveryCode",
    "ReferencePass",
    "ReferenceUnit",
    "RouteDrift",
    "RouteExecutionConfig",
    "RouteVersion",
    "RouteVersionFile",
    "Routing",
    "RoutingStep",
    "Run",
    "RunActivation",
    "RunSetUpList",
    "RunStationSetUp",
    "SavedView",
    "SecondFactor",
    "SecondFactorRule",
    "SetUpItem",
    "SetUpList",
    "SheetImport",
    "SignOn",
    "Signature",
    "SlotLock",
    "SolderPasteUsage",
    "Source",
    "Station",
    "StationGroup",
    "StatusReport",
    "StoredFile",
    "StoredFilePart",
    "SystemTrouble",
    "TaskOutcome",
    "Terminal",
    "TimeRuleDefinition",
    "TimeRuleInstance",
    "TimeRuleMark",
    "Tool",
    "Unit",
    "UnitAlias",
    "UnitMove",
    "WorkOrder",
    "WorkerHeartbeat",
]
