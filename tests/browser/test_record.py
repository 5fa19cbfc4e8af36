"""The production data record on paper."""

import re

from playwright.sync_api import expect

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from tests.browser.conftest import SignIn
from tests.factories import make_plant
from tests.trace.test_reports import DAY, SHIFTS, hour_of, keep, machine, make_run

RUNS = 40  # more than one sheet


def test_the_record_prints_without_what_only_a_screen_needs(sign_in: SignIn) -> None:
    plant = make_plant()
    Line.objects.update(shifts=SHIFTS)
    for number in range(RUNS):
        run = make_run(plant, run_no=f"RUN-P{number}", sns=[])
        keep(machine(run, plant), [hour_of(DAY, 7, 10, 10, 0, 1000, 990)])
    page = sign_in(Role.SUPERVISOR, f"/reports/record/?line=SMT-A&date={DAY}")
    buttons = page.locator(".no-print, .top, .foot").locator("visible=true")
    assert buttons.count() > 0
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", name="Production data record")).to_be_visible()
    expect(page.get_by_role("link", name=f"RUN-P{RUNS - 1}", exact=True)).to_be_visible()
    expect(buttons).to_have_count(0)
    assert page.locator("thead").first.evaluate("head => getComputedStyle(head).display") == "table-header-group"
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))
    assert 2 <= len(sheets) <= 8
