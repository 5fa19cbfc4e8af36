"""Two keep the last example that a config may have: the later is refused."""

from typing import Any

import pytest

from mes.routing import examples
from mes.routing.models import MappingExample
from tests.factories import make_config, make_operation, make_route
from tests.integration.helpers import another, at_once

EVENT = {"eventType": "AUTO", "payload": {"sn": "SN-1"}}


def keep_at_once(person: Any, slow: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    make_operation("REFLOW")
    mapping = {"snPath": "payload.sn"}
    config = make_config(make_route(steps=[(10, "REFLOW")]), step_no=10, station_type="AUTO", ingest_mapping=mapping)
    slow(examples, "_check", after=0.4)
    monkeypatch.setattr(examples, "MOST_EXAMPLES", 1)
    address = f"/api/execution-configs/{config.pk}/examples"

    def keep(name: str) -> int:
        body = {"name": name, "event": EVENT, "expected": {"code": "VALIDATION_ERROR"}}
        return int(another(person).post(address, body).status_code)

    return sorted(at_once(lambda: keep("one"), lambda: keep("another")))


def test_the_later_is_refused(person: Any, slow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_at_once(person, slow, monkeypatch) == [201, 400]
    assert MappingExample.objects.count() == 1


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_lock_both_are_kept(person: Any, slow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_at_once(person, slow, monkeypatch) == [201, 201]
