"""The page of a station, by scanner and keys: what is told at once, what is kept, what is refused."""

from collections.abc import Iterator
from time import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from execution import dispositions, tracking
from execution.models import DataValue, Defect, Track
from execution.station_page import queries
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.browser.conftest import Look, SignIn, at, watched
from tests.browser.station_support import SIZES, STATION, fill, make_hand_station, notes, says, scan, take_in
from tests.factories import hold_units
from tests.platform.files.support import make_picture

REFUSING = "/api/stations/"


LABEL = "]d20109521234543213{serial}\x1d10LOT-1\x1d240PART-7"  # GS1: its serial number stands behind (21)


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer) -> Iterator[Page]:
    """A page that is watched, on which entries may be refused."""
    with watched(context, live_server, refusing=REFUSING) as page:
        yield page


@pytest.fixture
def station(sign_in: SignIn) -> Page:
    """The page of a station with work for hands, as an operator sees it."""
    make_hand_station()
    page = sign_in(Role.OPERATOR, STATION)
    says(page, "Scan the next unit.")
    return page


def wait_until(page: Page, condition: str) -> None:
    """Wait for a condition of the page's scripts."""
    for _turn in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition}: {page.evaluate('entries.list()')}")


def refresh(page: Page) -> None:
    """Let as much time go by as the page rests, and wait for its refresh."""
    with page.expect_response(lambda response: urlsplit(response.url).path == STATION):
        page.clock.fast_forward(5000)


def look_at_all(page: Page, look: Look) -> None:
    for width, scheme in SIZES:
        at(page, width, scheme)
        look()
    at(page, 1024, "light")


def test_a_first_board(station: Page, look: Look) -> None:
    page = station
    look_at_all(page, look)
    take_in(page, "SN-1")
    says(page, "Step 10 Inspect")
    expect(page.get_by_role("link", name="Criteria")).to_be_visible()
    expect(page.locator("#instructions img")).to_be_visible()
    look_at_all(page, look)
    scan(page, "SN-1")
    notes(page, "SN-1 is in work already. Nothing has changed.")
    page.keyboard.press("Control+Enter")
    notes(page, "Missing for Pass: Clean, Gap")
    expect(page.get_by_label("Gap")).to_have_attribute("aria-invalid", "true")
    assert Track.objects.get().result == ""
    page.get_by_label("Gap").focus()
    page.keyboard.type("0,2", delay=90)  # as a person, not a scanner
    expect(page.get_by_text("within its limits")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Label")).to_be_focused()
    notes(page, "Missing for Pass: Clean, Gap")  # until all of it is there
    page.get_by_role("radio", name="Yes").check()
    expect(page.locator("#said")).to_be_hidden()
    page.keyboard.press("Control+Enter")
    says(page, "Passed", "SN-1", "Next: step 20 Pack")
    look_at_all(page, look)
    scan(page, "LK.PASS")
    notes(page, "Nothing is in work: scan a unit first.")
    scan(page, "]C1LK.U.B-1")
    notes(page, "This browser is no terminal: nobody signs on by badge here. Sign in by name and password.")
    track = Track.objects.get()
    assert (track.result, track.out_by) == ("PASS", "b-operator")
    assert set(DataValue.objects.values_list("value_number", "value_boolean")) == {(0.2, None), (None, True)}


def test_three_defects_by_digit_name_and_scan(station: Page, look: Look) -> None:
    page = station
    unit = {"run_no": "HAND-1", "sn": "SN-4", "station_code": "INS-01"}
    tracking.track_in(**unit)
    tracking.track_out(**unit, result="FAIL", defects=[tracking.ReportedDefect("TOMBSTONE", "R1")])
    page.reload()
    take_in(page, "SN-1")
    page.get_by_label("Gap").fill("wide")
    page.keyboard.press("F9")
    page.wait_for_timeout(750)  # what bounces is one press
    page.keyboard.press("F9")
    notes(page, "Name what is wrong, or record the failure without a defect.")
    page.locator("#defects-head").focus()
    page.keyboard.press("1")
    page.get_by_label("Where").fill("r12, r13")  # not ended: it counts when the next thing is done
    page.get_by_label("Find a defect by its name or code").fill("open j")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="One more").click()
    scan(page, "LK.D.BRIDGE")
    scan(page, "LK.L.\x02U7\x1d")  # what a scanner sends beside the text is no part of it
    notes(page, "Solder bridge at U7.")
    page.get_by_role("button", name="One more").first.click()
    scan(page, "LK.L.U8")  # how many there are stays with the first
    expect(page.locator("#named")).to_contain_text("U7 ×2")
    expect(page.locator("#fail")).to_contain_text("Fail with 5 defects")
    look_at_all(page, look)
    scan(page, "LK.PASS")
    notes(page, "Defects are named. Record the failure, or take them away first.")
    expect(page.locator("#said")).to_be_in_viewport()  # though the defects stand below it
    scan(page, "LK.FAIL")
    notes(page, "Something typed cannot be taken: Gap")
    page.get_by_label("Gap").fill("0.4")
    page.locator("#all-codes").scroll_into_view_if_needed()
    page.keyboard.press("F9")
    says(page, "Failed", "SN-1")
    expect(page.locator("#state-line")).to_be_in_viewport()
    look_at_all(page, look)
    found = Defect.objects.filter(unit__sn="SN-1").order_by("code", "location")
    assert set(found.values_list("code", "location", "quantity")) >= {
        ("BRIDGE", "U7", 2),
        ("BRIDGE", "U8", 1),
        ("OPEN", "", 2),
        ("TOMBSTONE", "R12", 1),
        ("TOMBSTONE", "R13", 1),
    }
    page.get_by_role("button", name="Add photos").click()
    photos = page.get_by_role("region", name="Solder bridge U7")
    look_at_all(page, look)
    photo = {"name": "u7.png", "mimeType": "image/png", "buffer": make_picture(size=(320, 240))}
    photos.get_by_label("Take a photo").set_input_files(photo)
    expect(page.get_by_text("“u7.png” is attached.")).to_be_visible()
    says(page, "Failed", "SN-1")  # it is still told
    page.get_by_role("button", name="Add photos").click()
    expect(photos.locator("img")).to_be_visible()
    scan(page, "SN-2")
    expect(page.locator("#photos")).to_be_hidden()


def test_another_unit_between(station: Page, look: Look) -> None:
    page = station
    take_in(page, "SN-1")
    page.get_by_label("Gap").fill("0.25")
    scan(page, "SN-2")
    says(page, "In work", "SN-2")
    expect(page.get_by_label("Gap")).to_have_value("")
    look_at_all(page, look)
    fill(page, "0.2")
    page.keyboard.press("Control+Enter")
    says(page, "Passed", "SN-2", "or choose one that is in work")
    page.reload()  # what was typed is kept
    page.get_by_role("button", name="SN-1").click()
    says(page, "In work", "SN-1")
    expect(page.get_by_label("Gap")).to_have_value("0.25")
    scan(page, "LK.CANCEL")
    notes(page, "What was typed for SN-1 is cleared. It is still in work.")
    scan(page, "LK.CANCEL")
    notes(page, "SN-1 stays in this station. Scan it again to go on with it.")
    assert Unit.objects.get(sn="SN-1").status == "IN_STATION"


def test_a_scan_into_a_field(station: Page) -> None:
    page = station
    take_in(page, "SN-1")
    page.get_by_label("Label").focus()
    scan(page, "LOT-77")
    expect(page.get_by_label("Label")).to_have_value("LOT-77")
    page.get_by_label("Gap").focus()
    scan(page, "SN-2")
    says(page, "SN-2")
    page.get_by_label("Label").focus()
    scan(page, "SN-3")  # a unit is one wherever it is scanned
    says(page, "In work", "SN-3")
    assert Track.objects.filter(out_at=None).count() == 3


def test_a_scan_into_a_field_comes_before_the_command_after_it(station: Page) -> None:
    page, asked = station, list[Route]()
    take_in(page, "SN-1")
    fill(page)
    page.route("**/api/scans/resolve", lambda route: asked.append(route))
    page.get_by_label("Label").focus()
    with page.expect_request("**/api/scans/resolve"):
        scan(page, "LOT-77")
    scan(page, "LK.PASS")
    asked[0].continue_()
    says(page, "Passed", "SN-1")
    assert DataValue.objects.filter(value_text="LOT-77").exists()


def test_refused_held_and_released(station: Page, look: Look) -> None:
    page = station
    hold_units("SN-1", reason="Scratch on the mask")
    scan(page, "SN-1")
    says(page, "Not here: On hold", "SN-1", "Scratch on the mask", "Who releases it: Supervisor, Quality, Admin")
    look_at_all(page, look)
    scan(page, "NOBODY")
    says(page, "Not here: Not known", "NOBODY")
    expect(page.locator("#refused")).to_be_hidden()  # each is settled by the next scan
    dispositions.release_unit(sn="SN-1", reason="clean", by="quinn", may_end_all=True)
    take_in(page, "SN-1")
    hold_units("SN-1", held_from="IN_STATION", reason="Recall")
    fill(page)
    page.keyboard.press("Control+Enter")
    says(page, "Not recorded: On hold", "Recall")
    look_at_all(page, look)
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#refused")).to_contain_text("Recall")
    look_at_all(page, look)
    dispositions.release_unit(sn="SN-1", reason="clean", by="quinn", may_end_all=True)
    page.get_by_role("button", name="Open it again").click()
    expect(page.locator("#state")).to_contain_text("In work", timeout=15_000)  # with the next refresh
    expect(page.get_by_label("Gap")).to_have_value("0.2")  # nothing of what was typed is lost
    page.keyboard.press("Control+Enter")
    says(page, "Passed")
    expect(page.locator("#refused")).to_be_hidden()


def test_one_request_for_each_entry_and_one_for_each_refresh(station: Page) -> None:
    page, asked = station, list[str]()
    page.on("request", lambda request: asked.append(f"{request.method} {urlsplit(request.url).path}"))
    take_in(page, "SN-1")
    fill(page)
    page.keyboard.press("Control+Enter")
    says(page, "Passed")
    entries = [each for each in asked if each.startswith("POST")]
    assert entries == ["POST /api/stations/INS-01/track-in", "POST /api/stations/INS-01/track-out"]
    with page.expect_response(lambda response: urlsplit(response.url).path == STATION):
        pass
    kept = ("/static/", "/files/")  # by the browser, for a day
    assert {each for each in asked if each.startswith("GET") and not any(name in each for name in kept)} == {
        f"GET {STATION}"
    }
    page.wait_for_timeout(50)
    take_in(page, "SN-2")
    page.keyboard.press("F9")
    expect(page.locator("#defects")).to_be_visible()
    asked.clear()
    page.wait_for_timeout(5000)  # longer than a refresh: it rests while somebody picks
    assert asked == []


def test_a_cut_of_the_network(context: BrowserContext, station: Page) -> None:
    station.goto("about:blank")
    page = context.new_page()  # not watched: what fails here is meant to
    page.goto(STATION)
    take_in(page, "SN-1")
    context.set_offline(True)
    fill(page)
    page.keyboard.press("Control+Enter")
    says(page, "Kept", "SN-1: Pass is kept here")
    expect(page.locator("#offline-waiting")).to_contain_text("The server does not answer. 1 entry is kept")
    scan(page, "SN-2")
    says(page, "In work, unchecked", "SN-2", "Step 10 Inspect")
    page.keyboard.press("Control+Enter")
    notes(page, "Missing for Pass: Clean, Gap")  # by the last form of this station
    fill(page, "0.25")
    page.keyboard.press("Control+Enter")
    says(page, "Kept", "SN-2")
    hold_units("SN-3")
    scan(page, "SN-3")
    says(page, "In work, unchecked", "SN-3")
    fill(page)
    expect(page.locator("#offline-waiting")).to_contain_text("4 entries are kept")
    context.set_offline(False)
    page.reload()
    expect(page.locator("#offline-waiting")).to_be_hidden(timeout=20_000)
    says(page, "Not here: On hold", "SN-3")
    expect(page.get_by_role("button", name="Open it again")).to_be_visible()  # with what was typed
    tracks = Track.objects.order_by("unit__sn").values_list("unit__sn", "result")
    assert list(tracks) == [("SN-1", "PASS"), ("SN-2", "PASS")]
    page.close()


@pytest.mark.parametrize("by", ["this page", "another page"])
def test_a_new_tablet_without_a_network(context: BrowserContext, station: Page, by: str) -> None:
    """It knows no form. What it records is sent later, and refused: opened again, it has its own form."""
    station.goto("about:blank")
    page = context.new_page()  # not watched: what fails here is meant to
    page.clock.install()
    page.goto(STATION)
    context.set_offline(True)
    scan(page, "SN-1")
    says(page, "In work, unchecked", "SN-1")
    page.keyboard.press("Control+Enter")
    says(page, "Kept", "SN-1")
    if by == "this page":
        with page.expect_event("requestfailed", lambda request: urlsplit(request.url).path == STATION):
            page.clock.run_for(8000)  # its refresh
        context.set_offline(False)
        page.evaluate("document.getElementById('live').remove()")  # no refresh tells that the server is there again
        says(page, "Not recorded: Values are missing")
        expect(page.locator("#offline-waiting")).to_be_hidden()
    else:
        send_elsewhere(context, page)
    page.get_by_role("button", name="Open it again").click()
    fill(page)
    page.keyboard.press("Control+Enter")
    says(page, "Passed", "SN-1")
    page.close()


def send_elsewhere(context: BrowserContext, page: Page) -> None:
    """Have another page send what is kept, and come back to the station."""
    page.route("**/track-*", lambda route: route.abort())
    context.set_offline(False)
    page.goto("/account/")
    other = context.new_page()
    other.goto("/stations/PCK-01/")
    refused = "kept.map((entry) => entry.error?.code).join() === 'REQUIRED_DATA_MISSING'"
    wait_until(other, f"entries.list().then((kept) => {refused})")
    other.close()
    page.unroute("**/track-*")
    page.goto(STATION)


def test_a_refresh_tells_the_time(context: BrowserContext, station: Page) -> None:
    """The clock of the browser is an hour ahead, and nothing was ever entered at it."""
    station.goto("about:blank")
    page = context.new_page()
    page.clock.install(time=time() + 3600)
    page.goto(STATION)
    refresh(page)
    wait_until(page, f"Math.abs(entries.now() / 1000 - {time()}) < 60")
    page.close()


def test_who_is_beyond_what_is_told_has_not_left(
    context: BrowserContext, station: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_INSIDE", 1)
    page = station
    page.clock.install()
    page.reload()
    take_in(page, "SN-1")
    take_in(page, "SN-2")
    refresh(page)
    expect(page.locator("#inside")).to_contain_text("1+")
    says(page, "In work", "SN-2")
    monkeypatch.undo()
    tracking.track_out(run_no="HAND-1", sn="SN-2", station_code="INS-01", result="FAIL")
    refresh(page)
    says(page, "Left meanwhile", "SN-2")


def test_labels_of_units(station: Page) -> None:
    page = station
    scan(page, LABEL.format(serial="21SN-1"))
    says(page, "In work", "SN-1")
    scan(page, "SN-1")
    notes(page, "SN-1 is in work already. Nothing has changed.")
    take_in(page, "SN-2")
    page.get_by_label("Gap").fill("0.23")
    scan(page, LABEL.format(serial="21SN-2"))  # another label of the same unit
    notes(page, "SN-2 is in work here.")
    expect(page.get_by_label("Gap")).to_have_value("0.23")
    page.get_by_label("Gap").focus()
    scan(page, "SN-3")  # into a value field
    says(page, "In work", "SN-3")
    page.get_by_role("button", name="SN-2").click()
    expect(page.get_by_label("Gap")).to_have_value("0.23")
    assert set(Track.objects.values_list("unit__sn", flat=True)) == {"SN-1", "SN-2", "SN-3"}


def test_two_tabs_show_the_same(context: BrowserContext, station: Page) -> None:
    other = context.new_page()
    other.goto(STATION)
    take_in(station, "SN-1")
    says(other, "In work", "SN-1")
    station.get_by_label("Gap").fill("0.21")
    expect(other.get_by_label("Gap")).to_have_value("0.21")
    take_in(other, "SN-2")
    says(station, "In work", "SN-2")
    fill(station)
    station.keyboard.press("Control+Enter")
    says(station, "Passed", "SN-2")
    expect(other.locator("#chips")).to_contain_text("SN-1")
    says(other, "Scan")
    assert Track.objects.get(result="PASS").unit.sn == "SN-2"
    other.close()


DEAF = "addEventListener('storage', (event) => event.stopImmediatePropagation())"
WRITE = """() => {
  const name = "station:INS-01", kept = JSON.parse(localStorage.getItem(name));
  localStorage.setItem(name, JSON.stringify({ ...kept, form: null }));
}"""


def test_what_is_typed_goes_to_the_unit_that_is_drawn(context: BrowserContext, station: Page) -> None:
    """Another tab has chosen another unit, and this one does not know yet."""
    page, other = station, context.new_page()
    page.add_init_script(DEAF)
    page.reload()
    take_in(page, "SN-1")
    take_in(page, "SN-2")
    page.evaluate("document.getElementById('live').remove()")  # its refresh would tell
    other.goto(STATION)
    choose(other, "SN-1")
    page.get_by_label("Gap").fill("0.3")
    notes(page, "SN-1 is in work here.")
    expect(page.get_by_label("Gap")).to_have_value("")
    choose(page, "SN-2")
    expect(page.get_by_label("Gap")).to_have_value("0.3")
    for act in ("LK.D.BRIDGE", "LK.CANCEL", "LK.PASS"):
        says(other, "SN-2")
        choose(other, "SN-1")
        scan(page, act)
        notes(page, "SN-1 is in work here.")
        expect(page.locator("#defects")).to_be_hidden()
        choose(page, "SN-2")
    expect(page.get_by_label("Gap")).to_have_value("0.3")
    other.close()


def test_what_another_tab_writes_parts_no_form_from_its_unit(context: BrowserContext, station: Page) -> None:
    page, other = station, context.new_page()
    take_in(page, "SN-1")
    scan(page, "LK.D.BRIDGE")
    other.goto(STATION)
    other.evaluate(WRITE)
    page.get_by_role("button", name="One more").click()
    other.evaluate(WRITE)
    scan(page, "LK.FAIL")
    says(page, "Failed", "SN-1")
    assert Defect.objects.get().quantity == 2
    other.close()


def choose(page: Page, sn: str) -> None:
    """Choose a unit that is in work."""
    page.get_by_role("button", name=sn).click()
    says(page, "In work", sn)
