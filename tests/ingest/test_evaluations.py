"""A path is evaluated once for an event: whatever asks for what it finds, whichever mappings name it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.models import OpenIngestEvent
from mes.production.models import Unit
from mes.routing.paths import Path
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    MEASUREMENTS,
    PRINTING,
    RESULT,
    IngestPlant,
    event,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    reflowed,
)

pytestmark = pytest.mark.django_db
HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}
BY_BOARD = {
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "stationCodePath": "payload.station",
    "result": {**RESULT, "path": "result"},
    "measurements": {**MEASUREMENTS, "itemsPath": "values"},
    "batchPolicy": "PARTIAL",
}


class Evaluations:
    """How often each path was evaluated at each root. The roots are kept, so that none takes another's place."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.roots: list[Any] = []

    def add(self, path: Path, root: Any) -> None:
        self.counts[path.expression, id(root)] += 1
        self.roots.append(root)

    @property
    def repeated(self) -> list[str]:
        """The paths that were evaluated more than once at one root."""
        return sorted(path for (path, _root), count in self.counts.items() if count > 1)

    def clear(self) -> None:
        self.counts.clear()
        self.roots.clear()


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> Iterator[Evaluations]:
    counted = Evaluations()
    search = Path.search

    def count(path: Path, root: Any, *interpreters: Any) -> Any:
        counted.add(path, root)
        return search(path, root, *interpreters)

    monkeypatch.setattr(Path, "search", count)
    yield counted
    assert counted.counts, "no path was evaluated"


def test_the_counter_sees_a_path_that_is_evaluated_twice(evaluations: Evaluations) -> None:
    """The control."""
    root = {"a": 1}
    path = Path("a", lambda found, _interpreters: found["a"])
    path.search(root)
    assert evaluations.repeated == []
    path.search(root)
    assert evaluations.repeated == ["a"]


def test_an_event_with_several_candidates(plant: IngestPlant, send: Send, evaluations: Evaluations) -> None:
    """Printing and inspecting name units and stations by the same paths."""
    send(printed(plant.sns[0], values=[HEIGHT]), 201)
    paths = [path for path, _root in evaluations.counts]
    assert evaluations.repeated == []
    assert {"payload.sn", "payload.station", "payload.result", "payload.values", "name", "value"} <= set(paths)
    assert "payload.phase" not in paths  # only what the step's own mapping asks for


def test_an_event_that_is_refused_is_kept_without_reading_it_again(
    plant: IngestPlant, send: Send, evaluations: Evaluations
) -> None:
    send(printed(plant.sns[0], result="?"), 422)
    assert evaluations.repeated == []


def test_a_path_that_cannot_be_applied_is_not_tried_again(send: Send, evaluations: Evaluations) -> None:
    failing = {"stationCodePath": "sum(payload.station)", "snPath": "payload.sn"}
    plant = make_ingest_plant(print={**PRINTING, **failing}, aoi={**INSPECTING, **failing})
    assert "sum(payload.station)" in send(printed(plant.sns[0]), 422)["message"]
    assert evaluations.repeated == []


def test_an_event_that_waits(plant: IngestPlant, send: Send, evaluations: Evaluations) -> None:
    sn = plant.sns[0]
    send(inspected(sn, "end"), 202)
    assert evaluations.repeated == []
    send(printed(sn), 201)  # and so is the inspection, from the database
    assert not OpenIngestEvent.objects.exists()
    assert evaluations.repeated == []


def test_a_test_result(plant: IngestPlant, send: Send, evaluations: Evaluations) -> None:
    Unit.objects.update(current_step_no=40)
    body = final_test(plant.sns[0])
    send(body, 201)
    assert evaluations.repeated == []
    evaluations.clear()
    send({**body, "dedupeKey": "again"}, 200)
    assert evaluations.repeated == []


def test_a_batch(plant: IngestPlant, send: Send, evaluations: Evaluations) -> None:
    Unit.objects.update(current_step_no=30)
    send(reflowed("P-1", plant.sns), 201)
    assert evaluations.repeated == []


def test_items(send: Send, evaluations: Evaluations) -> None:
    plant = make_ingest_plant(reflow=BY_BOARD)
    Unit.objects.update(current_step_no=30)
    Unit.objects.filter(sn=plant.sns[2]).update(current_step_no=20)
    boards = [{"sn": sn, "result": "OK", "values": [HEIGHT]} for sn in plant.sns]
    send(event("BATCH", {"station": "OVN-1", "boards": boards}), 201)
    assert evaluations.repeated == []
