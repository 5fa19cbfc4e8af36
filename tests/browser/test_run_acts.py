"""What two people do about a scrap, by keyboard alone."""

from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.browser.conftest import Look, SignIn, enter
from tests.factories import make_plant, make_user


def unfold(page: Page, name: str) -> None:
    """Open an act by the keyboard."""
    page.locator("summary", has_text=name).first.focus()
    page.keyboard.press("Enter")


def test_a_scrap_is_undone_by_two_people(sign_in: SignIn, look: Look) -> None:
    make_plant(units=1)
    make_user(Role.QUALITY, username="quinn")
    page = sign_in(Role.SUPERVISOR, "/trace/units/SN-1/")
    unfold(page, "Scrap")
    page.locator("#reason-scrap").fill("broken")
    page.get_by_label("Type the serial number").fill("SN-1")
    page.get_by_role("button", name="Scrap the unit").press("Enter")
    unfold(page, "Undo the scrap")
    page.locator("#unscrap-reason").fill("The wrong board")
    page.get_by_role("button", name="Ask for it").press("Enter")
    expect(page.get_by_text("Waits for approval: Undo a scrap")).to_be_visible()
    look()
    page.goto("/approvals/")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    look()
    page.get_by_role("button", name="Sign out").click()
    enter(page, "quinn")
    page.goto("/approvals/")
    unfold(page, "Approve")
    look()
    page.get_by_role("button", name="Approve").press("Enter")
    expect(page.get_by_text("Approved, and carried out.")).to_be_visible()
    assert Unit.objects.get().status == "ON_HOLD"
