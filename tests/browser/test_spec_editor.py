"""The form of a spec tells what limits would have done, while they are typed."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from execution.models import DataValue
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from tests.browser.conftest import Look, SignIn, at, more
from tests.factories import make_plant


def test_a_limit_is_tightened_after_one_saw_what_it_does(sign_in: SignIn, look: Look) -> None:
    plant, now = make_plant(), timezone.now()
    DataValue.objects.bulk_create(
        DataValue(
            received_at=now,
            collected_at=now - timedelta(minutes=place + 1),
            spec=plant.peak,
            name=plant.peak.name,
            item_type="KEY",
            operation_code="REFLOW",
            source="AUTO",
            unit=plant.units[0],
            value_number=number,
            judge="PASS",
        )
        for place, number in enumerate([249.0, 248.5, *[244.0 + place / 10 for place in range(18)]])
    )
    page = sign_in(Role.ENGINEER)
    at(page, 390, "dark")
    more(page, "Admin")
    page.get_by_role("link", name="Data collection specs", exact=True).click()
    look()
    page.get_by_role("link", name="Peak Temperature", exact=True).click()
    sentence = page.locator("#spec-sentence")
    expect(sentence).to_have_text("With these limits 0 of 20 would have failed (0 did).")
    expect(page.locator(".spec-band .bar-count").first).to_be_visible()
    page.get_by_label("Upper limit").fill("248")
    expect(sentence).to_have_text("With these limits 2 of 20 would have failed (0 did).")
    page.get_by_text("Values that would be judged otherwise").click()
    expect(page.locator("#spec-examples tbody tr")).to_have_count(2)
    expect(page.get_by_label("Trigger rule")).to_be_hidden()
    page.get_by_label("Trigger:").select_option("TIME")
    expect(page.get_by_label("Trigger rule")).to_be_visible()
    page.get_by_label("Trigger:").select_option("EACH_UNIT")
    look()
    page.get_by_label("Reason for the change").fill("oven 2 drifts")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/mes/datacollectionspec/")
    entry = AuditEntry.objects.latest("id")
    assert (entry.before, entry.after, entry.reason) == ({"usl": 250.0}, {"usl": 248.0}, "oven 2 drifts")

    page.get_by_role("link", name="Peak Temperature", exact=True).click()
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("region", name="Changes").get_by_role("listitem").first).to_contain_text(
        "upper limit 250 → 248 °C"
    )
    look()
