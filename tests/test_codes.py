"""Codes at every door: new things have only sound ones; what exists is found by the name it has."""

import pytest
from django.utils import timezone

from execution.models import Carrier
from ingest.models import OpenIngestEvent
from integration.models import FailedMessage
from mes.line_setup.models import MaintenanceTask, MaterialLot, Tool
from mes.plant.models import Line, Material, Station, StationGroup
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit, WorkOrder
from mes.routing.models import Routing
from tests.factories import api_client, make_plant
from tests.forms import state_of
from tests.ingest.support import make_ingest_plant, printed, reflowed

UNSOUND = ["SN\u200b1", "SN\u00a01", "\ufeffSN1", "e\u0301", "a/..", "a//b", "a/hold", "a\u2028b"]


def status(**fields: object) -> dict[str, object]:
    return {"eventId": "E-1", "eventTime": timezone.now().isoformat(), "source": "AUTO", **fields}


@pytest.mark.parametrize("code", UNSOUND)
def test_master_data_of_such_codes_is_not_made(db, code):
    client = api_client()
    for kind, fields in {
        "lines": {"processType": "SMT", "readinessChecks": []},
        "station-groups": {},
        "materials": {},
        "routes": {},
        "fai-templates": {"items": [{"itemName": "x"}]},
    }.items():
        answer = client.post(f"/api/{kind}", {"code": code, "name": "x", **fields})
        assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["code"]), kind
    answer = client.post("/api/stencils", {"stencilId": code})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["stencilId"])
    answer = client.post("/api/routes", {"code": "R", "name": "x", "productCode": code})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["productCode"])
    assert not Line.objects.exists() and not Material.objects.exists() and not Tool.objects.exists()


@pytest.mark.parametrize("code", UNSOUND)
def test_what_production_makes_has_sound_codes(db, code):
    plant = make_plant(units=0)
    client = api_client()
    order = {"woNo": code, "productCode": "PROD-1", "plannedQty": 1}
    for address, body in {
        "/api/integration/work-orders": order,
        f"/api/work-orders/{plant.order.wo_no}/runs": {"lineCode": "SMT-A", "planQty": 1, "runNo": code},
        "/api/runs/RUN-1/units": {"sns": ["SN-1", code]},
        "/api/stations/SMT-01/track-in": {"runNo": "RUN-1", "sn": code},
        "/api/integration/lines/SMT-A/stencil/bind": {"stencilId": code},
        "/api/integration/lines/SMT-A/solder-paste/bind": {"lotId": code},
    }.items():
        answer = client.post(address, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), address
    answer = client.post("/api/integration/work-orders", {**order, "woNo": "WO-2", "productCode": code})
    assert list(answer.json()["error"]["details"]) == ["productCode"]
    assert (WorkOrder.objects.count(), Run.objects.count(), Unit.objects.count()) == (1, 1, 0)
    assert not Tool.objects.exists() and not MaterialLot.objects.exists()


@pytest.mark.parametrize("code", UNSOUND)
def test_reports_make_nothing_of_such_codes_and_are_kept(db, code):
    plant = make_plant(units=0)
    client = api_client()
    machine = client.post("/api/equipment", {"code": "EQ-1", "name": "x", "stationCode": "SMT-01", "status": "normal"})
    assert machine.status_code == 201
    reports = {
        "stencil-status": status(stencilId=code, status="READY"),
        "solder-paste-status": status(lotId=code, status="COMPLIANT"),
        "solder-paste-usage": status(lotId=code, issuedAt=timezone.now().isoformat()),
        "maintenance-task": status(equipmentCode="EQ-1", taskNo=code, status="OPEN", title="x"),
    }
    for number, (channel, body) in enumerate(reports.items(), start=1):
        answer = client.post(f"/api/integration/{channel}", body)
        [field] = {"stencilId", "lotId", "taskNo"} & set(body)
        assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field]), answer.json()
        assert FailedMessage.objects.count() == number
    assert not any(model.objects.exists() for model in (Tool, MaterialLot, MaintenanceTask))
    assert not plant.run.units.exists()


def test_what_exists_is_found_by_the_name_it_has(db):
    """As made by an earlier release, in which these were codes."""
    plant = make_plant(units=0)
    sn, run_no, line_code, product = "e\u0301", "RUN\u00a01", "LINE\u200b1", "P\u00ad1"
    line = Line.objects.create(code=line_code, name="x", process_type="SMT")
    Station.objects.create(code="S\u00a01", name="x", station_type="MANUAL", line=line)
    Run.objects.filter(pk=plant.run.pk).update(run_no=run_no)
    Unit.objects.create(sn=sn, run=plant.run, work_order=plant.order, current_step_no=10)
    Carrier.objects.create(carrier_no="C\u00a01")
    Tool.objects.create(tool_id="ST\u00a01")
    Routing.objects.filter(pk=plant.routing.pk).update(product_code=product)
    client = api_client()
    asked = {
        f"/api/lines/{line_code}": {"name": "y", "code": line_code},
        "/api/stations/S\u00a01": {"name": "y", "lineCode": line_code},
        "/api/stencils/ST\u00a01": {"stencilId": "ST\u00a01", "version": "B"},
        "/api/routes/ROUTE-1": {"name": "y", "productCode": product},
    }
    for address, body in asked.items():
        answer = client.patch(address, body)
        assert answer.status_code == 200, (address, answer.json())
    done = {
        "/api/stations/SMT-01/track-in": {"runNo": run_no, "sn": sn},
        "/api/carriers/C\u00a01/load": {"units": [{"sn": sn}]},
        f"/api/integration/lines/{line_code}/stencil/bind": {"stencilId": "ST\u00a01"},
        "/api/integration/work-orders": {"woNo": "WO-9", "productCode": product, "plannedQty": 1},
    }
    for address, body in done.items():
        assert client.post(address, body).status_code in (200, 201), address
    assert client.get(f"/api/trace/units/{sn}").status_code == 200
    assert (
        client.post("/api/integration/stencil-status", status(stencilId="ST\u00a01", status="READY")).status_code == 201
    )
    # What looks the same is another name, which nothing new may have.
    assert client.get("/api/trace/units/é").status_code == 404


def test_the_admin_asks_new_codes_only(admin_client):
    address = "/admin/mes/stationgroup/"
    assert b"composed letters" in admin_client.post(f"{address}add/", {"code": "e\u0301", "name": "x"}).content
    assert not StationGroup.objects.exists()
    known = StationGroup.objects.create(code="e\u0301", name="x")
    assert admin_client.post(f"{address}{known.pk}/change/", {"name": "y", **state_of(known)}).status_code == 302
    known.refresh_from_db()
    assert (known.code, known.name) == ("e\u0301", "y")


@pytest.mark.parametrize("code", UNSOUND)
def test_a_machine_makes_no_unit_and_no_carrier_of_such_a_code(db, code):
    make_ingest_plant(units=0)
    client = api_client(Role.INTEGRATION)
    answer = client.post("/api/ingest/events", {**printed(code), "runNo": "RUN-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INGEST_PAYLOAD_INVALID"), answer.json()
    for sn in ("SN-1", "SN-2"):
        assert client.post("/api/ingest/events", {**printed(sn), "runNo": "RUN-1"}).status_code in (200, 201)
    Unit.objects.update(current_step_no=30)
    answer = client.post("/api/ingest/events", reflowed(code, ["SN-1", "SN-2"]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INGEST_PAYLOAD_INVALID")
    assert (Unit.objects.count(), Carrier.objects.count(), OpenIngestEvent.objects.count()) == (2, 0, 2)
