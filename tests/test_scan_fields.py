"""What is scanned into a field or sent to a door that scanners use: a label gives its part, or is refused in words."""

import pytest

from execution.quality.first_article.models import FirstArticle
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.production.models import Unit
from tests.factories import api_client, make_plant

GS, RS, EOT = "\x1d", "\x1e", "\x04"
UNIT_LABEL = f"]d20109521234543213{'21SN-1'}{GS}10LOT-1"
LOT_LABEL = f"[)>{RS}06{GS}PX1{GS}1TLOT-1{GS}Q10{RS}{EOT}"
CUT = LOT_LABEL[:-1]


@pytest.mark.parametrize("label", [UNIT_LABEL, "(21)SN-1", "]A0SN-1", f"[)>{RS}06{GS}SSN-1{RS}{EOT}"])
def test_doors_of_units_take_the_serial_number(db, label):
    make_plant()
    client = api_client()
    assert client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": label}).json()["data"]["sn"] == "SN-1"
    out = client.post("/api/stations/SMT-01/track-out", {"runNo": "RUN-1", "sn": label, "result": "PASS"})
    assert out.json()["data"]["sn"] == "SN-1"
    loaded = client.post("/api/carriers/C-1/load", {"units": [{"sn": label}]})
    assert loaded.json()["data"]["units"][0]["sn"] == "SN-1"


def test_a_label_without_serial_number_is_refused_in_words(db):
    make_plant()
    answer = api_client().post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": LOT_LABEL})
    assert answer.status_code == 400
    assert "no serial number ((21), S), but P, 1T, Q" in str(answer.json()["error"]["details"]["sn"])


def test_doors_of_the_set_up_take_lot_and_stencil(db):
    make_plant()
    client = api_client()
    address = "/api/integration/lines/SMT-A"
    assert client.post(f"{address}/solder-paste/bind", {"lotId": LOT_LABEL}).status_code in (200, 201)
    assert client.post(f"{address}/stencil/bind", {"stencilId": "(21)ST-1"}).status_code in (200, 201)
    assert (MaterialLot.objects.get().lot_id, Tool.objects.get().tool_id) == ("LOT-1", "ST-1")
    assert client.post(f"{address}/solder-paste/unbind", {"lotId": CUT}).status_code == 400
    assert client.post(f"{address}/solder-paste/unbind", {"lotId": LOT_LABEL}).status_code == 200


def test_the_search_finds_the_unit_of_a_label(admin_client):
    make_plant()
    found = admin_client.get("/trace/", {"q": f" {UNIT_LABEL}\r\n"})
    assert (found.status_code, found["Location"]) == (302, "/trace/units/SN-1/")


@pytest.mark.parametrize(("label", "says"), [(LOT_LABEL, "This label has no serial number"), (CUT, "cannot be read")])
def test_the_search_says_what_a_label_lacks(admin_client, label, says):
    page = admin_client.get("/trace/", {"q": label}).content.decode()
    assert says in page and "Nothing begins with" not in page


def test_the_search_finds_what_is_called_like_a_label(admin_client):
    """As made by an earlier release."""
    plant = make_plant(units=0)
    Unit.objects.create(sn="(12)X", run=plant.run, work_order=plant.order, current_step_no=10)
    assert admin_client.get("/trace/", {"q": "(12)X"})["Location"] == "/trace/units/(12)X/"


@pytest.mark.parametrize(
    "text", [UNIT_LABEL[:20], "(21)" + "A" * 100_000, "]C1" + GS * 5000, "[)>", "\x1d\x1d", "(01)"]
)
def test_no_scan_breaks_the_search(admin_client, text):
    assert admin_client.get("/trace/", {"q": text}).status_code == 200


def test_the_set_up_page_takes_the_parts(admin_client):
    make_plant()
    page = "/lines/SMT-A/set-up"
    refused = admin_client.post(f"{page}/stencil/bind/", {"code": "e\u0301"}, follow=True).content.decode()
    assert "composed letters" in refused
    admin_client.post(f"{page}/solder-paste/bind/", {"code": LOT_LABEL})
    admin_client.post(f"{page}/stencil/bind/", {"code": "(21)ST-1"})
    assert set(Load.objects.values_list("lot__lot_id", "tool__tool_id")) == {
        ("LOT-1", None),
        (None, "ST-1"),
    }
    refused = admin_client.post(f"{page}/stencil/bind/", {"code": LOT_LABEL}, follow=True).content.decode()
    assert "This label has no serial number ((21), S), but P, 1T, Q" in refused
    assert Tool.objects.count() == 1


def test_the_first_article_takes_a_sample_by_its_label(admin_client):
    plant = make_plant(authorize=False)
    client = api_client()
    fai = client.post("/api/fai/run/RUN-1", {"sampleQty": 1}).json()["data"]["id"]
    client.post(f"/api/fai/{fai}/start")
    page = "/first-articles/RUN-1/sample/"
    refused = admin_client.post(page, {"unit_sn": LOT_LABEL}, follow=True).content.decode()
    assert "This label has no serial number" in refused
    admin_client.post(page, {"unit_sn": UNIT_LABEL})
    assert FirstArticle.objects.get().samples.get().unit.sn == plant.units[0].sn


def test_a_unit_is_scrapped_by_its_label(admin_client):
    make_plant()
    body = {"reason": "broken", "confirm_sn": UNIT_LABEL}
    admin_client.post("/trace/units/SN-2/scrap/", body)
    admin_client.post("/trace/units/SN-1/scrap/", body)
    assert set(Unit.objects.values_list("sn", "status")) == {("SN-1", "SCRAPPED"), ("SN-2", "QUEUED")}


@pytest.mark.parametrize(
    ("model", "label", "code"),
    [
        ("unit", UNIT_LABEL, "SN-1"),
        ("tool", UNIT_LABEL, "SN-1"),
        ("materiallot", LOT_LABEL, "LOT-1"),
        ("material", LOT_LABEL, "X1"),
    ],
)
def test_the_search_of_the_admin_takes_the_part(admin_client, model, label, code):
    make_plant()
    Tool.objects.create(tool_id="SN-1")
    MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True)
    api_client().post("/api/materials", {"code": "X1", "name": "Resistor"})
    assert f">{code}</a>" in admin_client.get(f"/admin/mes/{model}/", {"q": label}).content.decode()
    page = admin_client.get(f"/admin/mes/{model}/", {"q": CUT}).content.decode()
    assert "cannot be read" in page and f">{code}</a>" not in page
