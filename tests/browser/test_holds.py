"""Units are held by a condition, from their preview to a signed release, with the keyboard."""

from playwright.sync_api import expect

from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.production.hold_models import Hold
from mes.production.models import Unit
from tests.browser.conftest import Look, SignIn, at
from tests.browser.test_run_acts import scan, tab_to
from tests.factories import make_plant


def test_a_hold_goes_from_its_preview_to_a_signed_release(sign_in: SignIn, look: Look) -> None:
    make_plant(units=3)
    page = sign_in(Role.QUALITY, "/holds/")
    at(page, 390, "light")
    expect(page.get_by_role("heading", name="Nothing stands still")).to_be_visible()
    look()
    page.goto("/trace/runs/RUN-1/")
    at(page, 768, "light")
    tab_to(page, "Hold these")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="3 units fit")).to_be_visible()
    look()
    page.get_by_label("Serial numbers").focus()
    scan(page, "SN-1")
    scan(page, "SN-2")
    tab_to(page, "Look again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 units fit")).to_be_visible()
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.insert_text("Zone 5 was 8 K too hot")
    Unit.objects.filter(sn="SN-2").update(status="SCRAPPED")
    tab_to(page, "Hold 2 units")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="One unit fits")).to_be_visible()
    look()
    Unit.objects.filter(sn="SN-2").update(status="QUEUED")
    page.get_by_role("button", name="Look again").focus()
    page.keyboard.press("Enter")
    tab_to(page, "Hold 2 units")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 units are held: Zone 5 was 8 K too hot")).to_be_visible()
    at(page, 768, "dark")
    look()
    page.get_by_label("Choose SN-2").check()
    page.get_by_role("button", name="Take the chosen ones").click()
    page.locator("summary", has_text="Scrap (1)").click()
    look()
    at(page, 1280, "dark")
    page.locator("summary", has_text="Release all (2)").focus()
    page.keyboard.press("Enter")
    form = page.locator("#act-release")
    form.get_by_label("Reason").fill("X-ray found nothing")
    form.get_by_label("Your password").fill("wrong")
    form.get_by_role("button", name="Release them all").click()
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    look()
    form.get_by_label("Your password").fill("secret")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Ended: Zone 5 was 8 K too hot")).to_be_visible()
    at(page, 1280, "light")
    look()
    assert Signature.objects.count() == 1 and Hold.objects.get().end_reason == "X-ray found nothing"
    assert set(Unit.objects.values_list("status", flat=True)) == {"QUEUED"}
