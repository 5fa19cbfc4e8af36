"""A list, as a person works with it: sorted, with chosen columns, kept as a view, opened again, and taken along."""

from pathlib import Path

from playwright.sync_api import expect

from mes.platform.accounts.roles import Role
from tests.browser.conftest import SignIn
from tests.factories import hold_units, make_plant


def test_a_list_is_sorted_kept_opened_again_and_exported(sign_in: SignIn) -> None:
    plant = make_plant(units=3)
    hold_units("SN-2")
    page = sign_in(Role.ENGINEER)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Lists").click()
    page.get_by_role("link", name="Units").click()
    heads = page.get_by_role("columnheader")
    expect(heads.filter(has_text="Created")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("link", name="Serial number").click()
    expect(heads.first).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("rowheader")).to_have_text(plant.sns)

    page.locator("summary", has_text="Columns").click()
    for name in ("Times reworked", "Product", "Work order"):
        page.get_by_label(name).last.uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(heads).to_have_text(["Serial number", "Status", "Step", "Run", "Reason of hold", "Created"])

    page.get_by_role("combobox", name="Status").select_option("On hold")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("rowheader")).to_have_text(["SN-2"])
    page.locator("summary", has_text="Save view").click()
    page.get_by_label("Name", exact=True).fill("On hold")
    page.get_by_label("Open the list with it").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The view “On hold” is saved.")

    page.goto("/lists/units/")
    expect(page.get_by_role("rowheader")).to_have_text(["SN-2"])
    expect(heads).to_have_count(6)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert lines[0] == "Serial number,Status,Step,Run,Reason of hold,Created"
    assert lines[1].startswith("SN-2,ON_HOLD,10,RUN-1,scratched,")
    assert len(lines) == 2

    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/lists/units/?view=0")
    expect(page.get_by_role("combobox", name="Status")).to_be_hidden()  # rows come first
    expect(page.get_by_role("rowheader")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("summary", has_text="Filter").click()
    expect(page.get_by_role("combobox", name="Status")).to_be_visible()
