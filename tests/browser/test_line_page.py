"""The tablet at a line: by scanner and keyboard alone, and by touch with gloves; held to everybody's eyes and hands."""

from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from mes.platform.accounts.roles import Role
from mes.production.decision_models import RunActivation
from mes.production.hold_models import Hold
from tests.browser.conftest import Look, SignIn, at, enter
from tests.factories import make_plant, make_run, make_user


def scan(page: Page, code: str) -> None:
    """Type where the cursor stands, as a scanner does."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def tab_to(page: Page, name: str) -> None:
    """Go on by the tab key until what is called so has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText || ''").strip() == name:
            return
    raise AssertionError(f"no {name} by the keyboard")


def test_a_run_is_made_active_and_the_line_stopped_by_keyboard_alone(sign_in: SignIn, look: Look) -> None:
    plant = make_plant()
    make_run(plant.version, plant.line, run_no="RUN-2", authorize=False)
    page = sign_in(Role.OPERATOR, "/?lines=all")
    at(page, 768, "light")
    page.get_by_role("link", name="SMT-A", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Scan a run to make it active")).to_be_focused()
    look()
    scan(page, "RUN-7")
    expect(page.get_by_text("There is no run “RUN-7”.")).to_be_visible()
    expect(page.get_by_label("Scan a run to make it active")).to_be_focused()
    page.keyboard.press("Control+A")
    scan(page, "RUN-1")
    expect(page.get_by_text("RUN-1 is the active run now.")).to_be_visible()
    expect(page.locator(".active-no")).to_have_text("RUN-1")
    tab_to(page, "Stop the line")
    page.keyboard.press("Enter")
    look()
    tab_to(page, "Material is missing")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The line is stopped: Material is missing")).to_be_visible()
    at(page, 390, "dark")
    look()
    assert Hold.objects.get().reason == "Material is missing"
    assert RunActivation.objects.get().run == plant.run


def test_gloves_find_what_they_touch_on_a_tablet(browser: Browser, live_server: LiveServer) -> None:
    plant = make_plant()
    run = make_run(plant.version, plant.line, run_no="RUN-2", authorize=False)
    name = make_user(Role.SUPERVISOR, username="sue").get_username()
    context = browser.new_context(base_url=live_server.url, viewport={"width": 768, "height": 1024}, has_touch=True)
    page = context.new_page()
    page.goto("/lines/SMT-A/")
    enter(page, name)
    page.locator(f"#act-activate-{run.pk} button").tap()
    expect(page.locator(".active-no")).to_have_text("RUN-2")
    page.get_by_text("Stop the line", exact=True).first.tap()
    for button in page.locator(".at-line .button:visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 56 and box["width"] >= 56, button.inner_text()
    page.get_by_role("button", name="Machine fault").tap()
    expect(page.get_by_text("The line is stopped: Machine fault")).to_be_visible()
    page.get_by_text("Go on", exact=True).tap()
    page.get_by_label("Your password").locator("visible=true").fill("secret")
    page.get_by_role("button", name="Let the line go on").tap()
    expect(page.get_by_text("The line goes on.")).to_be_visible()
    context.close()
    assert Hold.objects.get().status == "RELEASED"


def test_the_live_part_waits_while_somebody_says_why(sign_in: SignIn) -> None:
    plant = make_plant()
    page = sign_in(Role.OPERATOR, "/lines/SMT-A/")
    page.get_by_text("Stop the line", exact=True).first.click()
    page.get_by_role("textbox", name="Reason").fill("Smoke at the")
    Hold.objects.create(scope="LINE", line=plant.line, reason="elsewhere", opened_by="ann")
    page.wait_for_timeout(4500)
    assert page.get_by_role("textbox", name="Reason").input_value() == "Smoke at the"
    page.keyboard.press("Escape")
    expect(page.get_by_text("The line is stopped: elsewhere")).to_be_visible(timeout=10_000)
