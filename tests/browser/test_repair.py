"""The bench from a scan to the retest, and the review of what machines found, by keyboard."""

from playwright.sync_api import Page, expect

from execution import tracking
from execution.models import Defect, RepairRecord, ReworkTask
from execution.quality import defect_decisions
from execution.quality.defects import ReportedDefect
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.browser.conftest import Look, SignIn, at
from tests.factories import make_plant

SIZES = ((390, "light"), (768, "dark"), (1920, "light"))


def fail(sn: str, location: str) -> Defect:
    """Have a board fail at the first step with a defect at a designator, as a machine would say it."""
    unit = {"run_no": "RUN-1", "sn": sn, "station_code": "SMT-01"}
    tracking.track_in(**unit)
    tracking.track_out(**unit, result="FAIL", defects=[ReportedDefect("BRIDGE", location)])
    defect = Defect.objects.get(unit__sn=sn)
    Defect.objects.filter(pk=defect.pk).update(source="MACHINE")
    return defect


def look_at_all(page: Page, look: Look) -> None:
    for width, scheme in SIZES:
        at(page, width, scheme)
        look()


def test_the_bench_from_scan_to_retest(sign_in: SignIn, look: Look) -> None:
    make_plant()
    first = fail("SN-2", "C14")
    defect_decisions.rework(defect_id=fail("SN-1", "C14").pk, reason="bridge", by="sue")
    done = defect_decisions.rework(defect_id=first.pk, reason="bridge", by="sue").task
    assert done is not None
    RepairRecord.objects.create(task=done, defect=first, action="RESOLDERED", result="FIXED", recorded_by="olga")
    page = sign_in(Role.OPERATOR, "/repair/")
    look_at_all(page, look)
    at(page, 768, "light")
    page.get_by_label("Scan the unit").fill("SN-1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("One defect to record")).to_be_visible()
    expect(page.get_by_text("fixed 1 of 1")).to_be_visible()
    look_at_all(page, look)
    at(page, 768, "light")
    page.get_by_label("Replaced", exact=True).check()
    page.get_by_label("Scan the parts that you put in").fill("CAP-100N")
    page.keyboard.press("Enter")  # as a scanner ends: nothing is sent yet
    page.get_by_role("button", name="Fixed", exact=True).click()
    expect(page.get_by_text("Everything is recorded")).to_be_visible()
    look()
    page.get_by_role("button", name="The repair is done").click()
    expect(page.get_by_text("SN-1 goes to step 10")).to_be_visible()
    assert Defect.objects.get(unit__sn="SN-1").status == "REPAIRED"
    assert RepairRecord.objects.latest("id").replaced == [{"materialCode": "CAP-100N", "location": "C14"}]
    assert ReworkTask.objects.get(unit__sn="SN-1").status == "DONE"
    tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="SMT-01")


def test_ten_defects_are_reviewed_by_keyboard(sign_in: SignIn, look: Look) -> None:
    plant = make_plant(units=10)
    for number, sn in enumerate(plant.sns):
        fail(sn, f"R{number}")
    page = sign_in(Role.SUPERVISOR, "/defects/review/")
    look_at_all(page, look)
    at(page, 1024, "light")
    expect(page.locator("#left")).to_have_text("10 left")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#found")).to_contain_text("R1")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#found")).to_contain_text("R0")
    for number in range(9):
        expect(page.locator("#found")).to_contain_text(f"R{number}")
        page.keyboard.press("f")
        expect(page.locator("#left")).to_have_text(f"{9 - number} left")
    page.keyboard.press("d")
    expect(page.locator("#act-rework textarea")).to_be_focused()
    look()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing waits for review.")).to_be_visible()
    look_at_all(page, look)
    assert Defect.objects.filter(status="FALSE_CALL").count() == 9
    assert Unit.objects.filter(status="QUEUED", current_step_no=20).count() == 9
    assert ReworkTask.objects.get().unit.sn == plant.sns[9]
