"""A lot is inspected by scanner and keyboard up to its decision, which is signed, and the board's after it."""

from playwright.sync_api import expect

from execution.quality.oqc import drawing
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.production.models import Run
from tests.browser.conftest import Look, SignIn, at
from tests.browser.test_run_acts import scan, tab_to
from tests.execution.oqc.support import make_lot, make_rule
from tests.factories import make_plant


def test_a_lot_is_inspected_by_scan_up_to_what_the_board_decides(sign_in: SignIn, look: Look) -> None:
    plant = make_plant()
    make_rule(items=[{"itemName": "Joints"}])
    page = sign_in(Role.QUALITY, "/oqc/")
    at(page, 390, "light")
    expect(page.get_by_text("No lot waits to be inspected.")).to_be_visible()
    look()
    make_lot(plant, "LOT", units=2)
    inspection = drawing.create(run_no="LOT", by="test")
    page.goto("/oqc/")
    at(page, 768, "dark")
    look()
    page.get_by_role("link", name=f"Inspection {inspection.pk}").click()
    page.get_by_role("button", name="Start to inspect").click()
    expect(page.get_by_label("Scan a sampled unit")).to_be_focused()
    scan(page, "SN-1")
    expect(page.get_by_text("is not in the sample")).to_be_visible()
    page.get_by_label("Scan a sampled unit").focus()
    scan(page, "LOT-1")
    expect(page.get_by_role("heading", name="LOT-1")).to_be_visible()
    look()
    tab_to(page, "Fail")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 unit nonconforming so far.")).to_be_visible()
    at(page, 1920, "light")
    page.get_by_text("Decide: failed").first.click()
    page.get_by_label("Your password").fill("wrong")
    page.get_by_role("button", name="Decide: failed").click()
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    look()
    page.get_by_label("Your password").fill("secret")
    page.get_by_role("button", name="Decide: failed").click()
    expect(page.get_by_text("Failed: the lot is not accepted")).to_be_visible()
    look()
    page.goto("/trace/runs/LOT/")
    page.get_by_role("link", name="Outgoing inspection", exact=True).last.click()
    at(page, 390, "dark")
    page.locator("summary", has_text="Rework").click()
    look()
    page.get_by_label("Preparations").select_option("REUSE_PREP")
    page.get_by_label("Reason").locator("visible=true").fill("Touch up the joints")
    page.get_by_label("Your password").locator("visible=true").fill("secret")
    page.locator("#act-mrb-rework").get_by_role("button", name="Rework").click()
    expect(page.get_by_text("Rework run LOT-R1: Authorized.")).to_be_visible()
    assert Signature.objects.count() == 2
    assert Run.objects.get(run_no="LOT").status == "CLOSED_REWORK"
