"""What a line leader does with a run and its units: by scanner and keyboard alone, and by touch with gloves."""

import re

from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from execution import dispositions, panels, tracking
from execution.panels import Board, Panel
from mes.platform.accounts.roles import Role
from mes.production.models import Run, RunStatus, Unit
from tests.browser.conftest import Look, SignIn, at, enter, watched
from tests.factories import make_plant, make_run, make_user

RUN_PAGE = "/trace/runs/RUN-1/"


def unfold(page: Page, name: str) -> None:
    """Open an act by the keyboard."""
    page.locator("summary", has_text=name).first.focus()
    page.keyboard.press("Enter")


def scan(page: Page, *codes: str) -> None:
    """Type where the cursor stands, as a scanner does."""
    for code in codes:
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def tab_to(page: Page, name: str) -> None:
    """Go on by the tab key until what is called so has the focus."""
    told = "document.activeElement.labels?.[0]?.innerText || document.activeElement.innerText || ''"
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(told).strip())
        if seen[-1] == name:
            return
    raise AssertionError(f"no {name} by the keyboard: {seen}")


def test_units_are_moved_by_keyboard_alone_but_one_that_cannot_go(sign_in: SignIn, look: Look) -> None:
    plant = make_plant(units=3)
    make_run(plant.version, plant.line, run_no="RUN-2")
    dispositions.scrap_unit(sn="SN-2", reason="broken", by="sue")
    page = sign_in(Role.SUPERVISOR, RUN_PAGE)
    at(page, 768, "light")
    tab_to(page, "Move units")
    page.keyboard.press("Enter")
    tab_to(page, "Scan the units")
    scan(page, "SN-1", "SN-2", "SN-1")
    expect(page.locator("#move-sns-scan")).to_be_focused()
    expect(page.get_by_text("SN-1 is there already. 2 scanned.")).to_be_visible()
    look()
    tab_to(page, "Scan the run that they go into")
    page.keyboard.insert_text("RUN-2")
    tab_to(page, "Reason")
    page.keyboard.insert_text("The oven is down")
    tab_to(page, "Move the units")
    page.keyboard.press("Enter")
    expect(page.locator(".scanned .is-fault")).to_have_text(re.compile("SN-2.*is scrapped"))
    expect(page.locator("#move-sns-scan")).to_be_focused()
    assert not Unit.objects.filter(run__run_no="RUN-2").exists()
    look()
    tab_to(page, "Remove those with a fault")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 scanned.")).to_be_visible()
    tab_to(page, "Move the units")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 unit is in RUN-2 now.")).to_be_visible()
    assert list(Unit.objects.filter(run__run_no="RUN-2").values_list("sn", flat=True)) == ["SN-1"]


def test_a_run_is_split_by_keyboard_alone(sign_in: SignIn, look: Look) -> None:
    make_plant(units=2)
    page = sign_in(Role.SUPERVISOR, RUN_PAGE)
    at(page, 390, "dark")
    tab_to(page, "Split")
    page.keyboard.press("Enter")
    look()
    tab_to(page, "Planned of the new run")
    page.keyboard.insert_text("40")
    tab_to(page, "Scan the units that go along (optional)")
    scan(page, "SN-2")
    tab_to(page, "Reason")
    page.keyboard.insert_text("Friday")
    tab_to(page, "Split the run")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is split off, for 40.")).to_be_visible()
    look()
    assert Run.objects.get(run_no="RUN-1").plan_qty == 60
    assert Unit.objects.get(sn="SN-2").run == Run.objects.get(plan_qty=40)


def test_a_run_is_closed_with_leftovers_and_reopened_by_touch(browser: Browser, live_server: LiveServer) -> None:
    make_plant(units=2)
    tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="SMT-01")
    name = make_user(Role.SUPERVISOR, username="sue").get_username()
    context = browser.new_context(base_url=live_server.url, viewport={"width": 768, "height": 1024}, has_touch=True)
    with watched(context, live_server) as page:
        page.goto(RUN_PAGE)
        enter(page, name)
        for button in page.locator(".acts .button:visible").all():
            box = button.bounding_box()
            assert box is not None and box["height"] >= 44, button.inner_text()
        page.locator("#act-close summary").tap()
        expect(page.get_by_text("It cannot be closed yet:")).to_be_visible()
        page.locator("#act-close").get_by_role("link", name="SN-1").tap()
        page.locator("summary", has_text="Scrap").tap()
        page.locator("#reason-scrap").fill("Left over")
        page.get_by_label("Type the serial number").fill("SN-1")
        page.get_by_role("button", name="Scrap the unit").tap()
        page.get_by_role("link", name="RUN-1").first.tap()
        page.locator("#act-close summary").tap()
        expect(page.get_by_text("Nothing is in the way: it becomes completed.")).to_be_visible()
        page.locator("#close-reason").fill("No parts")
        page.get_by_role("button", name="Close the run").tap()
        expect(page.get_by_text("1 unit was never begun and left it.")).to_be_visible()
        assert Run.objects.get().status == RunStatus.COMPLETED
        page.locator("#act-reopen summary").tap()
        page.locator("#reopen-reason").fill("Parts came")
        page.get_by_role("button", name="Open the run again").tap()
        expect(page.get_by_text("The run is open again: In progress.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 768
    context.close()


def test_boards_of_a_panel_get_their_labels_by_scanner_alone(sign_in: SignIn, look: Look) -> None:
    make_plant(units=0)
    panels.register_panels(run_no="RUN-1", panels=[Panel("P-1", [Board(1), Board(2)])], by="sue")
    page = sign_in(Role.OPERATOR, "/trace/carriers/P-1/")
    at(page, 390, "light")
    tab_to(page, "Depanel")
    page.keyboard.press("Enter")
    tab_to(page, "Label of position 1")
    scan(page, "SN-1")
    expect(page.locator("#depanel-board-2")).to_be_focused()  # nothing is sent before the last label
    scan(page, "SN-2")
    look()
    expect(page.get_by_role("button", name="Part the boards")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 boards left the carrier.")).to_be_visible()
    look()
    assert set(Unit.objects.values_list("sn", flat=True)) == {"SN-1", "SN-2"}


def test_a_deviation_is_asked_for_approved_and_ended(sign_in: SignIn, look: Look) -> None:
    make_plant(units=2)
    make_user(Role.QUALITY, username="quinn")
    page = sign_in(Role.ENGINEER, RUN_PAGE)
    at(page, 768, "dark")
    tab_to(page, "Deviation")
    page.keyboard.press("Enter")
    page.get_by_label("Step", exact=True).select_option("20")
    tab_to(page, "Scan the units (without any, it is for all)")
    scan(page, "SN-1")
    page.locator("#deviation-reason").fill("The oven is down")
    look()
    page.get_by_role("button", name="Ask for it").press("Enter")
    expect(page.get_by_text("waits for approval, until")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    enter(page, "quinn")
    page.goto("/approvals/")
    expect(page.get_by_text("Skip step 20 of run RUN-1 until").first).to_be_visible()
    look()
    unfold(page, "Approve")
    page.get_by_role("button", name="Approve").press("Enter")
    page.goto(RUN_PAGE)
    expect(page.get_by_text("in force until")).to_be_visible()
    at(page, 390, "light")
    look()
    unfold(page, "End it")
    page.get_by_role("textbox", name="Reason").last.fill("The oven works")
    page.get_by_role("button", name="End the deviation").press("Enter")
    expect(page.get_by_text("has ended.")).to_be_visible()
    look()


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
