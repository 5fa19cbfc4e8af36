"""Gathers the subjects' models for Django."""

from mes.accounts.models import DeviceToken
from mes.counts.models import CountReport, CountStream, HourlyCount, RecordRemark, RecordSignature
from mes.database.models import IdempotencyKey
from mes.events.models import MesEvent, WorkerHeartbeat
from mes.line_setup.models import (
    LineBinding,
    MaintenanceTask,
    SolderPasteLot,
    SolderPasteUsage,
    Stencil,
)
from mes.notifications.models import FollowedLine, Notification
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.production.models import Run, Unit, WorkOrder
from mes.readiness.models import PrepConfirmation, PrepPolicy, ReadinessCheck, ReadinessItem, ReadinessWaiver
from mes.reports.models import StatusReport
from mes.routing.models import (
    FaiTemplate,
    RouteExecutionConfig,
    RouteVersion,
    Routing,
    RoutingStep,
)
from mes.specs.models import DataCollectionSpec
from mes.timerules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark

__all__ = [
    "BomItem",
    "CountReport",
    "CountStream",
    "DataCollectionSpec",
    "DeviceToken",
    "Equipment",
    "FaiTemplate",
    "FollowedLine",
    "HourlyCount",
    "IdempotencyKey",
    "Line",
    "LineBinding",
    "MaintenanceTask",
    "Material",
    "MesEvent",
    "Notification",
    "Operation",
    "PrepConfirmation",
    "PrepPolicy",
    "ReadinessCheck",
    "ReadinessItem",
    "ReadinessWaiver",
    "RecordRemark",
    "RecordSignature",
    "RouteExecutionConfig",
    "RouteVersion",
    "Routing",
    "RoutingStep",
    "Run",
    "SolderPasteLot",
    "SolderPasteUsage",
    "Station",
    "StationGroup",
    "StatusReport",
    "Stencil",
    "TimeRuleDefinition",
    "TimeRuleInstance",
    "TimeRuleMark",
    "Unit",
    "WorkOrder",
    "WorkerHeartbeat",
]
