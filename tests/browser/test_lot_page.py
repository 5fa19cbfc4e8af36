"""The page of a lot at a tablet: found by a scan, opened by a tap, baked, counted, and refused in words."""

from decimal import Decimal

from playwright.sync_api import expect

from mes.line_setup.lots import services
from mes.line_setup.models import LotEvent
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from tests.browser.conftest import Look, SignIn, at


def test_a_lot_is_opened_baked_and_counted_at_a_tablet(sign_in: SignIn, look: Look) -> None:
    material = Material.objects.create(code="IC-1", name="Controller", msl="3", body_thickness_mm=Decimal("1.4"))
    services.register("R-1", {"material": material, "quantity": Decimal(500)})
    page = sign_in(Role.OPERATOR, "/trace/?q=R-1")
    page.wait_for_url("**/material-lots/R-1/")
    at(page, 820, "light")
    look()
    page.get_by_role("button", name="Opened").click()
    expect(page.get_by_role("status")).to_contain_text("It is open from now on")
    page.get_by_text("Bake", exact=True).click()
    page.get_by_label("Temperature in °C").fill("125")
    look()
    page.get_by_role("button", name="Begin the bake").click()
    expect(page.get_by_role("status")).to_contain_text("Its bake has begun")
    page.get_by_text("Split", exact=True).first.click()
    page.get_by_label("New lot").fill("R-2")
    page.get_by_label("How much goes into it").fill("501")
    page.get_by_role("button", name="Split it").click()
    expect(page.get_by_text("has 500 left")).to_be_visible()
    at(page, 820, "dark")
    look()
    page.get_by_text("Count", exact=True).click()
    page.get_by_label("How much is in it").fill("12.5")
    page.get_by_role("button", name="Record the count").click()
    expect(page.get_by_role("status")).to_contain_text("The count is recorded")
    assert list(LotEvent.objects.order_by("id").values_list("kind", flat=True)) == ["OPENED", "BAKE_START", "COUNTED"]
