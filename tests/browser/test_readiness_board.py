"""The readiness board, worked by a scanner: it types a code quickly and ends with Enter."""

from playwright.sync_api import Page, expect

from mes.line_setup.models import MaterialLot, Tool
from mes.platform.accounts.roles import Role
from mes.production.models import Run
from tests.browser.conftest import SignIn
from tests.readiness.support import make_unready_plant


def scan(page: Page, code: str) -> None:
    """Type where the cursor stands, as a scanner does."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def test_a_line_is_made_ready_by_two_scans_and_the_run_is_authorized(sign_in: SignIn) -> None:
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    Tool.objects.create(tool_id="ST-1", status="READY")
    MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True, paste_status="COMPLIANT")
    page = sign_in(Role.SUPERVISOR, "/readiness/runs/RUN-1/")
    expect(page.get_by_text("2 things are not right yet")).to_be_visible()
    expect(page.get_by_role("button", name="Authorize the run")).to_be_disabled()
    expect(page.get_by_label("Scan a stencil to bind it")).to_be_focused()
    scan(page, "ST-1")
    expect(page.get_by_text("One thing is not right yet")).to_be_visible()
    expect(page.get_by_label("Scan a solder paste lot to bind it")).to_be_focused()
    scan(page, "LOT-1")
    expect(page.get_by_text("Everything is right: the run may be authorized")).to_be_visible()
    page.get_by_role("button", name="Authorize the run").click()
    expect(page.get_by_text("The run is authorized: its first unit may enter.")).to_be_visible()
    assert Run.objects.get().status == "AUTHORIZED"
