"""The newer version of its route that a run could take, for the readiness board."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mes.platform.accounts.roles import Capability
from mes.production.models import Run
from mes.production.newer_version import has_begun
from mes.production.queries import find_newer_version
from mes.routing.differences import Difference, compare
from mes.routing.models import RouteVersion
from mes.routing.preview import side_of

TAKES = (Capability.AUTHORIZE, Capability.ROUTES)


@dataclass(frozen=True)
class NewerVersion:
    """A newer version than a run has: how it differs, in words, and whether somebody may give it to the run, which
    keeps its own when it has begun.
    """

    route_code: str
    version_no: int
    differences: Sequence[str]
    has_begun: bool
    may_take: bool


def find_newer(run: Run, granted: Collection[str]) -> NewerVersion | None:
    """Return the latest version of a run's route that is ready, where the run has an older one and no unit entered."""
    number = find_newer_version(run)
    if number is None:
        return None
    bound, begun = run.route_version, has_begun(run)
    newer = RouteVersion.objects.defer("snapshot", "errors").get(routing=bound.routing_id, version_no=number)
    return NewerVersion(
        route_code=bound.routing.code,
        version_no=number,
        differences=[each.text for each in _compare(bound.pk, bound.digest, newer.pk, newer.digest)],
        has_begun=begun,
        may_take=not begun and not set(granted).isdisjoint(TAKES),
    )


@lru_cache(maxsize=64)
def _compare(first: int, _digest: str, second: int, _other_digest: str) -> Sequence[Difference]:
    """Return how two versions differ, which never changes: the board asks every few seconds."""
    versions = RouteVersion.objects.in_bulk([first, second])
    return compare(side_of(versions[first]), side_of(versions[second]))
