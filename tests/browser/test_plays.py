"""What engineers and administrators do, from the start page by what they see: no address is typed, no id is known.

Each page is held to the rules of accessibility once, and must fit its screen; over all plays both widths are seen by
day and by night.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from playwright.sync_api import Locator, expect

from execution.models import DataValue
from integration.models import FailedMessage
from mes.plant.models import StationType
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.bulk_actions import services
from mes.production.models import Run
from mes.routing.compilation import compile_route
from mes.routing.models import RouteVersion
from mes.specs.models import DataCollectionSpec
from tests.browser.conftest import Look, SignIn, at, enter, menu, more
from tests.browser.test_route_editor import pick
from tests.execution.support import assert_done
from tests.factories import (
    api_client,
    make_group,
    make_line,
    make_operation,
    make_plant,
    make_station,
    make_token,
    make_user,
)
from tests.integration.helpers import EVENTS, into_oven, make_event, reading


def test_a_spec_a_route_and_what_is_compiled_carry_a_run(sign_in: SignIn, look: Look) -> None:
    line = make_line("SMT-A", readiness_checks=[])
    for code, group in (("PRINT", "PRINTERS"), ("REFLOW", "OVENS")):
        make_operation(code, default_station_type=StationType.MANUAL)
        make_station(f"{group}-1", line=line, group=make_group(group))
    page = sign_in(Role.ENGINEER)
    at(page, 1280, "light")
    look()
    more(page, "Admin")
    page.get_by_role("link", name="Add Data collection specs").click()
    page.get_by_label("Operation:").select_option(label="REFLOW Reflow")
    page.get_by_label("Name:", exact=True).fill("Peak Temperature")
    page.get_by_label("Item type:").select_option("KEY")
    page.get_by_label("Data type:").select_option("NUMBER")
    page.get_by_label("Method:").select_option("AUTO")
    page.get_by_label("Lower limit").fill("235")
    page.get_by_label("Upper limit").fill("250")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("was added successfully")

    page.get_by_role("link", name="Admin", exact=True).first.click()
    page.get_by_role("link", name="Add Routes").click()
    page.get_by_label("Code:").fill("R-1")
    page.get_by_label("Name:", exact=True).fill("Board 1")
    page.get_by_label("Product:").fill("BOARD-1")
    for number, code, group in ((10, "PRINT", "PRINTERS"), (20, "REFLOW", "OVENS")):
        page.get_by_role("button", name="Add a step").click()
        pick(page, f"Operation of step {number}", code[:3].lower(), code)
        step = page.get_by_label(f"Step {number}", exact=True)
        step.get_by_text("How it runs").click()
        step.get_by_role("group", name="Station group").get_by_label("Set here").check()
        step.get_by_role("combobox", name="Station group").select_option(group)
    look()
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_label("Step 20", exact=True)).to_contain_text("Peak Temperature")

    page.get_by_role("link", name="Compile", exact=True).click()
    expect(page.get_by_text("It would be the first version")).to_be_visible()
    look()
    assert not RouteVersion.objects.exists()
    page.get_by_label("Reason").fill("The first boards come on Monday")
    page.get_by_role("button", name="Publish version 1").click()
    page.get_by_role("link", name="Version 1").click()
    expect(page.get_by_role("heading", name="R-1, version 1")).to_be_visible()
    look()

    plan_a_run()
    make_user(Role.SUPERVISOR, username="sue")
    page.get_by_role("link", name="Next runs").click()
    look()
    page.get_by_role("button", name="Sign out").click()
    enter(page, "sue")
    page.get_by_role("link", name="Next runs").click()
    page.get_by_role("link", name="Prepare").click()
    page.get_by_role("button", name="Authorize the run").click()
    expect(page.get_by_text("The run is authorized: its first unit may enter.")).to_be_visible()
    look()
    run = Run.objects.select_related("route_version").get()
    assert (run.status, run.route_version.version_no) == ("AUTHORIZED", 1)


def plan_a_run() -> None:
    """Do what the planning system does over HTTP."""
    client = api_client()
    order = {"woNo": "WO-1", "productCode": "BOARD-1", "plannedQty": 5}
    assert_done(client.post("/api/integration/work-orders", order), 201)
    assert_done(client.post("/api/work-orders/WO-1/release", {"lineCode": "SMT-A"}))
    assert_done(client.post("/api/work-orders/WO-1/runs", {"lineCode": "SMT-A", "planQty": 5}), 201)


class Clicks:
    """Presses what it is given, and counts. To choose of a list takes two: it is opened, and one is pressed."""

    def __init__(self) -> None:
        self.count = 0

    def press(self, place: Locator) -> None:
        place.click()
        self.count += 1

    def choose(self, place: Locator, label: str) -> None:
        if place.locator("option:checked").text_content() != label:
            place.select_option(label=label)
            self.count += 2


def test_47_messages_that_misspell_a_spec_are_mended_in_six_clicks(sign_in: SignIn, look: Look) -> None:
    make_plant()
    person, device = api_client(Role.ADMIN), api_client(Role.INTEGRATION)
    into_oven(person)
    for number in range(47):
        event = make_event(f"evt-{number}", reading(240.0 + number / 10, name="Peak Temprature"))
        assert device.post(EVENTS, event).status_code == 422
    page, clicks = sign_in(Role.ENGINEER), Clicks()
    at(page, 390, "light")
    clicks.press(menu(page).get_by_text("More", exact=True))
    clicks.press(menu(page).get_by_role("link", name="Admin", exact=True))
    needs = page.get_by_role("region", name="Needs an engineer now")
    expect(needs.get_by_role("listitem").first).to_contain_text("47")
    look()
    clicks.press(needs.get_by_role("link", name="Peak Temprature"))
    clicks.press(page.get_by_text("Why, and what mends it"))
    expect(page.locator("mark")).to_contain_text("Peak Temprature")
    look()
    clicks.choose(page.get_by_label("“Peak Temprature” means"), "Peak Temperature")
    page.get_by_role("textbox", name="Why", exact=True).fill("the recipe misspells it")
    clicks.press(page.get_by_role("button", name="Replay all 47"))
    assert clicks.count <= 6
    services.work_off()
    expect(page.get_by_text("47 of 47 · 47 applied")).to_be_visible()
    assert not FailedMessage.objects.filter(status="FAILED").exists()
    assert DataValue.objects.filter(spec__name="Peak Temperature").count() == 47


def test_a_run_in_preparation_takes_the_newer_version(sign_in: SignIn, look: Look) -> None:
    plant = make_plant(authorize=False)
    DataCollectionSpec.objects.filter(pk=plant.peak.pk).update(usl=248)
    compile_route(code=plant.routing.code)
    page = sign_in(Role.ENGINEER)
    at(page, 390, "dark")
    menu(page).get_by_role("link", name="Next runs").click()
    page.get_by_role("link", name="Prepare").click()
    newer = page.get_by_role("region", name="Version 2 is newer: one difference")
    expect(newer).to_contain_text("Step 20: Peak Temperature, upper limit 250 → 248 °C")
    expect(newer).to_contain_text("this run has version 1")
    newer.locator("summary", has_text="Take version 2").click()
    newer.get_by_label("Reason").fill("oven 2 drifts")
    look()
    newer.get_by_role("button", name="Take version 2").click()
    expect(page.get_by_role("status").first).to_contain_text("version 2")
    expect(newer).to_have_count(0)
    assert Run.objects.get().route_version.version_no == 2


def test_who_moved_a_limit_last_month_is_found_in_four_clicks(sign_in: SignIn, look: Look) -> None:
    plant = make_plant()
    day = (timezone.localtime().replace(day=1) - timedelta(days=10)).date()
    change_limit(plant.peak, day, old=255, new=250, by="ada", why="oven 2 drifts")
    DataCollectionSpec.objects.filter(pk=plant.peak.pk).update(usl=248)
    page, clicks = sign_in(Role.QUALITY), Clicks()
    at(page, 1280, "dark")
    clicks.press(menu(page).get_by_text("More", exact=True))
    clicks.press(menu(page).get_by_role("link", name="Audit"))
    page.get_by_label("Code, name or request").fill("Peak Temperature")
    page.get_by_label("From").fill(day.replace(day=1).isoformat())
    page.get_by_label("To", exact=True).fill(day.isoformat())
    clicks.press(page.get_by_role("button", name="Show"))
    changes = page.get_by_role("region", name="Changes").get_by_role("listitem")
    expect(changes).to_have_count(1)
    expect(changes).to_contain_text("upper limit 255 → 250 °C")
    expect(changes).to_contain_text("oven 2 drifts")
    expect(changes).to_contain_text("ada")
    assert clicks.count <= 4
    look()


def change_limit(spec: DataCollectionSpec, day: date, *, old: float, new: float, by: str, why: str) -> None:
    """Write what the audit wrote on that day."""
    at_noon = datetime.combine(day, time(12), tzinfo=UTC)
    of = {"entity": "data-collection-specs", "root_entity": "data-collection-specs", "row_id": spec.pk}
    AuditEntry.objects.create(
        **of, entity_id=str(spec.pk), root_id=str(spec.pk), name=spec.name, at=at_noon, action="UPDATE",
        before={"usl": old}, after={"usl": new}, actor=by, actor_kind="PERSON", via="ADMIN", reason=why, transaction=1,
    )  # fmt: skip


def test_an_administrator_makes_an_operator_and_revokes_a_token(sign_in: SignIn, look: Look) -> None:
    make_token(Role.INTEGRATION)
    page = sign_in(Role.ADMIN)
    at(page, 1280, "dark")
    more(page, "Admin")
    page.get_by_role("link", name="Add Users").click()
    page.get_by_label("User name:").fill("oscar")
    page.get_by_role("group", name="Roles").get_by_role("checkbox", name=re.compile("Operator Tracks")).check()
    page.get_by_label("New password:").fill("seven-green-boards")
    look()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="oscar")).to_contain_text("Operator")
    look()

    page.get_by_role("link", name="Admin", exact=True).first.click()
    page.get_by_role("link", name="Device tokens", exact=True).click()
    look()
    page.get_by_role("link", name=re.compile("INTEGRATION")).click()
    page.get_by_role("link", name="Revoke…").click()
    at(page, 390, "dark")
    look()
    page.get_by_label("Reason for the change").fill("the oven was sold")
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("status").first).to_contain_text("revoked")
    assert DeviceToken.objects.get().revoked_at is not None
    assert AuditEntry.objects.latest("id").reason == "the oven was sold"

    page.get_by_role("button", name="Sign out").click()
    enter(page, "oscar", "seven-green-boards")
    expect(page.get_by_role("heading", name="Stations", exact=True)).to_be_visible()
    expect(menu(page).get_by_role("link", name="Admin", exact=True)).to_have_count(0)
