"""What a token that is limited to stations may do: every operation of the API is walked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from drf_spectacular.generators import EndpointEnumerator
from rest_framework.test import APIClient

from execution import carriers, tracking
from execution.models import Defect
from execution.quality.first_article.models import FirstArticle
from ingest.models import OpenIngestEvent
from integration.models import FailedMessage
from mes.labels import Action
from mes.line_setup.models import MaterialLot, SolderPasteUsage, Tool
from mes.line_setup.set_up_lists.models import SetUpList
from mes.plant.models import Equipment, StationType
from mes.platform.accounts.roles import Role
from mes.production import decisions
from mes.readiness.models import CheckKind, CheckStatus, ItemStatus, PrepPolicy, ReadinessCheck, ReadinessItem
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from tests.bad_input.endpoints import Endpoint, list_endpoints
from tests.factories import Plant, api_client, make_line, make_plant, make_station, make_user
from tests.integration.helpers import make_event, moment, nothing_changes, reading
from tests.platform.accounts.limited_operations import OWN, REFUSED, SHARED, listed

pytestmark = pytest.mark.django_db

ENDPOINTS = {str(endpoint): endpoint for endpoint in list_endpoints()}
STATIONS = ("SMT-01", "REF-01", "TST-01")  # those of the plant, all on one line
REPORT = {"eventId": "evt-9", "eventTime": "2026-01-24T10:00:00Z", "source": "AUTO"}
COUNTS = {"mode": "DELTA", "windowStart": "2026-01-24T09:00:00Z", "windowEnd": "2026-01-24T10:00:00Z", "boardsIn": 1}
MACHINE_EVENT = {
    "dedupeKey": "key-9",
    "sourceSystem": "x",
    "eventType": "AUTO",
    "occurredAt": moment(seconds=1),
    "stationCode": "REF-01",
    "payload": {"sn": "SN-2"},
}


class Things:
    """A plant with one of everything that belongs to a station or a line, and the names of it."""

    def __init__(self, plant: Plant) -> None:
        now = timezone.now()
        tracking.track_in(station_code="SMT-01", run_no="RUN-1", sn="SN-1", operator="olga")
        unit = plant.units[0]
        Defect.objects.create(unit=unit, run=plant.run, step_no=10, code="SOLDER_BALL", found_at=now)
        carriers.load(carrier_no="PANEL-1", placings=[carriers.Placing("SN-1", "1")])
        Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
        PrepPolicy.objects.create(code="PREP_X", name="X", line=plant.line)
        Tool.objects.create(tool_id="ST-1")
        lot = MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True)
        SolderPasteUsage.objects.create(lot=lot, line=plant.line, issued_at=now)
        check = ReadinessCheck.objects.create(run=plant.run, kind=CheckKind.FORMAL, status=CheckStatus.FAILED)
        ReadinessItem.objects.create(check_made=check, item_type="ROUTE", code="X", status=ItemStatus.FAILED)
        rule = TimeRuleDefinition.objects.create(
            code="RULE-1", name="x", duration_minutes=5, start_event="TRACK_OUT", end_event="TRACK_IN"
        )
        self.clock = TimeRuleInstance.objects.create(
            definition=rule,
            definition_code="RULE-1",
            entity_type="UNIT",
            entity_id="SN-1",
            run=plant.run,
            line=plant.line,
            duration_minutes=5,
            warning_minutes=1,
            start_key="x",
            started_at=now,
            expires_at=now,
        )
        self.fai = FirstArticle.objects.create(run=plant.run, sample_qty=1, created_by="x")
        self.message = FailedMessage.objects.create(
            received_at=now,
            direction="INBOUND",
            entity_type="DEVICE_DATA",
            dedupe_key="evt-5",
            status="FAILED",
            payload=make_event("evt-5", runNo="RUN-1", stationCode="REF-01"),
            error_code="TRACK_NOT_FOUND",
            digest=b"",
        )
        self.event = OpenIngestEvent.objects.create(
            received_at=now,
            source_system="x",
            dedupe_key="key-5",
            event_type="AUTO",
            occurred_at=now,
            station=plant.stations["REF-01"],
            payload={**MACHINE_EVENT, "dedupeKey": "key-5"},
            status="REJECTED",
            error_code="UNIT_NOT_FOUND",
            digest=b"",
        )
        self.set_up_list = SetUpList.objects.create(route=plant.routing, line=plant.line, revision=1)
        self.names = {
            "fai": {"id": str(self.fai.pk)},
            "time-rules": {"id": str(self.clock.pk)},
            "ingest": {"id": str(self.event.pk)},
            "integration/messages": {"id": str(self.message.pk)},
            "integration/lines": {"code": "SMT-A"},
            "setup-lists": {"id": str(self.set_up_list.pk)},
        }

    def url(self, endpoint: Endpoint) -> str:
        """The address of one of these things."""
        names = {"carrier_no": "PANEL-1", "slot": "F1", **self.names.get(endpoint.subject, {})}
        if "preparations" in endpoint.path:
            names["code"] = "PREP_X"
        if endpoint.path.startswith("/api/reports/"):
            return f"{endpoint.path}?lineCode=SMT-A&from=2026-01-24"
        return endpoint.url_with(**names)


BODIES: dict[str, Any] = {
    "/api/holds": {"scope": "STATION", "code": "SMT-01", "reason": "Smoke"},
    "/api/lines/{code}/active-run": {"runNo": "RUN-1", "stationCode": "SMT-01"},
    "/api/stations/{code}/track-in": {"runNo": "RUN-1", "sn": "SN-2"},
    "/api/stations/{code}/permit": {"sn": "SN-2"},
    "/api/defects": {"unitSn": "SN-1", "code": "OPEN"},
    "/api/stations/{code}/track-out": {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"},
    "/api/stations/{code}/reference-pass": {"sn": "GOLD-1", "result": "PASS"},
    "/api/stations/{code}/loads": {"slot": "F1", "program": "TOP"},
    "/api/stations/{code}/unload": {"slot": "F1"},
    "/api/stations/{code}/slots/{slot}/unlock": {"reason": "The label was read."},
    "/api/stations/{code}/install": {"sn": "SN-1", "serial": "S-1", "materialCode": "M-1"},
    "/api/carriers/{carrier_no}/depanel": {"boards": []},
    "/api/carriers/{carrier_no}/load": {"units": [{"sn": "SN-2"}]},
    "/api/carriers/{carrier_no}/unload": {},
    "/api/ingest/events": MACHINE_EVENT,
    "/api/ingest/events/batch": {"events": [MACHINE_EVENT]},
    "/api/integration/device-data": make_event("evt-9", reading(245.0), runNo="RUN-1", stationCode="REF-01"),
    "/api/integration/device-data/batch": {
        "events": [{**REPORT, "runNo": "RUN-1", "stationCode": "REF-01", "production": COUNTS}]
    },
    "/api/integration/messages/{id}/replay": {},
    "/api/integration/messages/{id}/dismiss": {"reason": "x"},
    "/api/integration/equipment-status": {**REPORT, "equipmentCode": "EQ-1", "status": "normal"},
    "/api/integration/maintenance-task": {
        **REPORT,
        "equipmentCode": "EQ-1",
        "taskNo": "MT-1",
        "status": "OPEN",
        "isBlocking": True,
    },
    "/api/integration/lot-events": {**REPORT, "lotId": "R-1", "kind": "OPENED"},
    "/api/integration/inspection-result": {
        **REPORT,
        "runNo": "RUN-1",
        "stationCode": "SMT-01",
        "unitSn": "SN-1",
        "stepNo": 10,
        "inspectionType": "AOI",
        "result": "PASS",
    },
    "/api/integration/material-loads": {
        **REPORT,
        "stationCode": "SMT-01",
        "loads": [{"action": "LOADED", "program": "TOP"}],
    },
    "/api/integration/material-uses": {
        **REPORT,
        "stationCode": "REF-01",
        "uses": [{"unitSn": "SN-1", "lotId": "L-1"}],
    },
    "/api/integration/station-data": {
        **REPORT,
        "stationCode": "REF-01",
        "operationCode": "REFLOW",
        "data": [{"specName": "Peak Temperature", "valueNumber": 240.0}],
    },
    "/api/runs/{run_no}/readiness/preparations/{code}/confirm": {},
    "/api/integration/lines/{code}/stencil/bind": {"stencilId": "ST-1"},
    "/api/integration/lines/{code}/stencil/unbind": {"stencilId": "ST-1"},
    "/api/integration/lines/{code}/solder-paste/bind": {"lotId": "LOT-1"},
    "/api/integration/lines/{code}/solder-paste/unbind": {"lotId": "LOT-1"},
}
# What such reports are about is no station's; a token of any station is refused.
OF_NO_STATION = [f"POST /api/integration/{kind}" for kind in ("stencil-status", "solder-paste-status")]
OF_NO_STATION += ["POST /api/integration/solder-paste-usage", "POST /api/integration/lot-events"]

# What a token decides in bulk means the things of its stations alone; nobody else's decision is shown to it.
IN_BULK = ["GET /api/bulk-actions/{id}", "POST /api/ingest/events/replay", "POST /api/ingest/events/dismiss"]


def call(client: APIClient, endpoint: Endpoint, things: Things) -> Any:
    """Send a request for one of these things, with a body where it takes one."""
    body = BODIES.get(endpoint.path, endpoint.example) if endpoint.method != "GET" else None
    return client.generic(
        endpoint.method,
        things.url(endpoint),
        client._encode_data(body, "json")[0] if body is not None else b"",
        "application/json" if body is not None else "",
    )


def is_refused(answer: Any) -> bool:
    """Whether an answer, or that to each of a batch, is a 403."""
    if answer.status_code == 200 and "results" in (answer.json()["data"] or {}):
        results = answer.json()["data"]["results"]
        return all(result.get("error", {}).get("code") == "PERMISSION_DENIED" for result in results)
    return answer.status_code == 403 and answer.json()["error"]["code"] == "PERMISSION_DENIED"


@pytest.fixture(scope="module")
def made(around_all: None) -> Things:
    """Everything of line SMT-A, beside which there is a line SMT-B with a station B-01."""
    plant = make_plant()
    make_station("B-01", line=make_line("SMT-B"), station_type=StationType.AUTO)
    for about in (plant.line, plant.order, plant.run):
        decisions.record(about, Action.HOLD, by="test")
    return Things(plant)


@pytest.fixture
def things(made: Things, db: None) -> Things:
    return made


def test_every_operation_is_told() -> None:
    told = listed(SHARED) + listed(OWN) + listed(REFUSED)
    assert len(told) == len(set(told))
    assert sorted(told) == sorted(ENDPOINTS)
    walked = {f"{method} {path}" for path, _regex, method, _view in EndpointEnumerator().get_api_endpoints()}
    walked -= {"GET /api/docs/", "GET /api/schema/"}
    assert {name.split("{")[0] for name in walked} == {name.split("{")[0] for name in ENDPOINTS}


@pytest.mark.parametrize("name", listed(REFUSED))
def test_what_no_device_needs_is_refused(name: str, things: Things) -> None:
    client = api_client(Role.ADMIN, STATIONS)
    with nothing_changes(but=()):
        assert is_refused(call(client, ENDPOINTS[name], things))


@pytest.mark.parametrize("name", listed(SHARED))
def test_what_belongs_to_no_station_is_read(name: str, things: Things) -> None:
    answer = call(api_client(Role.OPERATOR, ["B-01"]), ENDPOINTS[name], things)
    assert answer.status_code in (200, 404), answer.content


@pytest.mark.parametrize("name", [name for name in listed(OWN) if name not in IN_BULK])
def test_what_is_another_station_s_is_refused_and_changes_nothing(name: str, things: Things) -> None:
    client = api_client(Role.ADMIN, ["B-01"])
    with nothing_changes(but=()):
        answer = call(client, ENDPOINTS[name], things)
    rows = answer.json()["data"].get("items") if answer.status_code == 200 else None
    ours = [row for row in rows or () if row.get("code") not in ("SMT-B", "B-01")]
    assert is_refused(answer) if rows is None else ours == [], answer.content


@pytest.mark.parametrize("name", [name for name in listed(OWN) if name not in OF_NO_STATION])
def test_what_is_its_own_is_not_refused(name: str, things: Things) -> None:
    answer = call(api_client(Role.ADMIN, STATIONS), ENDPOINTS[name], things)
    assert not is_refused(answer), answer.content
    data = answer.json().get("data") or {}
    if "next" in data and name != "GET /api/integration/device-data":
        assert data["items"]


@pytest.mark.parametrize("verb", ["replay", "dismiss"])
def test_a_decision_in_bulk_means_what_is_its_own_and_is_shown_to_nobody_else(verb: str, things: Things) -> None:
    body = {"code": "UNIT_NOT_FOUND", "upTo": (timezone.now() + timedelta(minutes=1)).isoformat(), "reason": "x"}
    matched = {}
    for stations in (("B-01",), STATIONS):
        client = api_client(Role.ADMIN, stations)
        answer = client.post(f"/api/ingest/events/{verb}", body)
        assert answer.status_code == 202, answer.content
        begun = answer.json()["data"]
        matched[stations[0]] = begun["matched"]
        assert client.get(f"/api/bulk-actions/{begun['id']}").status_code == 200
        other = api_client(Role.ADMIN, ["SMT-01"]).get(f"/api/bulk-actions/{begun['id']}")
        assert other.json()["error"]["code"] == "BULK_ACTION_NOT_FOUND"
    assert matched == {"B-01": 0, STATIONS[0]: 1}


def test_a_station_without_a_line_reads_of_all_lines_and_sets_none_up(things: Things) -> None:
    make_station("WASH")
    client = api_client(Role.ADMIN, ["WASH"])
    assert client.get("/api/runs/RUN-1").status_code == 200
    assert len(client.get("/api/lines").json()["data"]["items"]) == 2
    for address in ("/api/runs/RUN-1/readiness/precheck", "/api/integration/lines/SMT-A/stencil/bind"):
        assert client.post(address, {"stencilId": "ST-1"}).status_code == 403


def test_a_unit_in_another_station_of_the_line_is_not_put_on_a_carrier(things: Things) -> None:
    body = {"units": [{"sn": "SN-1"}]}
    for stations, status in ((["REF-01"], 403), (["SMT-01"], 200)):
        answer = api_client(Role.OPERATOR, stations).post("/api/carriers/PANEL-9/load", body)
        assert answer.status_code == status, answer.content
    assert api_client(Role.OPERATOR, ["REF-01"]).post("/api/carriers/PANEL-9/unload", {}).status_code == 403


def dismiss(things: Things, client: APIClient) -> int:
    answer = client.post(f"/api/integration/messages/{things.message.pk}/dismiss", {"reason": "x"})
    return int(answer.status_code)


def change(things: Things, **fields: Any) -> None:
    FailedMessage.objects.filter(pk=things.message.pk).update(**fields)


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda things: change(things, payload={"eventId": "x"}), id="names no station"),
        pytest.param(lambda things: change(things, payload=None), id="is malformed"),
        pytest.param(lambda things: change(things, direction="OUTBOUND"), id="goes out"),
        pytest.param(lambda things: change(things, entity_type="STENCIL_STATUS"), id="is about a stencil"),
        pytest.param(
            lambda things: change(
                things, payload=make_event("evt-5", reading(1.0), runNo="RUN-1", stationCode="SMT-01")
            ),
            id="is another station's",
        ),
    ],
)
def test_a_message_that_is_of_no_station_of_the_token_is_neither_dismissed_nor_replayed(
    things: Things, alter: Callable[[Things], None]
) -> None:
    alter(things)
    client = api_client(Role.ENGINEER, ["REF-01"])
    with nothing_changes(but=()):
        assert dismiss(things, client) == 403
        assert client.post(f"/api/integration/messages/{things.message.pk}/replay", {}).status_code == 403
    assert dismiss(things, api_client(Role.ENGINEER)) == 200


# --- people without a role -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name.startswith("GET")])
def test_who_has_no_role_reads_nothing(name: str, things: Things, nobody: APIClient) -> None:
    answer = call(nobody, ENDPOINTS[name], things)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert "no role" in answer.json()["error"]["message"]


@pytest.fixture
def nobody() -> APIClient:
    client = APIClient()
    client.force_login(make_user())
    return client


def test_nor_what_the_api_is(nobody: APIClient) -> None:
    for address in ("/api/schema/", "/api/docs/"):
        assert nobody.get(address).status_code == 403
