"""Draws the pictures of `docs/operators.md` anew: `.venv/bin/python -m pytest tests/browser/pictures.py`."""

from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect

from mes.platform.accounts.roles import Role
from tests.browser.conftest import SignIn
from tests.browser.station_support import STATION, fill, make_hand_station, says, scan, take_in
from tests.factories import hold_units

IMAGES = Path(settings.BASE_DIR) / "docs" / "images"
SIZE = {"width": 1100, "height": 740}


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tablet, not watched: one scan is refused."""
    return context.new_page()


def test_the_page_of_a_station(page: Page, sign_in: SignIn) -> None:
    make_hand_station(12, has_picture=False)
    page.set_viewport_size(SIZE)  # type: ignore[arg-type]
    sign_in(Role.OPERATOR, STATION)
    says(page, "Scan the next unit.")
    for number in (1, 2, 3):
        take_in(page, f"SN-{number}")
        fill(page)
        page.keyboard.press("Control+Enter")
        says(page, "Passed")
    take_in(page, "SN-4")
    page.get_by_label("Gap").fill("0.27")
    page.get_by_label("Label").focus()
    expect(page.locator("#inside-all")).to_have_attribute("data-sns", '["SN-4"]', timeout=15_000)
    draw(page, "station-in-work")
    page.keyboard.press("F9")
    scan(page, "LK.D.BRIDGE")
    scan(page, "LK.L.U7")
    page.locator("#find-code").scroll_into_view_if_needed()
    draw(page, "station-defects")
    page.keyboard.press("F9")
    says(page, "Failed")
    hold_units("SN-5", reason="Scratch on the solder mask")
    scan(page, "SN-5")
    says(page, "Not here")
    draw(page, "station-not-here")


def draw(page: Page, name: str) -> None:
    """Keep what is seen."""
    page.screenshot(path=IMAGES / f"{name}.png")
