"""Signing in, as a person does it."""

import re

from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from tests.browser.conftest import enter
from tests.factories import make_plant, make_user


def test_who_signs_in_comes_to_the_page_that_was_asked_for(page: Page) -> None:
    make_plant()
    make_user(Role.QUALITY, username="quinn")
    page.goto("/trace/units/SN-1/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("User name")).to_be_focused()
    enter(page, "quinn", "Secret")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("User name")).to_have_value("quinn")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill("secret")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/trace/units/SN-1/$"))
    expect(page.get_by_role("heading", name="SN-1")).to_be_visible()


def test_who_signs_out_sees_nothing_more(page: Page) -> None:
    make_plant()
    make_user(Role.SUPERVISOR, username="sue")
    page.goto("/")
    enter(page, "sue")
    expect(page.get_by_role("heading", name="SMT-A")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/trace/units/SN-1/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
