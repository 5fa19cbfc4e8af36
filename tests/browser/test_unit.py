"""The page of a unit: what is opened stays open while the page keeps itself up to date, and a held unit is released."""

from playwright.sync_api import expect

from execution import dispositions, tracking
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from mes.readiness.models import ReadinessCheck, ReadinessItem
from tests.browser.conftest import SignIn
from tests.factories import make_plant

REFRESHED = 12_000  # milliseconds; a live part asks again every four seconds


def test_what_is_opened_or_closed_stays_so_while_the_page_keeps_itself_up_to_date(sign_in: SignIn) -> None:
    make_plant()
    check = ReadinessCheck.objects.get()
    ReadinessItem.objects.create(check_made=check, item_type="ROUTE", item_key="ROUTE-1", status="PASSED")
    unit = {"run_no": "RUN-1", "sn": "SN-1"}
    tracking.track_in(**unit, station_code="SMT-01")
    tracking.track_out(**unit, station_code="SMT-01", result="PASS")
    page = sign_in(Role.SUPERVISOR, "/trace/units/SN-1/")
    checks, passed = page.locator("#readiness-items"), page.locator("details.pass")
    expect(checks).not_to_have_attribute("open", "")
    expect(passed).to_have_attribute("open", "")
    checks.locator("summary").click()
    passed.locator("summary").click()
    tracking.track_in(**unit, station_code="REF-01")
    expect(page.get_by_role("heading", name="Passes 2, newest first")).to_be_visible(timeout=REFRESHED)
    expect(checks).to_have_attribute("open", "")
    expect(page.locator("details.pass", has_text="SMT-01")).not_to_have_attribute("open", "")
    expect(page.locator("details.pass", has_text="REF-01")).to_have_attribute("open", "")


def test_a_held_unit_is_released_with_a_reason(sign_in: SignIn) -> None:
    make_plant()
    dispositions.hold_unit(sn="SN-1", reason="Solder bridge at U7", by="aoi")
    page = sign_in(Role.QUALITY, "/trace/units/SN-1/")
    expect(page.get_by_text("Solder bridge at U7").first).to_be_visible()
    page.locator("#decide-release summary").click()
    page.get_by_role("button", name="Release the unit").click()  # without a reason the browser keeps the form
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"
    page.locator("#decide-release").get_by_label("Reason").fill("Bridge removed, looked at again")
    page.get_by_role("button", name="Release the unit").click()
    expect(page.get_by_text("Bridge removed, looked at again").first).to_be_visible()
    expect(page.locator("#decide-release")).to_have_count(0)
    assert Unit.objects.get(sn="SN-1").status == "QUEUED"
