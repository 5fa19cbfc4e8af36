"""Three hundred refused events of three causes: one is mended and tried again whole, one dismissed, the third stays."""

from typing import Any

from playwright.sync_api import Locator, Page, expect

from execution.models import Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.platform.bulk_actions import services
from mes.production.models import Unit
from tests.browser.conftest import SignIn
from tests.factories import api_client
from tests.ingest.support import make_ingest_plant, printed

MANY = 100
REFRESHED = 12_000  # milliseconds; the progress is asked for every two seconds


def push_all(bodies: list[dict[str, Any]]) -> None:
    answer = api_client().post("/api/ingest/events/batch", {"events": bodies})
    assert answer.json()["data"]["counts"] == {"REJECTED": len(bodies)}, answer.content[:500]


def refuse_three_hundred() -> list[str]:
    """Refuse events because a machine is down (one reports a bad board), because of a word that nobody maps, and of
    units that nobody knows; return the serial numbers of the first.
    """
    plant = make_ingest_plant(units=2 * MANY)
    down, unmapped = plant.sns[:MANY], plant.sns[MANY:]
    push_all([printed(sn, result="MAYBE") for sn in unmapped])
    push_all([printed(f"STRANGER-{number}") for number in range(MANY)])
    Equipment.objects.create(code="EQ-P", name="Printer", station=Station.objects.get(code="PRN-1"), status="down")
    push_all([printed(sn, result="NG" if sn == down[0] else "OK") for sn in down])
    return down


def row_of(page: Page, code: str) -> Locator:
    return page.locator("#causes .cause").filter(has_text=code)


def decide(page: Page, code: str, opens: str, button: str, reason: str) -> None:
    row = row_of(page, code)
    row.locator("summary").filter(has_text=opens).click()
    row.get_by_label("Why").locator("visible=true").fill(reason)
    row.get_by_role("button", name=button).click()


def test_one_cause_is_mended_one_dismissed_and_one_stays(sign_in: SignIn) -> None:
    down = refuse_three_hundred()
    page = sign_in(Role.ENGINEER, "/ingest/events/")
    for code in ("EQUIPMENT_UNAVAILABLE", "INGEST_PAYLOAD_INVALID", "UNIT_NOT_FOUND"):
        expect(row_of(page, code)).to_contain_text(str(MANY))
    expect(row_of(page, "EQUIPMENT_UNAVAILABLE")).to_contain_text("1 failing")
    expect(row_of(page, "UNIT_NOT_FOUND")).to_contain_text(f"And {MANY - 1} others.")

    Equipment.objects.update(status="normal")
    decide(page, "EQUIPMENT_UNAVAILABLE", "Try all again", f"Try {MANY} again", "The printer runs again")
    expect(page.get_by_text(f"{MANY} will be tried again.")).to_be_visible()
    expect(page.get_by_text(f"0 of {MANY}")).to_be_visible()
    services.work_off()
    expect(page.get_by_text(f"{MANY} of {MANY}")).to_be_visible(timeout=REFRESHED)
    expect(row_of(page, "EQUIPMENT_UNAVAILABLE")).to_have_count(0)
    assert Track.objects.filter(unit__sn__in=down).count() == MANY

    decide(page, "INGEST_PAYLOAD_INVALID", "Dismiss all…", f"Dismiss {MANY}", "A trial of the new recipe")
    services.work_off()
    expect(page.get_by_text(f"{MANY} dismissed")).to_be_visible(timeout=REFRESHED)
    expect(page.locator("#causes .cause")).to_have_count(1)
    expect(row_of(page, "UNIT_NOT_FOUND")).to_contain_text(str(MANY))
    assert OpenIngestEvent.objects.count() == MANY
    assert SettledIngestEvent.objects.filter(status="DISMISSED").count() == MANY
    page.goto("/operations/")
    expect(page.get_by_text("All is well")).to_have_count(0)


def test_a_held_board_leads_to_the_report_that_held_it(sign_in: SignIn) -> None:
    sn = make_ingest_plant().sns[0]
    Unit.objects.filter(sn=sn).update(status="DONE", current_step_no=40)
    push_all([printed(sn, result="NG")])
    page = sign_in(Role.ENGINEER, f"/trace/units/{sn}/")
    page.get_by_role("link", name="The report").first.click()
    expect(page.locator("#events .cause")).to_have_count(1)
    page.locator("#events summary").filter(has_text="Dismiss…").click()
    page.locator("#events").get_by_label("Why").fill("A trial")
    page.locator("#events").get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("It is dismissed.")).to_be_visible()
    expect(page.get_by_text("Nothing is refused.")).to_be_visible()
    assert Unit.objects.get(sn=sn).status == "ON_HOLD"
