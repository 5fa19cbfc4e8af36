"""A unit on paper: every pass is open, there is no button, and each sheet says which of how many it is."""

import re

from playwright.sync_api import expect

from mes.platform.accounts.roles import Role
from tests.browser.conftest import SignIn
from tests.factories import api_client, make_plant


def test_a_unit_prints_with_every_pass_and_without_buttons(sign_in: SignIn) -> None:
    make_plant()
    client, unit = api_client(), {"runNo": "RUN-1", "sn": "SN-1"}
    for _attempt in range(4):  # as often as rework may lead there
        client.post("/api/stations/SMT-01/track-in", unit)
        client.post("/api/stations/SMT-01/track-out", {**unit, "result": "FAIL", "defectCode": "BRIDGE"})
        client.post("/api/units/SN-1/rework", {"reason": "Again", "toStepNo": 10})
    page = sign_in(Role.SUPERVISOR, "/trace/units/SN-1/")
    passes = page.locator("details.pass")
    expect(passes).to_have_count(4)
    expect(page.locator("details.pass[open]")).to_have_count(3)
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("details.pass[open]")).to_have_count(4)
    expect(page.locator("details.pass .facts").locator("visible=true")).to_have_count(4)
    expect(page.locator("button, .button, input, .decisions").locator("visible=true")).to_have_count(0)
    expect(
        page.get_by_text(re.compile(r"Unit SN-1 as of \w{3} \d+ \w{3} \d{4} \d\d:\d\d:\d\d. All times: UTC"))
    ).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("details.pass[open]")).to_have_count(3)
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))
    assert 1 <= len(sheets) <= 8
