"""Tools: strokes are counted once for a print of several boards, services count what came after, limits are told."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from ingest.models import SettledIngestEvent
from mes.line_setup import limits, print_counts
from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.models import Tool
from mes.line_setup.tools import nearing
from mes.line_setup.tools.rules import find_faults
from mes.plant.models import Line, Station
from mes.platform.accounts.roles import Role
from mes.platform.database.prepared import fetch_all
from mes.platform.notifications.models import Notification
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_line, make_user
from tests.ingest.support import RESULT, event, make_ingest_plant, push
from tests.line_setup.loads.support import load_on_line

pytestmark = pytest.mark.django_db

NOW = timezone.now()
PANEL = {
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "stationCodePath": "payload.station",
    "result": {**RESULT, "path": "result"},
    "batchPolicy": "PARTIAL",
}


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def load(tool: Tool, station: Station, *, at: datetime) -> None:
    placed = {"station": station, "slot": "SQ", "tool": tool}
    mark = LoadMark.objects.create(kind="LOAD", source="SCAN", at=at, **placed)
    Load.objects.create(opened_by=mark, loaded_at=at, **placed)


def bind(tool: Tool, *, at: datetime) -> None:
    load_on_line(Line.objects.get().code, "STENCIL", tool=tool, at=at)


def work_off() -> None:
    MesEvent.objects.update(next_attempt_at=ago(hours=1))
    while processor.process_due():
        pass


def counts() -> dict[str, tuple[int, int]]:
    return {tool.tool_id: (tool.uses_since_service, tool.uses) for tool in Tool.objects.all()}


def tell(client: APIClient, sns: list[str], **fields: Any) -> None:
    boards = [{"sn": sn, "result": "OK"} for sn in sns]
    push(client, event("AUTO", {"station": "PRN-1", "boards": boards}, **fields), 201)


def printed_on(*tools: tuple[str, str]) -> APIClient:
    """Make a printer that reports panels, with these tools: on the line, or at the printer."""
    make_ingest_plant(units=6, print=PANEL)
    for tool_id, kind in tools:
        tool = Tool.objects.create(tool_id=tool_id, kind=kind, status="READY")
        if kind == "STENCIL":
            bind(tool, at=ago(hours=9))
        else:
            load(tool, Station.objects.get(code="PRN-1"), at=ago(hours=9))
    return api_client()


def test_a_print_of_four_boards_is_one_use_and_the_next_another() -> None:
    client = printed_on(("ST-1", "STENCIL"), ("SQ-1", "SQUEEGEE"))
    load(Tool.objects.create(tool_id="AOI-1", kind="OTHER"), Station.objects.get(code="AOI-1"), at=ago(hours=9))
    tell(client, [f"RUN-1-SN-{number}" for number in (1, 2, 3, 4)])
    strokes = MesEvent.objects.filter(event_type="TRACK_OUT").order_by("id").values_list("payload__strokes", flat=True)
    assert list(strokes) == [1, 0, 0, 0]
    tell(client, ["RUN-1-SN-5", "RUN-1-SN-6"])
    work_off()
    assert counts() == {"ST-1": (2, 2), "SQ-1": (2, 2), "AOI-1": (0, 0)}


def test_the_rest_of_a_print_that_comes_later_is_no_other_use() -> None:
    client = printed_on(("ST-1", "STENCIL"))
    Unit.objects.filter(sn="RUN-1-SN-2").update(status="OUT_FAILED")
    body = event("AUTO", {"station": "PRN-1", "boards": [{"sn": f"RUN-1-SN-{n}", "result": "OK"} for n in (1, 2)]})
    answer = push(client, body, 201)
    assert [each["sn"] for each in answer["skipped"]] == ["RUN-1-SN-2"], answer
    Unit.objects.filter(sn="RUN-1-SN-2").update(status="QUEUED")
    assert_done(client.post(f"/api/ingest/events/{SettledIngestEvent.objects.get().pk}/replay"))
    work_off()
    assert MesEvent.objects.filter(event_type="TRACK_OUT").count() == 2
    assert counts() == {"ST-1": (1, 1)}


def test_events_of_before_there_were_strokes_are_one_each() -> None:
    line = make_line("SMT-A")
    tool = Tool.objects.create(tool_id="ST-1")
    bind(tool, at=ago(hours=2))
    payload = {"operationKind": "PRINT", "lineId": line.pk}
    print_counts.count_prints([MesEvent(event_type="TRACK_OUT", occurred_at=ago(hours=1), payload=payload)] * 2)
    assert counts() == {"ST-1": (2, 2)}


@pytest.mark.parametrize("way", ["typed", "reported"])
def test_a_service_that_is_told_late_counts_what_came_after_it(way: str) -> None:
    client = printed_on(("ST-1", "STENCIL"))
    for number, minutes in ((1, 50), (2, 40), (3, 10)):
        tell(client, [f"RUN-1-SN-{number}"], occurredAt=ago(minutes=minutes).isoformat())
    work_off()
    assert counts() == {"ST-1": (3, 3)}
    at = ago(minutes=30).isoformat()
    if way == "reported":
        envelope = {"eventId": "clean", "eventTime": NOW.isoformat(), "source": "AUTO", "stencilId": "ST-1"}
        body = {**envelope, "status": "READY", "lastCleanedAt": at}
        assert_done(client.post("/api/integration/stencil-status", body), 201)
    else:
        answer = assert_done(client.patch("/api/tools/ST-1", {"servicedAt": at}))
        assert (answer["usesSinceService"], answer["uses"]) == (1, 3)
    assert counts() == {"ST-1": (1, 3)}
    tell(client, ["RUN-1-SN-4"], occurredAt=ago(minutes=35).isoformat())  # late, and of before the service
    work_off()
    assert counts() == {"ST-1": (1, 4)}


def test_at_90_percent_people_are_told_once_until_a_service() -> None:
    engineer = make_user(Role.ENGINEER)
    client = printed_on(("ST-1", "STENCIL"))
    Tool.objects.update(max_uses=10, uses_since_service=7, uses=7, serviced_at=ago(hours=2))
    for number, told in ((1, 0), (2, 1), (3, 1)):
        tell(client, [f"RUN-1-SN-{number}"])
        work_off()
        assert Notification.objects.filter(recipient=engineer).count() == told, number
    assert "ST-1 nears a limit: 9 of 10 uses" in Notification.objects.get(recipient=engineer).text
    assert find_faults(Tool.objects.get(), NOW) == ["TOOL_WORN"]  # at 10
    assert assert_done(client.get("/api/tools/ST-1"))["faults"] == ["TOOL_WORN"]
    assert_done(client.patch("/api/tools/ST-1", {"servicedAt": timezone.now().isoformat()}))
    tool = Tool.objects.get()
    assert (tool.uses_since_service, tool.warned_at, find_faults(tool, NOW)) == (0, None, [])
    Tool.objects.update(uses_since_service=8)
    tell(client, ["RUN-1-SN-4"])
    work_off()
    assert Notification.objects.filter(recipient=engineer).count() == 2


def test_hours_since_a_service_are_told_by_the_sweep_once() -> None:
    make_user(Role.SUPERVISOR)
    for tool_id, hours in (("OK", 8), ("NEAR", 9), ("WORN", 11)):
        Tool.objects.create(tool_id=tool_id, max_hours_since_service=10, serviced_at=ago(hours=hours))
    Tool.objects.create(tool_id="NEVER", max_hours_since_service=10)
    assert (nearing.sweep(), nearing.sweep()) == (2, 0)
    assert Notification.objects.count() == 2
    faults = {tool.tool_id: find_faults(tool, NOW) for tool in Tool.objects.all()}
    assert faults == {"OK": [], "NEAR": [], "WORN": ["TOOL_WORN"], "NEVER": ["TOOL_WORN"]}


def test_the_line_of_a_tool_at_a_station_is_told() -> None:
    make_user(Role.SUPERVISOR)
    make_ingest_plant(units=1, print=PANEL)
    for tool_id in ("ON", "AT", "OFF"):
        Tool.objects.create(tool_id=tool_id, max_hours_since_service=10, serviced_at=ago(hours=9))
    bind(Tool.objects.get(tool_id="ON"), at=ago(hours=9))
    load(Tool.objects.get(tool_id="AT"), Station.objects.get(code="PRN-1"), at=ago(hours=9))
    assert nearing.sweep() == 3
    line = Line.objects.get().pk
    told = Notification.objects.order_by("text").values_list("line", flat=True)
    assert list(told) == [line, None, line]  # AT, OFF, ON


def test_services_may_be_taken_back_or_told_to_be_earlier() -> None:
    client = printed_on(("ST-1", "STENCIL"))
    for number, minutes in ((1, 50), (2, 40), (3, 10)):
        tell(client, [f"RUN-1-SN-{number}"], occurredAt=ago(minutes=minutes).isoformat())
    work_off()
    for serviced_at, uses in ((5, 0), (30, 1), (45, 2), (None, 3), (20, 1)):
        at = None if serviced_at is None else ago(minutes=serviced_at).isoformat()
        assert_done(client.patch("/api/tools/ST-1", {"servicedAt": at}))
        assert counts() == {"ST-1": (uses, 3)}, serviced_at
    MesEvent.objects.all().delete()  # what is no longer kept takes no use back
    assert_done(client.patch("/api/tools/ST-1", {"servicedAt": ago(minutes=50).isoformat()}))
    assert counts() == {"ST-1": (1, 3)}


@pytest.mark.parametrize(
    ("address", "name"), [("tools", "maxHoursSinceService"), ("stencils", "maxHoursSinceCleaning")]
)
def test_hours_beyond_the_calendar_are_refused(address: str, name: str) -> None:
    key = {"tools": "toolId", "stencils": "stencilId"}[address]
    client = api_client(Role.ENGINEER)
    for hours in (100_001, 2**31 - 1):
        assert_refused(client.post(f"/api/{address}", {key: "T-1", name: hours}), "VALIDATION_ERROR", 400)
    assert_done(client.post(f"/api/{address}", {key: "T-1", name: 100_000}), 201)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tool.objects.update(max_hours_since_service=100_001)


@pytest.mark.parametrize(
    ("hours", "due"),
    [(2**31 - 1, None), (10**8, None), (10, NOW), (11, NOW + timedelta(hours=1)), (None, None)],
)
def test_when_a_service_is_due(hours: int | None, due: datetime | None) -> None:
    tool = Tool(tool_id="T", max_hours_since_service=hours, serviced_at=ago(hours=10))
    assert limits.cleaning_due_at(tool) == due
    assert find_faults(tool, NOW) == (["TOOL_WORN"] if due == NOW else [])
    assert limits.cleaning_due_at(Tool(tool_id="T", max_hours_since_service=hours)) is None


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({}, []),
        ({"status": "READY"}, []),
        ({"status": "MAINTENANCE"}, ["TOOL_NOT_READY"]),
        ({"tension_min": 30, "tension_value": 29}, ["TOOL_NOT_READY"]),
        ({"life_uses": 5, "uses": 5}, ["TOOL_WORN"]),
        ({"status": "NOT_READY", "max_uses": 0}, ["TOOL_NOT_READY", "TOOL_WORN"]),
    ],
)
def test_what_keeps_a_tool_from_being_used(fields: dict[str, Any], faults: list[str]) -> None:
    assert find_faults(Tool(tool_id="T", **fields), NOW) == faults


def test_tools_are_kept_by_engineers() -> None:
    engineer = api_client(Role.ENGINEER)
    made = assert_done(engineer.post("/api/tools", {"toolId": "SQ-1", "kind": "SQUEEGEE", "maxUses": 5}), 201)
    assert (made["kind"], made["status"], made["faults"]) == ("SQUEEGEE", None, [])
    changed = assert_done(engineer.patch("/api/tools/SQ-1", {"status": "NOT_READY", "lifeUses": 9}))
    assert (changed["faults"], changed["lifeUses"]) == (["TOOL_NOT_READY"], 9)
    assert changed["statusAt"] is not None
    assert_done(engineer.patch("/api/tools/SQ-1", {"status": None}))
    assert Tool.objects.get().status == ""
    assert_refused(engineer.patch("/api/tools/SQ-1", {"toolId": "SQ-2"}), "VALIDATION_ERROR", 400)
    ahead = (timezone.now() + timedelta(hours=1)).isoformat()
    assert_refused(engineer.patch("/api/tools/SQ-1", {"servicedAt": ahead}), "EVENT_TIME_IN_FUTURE", 422)
    assert_refused(engineer.post("/api/tools", {"toolId": "SQ-2", "servicedAt": ahead}), "EVENT_TIME_IN_FUTURE", 422)
    assert_refused(engineer.get("/api/tools/SQ-9"), "TOOL_NOT_FOUND", 404)
    assert_refused(api_client(Role.OPERATOR).patch("/api/tools/SQ-1", {"maxUses": 1}), "PERMISSION_DENIED", 403)
    page = Client()
    page.force_login(make_user(Role.OPERATOR))
    assert "SQ-1" in page.get("/lists/tools/").content.decode()
    assert [item["toolId"] for item in engineer.get("/api/stencils").json()["data"]["items"]] == []


def test_the_administration_takes_no_service_that_has_yet_to_be() -> None:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    for days, status in ((300, 200), (-1, 302)):
        date, time = (timezone.now() + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S").split()
        form = {"tool_id": "SQ-1", "kind": "SQUEEGEE", "serviced_at_0": date, "serviced_at_1": time}
        assert client.post(reverse("admin:mes_tool_add"), form).status_code == status
        assert Tool.objects.count() == (1 if days < 0 else 0)


def test_of_a_service_long_ago_no_more_is_read_than_while_the_tool_was_there() -> None:
    line, tool = make_line("SMT-A"), Tool.objects.create(tool_id="ST-1")
    bind(tool, at=ago(hours=3))
    Load.objects.update(ended_at=ago(hours=1))
    for hours in (5, 2.5, 2, 0.5):
        MesEvent.objects.create(
            event_type="TRACK_OUT",
            status="COMPLETED",
            occurred_at=ago(hours=hours),
            idempotency_key=f"out-{hours}",
            payload={"operationKind": "PRINT", "lineId": line.pk},
        )
    asked = {"since": ago(days=9), "tool": tool.pk}
    assert fetch_all(print_counts.COUNT_SINCE, asked) == [(2,)]
    explained = print_counts.COUNT_SINCE.replace("WITH", "EXPLAIN (ANALYZE, FORMAT JSON) WITH", 1)
    [[[found]]] = fetch_all(explained, asked)
    assert _rows_of(found["Plan"], "mes_mesevent") == 2


def _rows_of(plan: dict[str, Any], table: str) -> int:
    """Return how many rows of a table a plan went on with."""
    here = plan["Actual Rows"] if plan.get("Relation Name") == table else 0
    return int(here) + sum(_rows_of(each, table) for each in plan.get("Plans", ()))


def test_a_sheet_of_tools_makes_and_changes_them() -> None:
    Tool.objects.create(tool_id="SQ-1", kind="SQUEEGEE", uses=7, uses_since_service=7, warned_at=NOW)
    engineer = api_client(Role.ENGINEER)
    rows = [{"toolId": "SQ-1", "maxUses": 9, "status": "READY"}, {"toolId": "SQ-2", "kind": "SQUEEGEE"}]
    seen = assert_done(engineer.post("/api/imports/tools", {"rows": rows}), 201)
    assert_done(engineer.post(f"/api/imports/{seen['id']}/apply", {"changeReason": "worn"}))
    assert list(Tool.objects.order_by("tool_id").values_list("tool_id", "max_uses", "uses")) == [
        ("SQ-1", 9, 7),
        ("SQ-2", None, 0),
    ]
    tool = Tool.objects.get(tool_id="SQ-1")
    assert (tool.status, tool.warned_at) == ("READY", None) and tool.status_at is not None
