"""Times of what happened have the same bounds at every door; the document of the API lists the doors."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes.line_setup.checks.models import CheckForm
from mes.line_setup.models import Tool
from mes.plant.models import Equipment
from mes.platform.accounts.roles import Role
from tests.factories import api_client, make_plant
from tests.ingest.support import make_ingest_plant, printed
from tests.integration.helpers import into_oven, make_event, moment, reading
from tests.integration.test_production_counts import counts
from tests.integration.test_status import BODIES
from tests.test_request_bounds import FIELDS

pytestmark = pytest.mark.django_db

# Times that say what shall be: nothing happens at them.
OF_NOTHING_THAT_HAPPENED = {
    "PATCH /api/routes/{code} effectiveFrom",
    "PATCH /api/routes/{code} effectiveTo",
    "POST /api/integration/maintenance-task dueAt",
    "POST /api/integration/solder-paste-status expiresAt",
    "POST /api/routes effectiveFrom",
    "POST /api/routes effectiveTo",
    "POST /api/runs/{run_no}/deviations expiresAt",
    "POST /api/material-lots expiresAt",
    "PATCH /api/material-lots/{lot_id} expiresAt",
    "POST /api/reference-units expiresAt",
    "PATCH /api/reference-units/{sn} expiresAt",
}
# What came in between is decided about.
OF_NOTHING_THAT_HAPPENED |= {
    f"POST /api/{kept}/{verb} {name}"
    for kept in ("ingest/events", "integration/messages")
    for verb in ("dismiss", "replay")
    for name in ("from", "to", "upTo")
}
OF_NOTHING_THAT_HAPPENED |= {
    f"POST /api/{trial} {name}"
    for trial in ("time-rules/dry-run", "data-collection-specs/{id}/what-if")
    for name in ("from", "to")
}
# A condition of a hold is about passes that were or will be.
OF_NOTHING_THAT_HAPPENED |= {
    f"POST /api/{asking} condition.{name}" for asking in ("holds", "holds/preview") for name in ("from", "to")
}
OF_NOTHING_THAT_HAPPENED |= {f"POST /api/where-used/hold {name}" for name in ("from", "to")}
# What is known of a thing beside what is reported of it may be old; it cannot lie ahead.
KNOWN_OF_A_THING = {
    "POST /api/integration/solder-paste-status stirredAt",
    "POST /api/integration/solder-paste-status thawedAt",
    "POST /api/integration/solder-paste-usage receivedAt",
    "POST /api/integration/solder-paste-usage thawedAt",
    "POST /api/integration/stencil-status lastCleanedAt",
    "POST /api/tools servicedAt",
    "PATCH /api/tools/{tool_id} servicedAt",
}
TIMES = sorted({f"{door} {'.'.join(path)}" for door, path, schema in FIELDS if schema.get("format") == "date-time"})


BY_END = {
    "active-run": {"runNo": "RUN-1"},
    "track-in": {"runNo": "RUN-1", "sn": "SN-2"},
    "track-out": {"runNo": "RUN-1", "sn": "SN-1", "result": "FAIL"},
    "loads": {"slot": "F1", "program": "TOP"},
    "unload": {"slot": "F1"},
    "correct": {"reason": "wrong"},
}


def body_of(door: str) -> dict[str, Any]:
    """Return a body that its door would take, of a plant that is made here."""
    if "/ingest/" in door:
        return printed(make_ingest_plant().sns[0])
    plant = make_plant()
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    into_oven(api_client(Role.ADMIN))
    if (last := door.rsplit("/", 1)[-1]) in BY_END:
        return {**BY_END[last]}
    if "/material-lots/" in door:
        return {"kind": "OPENED"}
    if "/check-records" in door:
        values = [{"name": "Clean and tidy", "valueBoolean": True}, {"name": "Grounding works", "valueBoolean": True}]
        return {"formCode": "DAILY", "subjectCode": "SMT-01", "values": values}
    if "/tools" in door:
        return {} if door.startswith("PATCH") else {"toolId": "T-2"}
    if "/device-data" in door:
        return make_event("e-1", reading())
    return {"eventId": "e-1", "eventTime": moment(seconds=5), "source": "AUTO", **BODIES[door.rsplit("/", 1)[-1]]}


def with_time(door: str, path: str, at: str) -> dict[str, Any]:
    """Return a body that is right but for a time at a path."""
    if "production" in path:
        body = counts(production={"mode": "CUMULATIVE", "windowStart": at, "windowEnd": at})
    else:
        body = body_of(door)
        inner: Any = body["data"][0] if "collectedAt" in path else body
        inner[path.rsplit(".", 1)[-1]] = at
    if path == "returnedAt":
        del body["issuedAt"]
    return {"events": [body]} if door.endswith("/batch") else body


def code_of(name: str, at: str) -> str | None:
    """Send a time to a door; return the code of the refusal."""
    door, path = name.rsplit(" ", 1)
    codes = {"track-in": "SMT-01", "active-run": "SMT-A"}
    method, address = door.split(" ")
    address = address.replace("{code}", codes.get(door.rsplit("/", 1)[-1], "REF-01")).replace("{tool_id}", "T-1")
    address = address.replace("{id}", "1")
    body = with_time(door, path, at)
    if "production" in path:
        make_plant()
    Tool.objects.create(tool_id="T-1")
    CheckForm.objects.update(is_active=True)
    answer = getattr(api_client(Role.ADMIN), method.lower())(address, body)
    if door.endswith("/batch"):
        [result] = answer.json()["data"]["results"]
        return result.get("error", {}).get("code")
    return answer.json().get("error", {}).get("code")


@pytest.mark.parametrize("name", [name for name in TIMES if name not in OF_NOTHING_THAT_HAPPENED])
def test_a_time_of_what_happened_is_refused_beyond_its_bounds(name: str) -> None:
    assert code_of(name, (timezone.now() + timedelta(minutes=6)).isoformat()) == "EVENT_TIME_IN_FUTURE"


@pytest.mark.parametrize("name", [name for name in TIMES if name not in OF_NOTHING_THAT_HAPPENED | KNOWN_OF_A_THING])
def test_a_time_of_long_ago_is_refused(name: str) -> None:
    assert code_of(name, (timezone.now() - timedelta(days=401)).isoformat()) == "EVENT_TOO_OLD"


@pytest.mark.parametrize("name", sorted(KNOWN_OF_A_THING))
def test_what_is_known_of_a_thing_may_be_old(name: str) -> None:
    assert code_of(name, (timezone.now() - timedelta(days=401)).isoformat()) is None


def test_every_time_is_of_one_kind() -> None:
    assert TIMES
    assert set(TIMES) >= OF_NOTHING_THAT_HAPPENED | KNOWN_OF_A_THING
