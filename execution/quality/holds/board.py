"""What the pages of holds show: what stands still, and one hold with its units and what was decided about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from execution.quality.holds import queries, services, wording
from mes.errors import HoldNotFound
from mes.plant.models import Line
from mes.production import hold_decisions, names
from mes.production.hold_models import HeldUnit, Hold, HoldScope, HoldStatus
from mes.production.models import Unit

PAGE_SIZE = 50
UNITS_SHOWN = 100
MOST_PAGES = 100
LONGEST = 150  # characters of a filter
LOOKED_THROUGH = 10_000  # ended holds among which a filter looks
ALL = "ALL"
NEWEST, OLDEST = "newest", "oldest"
HELD, ENDED = "held", "ended"


# --- all of them -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """What is asked for; what is empty is any. By itself what stands still now, the newest first."""

    status: str = HoldStatus.OPEN
    scope: str = ""
    source: str = ""
    line: str = ""
    owner: str = ""
    q: str = ""
    sort: str = NEWEST
    page: int = 1

    @property
    def is_narrowed(self) -> bool:
        """Whether less is asked for than the page has by itself."""
        return bool(self.scope or self.source or self.line or self.owner or self.q) or self.status != HoldStatus.OPEN


@dataclass(frozen=True)
class HoldRow:
    """A hold, with how many units it holds, and held."""

    hold: Hold
    held: int
    units: int

    @property
    def place(self) -> str | None:
        """The run, line or station that it is about; None for units."""
        return hold_decisions.place_of(self.hold)

    @property
    def owner(self) -> str:
        """Who sees to it: by default who opened it."""
        return self.hold.owner or self.hold.opened_by


@dataclass(frozen=True)
class HoldPage:
    """A page of holds; `counts` are of the open ones by scope."""

    rows: Sequence[HoldRow]
    counts: Mapping[str, int]
    has_next: bool
    is_cut: bool


def find_exact(text: str) -> str | None:
    """Return the number of the hold that is called so."""
    number = text.upper()
    if not number.startswith("H-"):
        return None
    try:
        return services.get(number).hold_no
    except HoldNotFound:
        return None


def list_holds(chosen: Chosen) -> HoldPage:
    """Return a page of holds in three queries; one more to look a number up, or where ended ones are asked for."""
    rows, is_cut = _narrowed(Hold.objects.select_related("run", "line", "station__line", "rule"), chosen)
    start = (chosen.page - 1) * PAGE_SIZE
    found = list(rows.order_by("id" if chosen.sort == OLDEST else "-id")[start : start + PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    counts = _count_units(shown)
    by_scope = Hold.objects.filter(status=HoldStatus.OPEN).order_by().values_list("scope").annotate(Count("id"))
    return HoldPage(
        [HoldRow(hold, *counts.get(hold.pk, (0, 0))) for hold in shown],
        dict(by_scope),
        len(found) > PAGE_SIZE,
        is_cut,
    )


def _count_units(holds: Sequence[Hold]) -> dict[int, tuple[int, int]]:
    """Return of each hold how many units it has, and has had."""
    of_units = [hold.pk for hold in holds if hold.scope == HoldScope.UNITS]
    rows = HeldUnit.objects.filter(hold__in=of_units).order_by().values_list("hold")
    counted = rows.annotate(held=Count("id", filter=Q(ended_at=None)), units=Count("unit", distinct=True))
    return {pk: (held, units) for pk, held, units in counted}


def _narrowed(rows: QuerySet[Hold], chosen: Chosen) -> tuple[QuerySet[Hold], bool]:
    """Return the holds that are asked for; and whether only the newest of them were looked at."""
    others = Q(scope=chosen.scope) if chosen.scope else Q()
    others &= Q(source=chosen.source) if chosen.source else Q()
    others &= (Q(owner=chosen.owner) | Q(owner="", opened_by=chosen.owner)) if chosen.owner else Q()
    others &= _of_line(chosen.line) if chosen.line else Q()
    if chosen.q:
        found = names.find_units([chosen.q], Unit.objects.only("sn"))
        held = HeldUnit.objects.filter(unit__in=[unit.pk for unit in found.values()])
        others &= Q(pk__in=held.values("hold"))
        status = Q() if chosen.status == HoldStatus.OPEN else _of_status(chosen.status)
        return rows.filter(others, status), False
    if chosen.status == HoldStatus.OPEN:
        return rows.filter(others, status=HoldStatus.OPEN), False
    newest = Hold.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    is_cut = newest > LOOKED_THROUGH and bool(others)
    looked = Q(pk__gt=newest - LOOKED_THROUGH) if is_cut else Q()
    return rows.filter(_of_status(chosen.status), others, looked), is_cut


def _of_status(status: str) -> Q:
    return Q() if status == ALL else Q(status=status)


def _of_line(code: str) -> Q:
    """Return what holds a line, something on it, or units whose run is of it."""
    line = Line.objects.filter(code=code).values("pk")[:1]
    units = HeldUnit.objects.filter(hold=OuterRef("pk"), unit__run__line=line)
    of_place = Q(line=line) | Q(run__line=line) | Q(station__line=line)
    return of_place | Q(Exists(units), scope=HoldScope.UNITS)


# --- one of them -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Detail:
    """A hold, with a page of its units and what was decided about it. `shown` says which units are asked for."""

    hold: Hold
    counts: Mapping[str, Any]
    condition: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    history: Sequence[Mapping[str, Any]]
    rows: Sequence[HeldUnit]
    shown: str
    page: int
    has_next: bool

    @property
    def place(self) -> str | None:
        """The run, line or station that it is about; None for units."""
        return hold_decisions.place_of(self.hold)

    @property
    def is_open(self) -> bool:
        return self.hold.status == HoldStatus.OPEN

    @property
    def is_of_units(self) -> bool:
        return self.hold.scope == HoldScope.UNITS

    @property
    def owner(self) -> str:
        """Who sees to it: by default who opened it."""
        return self.hold.owner or self.hold.opened_by

    @property
    def ended(self) -> int:
        """How many of its units it does not hold any more."""
        return int(self.counts["units"] - self.counts["open"])

    @property
    def percent_applied(self) -> int:
        """How much of what is meant has been held or decided about."""
        pending, units = self.counts["pending"], self.counts["units"]
        is_growing = self.counts["toApply"] is not None
        done, whole = (units, units + pending) if is_growing else (units - pending, units)
        return max(0, 100 * done // max(1, whole))


def get_detail(hold: Hold, *, shown: str, page: int) -> Detail:
    """Load it in five queries; two for what is not of units."""
    counts = queries.count(hold)
    shown = shown or (HELD if counts["open"] else ENDED if counts["units"] else HELD)
    rows = HeldUnit.objects.filter(hold=hold, ended_at__isnull=shown == HELD)
    start = (page - 1) * UNITS_SHOWN
    found = list(rows.select_related("unit__run").order_by("id")[start : start + UNITS_SHOWN + 1])
    return Detail(
        hold,
        counts,
        wording.describe(hold.condition),
        queries.list_history(hold),
        found[:UNITS_SHOWN],
        shown,
        page,
        len(found) > UNITS_SHOWN,
    )


def list_held_sns(hold: Hold, *, most: int) -> list[str]:
    """Return the serial numbers of units that a hold has, the first `most`."""
    rows = HeldUnit.objects.filter(hold=hold, ended_at=None).order_by("id")
    return list(rows.values_list("unit__sn", flat=True)[:most])
