"""A run takes a newer version while its first unit enters: one of them comes second and is refused."""

from typing import Any

import pytest

from execution import tracking
from execution.models import Track
from mes.production import newer_version
from mes.production.models import Run
from mes.routing.compilation import compile_route
from mes.specs.models import DataCollectionSpec
from tests.factories import make_plant
from tests.integration.helpers import another, at_once


def cross(person: Any) -> list[int]:
    """Have a run take version 2 while its first unit enters; return the answers' codes."""
    make_plant()
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(usl=248)
    assert compile_route(code="ROUTE-1")[0].version_no == 2
    body = {"routeVersionNo": 2, "reason": "Oven 2 drifts."}
    enter = {"runNo": "RUN-1", "sn": "SN-1"}
    return at_once(
        lambda: another(person).patch("/api/runs/RUN-1", body).status_code,
        lambda: another(person).post("/api/stations/SMT-01/track-in", enter).status_code,
    )


def is_torn() -> bool:
    """Whether a run has a track and took a newer version all the same."""
    run = Run.objects.get()
    return Track.objects.exists() and (run.route_version.version_no, run.status) != (1, "IN_PROGRESS")


@pytest.mark.parametrize("first", ["version", "track"])
def test_one_comes_second(person: Any, slow: Any, first: str) -> None:
    if first == "version":
        slow(tracking, "_find", before=0.2)
    else:
        slow(newer_version, "has_begun", before=0.2)
    answers = cross(person)
    assert sorted(answers) in ([200, 409], [201, 409])
    assert not is_torn()


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_a_run_begins_by_two_versions(person: Any, slow: Any) -> None:
    slow(newer_version, "_has_units_under_way", after=0.5)
    slow(tracking, "_find", after=0.2)
    cross(person)
    assert is_torn()


def test_who_waits_for_the_run_finds_it_with_its_newer_version(person: Any, slow: Any) -> None:
    """A statement that waits for a row and joins what the row named before would find nothing."""
    make_plant(authorize=False)
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(usl=248)
    compile_route(code="ROUTE-1")
    slow(newer_version, "has_begun", after=0.5)
    body = {"routeVersionNo": 2, "reason": "Oven 2 drifts."}
    answers = at_once(
        lambda: another(person).patch("/api/runs/RUN-1", body).status_code,
        lambda: another(person).patch("/api/runs/RUN-1", body).status_code,
    )
    assert answers == [200, 200]
    assert Run.objects.get().route_version.version_no == 2
