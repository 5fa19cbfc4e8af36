"""Which list counts for a run or a slot, and what it wants there."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from mes import errors
from mes.line_setup.loads.models import Verify
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpList
from mes.line_setup.set_up_lists.rules import Place, compare_with_all
from mes.plant.models import Station
from mes.platform.database.lookup import get_or_raise
from mes.production.active_runs import Moment, find_active_run
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus

_IN_TURN = (RunStatus.IN_PROGRESS, RunStatus.AUTHORIZED, RunStatus.PREP)


@dataclass(frozen=True)
class Expected:
    """What a slot must hold, by the list of `run`; `also` are those of runs in progress that use the slot, too."""

    run: Run
    set_up_list: int
    place: Place
    also: Sequence[Place] = ()

    def compare(self, *, material: int | None = None, tool: int | None = None, program: str = "") -> Verify:
        """Return how something compares with it; what does not fit a run in progress is wrong. Materials and tools are
        told by their ids.
        """
        return compare_with_all((self.place, *self.also), material=material, tool=tool, program=program)


# --- of a run -----------------------------------------------------------------------------------------------


def _bindings_of(run: Run) -> QuerySet[RunSetUpList]:
    """What a run was bound to, newest first. A run that went to another line left the lists of that line behind."""
    bindings = RunSetUpList.objects.filter(run=run, set_up_list__line=run.line_id).select_related("set_up_list")
    return bindings.order_by("-bound_at", "-id")


def binding_of(run: Run) -> RunSetUpList | None:
    """Return which list a run goes by now, and since when."""
    return _bindings_of(run).first()


def list_of_run(run: Run, at: datetime | None = None) -> SetUpList | None:
    """Return the list that counts for a run, now or at a time: its first counts for all before the second, too."""
    bindings = _bindings_of(run)
    found = bindings.first() if at is None else bindings.filter(bound_at__lte=at).first() or bindings.last()
    return None if found is None else found.set_up_list


def list_items(set_up_list: SetUpList) -> list[SetUpItem]:
    """Return the items of a list, by station and slot, with all that they name."""
    items = set_up_list.items.select_related("station", "material").prefetch_related("alternates", "tools")
    return list(items.order_by("station__code", "slot"))


# --- of a slot ----------------------------------------------------------------------------------------------


def find_slot(station: Station, slot: str, run_no: str | None = None) -> Expected | None:
    """Return what a slot must hold by the list of the run, or None where no list says anything.

    Without a number it is the run in progress on the line (of several the active one), else the only one that is
    authorized, else the only one in PREP; at a station of no line, of those whose lists name it. A held run counts as
    what it was. In the slot of a run in progress, everything must fit that run, too.

    Raises RunNotFound, RunClosed, StationLineMismatch for a run of another line, SetUpRunAmbiguous, SlotUnknown where
    the list has no such slot. Six statements at most.
    """
    candidates = list(_list_candidates(station))
    chosen = _choose(candidates, station) if run_no is None else _get_named(run_no, candidates, station, slot)
    running = [run for run in candidates if _standing(run) == RunStatus.IN_PROGRESS]
    ids = {run.set_up_list_id for run in (*running, chosen) if run is not None} - {None}  # type: ignore[attr-defined]
    places = {item.set_up_list_id: place_of(item) for item in _items_at(ids, station, slot)}
    also = [
        (run, places[run.set_up_list_id])  # type: ignore[attr-defined]
        for run in running
        if run != chosen and run.set_up_list_id in places  # type: ignore[attr-defined]
    ]
    list_id = None if chosen is None else chosen.set_up_list_id  # type: ignore[attr-defined]
    if chosen is None or list_id is None:
        if not also:
            return None
        run, place = also.pop(0)  # what is prepared without a list does not disturb what runs with one
        return Expected(run, run.set_up_list_id, place, [other for _run, other in also])  # type: ignore[attr-defined]
    if list_id not in places:
        raise errors.SlotUnknown(station=station.code, slot=slot, run=chosen.run_no)
    return Expected(chosen, list_id, places[list_id], [place for _run, place in also])


def find_slots(station: Station, slots: Collection[str]) -> Mapping[str, Expected]:
    """Return what slots must hold, as `find_slot` does, however many; without those that no list names, and none where
    several runs may be meant. Five statements at most.
    """
    candidates = list(_list_candidates(station))
    try:
        chosen = _choose(candidates, station)
    except errors.SetUpRunAmbiguous:
        return {}
    running = [run for run in candidates if run != chosen and _standing(run) == RunStatus.IN_PROGRESS]
    lists = {run.set_up_list_id: run for run in (*running, chosen) if run is not None}  # type: ignore[attr-defined]
    found: dict[str, list[tuple[Run, int, Place]]] = defaultdict(list)
    items = SetUpItem.objects.filter(set_up_list__in=lists.keys() - {None}, station=station, slot__in=slots)
    for item in items.select_related("material").prefetch_related("alternates", "tools"):
        found[item.slot].append((lists[item.set_up_list_id], item.set_up_list_id, place_of(item)))
    expected = {}
    for slot, wanted in found.items():
        wanted.sort(key=lambda each: each[0] != chosen)  # what is prepared without a list disturbs nothing
        (run, set_up_list, place), *also = wanted
        expected[slot] = Expected(run, set_up_list, place, [other for _run, _list, other in also])
    return expected


def _with_list(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Read with each run the id of the list that counts for it."""
    bindings = RunSetUpList.objects.filter(run=OuterRef("pk"), set_up_list__line=OuterRef("line"))
    latest = bindings.order_by("-bound_at", "-id").values("set_up_list")[:1]
    return runs.annotate(set_up_list_id=Subquery(latest))


def _list_candidates(station: Station) -> QuerySet[Run]:
    open_runs = _with_list(Run.objects.filter(status__in=OPEN_RUN_STATUSES))
    if station.line_id is not None:
        return open_runs.filter(line=station.line_id)
    bound = RunSetUpList.objects.filter(set_up_list__items__station=station)
    return open_runs.filter(pk__in=bound.values("run"))


def _get_named(run_no: str, candidates: Sequence[Run], station: Station, slot: str) -> Run | None:
    """Return the run that is named: one that the station may be set up for. Another would let in any part at all."""
    for candidate in candidates:
        if candidate.run_no == run_no:
            return candidate
    run = get_or_raise(_with_list(Run.objects.select_related("line")), errors.RunNotFound, run_no=run_no)
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run_no)
    if station.line is not None:
        raise errors.StationLineMismatch(station=station.code, line=station.line.code, run_line=run.line.code)
    if candidates or run.set_up_list_id is not None:  # type: ignore[attr-defined]
        raise errors.SlotUnknown(station=station.code, slot=slot, run=run_no)
    return None  # nobody has a list for the station


def _standing(run: Run) -> str:
    """What a run is, or was when it was held."""
    return run.held_from or run.status


def _choose(candidates: Sequence[Run], station: Station) -> Run | None:
    for status in _IN_TURN:
        found = [run for run in candidates if _standing(run) == status]
        if len(found) > 1 and status == RunStatus.IN_PROGRESS:
            active = find_active_run(Moment(station.code, timezone.now()))
            found = [run for run in found if run == active] or found
        if len(found) == 1:
            return found[0]
        if any(run.set_up_list_id is not None for run in found):  # type: ignore[attr-defined]
            raise errors.SetUpRunAmbiguous(station=station.code, runs=sorted(run.run_no for run in found))
        if found:
            return None  # whichever it is, it has no list
    return None


def _items_at(lists: Iterable[int | None], station: Station, slot: str) -> QuerySet[SetUpItem]:
    items = SetUpItem.objects.filter(set_up_list__in=lists, station=station, slot=slot)
    return items.select_related("material").prefetch_related("alternates", "tools")


def place_of(item: SetUpItem) -> Place:
    """Return what an item wants, of an item that was read with what it names."""
    alternates, tools = list(item.alternates.all()), list(item.tools.all())
    return Place(
        kind=item.kind,
        material=item.material_id,
        material_code=item.material.code if item.material else "",
        alternates=frozenset(material.pk for material in alternates),
        alternate_codes=sorted(material.code for material in alternates),
        tools=frozenset(tool.pk for tool in tools),
        tool_codes=sorted(tool.tool_id for tool in tools),
        program=item.program,
        quantity_per_unit=item.quantity_per_unit,
    )
