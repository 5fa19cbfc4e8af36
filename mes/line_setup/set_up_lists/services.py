"""Making, releasing and binding set-up lists. A released list never changes: the database refuses it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup.loads.locks import lock_set_up
from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists import goodness, queries, rules
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpList, SetUpListStatus
from mes.line_setup.set_up_lists.rules import ItemInput, Known
from mes.plant.models import Line, Material, Station
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.production import runs
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus
from mes.routing import services as routes
from mes.routing.models import Routing

MOST_ITEMS = 2000
MOST_TOLD = 200  # of what is wrong with the items of a list


@transaction.atomic
def create(*, route_code: str, line_code: str, items: Sequence[ItemInput] = (), by: str) -> SetUpList:
    """Make the next revision for a route on a line, as a draft.

    Raises RouteNotFound, LineNotFound, ValidationFailed with everything that is wrong with the items.
    """
    line = get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    route = routes.lock_route(code=route_code)  # whoever makes a revision counts alone
    made = SetUpList.objects.create(route=route, line=line, revision=_next_revision(route, line), created_by=by)
    _write_items(made, items)
    return made


def _next_revision(route: Routing, line: Line) -> int:
    highest = SetUpList.objects.filter(route=route, line=line).aggregate(highest=Max("revision"))["highest"]
    return (highest or 0) + 1


@transaction.atomic
def replace_items(list_id: int, *, items: Sequence[ItemInput]) -> SetUpList:
    """Make the items of a draft these; only what differs is written. Raises SetUpListNotFound, SetUpListReleased,
    ValidationFailed.
    """
    found = lock_draft(list_id)
    _write_items(found, items)
    return found


@transaction.atomic
def delete(list_id: int) -> None:
    """Delete a draft. Raises SetUpListNotFound, SetUpListReleased."""
    lock_draft(list_id).delete()


@transaction.atomic
def release(list_id: int, *, by: str) -> SetUpList:
    """Release a draft: it never changes again, and runs that are made from now on go by the latest released one.

    Releasing once more changes nothing. Raises SetUpListNotFound, ValidationFailed for a list without items.
    """
    found = _lock(list_id)
    if found.status == SetUpListStatus.RELEASED:
        return found
    if not found.items.exists():
        raise errors.ValidationFailed({"items": _("A list without items cannot be released.")})
    found.status, found.released_by, found.released_at = SetUpListStatus.RELEASED, by, timezone.now()
    found.save(update_fields=["status", "released_by", "released_at"])
    return found


def lock_draft(list_id: int) -> SetUpList:
    """Return a draft with its row locked (inside a transaction). Raises SetUpListNotFound, SetUpListReleased."""
    found = _lock(list_id)
    if found.status == SetUpListStatus.RELEASED:
        raise errors.SetUpListReleased(route=found.route.code, line=found.line.code, revision=found.revision)
    return found


def _lock(list_id: int) -> SetUpList:
    rows = SetUpList.objects.select_for_update(no_key=True, of=("self",)).select_related("route", "line")
    return get_or_raise(rows, errors.SetUpListNotFound, pk=list_id)


# --- items --------------------------------------------------------------------------------------------------


def look_up(items: Iterable[ItemInput]) -> tuple[dict[str, Station], dict[str, Material], dict[str, Tool]]:
    """Return the stations, materials and tools that items name, by their codes, as far as they exist."""
    items = list(items)
    materials = {code for item in items for code in (item.material_code, *item.alternates) if code}
    stations = Station.objects.filter(code__in={item.station_code for item in items}).select_related("line")
    return (
        {station.code: station for station in stations},
        {material.code: material for material in Material.objects.filter(code__in=materials)},
        {
            tool.tool_id: tool
            for tool in Tool.objects.filter(tool_id__in={it for item in items for it in item.tool_ids})
        },
    )


def find_problems(
    items: Sequence[ItemInput],
    line: Line,
    stations: Mapping[str, Station],
    materials: Mapping[str, Material],
    tools: Mapping[str, Tool],
) -> list[list[rules.Problem]]:
    """Return for each item what is wrong with it on a line, knowing what `look_up` found."""
    lines = {code: station.line.code if station.line else None for code, station in stations.items()}
    return rules.find_problems(items, line_code=line.code, known=Known(lines, materials.keys(), tools.keys()))


def _write_items(found: SetUpList, items: Sequence[ItemInput]) -> None:
    named = look_up(items)
    problems: dict[str, str] = {}
    for index, of_item in enumerate(find_problems(items, found.line, *named)):
        for field, message in of_item:
            problems.setdefault(f"items.{index}.{field}", message)
    if problems:
        raise errors.ValidationFailed(dict(list(problems.items())[:MOST_TOLD]))
    present = {_content_of(item): item for item in queries.list_items(found)}
    wanted = {_normal(item): item for item in items}
    found.items.filter(pk__in=[item.pk for content, item in present.items() if content not in wanted]).delete()
    write_new([item for content, item in wanted.items() if content not in present], found, *named)


def write_new(
    items: Sequence[ItemInput],
    set_up_list: SetUpList,
    stations: Mapping[str, Station],
    materials: Mapping[str, Material],
    tools: Mapping[str, Tool],
) -> None:
    """Write further items of a locked draft, with what they name; a fixed number of statements."""
    made = SetUpItem.objects.bulk_create(
        SetUpItem(
            set_up_list=set_up_list,
            station=stations[item.station_code],
            slot=item.slot,
            kind=item.kind,
            material=materials[item.material_code] if item.material_code else None,
            quantity_per_unit=item.quantity_per_unit,
            ref_des=list(item.ref_des),
            program=item.program,
        )
        for item in items
    )
    alternates, chosen = SetUpItem.alternates.through, SetUpItem.tools.through
    pairs = list(zip(made, items, strict=True))
    alternates.objects.bulk_create(
        alternates(setupitem=row, material=materials[code]) for row, item in pairs for code in item.alternates
    )
    chosen.objects.bulk_create(chosen(setupitem=row, tool=tools[code]) for row, item in pairs for code in item.tool_ids)


def _normal(item: ItemInput) -> tuple[Any, ...]:
    """Return what an item says, for comparison: the order of alternates and tools says nothing."""
    return (
        item.station_code,
        item.slot,
        str(item.kind),
        item.material_code or None,
        frozenset(item.alternates),
        item.quantity_per_unit,
        tuple(item.ref_des),
        frozenset(item.tool_ids),
        item.program,
    )


def _content_of(item: SetUpItem) -> tuple[Any, ...]:
    place = queries.place_of(item)
    return (
        item.station.code,
        item.slot,
        str(item.kind),
        place.material_code or None,
        frozenset(place.alternate_codes),
        item.quantity_per_unit,
        tuple(item.ref_des),
        frozenset(place.tool_codes),
        item.program,
    )


# --- what a run goes by -------------------------------------------------------------------------------------


def bind_latest(run: Run) -> None:
    """Bind a run that is made, or put on another line, to the latest released list of its route there, if there is one
    (inside the transaction that does it).
    """
    released = _released_of(run).order_by("-revision").first()
    if released is not None and queries.list_of_run(run) is None:
        RunSetUpList.objects.create(run=run, set_up_list=released)


@transaction.atomic
def bind(*, run_no: str, revision: int, reason: str, by: str) -> tuple[RunSetUpList, bool]:
    """Have an open run go by another released list of its route on its line from now on, with a reason; return (what it
    goes by, whether that is new).

    The one that it goes by already changes nothing. Raises RunNotFound, RunClosed, SetUpListNotFound.
    """
    run = runs.lock(run_no=run_no)
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run_no)
    wanted = _released_of(run).filter(revision=revision).first()
    if wanted is None:
        raise errors.SetUpListNotFound(code=revision)
    present = queries.binding_of(run)
    if present is not None and present.set_up_list_id == wanted.pk:
        return present, False
    give_reason(reason)
    lock_set_up_of(run, present.set_up_list if present else None, wanted)
    bound = RunSetUpList.objects.create(run=run, set_up_list=wanted, bound_by=by, reason=reason)
    if _is_on(run) or run.set_ups.exists():
        goodness.keep(run)
    return bound, True


def keep_set_up(run: Run, _by: str) -> None:
    """Keep from its authorization on whether the stations of a locked run are set up for it, where it has a list."""
    found = queries.list_of_run(run)
    if found is not None:
        lock_set_up_of(run, found)
        goodness.keep(run)


def keep_of_reopened(run: Run) -> None:
    """Keep it again of a locked run that goes on after its end."""
    if _is_on(run):
        keep_set_up(run, run.status_by)


def _is_on(run: Run) -> bool:
    """Whether a run is authorized and has not ended; a held one is what it was."""
    return (run.held_from or run.status) in (RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS)


def lock_set_up_of(run: Run, *lists: SetUpList | None) -> None:
    """Let nobody change what the stations of a locked run's lists are set up with until the transaction ends."""
    named = SetUpItem.objects.filter(set_up_list__in=[each for each in lists if each is not None], station__line=None)
    lock_set_up(lines=[run.line_id], stations=named.values_list("station", flat=True))


def _released_of(run: Run) -> QuerySet[SetUpList]:
    routing = Routing.objects.filter(versions=run.route_version_id)
    return SetUpList.objects.filter(route__in=routing, line=run.line_id, status=SetUpListStatus.RELEASED)
