"""A shift at a station, by scanner and keys alone: double scans, failures, the bench, a hold, a cut of the network, a
second tablet. Afterwards there are exactly the passes that were worked, none twice.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from execution import dispositions
from execution.models import Defect, ReworkTask, Track
from execution.quality import defect_decisions
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.browser.conftest import TABLET, SignIn, enter, watched
from tests.browser.station_support import STATION, fill, make_hand_station, notes, says, scan, take_in
from tests.factories import hold_units, make_user

UNITS = 24
CUT = range(11, 16)  # the units that are worked while the network is away: ten entries


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer) -> Iterator[Page]:
    """The first tablet. What is refused is meant to be, and what the browser says of the cut."""
    with watched(context, live_server, refusing="/") as page:
        yield page


@pytest.fixture
def hands(live_server: LiveServer) -> list[str]:
    """Work for hands; the serial numbers of its units."""
    return make_hand_station(UNITS)


@pytest.fixture
def second(browser: Browser, live_server: LiveServer, hands: list[str]) -> Iterator[Page]:
    """A second tablet at the station, with another operator."""
    context = browser.new_context(base_url=live_server.url, viewport=TABLET)
    with watched(context, live_server, refusing="/api/stations/") as page:
        page.goto(STATION)
        enter(page, make_user(Role.OPERATOR, username="second").get_username())
        says(page, "Scan the next unit.")
        yield page
    context.close()


def work(page: Page, sn: str) -> None:
    """Take a unit in, scan it once more, and pass it."""
    take_in(page, sn)
    scan(page, sn)
    notes(page, f"{sn} is in work already. Nothing has changed.")
    fill(page)
    scan(page, "LK.PASS")
    says(page, "Passed", sn)


def fail(page: Page, sn: str) -> None:
    """Fail a unit with three defects."""
    take_in(page, sn)
    page.get_by_label("Gap").fill("0.2")
    page.keyboard.press("F9")
    for code, location in (("BRIDGE", "U1"), ("OPEN", "R2"), ("TOMBSTONE", "C3")):
        scan(page, f"LK.D.{code}")
        scan(page, f"LK.L.{location}")
    expect(page.locator("#fail")).to_contain_text("Fail with 3 defects")
    page.keyboard.press("F9")
    says(page, "Failed", sn)
    assert Defect.objects.filter(unit__sn=sn, status="OPEN").count() == 3


def repair(page: Page, sn: str) -> None:
    """Send a unit to the bench, and record there what was done about each defect."""
    defect_decisions.rework(defect_id=Defect.objects.filter(unit__sn=sn).earliest("id").pk, reason="bad", by="sue")
    task = ReworkTask.objects.get(unit__sn=sn)
    for left in range(task.defects.count(), 0, -1):
        page.goto(f"/repair/{task.pk}/")
        form = page.locator(".bench-form:visible").first
        form.get_by_label("Resoldered").check()
        form.get_by_role("button", name="Fixed", exact=True).click()
        expect(page.locator(".bench-form:visible")).to_have_count(left - 1)
    page.get_by_role("button", name="The repair is done").click()
    page.goto(STATION)
    says(page, "Scan the next unit.")


def cut(page: Page) -> None:
    """Work while the network is away, and reload the page as it comes back."""
    page.context.set_offline(True)
    for number in CUT:
        sn = f"SN-{number}"
        scan(page, sn)
        says(page, "In work, unchecked", sn)
        fill(page)
        scan(page, "LK.PASS")
        says(page, "Kept", sn)
    expect(page.locator("#offline-waiting")).to_contain_text(f"{2 * len(CUT)} entries are kept")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator("#offline-waiting")).to_be_hidden(timeout=60_000)


def test_a_shift(hands: list[str], sign_in: SignIn, page: Page, second: Page) -> None:
    """One test for all, because it is what a shift is."""
    sign_in(Role.OPERATOR, STATION)
    says(page, "Scan the next unit.")
    for number in range(1, 6):
        work(page, f"SN-{number}")
    work(second, "SN-21")

    take_in(page, "SN-6")  # a scan into a value field, and another unit between
    page.get_by_label("Gap").fill("0.29")
    scan(page, "SN-7")
    says(page, "In work", "SN-7")
    fill(page)
    scan(page, "LK.PASS")
    says(page, "Passed", "SN-7")
    scan(page, "SN-6")
    expect(page.get_by_label("Gap")).to_have_value("0.29")
    fill(page, "0.29")
    scan(page, "LK.PASS")
    scan(page, "LK.PASS")  # read twice: nothing else is finished
    says(page, "Passed", "SN-6")

    fail(page, "SN-8")
    fail(second, "SN-9")
    scan(second, "SN-8")
    says(second, "Not here: Failed, not decided about", "Supervisor")
    repair(page, "SN-8")
    take_in(page, "SN-8")
    says(page, "attempt 2")
    fill(page)
    scan(page, "LK.PASS")
    says(page, "Passed", "SN-8")

    hold_units("SN-10", reason="Scratch")
    scan(page, "SN-10")
    says(page, "Not here: On hold", "Scratch")
    dispositions.release_unit(sn="SN-10", reason="clean", by="quinn", may_end_all=True)
    work(page, "SN-10")

    take_in(page, "SN-22")  # both tablets have it in work, and the second is quicker
    take_in(second, "SN-22")
    fill(second)
    scan(second, "LK.PASS")
    says(second, "Passed", "SN-22")
    expect(page.locator("#state")).to_contain_text("Left meanwhile", timeout=20_000)

    cut(page)
    work(second, "SN-23")
    for number in (*range(16, 21), 24):
        work(page if number % 2 else second, f"SN-{number}")

    found = Counter(Track.objects.values_list("unit__sn", "result"))
    passed = {(f"SN-{number}", "PASS"): 1 for number in range(1, UNITS + 1) if number != 9}
    assert found == Counter({**passed, ("SN-8", "FAIL"): 1, ("SN-9", "FAIL"): 1})
    assert Unit.objects.filter(status="QUEUED", current_step_no=20).count() == UNITS - 1
    whom = set(Track.objects.filter(unit__sn__in=["SN-1", "SN-21"]).values_list("unit__sn", "out_by"))
    assert whom == {("SN-1", "b-operator"), ("SN-21", "second")}
    for tablet in (page, second):
        expect(tablet.locator("#refused")).to_be_hidden()
