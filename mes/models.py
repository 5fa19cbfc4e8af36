"""Gathers the subjects' models for Django."""

from mes.accounts.models import DeviceToken
from mes.database.models import IdempotencyKey
from mes.events.models import MesEvent, WorkerHeartbeat
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.production.models import Run, Unit, WorkOrder
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec

__all__ = [
    "BomItem",
    "DataCollectionSpec",
    "DeviceToken",
    "Equipment",
    "IdempotencyKey",
    "Line",
    "Material",
    "MesEvent",
    "Operation",
    "RouteExecutionConfig",
    "RouteVersion",
    "Routing",
    "RoutingStep",
    "Run",
    "Station",
    "StationGroup",
    "Unit",
    "WorkOrder",
    "WorkerHeartbeat",
]
