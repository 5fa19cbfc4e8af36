"""A supervisor says who is told, tries it, and the bell counts."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from mes.platform.outbox.processor import process_due
from tests.browser.conftest import SignIn, at
from tests.factories import make_line


def test_a_rule_is_written_and_tried(sign_in: SignIn, accessible: Callable[[Page], None]) -> None:
    make_line("SMT-A")
    page = sign_in(Role.SUPERVISOR, "/notifications/")
    page.get_by_role("link", name="Notification rules: who is told of what").click()
    page.get_by_role("link", name="Add a rule").click()
    accessible(page)
    page.get_by_label("Name:").fill("Holds")
    page.get_by_label("Event:").select_option("HOLD_OPENED")
    page.get_by_label("In the application").check()
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("Name roles or persons who are told.")).to_be_visible()
    page.get_by_label("Supervisor", exact=True).check()
    for width, scheme in ((1280, "light"), (390, "dark")):
        at(page, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        accessible(page)
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("button", name="Send a trial").click()
    expect(page.get_by_text("A trial is sent. In the application: 1")).to_be_visible()
    process_due()
    page.goto("/notifications/")
    expect(page.get_by_text("A trial of the rule “Holds”")).to_be_visible()
    expect(page.get_by_role("link", name="Notifications, 1 unread")).to_be_visible()
