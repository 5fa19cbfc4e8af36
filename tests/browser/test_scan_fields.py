"""A label of GS1 in every field to scan into, typed as a scanner does: all of it at once, then Enter."""

from playwright.sync_api import Page, expect

from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.browser.conftest import SignIn
from tests.factories import api_client, make_plant
from tests.readiness.support import make_unready_plant

GS = "\x1d"
LABEL = f"]d20109521234543213{'21SN-1'}{GS}10LOT-1{GS}240PART-7"
STENCIL = f"]d221ST-1{GS}240FRAME"
LOT_ONLY = f"]d210LOT-1{GS}240PASTE"


def scan(page: Page, label: str) -> None:
    """Type where the cursor stands, as a scanner does."""
    page.keyboard.insert_text(label)
    page.keyboard.press("Enter")


def test_the_searches_and_the_scrapping_of_a_unit(sign_in: SignIn) -> None:
    make_plant()
    page = sign_in(Role.SUPERVISOR, "/trace/")
    expect(page.get_by_label("Serial number, run, work order or carrier")).to_be_focused()
    scan(page, LABEL)
    expect(page.get_by_role("heading", name="SN-1")).to_be_visible()
    page.keyboard.press("/")  # to the search at the top
    scan(page, LOT_ONLY)
    expect(page.get_by_text("This label has no serial number ((21), S), but (10), (240).")).to_be_visible()
    page.goto("/trace/units/SN-1/")
    page.locator("#decide-scrap summary").click()
    page.locator("#decide-scrap").get_by_label("Reason").fill("Broken")
    page.locator("#confirm-sn").focus()
    scan(page, LABEL)
    expect(page.get_by_text("The decision is recorded.")).to_be_visible()
    assert Unit.objects.get(sn="SN-1").status == "SCRAPPED"


def test_the_set_up_of_a_line_and_its_readiness(sign_in: SignIn) -> None:
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    Tool.objects.create(tool_id="ST-1", status="READY")
    MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True, paste_status="COMPLIANT")
    page = sign_in(Role.SUPERVISOR, "/readiness/runs/RUN-1/")
    expect(page.get_by_label("Scan a stencil to bind it")).to_be_focused()
    scan(page, STENCIL)
    expect(page.get_by_label("Scan a solder paste lot to bind it")).to_be_focused()
    scan(page, LOT_ONLY)
    expect(page.get_by_text("Everything is right: the run may be authorized")).to_be_visible()
    page.goto("/lines/SMT-A/set-up/")
    page.get_by_label("Scan a stencil").focus()
    scan(page, LOT_ONLY)
    expect(page.get_by_text("This label has no serial number ((21), S), but (10), (240).")).to_be_visible()
    page.get_by_label("Scan a solder paste lot").focus()
    scan(page, LOT_ONLY)
    expect(page.get_by_text("“LOT-1” was bound already.")).to_be_visible()
    assert Load.objects.filter(ended_at=None).count() == 2


def test_the_sample_of_a_first_article(sign_in: SignIn) -> None:
    make_plant(authorize=False)
    client = api_client()
    fai = client.post("/api/fai/run/RUN-1", {"sampleQty": 1}).json()["data"]["id"]
    client.post(f"/api/fai/{fai}/start")
    page = sign_in(Role.QUALITY, "/first-articles/RUN-1/")
    expect(page.get_by_label("Scan a sample unit to inspect it")).to_be_focused()
    scan(page, LABEL)
    expect(page.get_by_text("SN-1 is a sample unit.")).to_be_visible()
