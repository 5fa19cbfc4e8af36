"""What a scan means, and fields that take one kind of thing only, by every door."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from execution import carriers, tracking
from execution.models import Carrier, Defect, RepairRecord
from execution.quality import defect_decisions
from execution.quality.defects import ReportedDefect
from execution.quality.oqc import drawing
from execution.quality.oqc import services as oqc
from mes import errors
from mes.line_setup import bindings
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, SetUpKind, Tool
from mes.plant import scans
from mes.plant.models import Material
from mes.plant.scans import ScanKind
from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import Badge
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Unit
from tests.execution.oqc.support import make_lot, make_rule
from tests.factories import Plant, api_client, make_plant, make_user

pytestmark = pytest.mark.django_db
GS, RS, EOT = "\x1d", "\x1e", "\x04"


@pytest.fixture
def plant() -> Plant:
    """One thing of each kind."""
    plant = make_plant(units=2)
    UnitAlias.objects.create(sn="OLD-1", unit=plant.units[0], reason="x", relabelled_by="x")
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    Carrier.objects.create(carrier_no="C-1")
    Tool.objects.create(tool_id="ST-1")
    MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True)
    Material.objects.create(code="PART-7", name="Resistor")
    Badge.objects.create(code="B-7", user=make_user(Role.OPERATOR), pin_hash="x")
    return plant


def resolve(text: str) -> dict:
    return api_client().post("/api/scans/resolve", {"text": text}).json()


KINDS = [
    ("SN-1", "UNIT", "SN-1", "/trace/units/SN-1/"),
    (" SN-1\r\n", "UNIT", "SN-1", "/trace/units/SN-1/"),
    ("]A0SN-1", "UNIT", "SN-1", "/trace/units/SN-1/"),
    ("OLD-1", "UNIT", "SN-1", "/trace/units/SN-1/"),
    ("GOLD-1", "UNIT", "GOLD-1", "/trace/units/GOLD-1/"),
    ("RUN-1", "RUN", "RUN-1", "/trace/runs/RUN-1/"),
    ("C-1", "CARRIER", "C-1", "/trace/carriers/C-1/"),
    ("ST-1", "STENCIL", "ST-1", "/lists/tools/?q=ST-1"),
    ("LOT-1", "PASTE_LOT", "LOT-1", "/material-lots/LOT-1/"),
    ("PART-7", "MATERIAL", "PART-7", None),
    ("LK.PASS", "COMMAND", "LK.PASS", None),
    ("]C0LK.D.SOLDER-BRIDGE", "COMMAND", "LK.D.SOLDER-BRIDGE", None),
    ("LK.NOTHING", "UNKNOWN", "LK.NOTHING", None),
    ("LK.U.4711", "BADGE", "4711", None),
    ("B-7", "BADGE", "B-7", None),
    ("sn-1", "UNKNOWN", "sn-1", None),
    ("SN", "UNKNOWN", "SN", None),
    ("", "UNKNOWN", "", None),
    # labels: the serial number before the lot before the material
    (f"]C121SN-1{GS}10LOT-1{GS}240PART-7", "UNIT", "SN-1", "/trace/units/SN-1/"),
    (f"{GS}21ST-1{GS}10LOT-1", "STENCIL", "ST-1", "/lists/tools/?q=ST-1"),
    (f"]d221NEW-1{GS}10LOT-1{GS}240PART-7", "PASTE_LOT", "LOT-1", "/material-lots/LOT-1/"),
    (f"]d221NEW-1{GS}240PART-7", "UNKNOWN", "NEW-1", None),
    (f"[)>{RS}06{GS}PPART-7{GS}1TLOT-1{RS}{EOT}", "PASTE_LOT", "LOT-1", "/material-lots/LOT-1/"),
    (f"[)>{RS}06{GS}PPART-7{GS}Q5{RS}{EOT}", "MATERIAL", "PART-7", None),
    ("(21)RUN-1", "UNKNOWN", "RUN-1", None),  # no run has a serial number
    (f"[)>{RS}06{GS}Q5{RS}{EOT}", "UNKNOWN", f"[)>{RS}06{GS}Q5{RS}{EOT}", None),
    # GS1 without separators: behind an identifier it is one long serial number, without it is a plain text
    ("]C121SN-110LOT-1", "UNKNOWN", "SN-110LOT-1", None),
    ("21SN-110LOT-1", "UNKNOWN", "21SN-110LOT-1", None),
]


@pytest.mark.parametrize(("text", "kind", "code", "address"), KINDS)
def test_each_kind_is_known(plant: Plant, text: str, kind: str, code: str, address: str | None) -> None:
    if text:
        answer = resolve(text)["data"]
        assert (answer["kind"], answer["code"], answer["address"]) == (kind, code, address)
    assert scans.resolve(text).choose().kind == kind


@pytest.mark.parametrize("text", ["]C121", f"[)>{RS}06{GS}SSN-1", "(21)", "(01)09521234543214", "]d2" + "9" * 7000])
def test_a_label_that_cannot_be_read_says_why(plant: Plant, text: str) -> None:
    answer = resolve(text)["data"]
    assert answer["kind"] == "UNKNOWN" and answer["problems"]


@pytest.mark.parametrize("text", ["", "SN\0", "A" * 7090, None, 7])
def test_what_is_no_text_is_refused(plant: Plant, text: object) -> None:
    assert api_client().post("/api/scans/resolve", {"text": text}).status_code == 400


@pytest.mark.parametrize("text", ["\0", "\ud800", "A" * 101, " ", "\x1d\x1e", "é", "e\u0301"])
def test_no_text_breaks_it(plant: Plant, text: str) -> None:
    assert scans.resolve(text).choose().kind == "UNKNOWN"


def test_one_statement_whatever_is_asked(plant: Plant, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for text in ("SN-1", "nothing", f"]C121SN-9{GS}10LOT-9{GS}240PART-9"):
        with django_assert_num_queries(1):
            scans.resolve(text)
    with django_assert_num_queries(1):
        scans.check_kinds([("PART-7", ScanKind.MATERIAL), ("LOT-7", ScanKind.PASTE_LOT)])
    with django_assert_num_queries(0):
        scans.check_kinds([])
        scans.resolve("\x1d")


def test_two_things_of_one_name(plant: Plant) -> None:
    Carrier.objects.create(carrier_no="SN-1")
    Tool.objects.create(tool_id="SN-1")
    answer = resolve("SN-1")
    assert answer["error"]["code"] == "SCAN_AMBIGUOUS"
    assert answer["error"]["details"] == {"text": "SN-1", "kinds": ["UNIT", "STENCIL", "CARRIER"]}
    assert "“SN-1” means several things: a unit, a stencil, a carrier." in answer["error"]["message"]
    scans.check_kind("SN-1", ScanKind.CARRIER)  # a field takes it as its own
    with pytest.raises(errors.ScanTypeMismatch):
        scans.check_kind("SN-1", ScanKind.RUN)


def test_the_place_of_a_stencil_is_its_line(plant: Plant) -> None:
    bindings.bind(line_code="SMT-A", kind=SetUpKind.STENCIL, code="ST-1", by="x")
    assert resolve("ST-1")["data"]["address"] == "/lines/SMT-A/set-up/"


# --- a field takes its kind only ------------------------------------------------------------------------------


@pytest.fixture
def person(plant: Plant, admin_client: Client) -> Client:
    return admin_client


def _refused(answer: dict, kind: str, wanted: str) -> None:
    error = answer["error"]
    assert (error["code"], error["details"]["kind"], error["details"]["wanted"]) == ("SCAN_TYPE_MISMATCH", kind, wanted)


def test_no_other_thing_becomes_a_stencil_or_a_lot(plant: Plant) -> None:
    client, address = api_client(), "/api/integration/lines/SMT-A"
    for code, kind in (
        ("SN-1", "UNIT"),
        ("OLD-1", "UNIT"),
        ("GOLD-1", "UNIT"),
        ("LOT-1", "PASTE_LOT"),
        ("C-1", "CARRIER"),
    ):
        answer = client.post(f"{address}/stencil/bind", {"stencilId": code, "replace": True})
        assert answer.status_code == 422
        _refused(answer.json(), kind, "STENCIL")
    answer = client.post(f"{address}/solder-paste/bind", {"lotId": "ST-1"}).json()
    _refused(answer, "STENCIL", "PASTE_LOT")
    assert answer["error"]["message"] == "“ST-1” is a stencil. What is wanted here is a lot."
    assert (Tool.objects.count(), MaterialLot.objects.count(), Load.objects.count()) == (1, 1, 0)
    assert client.post(f"{address}/stencil/bind", {"stencilId": "ST-NEW"}).status_code == 201  # nobody knows it yet


def test_what_is_a_stencil_too_is_bound_as_one(plant: Plant) -> None:
    Tool.objects.create(tool_id="SN-1")  # as any barcode became one before
    answer = api_client().post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "SN-1"})
    assert answer.status_code == 201


def test_the_page_of_the_set_up_says_what_was_scanned(person: Client) -> None:
    page = person.post("/lines/SMT-A/set-up/stencil/bind/", {"code": "SN-1"}, follow=True).content.decode()
    assert "“SN-1” is a unit. What is wanted here is a stencil." in page
    assert not Load.objects.exists()


@pytest.mark.parametrize("body", [{"runNo": "RUN-1"}, {}])
def test_only_a_unit_is_tracked_in(plant: Plant, body: dict) -> None:
    client = api_client()
    answer = client.post("/api/stations/SMT-01/track-in", {"sn": "C-1", **body})
    assert answer.status_code == 422
    _refused(answer.json(), "CARRIER", "UNIT")
    permit = client.post("/api/stations/SMT-01/permit", {"sn": "C-1", "as": "MANUAL", **body}).json()["data"]
    assert permit["reasons"][0]["code"] == "SCAN_TYPE_MISMATCH" and not permit["allowed"]
    assert not Unit.objects.filter(sn="C-1").exists()


def test_units_and_carriers_of_a_load(plant: Plant) -> None:
    client = api_client()
    _refused(client.post("/api/carriers/ST-1/load", {"units": [{"sn": "SN-1"}]}).json(), "STENCIL", "CARRIER")
    _refused(client.post("/api/carriers/C-1/load", {"units": [{"sn": "LOT-1"}]}).json(), "PASTE_LOT", "UNIT")
    assert client.post("/api/carriers/C-2/load", {"units": [{"sn": "OLD-1"}]}).status_code == 200
    assert [load.unit.sn for load in carriers.list_loads(Carrier.objects.get(carrier_no="C-2"))] == ["SN-1"]


def test_the_sample_of_a_first_article(admin_client: Client) -> None:
    make_plant(authorize=False)
    client = api_client()
    fai = client.post("/api/fai/run/RUN-1", {"sampleQty": 1}).json()["data"]["id"]
    client.post(f"/api/fai/{fai}/start")
    _refused(client.post(f"/api/fai/{fai}/samples", {"unitSn": "RUN-1"}).json(), "RUN", "UNIT")
    page = admin_client.post("/first-articles/RUN-1/sample/", {"unit_sn": "RUN-1"}, follow=True).content.decode()
    assert "“RUN-1” is a run. What is wanted here is a unit." in page


def test_the_bench_says_what_was_scanned(person: Client) -> None:
    assert "“LOT-1” is a lot. What is wanted here is a unit." in person.get("/repair/?scan=LOT-1").content.decode()
    assert "“LOT-2”" in person.get("/repair/?scan=LOT-2").content.decode()


def test_the_parts_that_a_repair_put_in(plant: Plant) -> None:
    unit = {"run_no": "RUN-1", "sn": "SN-1", "station_code": "SMT-01"}
    tracking.track_in(**unit)
    tracking.track_out(**unit, result="FAIL", defects=[ReportedDefect("BRIDGE", "C1")])
    defect = Defect.objects.get()
    task = defect_decisions.rework(defect_id=defect.pk, reason="bridge", by="sue").task
    assert task is not None
    client, address = api_client(), f"/api/rework-tasks/{task.pk}/repair-record"
    body = {"defectId": str(defect.pk), "action": "REPLACED", "result": "FIXED"}
    part = {"location": "C1"}
    answer = client.post(
        address, {**body, "replaced": [{**part, "materialCode": "PART-8"}, {**part, "materialCode": "SN-2"}]}
    )
    assert answer.status_code == 422
    _refused(answer.json(), "UNIT", "MATERIAL")
    _refused(
        client.post(address, {**body, "replaced": [{**part, "materialCode": "PART-7", "lotNo": "C-1"}]}).json(),
        "CARRIER",
        "PASTE_LOT",
    )
    assert not RepairRecord.objects.exists()
    fine = {**part, "materialCode": "PART-7", "lotNo": "LOT-1"}
    assert client.post(address, {**body, "replaced": [fine]}).status_code == 201


def test_the_units_of_an_outgoing_inspection(plant: Plant, admin_client: Client) -> None:
    make_rule(items=[{"itemName": "Joints"}])
    make_lot(plant, "LOT", units=2)
    inspection = drawing.create(run_no="LOT", by="test")
    oqc.start(inspection_id=inspection.pk, by="test")
    body = {"unitSn": "ST-1", "itemName": "Joints", "result": "PASS"}
    _refused(api_client().post(f"/api/oqc/{inspection.pk}/items", body).json(), "STENCIL", "UNIT")
    page = admin_client.post(f"/oqc/{inspection.pk}/scan/", {"unitSn": "ST-1"}, follow=True).content.decode()
    assert "“ST-1” is a stencil. What is wanted here is a unit." in page


def test_the_new_label_of_a_board(plant: Plant) -> None:
    answer = api_client().post("/api/units/SN-1/relabel", {"newSn": "C-1", "reason": "torn"})
    _refused(answer.json(), "CARRIER", "UNIT")
    assert api_client().post("/api/units/SN-1/relabel", {"newSn": "SN-9", "reason": "torn"}).status_code == 200


def test_the_run_that_is_made_active(plant: Plant) -> None:
    answer = api_client().post("/api/lines/SMT-A/active-run", {"runNo": "SN-1"})
    assert answer.status_code == 422
    _refused(answer.json(), "UNIT", "RUN")


# --- the search -----------------------------------------------------------------------------------------------


def test_the_search_opens_what_it_resolves_to(person: Client) -> None:
    bindings.bind(line_code="SMT-A", kind=SetUpKind.STENCIL, code="ST-1", by="x")
    for text, address in (
        ("OLD-1", "/trace/units/SN-1/"),
        ("c-1", "/trace/carriers/C-1/"),
        ("ST-1", "/lines/SMT-A/set-up/"),
    ):
        assert person.get("/trace/", {"q": text})["Location"] == address
    found = person.get("/trace/", {"q": f"[)>{RS}06{GS}1TLOT-1{RS}{EOT}"})
    assert found["Location"] == "/material-lots/LOT-1/"


def test_the_search_shows_each_of_several_things(person: Client) -> None:
    Carrier.objects.create(carrier_no="SN-1")
    page = person.get("/trace/", {"q": "SN-1"})
    assert page.status_code == 200
    assert (
        'href="/trace/units/SN-1/"' in page.content.decode() and 'href="/trace/carriers/SN-1/"' in page.content.decode()
    )
    assert "“SN-1” means several things" in page.content.decode()
