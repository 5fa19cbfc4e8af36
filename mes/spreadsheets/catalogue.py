"""The collections that are kept in spreadsheets, each declared once: whose rows they are, by what a row is known."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from mes import errors
from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists import services as set_up_lists
from mes.line_setup.set_up_lists.models import SetUpItem, SetUpList, SetUpListStatus
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.line_setup.tools import services as tools
from mes.line_setup.tools.api import ToolRowSerializer
from mes.plant import api as plant
from mes.plant.hooks import tell_changed
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.platform.accounts.roles import Capability
from mes.platform.files.queries import find_there
from mes.routing import services
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteSource, Routing, RoutingStep
from mes.routing.services import StepInput
from mes.routing.work_instructions import file_ids
from mes.specs import api as specs
from mes.specs.models import DataCollectionSpec
from mes.spreadsheets.columns import Column, columns_of, flat
from mes.spreadsheets.rows import ConfigRowSerializer, ItemRowSerializer, StepRowSerializer, names_in, of_many

BATCH = 250
Key = tuple[Any, ...]


@dataclass
class Outcome:
    """What a row of a sheet does: `candidate` is what would be saved, None where the row says nothing new. `row` is
    None of what goes because no row names it.
    """

    row: int | None
    key: Key
    present: models.Model | None
    candidate: models.Model | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    changed: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """CREATE, CHANGE, DELETE, or nothing."""
        if self.row is None:
            return "DELETE"
        return "" if self.candidate is None else "CHANGE" if self.present is not None else "CREATE"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row."""

    row: int
    field: str
    code: str
    message: str


class SheetCollection:
    """Rows of one model, known by columns that every row has."""

    def __init__(
        self,
        name: str,
        label: Any,
        model: type[models.Model],
        serializer: type[serializers.Serializer],
        *,
        key: Sequence[str],
        order: Sequence[str],
        named_by: str,
        capabilities: Collection[Capability] = (Capability.MASTER_DATA,),
        volatile: Collection[str] = (),
        note: Any = "",
    ) -> None:
        """`order` are the lookups by which an export is sorted, `named_by` that of the first column of the key.

        What machines report (`volatile`) counts as changed meanwhile only where the sheet has the column.
        """
        self.name, self.label, self.model, self.note = name, label, model, note
        self.serializer = of_many(serializer)
        self.key, self.order, self.named_by = tuple(key), tuple(order), named_by
        self.capabilities = frozenset(capabilities)
        self.volatile = frozenset(volatile)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a sheet, in the order of an export."""
        return columns_of(self.serializer())

    def identify(self, row: Mapping[str, Any]) -> Key:
        """Return by what a row is known."""
        return tuple(row.get(name) or None if name != "stepNo" else row.get(name) for name in self.key)

    def all(self) -> Iterable[models.Model]:
        """Return all rows, as an export has them."""
        return self.rows().order_by(*self.order).iterator(chunk_size=BATCH)

    def rows(self) -> QuerySet[Any]:
        """Return the rows with what they refer to."""
        related = [field.name for field in self.model._meta.fields if isinstance(field, models.ForeignKey)]
        found: QuerySet[Any] = self.model._default_manager.all()
        return found.select_related(*related) if related else found

    def named(self, keys: Collection[Key]) -> Iterable[models.Model]:
        """Return the rows that may have one of these keys: those with the first part of one."""
        firsts = {key[0] for key in keys if isinstance(key[0], str)}
        return self.rows().filter(**{f"{self.named_by}__in": firsts})

    def lock(self, present: Iterable[Any], keys: Collection[Key]) -> None:
        """Lock rows in the order of their ids (inside a transaction)."""
        lock(self.model, pk__in={row.pk for row in present})

    def judge(self, outcomes: Sequence[Outcome], rows: Mapping[Any, int]) -> Iterator[Problem]:
        """Yield what is wrong with rows that only shows when one looks at all of them. `rows` has the first row of each
        first part of a key, also of rows that are wrong by themselves.
        """
        return iter(())

    def left_over(self, keys: Collection[Key]) -> list[Outcome]:
        """Return what goes because no row has its key: nothing, as a rule."""
        return []

    def changed_besides(self, present: Any, candidate: Any) -> tuple[str, ...]:
        """Return the names of what differs beside columns of the table: nothing, as a rule."""
        return ()

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Write what differs (inside a transaction, after the locks). `by` is who applies the sheet."""
        differing = [(outcome, outcome.candidate) for outcome in outcomes if outcome.candidate is not None]
        made = [thing for outcome, thing in differing if outcome.action == "CREATE"]
        self.model._default_manager.bulk_create(made, batch_size=BATCH)
        changed: dict[tuple[str, ...], list[models.Model]] = {}
        for outcome, thing in differing:
            if outcome.action == "CHANGE":
                changed.setdefault((*outcome.changed, *self.noted(outcome)), []).append(thing)
        for names, things in changed.items():
            self.model._default_manager.bulk_update(things, names, batch_size=BATCH)

    def noted(self, outcome: Outcome) -> tuple[str, ...]:
        """Note on a row that is changed what goes with the change; return the names of these columns."""
        return ()


def lock(model: type[models.Model], **named: Collection[Any]) -> None:
    """Lock rows in the order of their ids (inside a transaction)."""
    found = model._default_manager.filter(**named).order_by("pk").select_for_update(no_key=True)
    list(found.values_list("pk"))


class _Machines(SheetCollection):
    """Machines: a status that is typed counts from now, as everywhere."""

    def noted(self, outcome: Outcome) -> tuple[str, ...]:
        if "status" not in outcome.changed or not isinstance(outcome.candidate, Equipment):
            return ()
        outcome.candidate.note_typed("status")
        return ("status_at", "field_sources")


class _Materials(SheetCollection):
    """Materials: what lots have of them counts at once, as everywhere."""

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Write what differs, and tell of it."""
        super().write(outcomes, by)
        changed = [outcome for outcome in outcomes if outcome.action == "CHANGE" and outcome.candidate is not None]
        names = {name for outcome in changed for name in outcome.changed}
        tell_changed([outcome.candidate.pk for outcome in changed if outcome.candidate], names)


class _Tools(SheetCollection):
    """Tools: what is typed of them is done as everywhere."""

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Make new ones; change the others one by one, as their service does."""
        super().write([outcome for outcome in outcomes if outcome.action == "CREATE"], by)
        for outcome in outcomes:
            if outcome.action == "CHANGE" and isinstance(outcome.candidate, Tool):
                typed = {name: getattr(outcome.candidate, name) for name in outcome.changed}
                tools.change(outcome.candidate.tool_id, typed)


class _Configs(SheetCollection):
    """Execution configs: known by their place. Where a place has several, the newest counts and is the one meant."""

    def identify(self, row: Mapping[str, Any]) -> Key:
        """The place; a step that is named by its source key may have any number."""
        place = {name: row.get(name) or None for name in self.key} | {"stepNo": row.get("stepNo")}
        if place["scope"] == ConfigScope.STEP and place["sourceStepKey"]:
            place["stepNo"] = None
        return tuple(place.values())

    def all(self) -> Iterable[models.Model]:
        """The newest of each place, wide ones last."""
        scopes = list(ConfigScope.values)
        configs = {self._place_of(config): config for config in self.rows().order_by("updated_at", "id")}
        return sorted(configs.values(), key=lambda config: (scopes.index(config.scope), self._sorted(config)))

    def named(self, keys: Collection[Key]) -> Iterable[models.Model]:
        """Those of the routes, and all that are of none, newest first."""
        routes = {key[1] for key in keys if isinstance(key[1], str)}
        of_these = models.Q(routing__code__in=routes) | models.Q(routing=None)
        return self.rows().filter(of_these).order_by("-updated_at", "-id")

    def _place_of(self, config: Any) -> Key:
        return self.identify(flat(self._shown.to_representation(config), self.columns))

    @cached_property
    def _shown(self) -> Any:
        return self.serializer()

    def _sorted(self, config: Any) -> tuple[Any, ...]:
        codes = [config.routing.code if config.routing else "", config.operation.code if config.operation else ""]
        return (*codes, config.step_no or 0, config.source_step_key, config.pk)

    def lock(self, present: Iterable[Any], keys: Collection[Key]) -> None:
        """Lock what configs belong to before them, as whoever saves one does."""
        lock(Routing, code__in={key[1] for key in keys if key[1]})
        lock(Operation, code__in={key[4] for key in keys if key[4]})
        lock(RouteExecutionConfig, pk__in={config.pk for config in present})

    def judge(self, outcomes: Sequence[Outcome], rows: Mapping[Any, int]) -> Iterator[Problem]:
        """Stations and steps that are not there."""
        configs = [(outcome, outcome.candidate) for outcome in outcomes]
        found = [(each.row, config) for each, config in configs if isinstance(config, RouteExecutionConfig)]
        unknown = set(
            services.find_unknown_stations({c for _row, each in found for c in each.allowed_station_codes or ()})
        )
        files = find_there(pk for _row, config in found for pk in file_ids(config.work_instructions))
        routes = {config.routing_id for _row, config in found if config.scope == ConfigScope.STEP}
        steps = set(
            RoutingStep.objects.filter(routing__in=routes).values_list("routing_id", "step_no", "source_step_key")
        )
        by_number = {(route, number) for route, number, _key in steps}
        by_key = {(route, key) for route, _number, key in steps}
        for row, config in found:
            assert row is not None
            if missing := [code for code in config.allowed_station_codes or () if code in unknown]:
                refusal = errors.StationNotFound(code=missing[0])
                yield Problem(row, "allowedStationCodes", refusal.code, str(refusal))
            if gone := sorted(file_ids(config.work_instructions) - files):
                lacking = errors.StoredFileNotFound(code=str(gone[0]))
                yield Problem(row, "workInstructions", lacking.code, str(lacking))
            if config.scope != ConfigScope.STEP or config.routing is None:
                continue
            place = (config.routing_id, config.step_no, config.source_step_key)
            if config.source_step_key and config.step_no is not None:
                has_step = place in steps
            elif config.source_step_key:
                has_step = (place[0], place[2]) in by_key
            else:
                has_step = place[:2] in by_number
            if not has_step:
                field = "sourceStepKey" if config.step_no is None else "stepNo"
                message = _("Route “%(route)s” has no such step.") % {"route": config.routing.code}
                yield Problem(row, field, "VALIDATION_ERROR", message)

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Write what differs; the files that it names stay."""
        services.keep_files(
            outcome.candidate for outcome in outcomes if isinstance(outcome.candidate, RouteExecutionConfig)
        )
        super().write(outcomes, by)

    def noted(self, outcome: Outcome) -> tuple[str, ...]:
        if isinstance(outcome.candidate, RouteExecutionConfig):
            outcome.candidate.updated_at = timezone.now()
        return ("updated_at",)


class _Steps(SheetCollection):
    """Steps of routes: the rows of a route are its steps, so what no row names goes."""

    def lock(self, present: Iterable[Any], keys: Collection[Key]) -> None:
        """Lock the routes."""
        lock(Routing, code__in={key[0] for key in keys if key[0]})

    def left_over(self, keys: Collection[Key]) -> list[Outcome]:
        """Return the steps of the named routes that no row names."""
        shown = self.serializer()
        gone = []
        for step in self.rows().filter(routing__code__in={key[0] for key in keys}).order_by(*self.order):
            before = flat(shown.to_representation(step), self.columns)
            if (key := self.identify(before)) not in keys:
                gone.append(Outcome(None, key, step, None, before, dict.fromkeys(before)))
        return gone

    def judge(self, outcomes: Sequence[Outcome], rows: Mapping[Any, int]) -> Iterator[Problem]:
        """Refuse other steps for routes of the ERP, and for those that cannot be saved as they are."""
        codes = {outcome.key[0] for outcome in outcomes if outcome.action}
        routes = {route.code: route for route in Routing.objects.filter(code__in=codes)}
        from_erp = {code for code, route in routes.items() if route.source_system == RouteSource.ERP}
        for code in routes.keys() - from_erp:
            if said := _find_refusal(routes[code]):
                message = _("Route “%(route)s” cannot be saved before it is mended: %(said)s")
                yield Problem(rows[code], "routeCode", "VALIDATION_ERROR", message % {"route": code, "said": said})
        told = set()
        for outcome in outcomes:
            code = outcome.key[0]
            if code in from_erp and code not in told and outcome.action:
                refusal = errors.RouteReadOnly(route=code)
                yield Problem(outcome.row or rows[code], "routeCode", refusal.code, str(refusal))
                if outcome.row is None:
                    told.add(code)

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Have the service replace the steps of the routes that differ, in the order of their ids."""
        codes = {outcome.key[0] for outcome in outcomes if outcome.action}
        steps: dict[str, list[StepInput]] = {code: [] for code in codes}
        for outcome in outcomes:
            step: Any = outcome.candidate or outcome.present
            if outcome.row is not None and outcome.key[0] in codes:
                steps[outcome.key[0]].append(StepInput(step.step_no, step.operation.code, step.source_step_key))
        for code in Routing.objects.filter(code__in=codes).order_by("pk").values_list("code", flat=True):
            services.update_route(code=code, steps=steps[code])


class _SetUpItems(SheetCollection):
    """Items of set-up lists: the rows of a route on a line are those of its newest list. Where that is released, what
    differs makes the next revision.
    """

    def rows(self) -> QuerySet[Any]:
        """Return the items of the newest lists, with all that they name."""
        of_place = SetUpList.objects.filter(route=models.OuterRef("route"), line=models.OuterRef("line"))
        newest = SetUpList.objects.filter(
            revision=models.Subquery(of_place.order_by("-revision").values("revision")[:1])
        )
        items = SetUpItem.objects.filter(set_up_list__in=newest.values("pk"))
        related = items.select_related("set_up_list__route", "set_up_list__line", "station", "material")
        return related.prefetch_related("alternates", "tools")

    def lock(self, present: Iterable[Any], keys: Collection[Key]) -> None:
        """Lock the routes, and so their lists: whoever makes one locks its route."""
        lock(Routing, code__in={key[0] for key in keys if key[0]})
        lock(SetUpList, pk__in={item.set_up_list_id for item in present})

    def changed_besides(self, present: Any, candidate: Any) -> tuple[str, ...]:
        """Return what is kept in tables of its own."""
        if present is None:
            return ()
        names = ("alternates", "tools")
        return tuple(name for name in names if set(names_in(present, name)) != set(names_in(candidate, name)))

    def left_over(self, keys: Collection[Key]) -> list[Outcome]:
        """Return the items of the named routes and lines that no row names."""
        shown, gone = self.serializer(), []
        places = {key[:2] for key in keys}
        for item in (
            self.rows().filter(set_up_list__route__code__in={place[0] for place in places}).order_by(*self.order)
        ):
            before = flat(shown.to_representation(item), self.columns)
            key = self.identify(before)
            if key[:2] in places and key not in keys:
                gone.append(Outcome(None, key, item, None, before, dict.fromkeys(before)))
        return gone

    def judge(self, outcomes: Sequence[Outcome], rows: Mapping[Any, int]) -> Iterator[Problem]:
        """Ask the rules of lists about the rows of each route on each line."""
        for (_route, line_code), of_place in self._by_place(outcomes).items():
            line = Line.objects.filter(code=line_code).first()
            if line is None:
                continue  # told at its row
            items = [self._as_input(outcome) for outcome in of_place]
            found = set_up_lists.find_problems(items, line, *set_up_lists.look_up(items))
            for outcome, problems in zip(of_place, found, strict=True):
                for field, message in problems:
                    yield Problem(outcome.row or 0, field, "VALIDATION_ERROR", message)

    def _by_place(self, outcomes: Sequence[Outcome]) -> dict[tuple[Any, Any], list[Outcome]]:
        """Return what is to be there, by route and line."""
        found: dict[tuple[Any, Any], list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.row is not None:
                found.setdefault((outcome.key[0], outcome.key[1]), []).append(outcome)
        return found

    def _as_input(self, outcome: Outcome) -> ItemInput:
        item: Any = outcome.candidate or outcome.present
        return ItemInput(
            station_code=item.station.code,
            slot=item.slot,
            kind=item.kind,
            material_code=item.material.code if item.material else None,
            alternates=names_in(item, "alternates"),
            quantity_per_unit=item.quantity_per_unit,
            ref_des=item.ref_des,
            tool_ids=names_in(item, "tools"),
            program=item.program,
        )

    def write(self, outcomes: Sequence[Outcome], by: str) -> None:
        """Have the service replace the items of drafts, or make the next revision of what is released."""
        changed = {outcome.key[:2] for outcome in outcomes if outcome.action}
        by_place = self._by_place(outcomes)
        for route_code, line_code in sorted(changed):
            items = [self._as_input(outcome) for outcome in by_place.get((route_code, line_code), ())]
            lists = SetUpList.objects.filter(route__code=route_code, line__code=line_code)
            newest = lists.order_by("-revision").first()
            if newest is not None and newest.status == SetUpListStatus.DRAFT:
                set_up_lists.replace_items(newest.pk, items=items)
            else:
                set_up_lists.create(route_code=route_code, line_code=line_code, items=items, by=by)


def _find_refusal(route: Routing) -> str:
    """Return what is wrong with a route by itself, made before what holds today."""
    try:
        route.full_clean(exclude={"fai_template"}, validate_unique=False, validate_constraints=False)
    except ModelValidationError as error:
        return " ".join(error.messages)
    return ""


_ROUTES = (Capability.ROUTES, Capability.MAPPINGS)
COLLECTIONS: tuple[SheetCollection, ...] = (
    SheetCollection(
        "station-groups",
        gettext_lazy("Station groups"),
        StationGroup,
        plant.StationGroupSerializer,
        key=["code"],
        order=["code"],
        named_by="code",
    ),
    SheetCollection(
        "stations",
        gettext_lazy("Stations"),
        Station,
        plant.StationSerializer,
        key=["code"],
        order=["code"],
        named_by="code",
    ),
    _Machines(
        "equipment",
        gettext_lazy("Equipment"),
        Equipment,
        plant.EquipmentSerializer,
        key=["code"],
        order=["code"],
        named_by="code",
        volatile=["status"],
        note=gettext_lazy("Leave the column status out unless you mean to set it: machines report it."),
    ),
    SheetCollection(
        "operations",
        gettext_lazy("Operations"),
        Operation,
        plant.OperationSerializer,
        key=["code"],
        order=["code"],
        named_by="code",
    ),
    _Materials(
        "materials",
        gettext_lazy("Materials"),
        Material,
        plant.MaterialSerializer,
        key=["code"],
        order=["code"],
        named_by="code",
    ),
    _Tools(
        "tools",
        gettext_lazy("Tools"),
        Tool,
        ToolRowSerializer,
        key=["toolId"],
        order=["tool_id"],
        named_by="tool_id",
        volatile=["status"],
        note=gettext_lazy("Leave the column status out unless you mean to set it: it is reported."),
    ),
    SheetCollection(
        "bom-items",
        gettext_lazy("BOM items"),
        BomItem,
        plant.BomItemSerializer,
        key=["parentCode", "childCode"],
        order=["parent__code", "child__code"],
        named_by="parent__code",
        note=gettext_lazy("Both materials must be there: import materials first."),
    ),
    SheetCollection(
        "data-collection-specs",
        gettext_lazy("Data collection specs"),
        DataCollectionSpec,
        specs.SpecSerializer,
        key=["operationCode", "name"],
        order=["operation__code", "name"],
        named_by="operation__code",
        note=gettext_lazy("Compile the routes afterwards: runs judge by the limits that were frozen."),
    ),
    _Configs(
        "execution-configs",
        gettext_lazy("Execution configs"),
        RouteExecutionConfig,
        ConfigRowSerializer,
        key=["scope", "routeCode", "stepNo", "sourceStepKey", "operationCode"],
        order=[],
        named_by="",
        capabilities=_ROUTES,
        note=gettext_lazy("A blank cell lets a wider scope decide. [] binds no spec, or allows no station."),
    ),
    _Steps(
        "route-steps",
        gettext_lazy("Steps of routes"),
        RoutingStep,
        StepRowSerializer,
        key=["routeCode", "stepNo"],
        order=["routing__code", "step_no"],
        named_by="routing__code",
        capabilities=_ROUTES,
        note=gettext_lazy("The rows of a route are its steps: a step without a row is removed."),
    ),
    _SetUpItems(
        "setup-items",
        gettext_lazy("Items of set-up lists"),
        SetUpItem,
        ItemRowSerializer,
        key=["routeCode", "lineCode", "stationCode", "slot"],
        order=["set_up_list__route__code", "set_up_list__line__code", "station__code", "slot"],
        named_by="set_up_list__route__code",
        note=gettext_lazy(
            "The rows of a route on a line are its newest list: an item without a row is removed. Of a released list, "
            "what differs makes a draft of the next revision."
        ),
    ),
)
BY_NAME = {collection.name: collection for collection in COLLECTIONS}
CAPABILITIES = tuple(sorted(frozenset[Capability]().union(*(each.capabilities for each in COLLECTIONS))))
