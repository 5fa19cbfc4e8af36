"""The only reader and writer of the frozen route document.

A snapshot is self-contained: it names operations, stations and groups by code and carries every bound spec with its
limits as they were. It never changes, so parsed snapshots are cached in process, bounded, by (version, digest).
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from mes.routing.models import RouteVersion
from mes.routing.step_mapping import StepMapping, parse_mappings
from mes.routing.work_instructions import WorkInstruction, read_instructions

SCHEMA = 1
DEFAULT_REENTRY_LIMIT = 3  # of what is compiled from now on, where no config says another one
KEPT_WITH_VALUES = ("id", "name", "item_type", "unit", "lsl", "usl", "target", "alarm_min", "alarm_max")


@dataclass(frozen=True)
class SpecSnapshot:
    """A data collection spec as it was when the route was compiled."""

    id: int
    name: str
    item_type: str
    data_type: str
    method: str
    trigger_type: str
    is_required: bool
    lsl: float | None = None
    usl: float | None = None
    target: float | None = None
    unit: str = ""
    alarm_min: float | None = None
    alarm_max: float | None = None
    alarm_action: str = ""

    @property
    def has_limits(self) -> bool:
        """Whether the system can judge a value itself."""
        return self.lsl is not None or self.usl is not None

    @cached_property
    def kept(self) -> msgspec.Raw:
        """What is kept of a spec with each of its values: a JSON array in the order of KEPT_WITH_VALUES, encoded once.
        Numbers are texts, which PostgreSQL need not read as decimals first.
        """
        fields = [getattr(self, name) for name in KEPT_WITH_VALUES]
        return msgspec.Raw(msgspec.json.encode([None if field is None else str(field) for field in fields]))


class SpecIndex:
    """Specs by how a reading names them."""

    def __init__(self, specs: Iterable[SpecSnapshot]) -> None:
        self._by_name: dict[str | None, SpecSnapshot] = {}
        self._by_id: dict[str, SpecSnapshot] = {}
        for spec in specs:
            self._by_name.setdefault(spec.name, spec)
            self._by_id[str(spec.id)] = spec

    def find(self, name: str | None, spec_id: str | None = None) -> SpecSnapshot | None:
        """Return the spec of that id if one is given, else of that name."""
        return self._by_name.get(name) if spec_id is None else self._by_id.get(spec_id)


@dataclass(frozen=True)
class StepSnapshot:
    """A step as it is executed. `specs` empty: nothing bound, values are looked up live in the operation.

    `ingest_mapping` is JSON: a mapping of machine events, or a list of them. `reentry_limit` is what a config says;
    where none does, the route's counts (`RouteSnapshot.find_reentry_limit`).
    """

    step_no: int
    source_step_key: str
    operation_code: str
    operation_name: str
    operation_kind: str
    station_type: str
    station_group: str | None
    allowed_stations: tuple[str, ...] | None
    requires_fai: bool
    retest_limit: int
    specs: tuple[SpecSnapshot, ...]
    ingest_mapping: Any = field(default=None, hash=False, compare=False)
    is_optional: bool = False
    requires_qualification: bool = False
    reentry_limit: int | None = None
    work_instructions: tuple[WorkInstruction, ...] = ()

    @cached_property
    def mappings(self) -> tuple[StepMapping, ...]:
        """What `ingest_mapping` says: the mappings of which the first reads an event whose `when` holds."""
        return parse_mappings(self.ingest_mapping, station_type=self.station_type)

    @cached_property
    def spec_index(self) -> SpecIndex:
        """The bound specs by how a reading names them."""
        return SpecIndex(self.specs)


@dataclass(frozen=True)
class FaiItem:
    """What an inspection looks at, and what it should be. With `spec_name`, the value of that spec is read from the
    unit's pass; with a limit, the number that is measured is judged by it.
    """

    name: str
    spec: str
    step_no: int | None = None
    spec_name: str = ""
    lsl: float | None = None
    usl: float | None = None
    unit: str = ""

    @property
    def has_limits(self) -> bool:
        """Whether the system judges a number."""
        return self.lsl is not None or self.usl is not None

    @property
    def target(self) -> None:
        """None: it has limits only."""
        return None


# Of an item of a first article: what was added later, left out of documents while it says nothing.
_LATER_OF_ITEMS = {"stepNo": "step_no", "specName": "spec_name", "lsl": "lsl", "usl": "usl", "unit": "unit"}


def item_to_document(item: FaiItem) -> dict[str, Any]:
    """Return an item as a version keeps it."""
    later = {key: getattr(item, name) for key, name in _LATER_OF_ITEMS.items()}
    said = {key: value for key, value in later.items() if value not in (None, "")}
    return {"itemName": item.name, "itemSpec": item.spec, **said}


def read_item(document: Mapping[str, Any]) -> FaiItem:
    """Parse an item of a template, of a version's document, or of a sampling rule."""
    numbers = {key: None if document.get(key) is None else float(document[key]) for key in ("lsl", "usl")}
    return FaiItem(
        document["itemName"],
        document.get("itemSpec") or "",
        step_no=document.get("stepNo"),
        spec_name=document.get("specName") or "",
        unit=document.get("unit") or "",
        **numbers,
    )


@dataclass(frozen=True)
class RouteSnapshot:
    """A frozen route: its identity and its steps in order.

    `reentry_limit` counts for steps of which no config said one; None, no limit, in versions of earlier releases.
    """

    route_code: str
    route_name: str
    source_system: str
    product_code: str
    steps: tuple[StepSnapshot, ...]
    fai_items: tuple[FaiItem, ...] = ()
    sn_masks: tuple[str, ...] = ()
    reentry_limit: int | None = None

    @property
    def requires_fai(self) -> bool:
        """Whether a step asks for a first article."""
        return any(step.requires_fai for step in self.steps)

    @cached_property
    def _steps_by_no(self) -> dict[int | None, StepSnapshot]:
        return {step.step_no: step for step in self.steps}

    def step(self, step_no: int | None) -> StepSnapshot | None:
        """Return the step with that number."""
        return self._steps_by_no.get(step_no)

    def step_of_track(self, step_no: int) -> StepSnapshot:
        """Return the step with the number of a track, which is made for a step of its run's frozen route."""
        return self._steps_by_no[step_no]

    def find_reentry_limit(self, step: StepSnapshot) -> int | None:
        """Return how often rework may lead a unit into one of its steps again; None where nothing limits it."""
        return self.reentry_limit if step.reentry_limit is None else step.reentry_limit

    @property
    def first_step_no(self) -> int:
        """The number of the first step. A compiled route has at least one."""
        return self.steps[0].step_no

    def next_step_no(self, step_no: int) -> int | None:
        """Return the number of the step after `step_no` in order; None after the last."""
        return next((step.step_no for step in self.steps if step.step_no > step_no), None)

    @cached_property
    def has_optional_steps(self) -> bool:
        """Whether units may leave steps out."""
        return any(step.is_optional for step in self.steps)

    def list_enterable(self, current: int | None, failed: Container[int] = ()) -> tuple[StepSnapshot, ...]:
        """Return the steps that a unit at step `current` may enter, in order: that, and while it is optional the next,
        up to the first that is mandatory. One that it `failed` last is mandatory. None where there is no such step.
        """
        step = self.step(current)
        if step is None or not step.is_optional:
            return () if step is None else (step,)
        found: list[StepSnapshot] = []
        for each in self.steps:
            if each.step_no >= step.step_no:
                found.append(each)
                if not each.is_optional or each.step_no in failed:
                    break
        return tuple(found)

    def earliest_before(self, step_no: int) -> int:
        """Return the number of the first step from which a unit may go on to this one, leaving out what is between."""
        earliest = step_no
        for step in reversed(self.steps):
            if step.step_no < step_no:
                if not step.is_optional:
                    break
                earliest = step.step_no
        return earliest

    def missing_steps(self, current: int, target: int, *, needed: Container[int] = ()) -> list[int]:
        """Return the numbers of the steps from `current` up to, but without, `target` that a unit must pass: the
        mandatory ones, and the optional ones that are `needed`.
        """
        between = (step for step in self.steps if current <= step.step_no < target)
        return [step.step_no for step in between if not step.is_optional or step.step_no in needed]


def _spec_to_document(spec: SpecSnapshot) -> dict[str, Any]:
    return {
        "id": str(spec.id),
        "name": spec.name,
        "itemType": spec.item_type,
        "dataType": spec.data_type,
        "method": spec.method,
        "triggerType": spec.trigger_type,
        "isRequired": spec.is_required,
        "limits": {"lsl": spec.lsl, "usl": spec.usl, "target": spec.target, "unit": spec.unit},
        "alarm": {"min": spec.alarm_min, "max": spec.alarm_max, "action": spec.alarm_action},
    }


def read_spec(document: dict[str, Any]) -> SpecSnapshot:
    """Parse the part of a version's document that is a spec."""
    limits, alarm = document["limits"], document["alarm"]
    return SpecSnapshot(
        id=int(document["id"]),
        name=document["name"],
        item_type=document["itemType"],
        data_type=document["dataType"],
        method=document["method"],
        trigger_type=document["triggerType"],
        is_required=document["isRequired"],
        lsl=limits["lsl"],
        usl=limits["usl"],
        target=limits["target"],
        unit=limits["unit"],
        alarm_min=alarm["min"],
        alarm_max=alarm["max"],
        alarm_action=alarm["action"],
    )


def to_document(snapshot: RouteSnapshot) -> dict[str, Any]:
    """Return the JSON document that a version keeps.

    What was added later (`faiItems`, `snMasks`, `isOptional`, `requiresQualification`, `workInstructions`, a step's
    `reentryLimit`) is left out while it says nothing, so that unchanged routes keep their digests. The limit of
    re-entries where no config says one stands with the route.
    """
    fai_items = [item_to_document(item) for item in snapshot.fai_items]
    return {
        "schema": SCHEMA,
        "route": {
            "code": snapshot.route_code,
            "name": snapshot.route_name,
            "sourceSystem": snapshot.source_system,
            "productCode": snapshot.product_code,
            **({"faiItems": fai_items} if fai_items else {}),
            **({"snMasks": list(snapshot.sn_masks)} if snapshot.sn_masks else {}),
            **({} if snapshot.reentry_limit is None else {"reentryLimit": snapshot.reentry_limit}),
        },
        "steps": [
            {
                "stepNo": step.step_no,
                "sourceStepKey": step.source_step_key,
                "operation": {
                    "code": step.operation_code,
                    "name": step.operation_name,
                    "kind": step.operation_kind,
                },
                "stationType": step.station_type,
                "stationGroupCode": step.station_group,
                "allowedStationCodes": None if step.allowed_stations is None else list(step.allowed_stations),
                "requiresFAI": step.requires_fai,
                "retestLimit": step.retest_limit,
                "dataSpecs": [_spec_to_document(spec) for spec in step.specs],
                "ingestMapping": step.ingest_mapping,
                **({"isOptional": True} if step.is_optional else {}),
                **({"requiresQualification": True} if step.requires_qualification else {}),
                **({} if step.reentry_limit is None else {"reentryLimit": step.reentry_limit}),
                **_instructions_to_document(step),
            }
            for step in snapshot.steps
        ],
    }


def _instructions_to_document(step: StepSnapshot) -> dict[str, Any]:
    documents = [instruction.document for instruction in step.work_instructions]
    return {"workInstructions": documents} if documents else {}


def from_document(document: dict[str, Any]) -> RouteSnapshot:
    """Parse the JSON document that a version keeps."""
    route = document["route"]
    return RouteSnapshot(
        route_code=route["code"],
        route_name=route["name"],
        source_system=route["sourceSystem"],
        product_code=route["productCode"],
        steps=tuple(_step_from_document(step) for step in document["steps"]),
        fai_items=tuple(read_item(item) for item in route.get("faiItems", ())),
        sn_masks=tuple(route.get("snMasks", ())),
        reentry_limit=route.get("reentryLimit"),
    )


def _step_from_document(document: dict[str, Any]) -> StepSnapshot:
    allowed = document["allowedStationCodes"]
    return StepSnapshot(
        step_no=document["stepNo"],
        source_step_key=document["sourceStepKey"],
        operation_code=document["operation"]["code"],
        operation_name=document["operation"]["name"],
        operation_kind=document["operation"]["kind"],
        station_type=document["stationType"],
        station_group=document["stationGroupCode"],
        allowed_stations=None if allowed is None else tuple(allowed),
        requires_fai=document["requiresFAI"],
        retest_limit=document["retestLimit"],
        specs=tuple(read_spec(spec) for spec in document["dataSpecs"]),
        ingest_mapping=document["ingestMapping"],
        is_optional=document.get("isOptional", False),
        requires_qualification=document.get("requiresQualification", False),
        reentry_limit=document.get("reentryLimit"),
        work_instructions=read_instructions(document.get("workInstructions", ())),
    )


def digest_of(document: dict[str, Any], errors: list[dict[str, Any]]) -> str:
    """Return the SHA-256 by which an unchanged compilation is recognised.

    The limit of re-entries that the release brings counts for nothing here: else every route of a plant would differ
    from its version the day after an upgrade, though nobody changed one. It comes with a route's next change.
    """
    route = {key: value for key, value in document["route"].items() if key != "reentryLimit"}
    told = {"snapshot": {**document, "route": route}, "errors": errors}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@lru_cache(maxsize=256)
def _load(version_id: int, digest: str) -> RouteSnapshot:
    return from_document(RouteVersion.objects.values_list("snapshot", flat=True).get(pk=version_id))


def load(*, version_id: int, digest: str) -> RouteSnapshot:
    """Return the parsed snapshot of a version, from the process's cache when it was read before."""
    return _load(version_id, digest)


def spec_of(spec: Any) -> SpecSnapshot:
    """Freeze a live `DataCollectionSpec`."""
    return SpecSnapshot(
        id=spec.pk,
        **{name: getattr(spec, name) for name in SpecSnapshot.__dataclass_fields__ if name != "id"},
    )
