"""One's own account, the second factor, and having no role, as a person meets them."""

import re

import pyotp
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import SecondFactor, SecondFactorRule
from tests.browser.conftest import SignIn, enter
from tests.factories import make_plant, make_user


def test_a_role_asks_for_a_second_factor_and_it_is_set_up_and_entered(page: Page) -> None:
    make_plant()
    make_user(Role.QUALITY, username="quinn")
    SecondFactorRule.objects.create(group=Group.objects.get(name="Quality"))
    page.goto("/trace/units/SN-1/")
    enter(page, "quinn")
    expect(page.get_by_role("heading", name="Set up your second factor")).to_be_visible()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    page.get_by_text("It cannot be scanned?").click()
    secret = (page.locator("code.secret").text_content() or "").replace(" ", "")
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    codes = page.locator(".recovery-codes code").all_text_contents()
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page).to_have_url(re.compile(r"/trace/units/SN-1/$"))

    page.get_by_role("button", name="Sign out").click()
    enter(page, "quinn")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type(codes[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="SMT-A")).to_be_visible()


def test_the_own_account_leads_to_password_and_second_factor(sign_in: SignIn) -> None:
    page = sign_in(Role.OPERATOR, "/account/")
    expect(page.get_by_text("Operator", exact=True)).to_be_visible()
    page.get_by_role("link", name="Change the password").click()
    page.get_by_label("Old password").fill("secret")
    page.get_by_label("New password", exact=True).fill("password123")
    page.get_by_label("New password confirmation").fill("password123")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert").first).to_contain_text("too common")
    page.get_by_label("Old password").fill("secret")
    page.get_by_label("New password", exact=True).fill("seven-green-boards")
    page.get_by_label("New password confirmation").fill("seven-green-boards")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    page.get_by_role("link", name="Set up a second factor").click()
    secret = (page.locator("code.secret").text_content() or "").replace(" ", "")
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Set it up").click()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    SecondFactor.objects.update(last_step=0)
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).at(timezone.now()))
    page.get_by_role("button", name="Remove the second factor").click()
    expect(page.get_by_role("status")).to_contain_text("removed")
