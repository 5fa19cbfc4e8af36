"""What compiling a route would do, and how versions differ from each other and from what is live. Stores nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mes.errors import RouteNotFound, RouteVersionNotFound
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.whole_numbers import whole_number
from mes.routing.compilation import Compilation, compose, latest_version
from mes.routing.differences import Difference, Side, compare, list_added
from mes.routing.models import RouteVersion, Routing

LIVE = "live"
LARGEST_VERSION_NO = 2**31 - 1


@dataclass(frozen=True)
class WaitingRun:
    """A run in preparation that is bound to an older version than the route has, or would have."""

    run_no: str
    version_no: int

    def as_json(self) -> dict[str, Any]:
        """Return it as the interface answers it."""
        return {"runNo": self.run_no, "versionNo": self.version_no}


@dataclass(frozen=True)
class Preview:
    """What compiling a route would give now, compared with its latest version."""

    routing: Routing
    latest: RouteVersion | None
    compilation: Compilation
    differences: Sequence[Difference]
    runs: Sequence[WaitingRun] = ()

    @property
    def changed(self) -> bool:
        """Whether there would be a new version."""
        return self.latest is None or self.latest.digest != self.compilation.digest

    @property
    def version_no(self) -> int:
        """The number of the version that compiling gives: a new one, or the latest where nothing changed."""
        before = self.latest.version_no if self.latest else 0
        return before + 1 if self.changed else before


def side_of(version: RouteVersion) -> Side:
    """Return a version as what is compared."""
    return Side(version.snapshot, version.errors, version.digest)


def preview_compilation(*, code: str) -> Preview:
    """Return what compiling a route would do. Locks nothing. Raises RouteNotFound."""
    routing = get_or_raise(Routing.objects.select_related("fai_template"), RouteNotFound, code=code)
    latest, compilation = latest_version(routing), compose(routing)
    preview = Preview(routing, latest, compilation, compare_with_live(latest, compilation))
    return replace(preview, runs=list_waiting_runs(routing, before=None if preview.changed else preview.version_no))


def compare_with_live(latest: RouteVersion | None, compilation: Compilation) -> list[Difference]:
    """Return what compiling would change; of a route without a version, what its first one brings."""
    if latest is None:
        return list_added(compilation.document, compilation.problems)
    if latest.digest == compilation.digest:  # the frozen document need not be read
        return []
    return compare(side_of(latest), compilation.side)


def list_waiting_runs(routing: Routing, *, before: int | None = None) -> list[WaitingRun]:
    """Return the runs in preparation of versions before that number, of all versions where none is given."""
    versions = routing.versions.filter(runs__status="PREP")
    if before is not None:
        versions = versions.filter(version_no__lt=before)
    rows = versions.order_by("runs__id").values_list("runs__run_no", "version_no")
    return [WaitingRun(run_no, version_no) for run_no, version_no in rows]


def compare_versions(*, code: str, first: str, second: str) -> list[Difference]:
    """Return what differs between two versions of a route, by their numbers; the second may be `live`.

    Raises RouteNotFound, RouteVersionNotFound.
    """
    routing = get_or_raise(Routing.objects.select_related("fai_template"), RouteNotFound, code=code)
    before = find_side(routing, first)
    after = compose(routing).side if second == LIVE else find_side(routing, second)
    return compare(before, after)


def find_side(routing: Routing, number: str) -> Side:
    """Return the version of a route that a text names. Raises RouteVersionNotFound."""
    return side_of(find_version(routing, number))


def find_version(routing: Routing, number: str) -> RouteVersion:
    """Return the version of a route that a text names. Raises RouteVersionNotFound, also for what is no number."""
    version_no = whole_number(number)
    is_possible = version_no is not None and version_no <= LARGEST_VERSION_NO
    version = routing.versions.filter(version_no=version_no or 0).first() if is_possible else None
    if version is None:
        raise RouteVersionNotFound(route=routing.code, code=number)
    return version
