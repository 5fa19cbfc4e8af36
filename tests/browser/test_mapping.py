"""A wrong mapping is stopped by its example: in the editor while one types, and when the route is compiled."""

import json

from playwright.sync_api import expect

from mes.platform.accounts.roles import Role
from tests.browser.conftest import Look, SignIn, at, more
from tests.ingest.support import PRINTING, make_ingest_plant, printed


def test_a_wrong_mapping_is_stopped_by_its_example(sign_in: SignIn, look: Look) -> None:
    plant = make_ingest_plant(only=10)
    routing = plant.version.routing
    event = printed(plant.sns[0])
    page = sign_in(Role.ENGINEER)
    at(page, 390, "light")
    more(page, "Admin")
    page.get_by_role("link", name="Routes", exact=True).click()
    page.get_by_role("link", name=routing.code, exact=True).click()
    page.get_by_label("Step 10", exact=True).get_by_text("How it runs").click()
    page.get_by_role("link", name="Open the mapping").click()
    page.get_by_label("The event, as the machine sends it").fill(json.dumps(event))
    expect(page.locator("#seen-of-mapping")).to_contain_text(plant.sns[0])
    page.get_by_label("Name of the example").fill("A board that passes")
    page.get_by_role("button", name="Save as example").click()
    expect(page.locator("#seen-of-mapping")).to_contain_text("passes A board that passes")

    # a key is completed by the keyboard
    text = page.get_by_label("Keys and paths, as JSON")
    text.fill(json.dumps(PRINTING)[:-1] + ', "waitS')
    page.keyboard.press("End")
    text.press_sequentially("e")
    expect(page.get_by_role("option", name="waitSeconds")).to_be_visible()
    page.keyboard.press("Enter")
    assert text.input_value().endswith('"waitSeconds": ')

    text.fill(json.dumps({**PRINTING, "snPath": "payload.station"}))
    expect(page.locator("#seen-of-mapping")).to_contain_text("fails A board that passes")
    expect(page.locator("#seen-of-mapping")).to_contain_text("units.0.sn")
    look()
    page.get_by_label("Reason for the change").fill("a slip")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("The mapping is saved")
    page.get_by_role("link", name=f"What compiling {routing.code} would do").click()
    page.wait_for_url("**/compile/")
    expect(page.locator("main")).to_contain_text("A board that passes")
    expect(page.locator("main")).to_contain_text("keeps it from being used")
    look()
