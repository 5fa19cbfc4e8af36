"""At a terminal: a badge is scanned, a PIN is tapped, somebody is signed on, and off again."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect

from mes.platform.accounts.roles import Role
from mes.qualifications.models import Qualification
from tests.browser.conftest import Look, SignIn, at
from tests.factories import make_operation, make_station
from tests.platform.sign_in.support import make_badge

SIZES = [(390, "light"), (1024, "dark"), (1920, "light")]


def make_terminal(sign_in: SignIn) -> Page:
    """Make the browser a terminal."""
    make_station("ICT-01")
    page = sign_in(Role.SUPERVISOR, "/terminals/")
    page.get_by_text("Make this browser a terminal").click()
    page.get_by_label("Station", exact=True).select_option("ICT-01")
    page.get_by_label("Name of the terminal").fill("Tablet left")
    page.get_by_role("button", name="Bind this browser").click()
    expect(page.get_by_text("It is the terminal “Tablet left”")).to_be_visible()
    return page


def bind(sign_in: SignIn) -> Page:
    """Make the browser a terminal, and sign out."""
    page = make_terminal(sign_in)
    with page.expect_navigation(url="**/sign-in/**"):  # loaded: it hears a badge
        page.get_by_role("button", name="Sign out").click()
    return page


def scan_badge(page: Page, text: str) -> None:
    """Have the page told of a scanned badge."""
    page.evaluate("badge => document.dispatchEvent(new CustomEvent('badge-scanned', { detail: { badge } }))", text)


def tap(page: Page, digits: str) -> None:
    for digit in digits:
        page.get_by_role("button", name=digit, exact=True).click()


def test_terminals_and_qualifications_are_read_on_a_narrow_page(sign_in: SignIn, look: Look) -> None:
    page = make_terminal(sign_in)
    Qualification.objects.create(
        person=User.objects.get(),
        operation=make_operation("XRAY", name="X-ray inspection"),
        note="Trained by the maker of the machine, renewed each year",
        given_by="ann",
    )
    for path in ("/terminals/", "/qualifications/"):
        page.goto(path)
        at(page, 390, "light")
        look()
        for cell in page.locator("main tbody th, main tbody td").all():
            box = cell.bounding_box()
            assert box is None or box["width"] > 300


def test_a_badge_is_scanned_and_a_pin_tapped(sign_in: SignIn, look: Look) -> None:
    make_badge("olga", first_name="Olga", last_name="Meier")
    page = bind(sign_in)
    for width, scheme in SIZES:
        at(page, width, scheme)
        look()
        for key in page.locator(".sign-on-key").all():
            box = key.bounding_box()
            assert box and box["width"] >= 64 and box["height"] >= 64
    page.goto("/sign-in/?next=/account/")
    scan_badge(page, "B-olga")
    expect(page.get_by_label("PIN", exact=True)).to_be_focused()
    tap(page, "47")
    page.get_by_role("button", name="Clear").click()
    tap(page, "4711")
    page.get_by_role("button", name="Sign on").click()
    page.wait_for_url("**/account/")
    expect(page.get_by_role("heading", name="Olga Meier")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Badge: scan it").fill("]C1LK.U.B-olga")  # as a scanner types it
    page.keyboard.press("Enter")
    page.keyboard.type("4711")
    page.keyboard.press("Enter")
    page.wait_for_url("**/stations/ICT-01/")


def test_at_the_station_the_next_one_takes_over(sign_in: SignIn, look: Look) -> None:
    for name in ("olga", "otto"):
        make_badge(name, first_name=name.capitalize(), last_name="Meier-Schneider")
    page = bind(sign_in)
    scan_badge(page, "B-olga")
    tap(page, "4711")
    page.get_by_role("button", name="Sign on").click()
    page.wait_for_url("**/stations/ICT-01/")
    for width, scheme in ((390, "dark"), (1920, "light"), (1024, "light")):
        at(page, width, scheme)
        look()
    scan_badge(page, "]C1LK.U.B-otto")
    expect(page.get_by_label("PIN", exact=True)).to_be_focused()
    look()
    tap(page, "4711")
    page.get_by_role("button", name="Sign on").click()
    expect(page.get_by_role("region", name="Who is signed in")).to_contain_text("Otto Meier-Schneider")
    page.get_by_role("button", name="Sign off").click()
    page.wait_for_url("**/sign-in/?next=/stations/ICT-01/")


@pytest.fixture
def unwatched(context: BrowserContext) -> Page:
    """A page of which refusals are no problem."""
    return context.new_page()


def test_wrong_pins_are_told_and_then_how_long_their_badge_is_not_heard(sign_in: SignIn, unwatched: Page) -> None:
    make_badge("olga")
    make_badge("otto", first_name="Otto", last_name="Meier")
    bind(sign_in)
    page = unwatched
    page.goto("/sign-in/")
    for _time in range(6):
        page.get_by_label("Badge: scan it").fill("B-olga")
        page.get_by_label("PIN", exact=True).fill("8264")
        page.get_by_role("button", name="Sign on").click()
        expect(page.get_by_label("PIN", exact=True)).to_have_value("")
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Sign on again in 14:5")
    scan_badge(page, "B-otto")  # whoever is next is heard, and is told of no one else's PINs
    expect(page.get_by_role("alert")).to_be_hidden()
    scan_badge(page, "B-olga")
    expect(page.get_by_role("alert")).to_contain_text("Sign on again in 14:")
    scan_badge(page, "B-otto")
    tap(page, "4711")
    page.get_by_role("button", name="Sign on").click()
    page.wait_for_url("**/stations/ICT-01/")
    expect(page.get_by_role("region", name="Who is signed in")).to_contain_text("Otto Meier")
