"""The steps of a route are picked by name, moved with what is set for them, and saved."""

from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from mes.routing.models import Routing
from tests.browser.conftest import SignIn
from tests.factories import make_group, make_operation, make_spec, make_station


def pick(page: Page, label: str, typed: str, option: str) -> None:
    field = page.get_by_role("combobox", name=label)
    field.fill(typed)
    expect(page.get_by_role("option", name=option)).to_be_visible()
    field.press("Enter")


def test_a_route_is_built_and_a_step_moved_with_its_config(sign_in: SignIn) -> None:
    for code in ("PRINT", "REFLOW", "TEST"):
        make_operation(code)
    make_station("OVEN-1", group=make_group("OVENS"))
    make_spec("REFLOW", 'Peak "top" \\')
    page = sign_in(Role.ENGINEER, "/admin/mes/routing/add/")
    page.get_by_label("Code:").fill("R-1")
    page.get_by_label("Name:", exact=True).fill("Board 1")
    for number, code in ((10, "PRINT"), (20, "REFLOW"), (30, "TEST")):
        page.get_by_role("button", name="Add a step").click()
        pick(page, f"Operation of step {number}", code[:3].lower(), code)
        expect(page.locator(".rs-how")).to_have_count(number // 10)

    oven = page.get_by_label("Step 20", exact=True)
    oven.get_by_text("How it runs").click()
    oven.get_by_role("group", name="Station group").get_by_label("Set here").check()
    oven.get_by_role("group", name="Allowed stations").get_by_label("Exactly these").check()
    oven.get_by_role("combobox", name="Add a station").click()
    page.get_by_role("option", name="OVEN-1").click()
    expect(oven.locator(".rs-facts")).to_contain_text("OVEN-1")
    specs = oven.get_by_role("group", name="Specs")
    specs.get_by_label("Exactly these").check()
    peak = specs.get_by_role("checkbox", name='Peak "top"')
    peak.click()
    expect(peak).not_to_be_checked()
    expect(peak).to_be_focused()  # and no script failed, whatever a spec is called
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_label("Step 20", exact=True).locator(".rs-facts")).to_contain_text("OVENS")
    routing = Routing.objects.get(code="R-1")
    assert routing.configs.get().step_no == 20

    page.get_by_role("button", name="Move step 20 up").click()
    expect(page.get_by_label("Step 10", exact=True).locator(".rs-facts")).to_contain_text("OVEN-1")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("changed successfully")).to_be_visible()
    steps = routing.steps.order_by("step_no").values_list("step_no", "operation__code")
    assert list(steps) == [(10, "REFLOW"), (20, "PRINT"), (30, "TEST")]
    config = routing.configs.get()
    assert (config.step_no, config.allowed_station_codes) == (10, ["OVEN-1"])

    page.goto("/admin/mes/routeexecutionconfig/add/")
    page.locator("#id_scope").select_option("OPERATION")
    expect(page.get_by_label("Operation:")).to_be_visible()
    expect(page.get_by_label("Route:")).to_be_hidden()
    expect(page.get_by_text("Available stations")).to_be_hidden()
    page.get_by_role("radio", name="Exactly these").first.check()
    expect(page.get_by_text("Available stations")).to_be_visible()
