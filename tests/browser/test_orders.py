"""Planners at their pages: an order and a run are made by the keyboard alone, and by touch on a tablet."""

import re

from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from mes.platform.accounts.roles import Role
from mes.production.models import Run, WorkOrder
from tests.browser.conftest import Look, SignIn, at, enter
from tests.factories import make_plant, make_user


def type_into(page: Page, *texts: str) -> None:
    """Type into the field that has the focus and those after it; an empty text leaves a field as it is."""
    for text in texts:
        if text:
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.insert_text(text)
        page.keyboard.press("Tab")


def tab_to(page: Page, name: str) -> None:
    """Go to what is called so by the Tab key; fail where it cannot be reached."""
    for _step in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate("(document.activeElement.labels?.[0] || document.activeElement).textContent.trim()")
        if focused == name:
            return
    raise AssertionError(f"Tab does not lead to “{name}”.")


def test_an_order_and_a_run_are_made_changed_and_ended_by_the_keyboard_alone(sign_in: SignIn, look: Look) -> None:
    plant = make_plant(units=0)
    page = sign_in(Role.SUPERVISOR, "/orders/")
    at(page, 1280, "light")
    look()
    tab_to(page, "New order")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new-order/")
    look()
    tab_to(page, "Work order")
    type_into(page, "KB-1", "BOARD-1", "40", "10")
    tab_to(page, "Make the order")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The order is made")
    look()

    tab_to(page, "Release to a line")
    page.keyboard.press("Enter")
    tab_to(page, "Line")
    page.keyboard.insert_text("SMT-A")
    tab_to(page, "Release the order")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("released to SMT-A")
    assert WorkOrder.objects.get(wo_no="KB-1").line == plant.line

    tab_to(page, "New run")
    page.keyboard.press("Enter")
    expect(page.get_by_text("ROUTE-1 · version 1")).to_be_visible()
    look()
    quantity = page.get_by_label("Quantity")
    expect(quantity).to_have_value("44")
    tab_to(page, "Quantity")
    type_into(page, "45")
    tab_to(page, "Make the run")
    page.keyboard.press("Enter")
    expect(page.get_by_text("allows 44 unit(s)")).to_be_visible()  # at its field, where the focus is now
    expect(quantity).to_be_focused()
    type_into(page, "30")
    tab_to(page, "Make the run")
    page.keyboard.press("Enter")
    page.wait_for_url("**/readiness/**")
    assert Run.objects.get(work_order__wo_no="KB-1").plan_qty == 30

    page.goto("/orders/KB-1/")
    tab_to(page, "Complete")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")  # folds it away, and the focus is where it was
    expect(page.locator("#act-complete")).not_to_have_attribute("open", re.compile(".*"))
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.insert_text("Enough for now")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    tab_to(page, "Complete the order")
    page.keyboard.press("Enter")
    fold = page.locator("#act-complete")
    expect(fold.get_by_role("alert")).to_contain_text("close them first")  # its run is open
    expect(fold.get_by_label("Reason")).to_have_value("Enough for now")
    look()


def test_an_order_is_cancelled_and_a_late_one_found_by_touch_on_a_tablet(
    browser: Browser, live_server: LiveServer
) -> None:
    make_plant(units=0)
    WorkOrder.objects.create(
        wo_no="TOUCH-1", product_code="BOARD-1", planned_qty=5, due_date="2020-01-31", status="RELEASED"
    )
    context = browser.new_context(base_url=live_server.url, viewport={"width": 768, "height": 1024}, has_touch=True)
    page = context.new_page()
    page.goto("/")
    enter(page, make_user(Role.SUPERVISOR, username="b-touch").get_username())
    page.get_by_role("link", name="TOUCH-1").tap()  # the start page shows that it is late
    page.locator("summary", has_text="Cancel the order").tap()
    fold = page.locator("#act-cancel")
    fold.get_by_label("Reason").fill("The customer went away")
    fold.get_by_label("Nothing of it will be made.").tap()
    small = page.evaluate(
        "[...document.querySelectorAll('main :is(a.button, button, summary, input, textarea, select, .tick)')]"
        ".filter(each => each.offsetParent && !['hidden', 'checkbox'].includes(each.type))"
        ".filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)"
    )
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    fold.get_by_role("button", name="Cancel the order").tap()
    expect(page.get_by_role("status")).to_contain_text("The order is cancelled")
    assert WorkOrder.objects.get(wo_no="TOUCH-1").status == "CANCELLED"
    context.close()
