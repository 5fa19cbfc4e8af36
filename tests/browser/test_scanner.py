"""What a page takes for a scan: recorded streams of key events, wherever the focus is."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from execution import tracking
from execution.models import Defect
from execution.quality.defects import ReportedDefect
from execution.quality.models import DefectStatus
from execution.quality.oqc import drawing
from execution.quality.oqc import services as oqc
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.platform.accounts.roles import Role
from tests.browser.conftest import Look, SignIn, at
from tests.browser.scanner import AS_FUNCTION, EOT, GS, PACE, RS, keys_of, play, scan, stop_clock, with_alt
from tests.execution.oqc.support import make_lot, make_rule
from tests.factories import api_client, make_plant

LABEL = f"[)>{RS}06{GS}SSN-1{GS}1TLOT-1{RS}{EOT}"
LISTEN = """() => {
  window.told = [];
  document.addEventListener("scan", (event) => {
    event.preventDefault();
    told.push([event.detail.text, event.detail.field?.id ?? null]);
  });
  document.addEventListener("lone-key", (event) => told.push(["alone", event.detail.key]));
}"""
FIELDS = """() => {
  document.querySelector("main").insertAdjacentHTML("beforeend", `<form id="probe">
    <input id="number" type="text" value="12.5"><textarea id="remark">cold</textarea>
    <input id="note" data-takes-scans="text"><select id="choice"><option>A</option><option>S</option></select>
    <button id="button" type="submit">Send</button></form>`);
  document.getElementById("probe").addEventListener("submit", (event) => {
    event.preventDefault();
    told.push(["sent"]);
  });
}"""


@pytest.fixture
def probe(sign_in: SignIn) -> Page:
    """A page that tells what it takes for a scan, on which time stands still."""
    page = sign_in(Role.SUPERVISOR, "/trace/")
    expect(page.get_by_role("heading", name="Trace")).to_be_visible()
    page.evaluate(LISTEN)
    page.evaluate(FIELDS)
    stop_clock(page)
    page.evaluate("document.activeElement.blur()")
    return page


def told(page: Page) -> Any:
    return page.evaluate("told.splice(0)")


def test_recorded_streams(probe: Page) -> None:
    """One page for all: what came of each is told in the order of the streams."""
    streams = {
        "CR": ([*keys_of("SN-1"), "Enter"], "SN-1"),
        "TAB": ([*keys_of("SN-1"), "Tab"], "SN-1"),
        "CR LF": ([*keys_of("SN-1"), "Enter", "Control+j"], "SN-1"),
        "CR as Ctrl+M": ([*keys_of("SN-1"), "Control+m"], "SN-1"),
        "AIM": ([*keys_of("]C121SN-1"), "Enter"], "]C121SN-1"),
        "GS with Ctrl": ([*keys_of(f"]d221SN-1{GS}10L"), "Enter"], f"]d221SN-1{GS}10L"),
        "GS as F8": ([*keys_of(f"]d221SN-1{GS}10L", AS_FUNCTION), "Enter"], f"]d221SN-1{GS}10L"),
        "GS first": ([*keys_of(f"{GS}21SN-1"), "Enter"], f"{GS}21SN-1"),
        "GS with Alt": ([*keys_of("21SN-1"), *with_alt(GS), *keys_of("10L"), "Enter"], f"21SN-1{GS}10L"),
        "all with Alt": ([*with_alt("SN-1\r")], "SN-1"),
        "15434 with Ctrl": ([*keys_of(LABEL), "Enter"], LABEL),
        "15434 as function keys": ([*keys_of(LABEL[:-1], AS_FUNCTION), "Enter"], LABEL),
        "STX and ETX": ([*keys_of("\x02SN-1\x03"), "Enter"], "SN-1"),
        "a prefix": ([*keys_of("/SN-1"), "Enter"], "SN-1"),
        "another layout": ([*keys_of("SN"), "Minus", "1", "Enter"], "SN-1"),
    }
    for name, (keys, text) in streams.items():
        for focus in ("", "number", "choice", "button"):
            probe.evaluate("(id) => id ? document.getElementById(id).focus() : document.activeElement.blur()", focus)
            play(probe, keys)
            nowhere = "q" if name == "a prefix" else None
            field = focus if focus not in ("", "button") else nowhere
            assert told(probe) == [[text, field]], (name, focus)
            probe.clock.run_for(500)
            assert told(probe) == [], (name, focus)
            values = "['q', 'number', 'remark', 'choice'].map((id) => document.getElementById(id).value)"
            assert probe.evaluate(values) == ["", "12.5", "cold", "A"], (name, focus)


def test_a_scanner_without_suffix(probe: Page) -> None:
    probe.locator("#number").focus()
    play(probe, keys_of("SN-0001"))
    assert told(probe) == []
    probe.clock.run_for(100)
    assert told(probe) == [["SN-0001", "number"]]
    play(probe, [*keys_of("SN-0001"), *keys_of("SN-0002")])  # at once: nobody could part them
    probe.clock.run_for(100)
    assert told(probe) == [["SN-0001SN-0002", "number"]]
    play(probe, keys_of("SN-0003"))
    probe.clock.run_for(100)
    assert told(probe) == [["SN-0003", "number"]]
    assert probe.locator("#number").input_value() == "12.5"


def test_a_scan_in_the_middle_of_typing_leaves_what_was_typed(probe: Page) -> None:
    field = probe.locator("#remark")
    field.focus()
    probe.evaluate("document.getElementById('remark').setSelectionRange(2, 2)")
    play(probe, ["x", "y"], pace=120)
    probe.clock.run_for(120)
    play(probe, [*keys_of("SN-1"), "Enter"])
    assert told(probe) == [["alone", "x"], ["alone", "y"], ["SN-1", "remark"]]
    assert field.input_value() == "coxyld"
    play(probe, ["z"], pace=120)
    assert field.input_value() == "coxyzld"  # the caret, too, is where it was


def test_a_busy_computer_splits_no_scan_but_where_a_person_may_have_typed(probe: Page) -> None:
    for focus, text in (("", "SN-1"), ("q", "SN-1"), ("number", "N-1")):
        probe.evaluate("(id) => id ? document.getElementById(id).focus() : document.activeElement.blur()", focus)
        play(probe, ["Shift+S"])
        probe.clock.run_for(80)
        play(probe, [*keys_of("N-1"), "Enter"])
        assert told(probe) == [[text, focus or None]]
        probe.clock.run_for(1000)
    assert probe.locator("#q").input_value() == ""
    assert probe.locator("#number").input_value() == "S12.5"


def test_what_a_person_types_is_no_scan(probe: Page) -> None:
    number, remark = probe.locator("#number"), probe.locator("#remark")
    number.fill("")
    number.focus()
    play(probe, ["1", "2", "3", ".", "5"], pace=70)
    play(probe, ["4", "Enter"], pace=30)  # quick, at the end
    assert (number.input_value(), told(probe)[-1]) == ("123.54", ["sent"])
    remark.fill("")
    remark.focus()
    play(probe, ["t", "h", "e"], pace=30)  # three keys rolled over
    probe.clock.run_for(200)
    play(probe, ["+a", "+a", "+a", "+a", "+a", "+a", "+a", "-a"], pace=20)  # a key held down repeats
    probe.clock.run_for(200)
    assert remark.input_value() == "theaaaaaaa"
    assert not [each for each in told(probe) if each[0] != "alone"]
    play(probe, ["Control+a", "Delete"], pace=80)
    assert remark.input_value() == ""


def test_two_scanners_at_once_are_told(probe: Page) -> None:
    probe.locator("#number").focus()
    mixed = ["+S", "+a", "-S", "-a", "n", "+N", "+b", "-N", "-b", "-", "+1", "+2", "-1", "-2", "Enter"]
    play(probe, mixed)
    assert told(probe) == []
    expect(probe.locator("#scan-note")).to_have_text("Two scans at once. Scan again.")
    assert probe.locator("#number").input_value() == "12.5"
    play(probe, ["+S", "+N", "-S", "+1", "-N", "+2", "-1", "Enter", "-2"])  # one that lets go of a key with the next
    assert told(probe) == [["SN12", "number"]]


def test_a_field_for_text_keeps_a_scan_but_no_command(probe: Page) -> None:
    note = probe.locator("#note")
    note.focus()
    play(probe, [*keys_of("L-2231"), "Enter"])
    assert told(probe) == [["L-2231", "note"]]
    assert note.input_value() == "L-2231"  # and nothing was sent
    probe.clock.run_for(200)
    play(probe, [*keys_of("]C0LK.PASS"), "Enter"])
    assert told(probe) == [["]C0LK.PASS", "note"]]
    assert note.input_value() == "L-2231"


def test_a_page_that_takes_no_scans_is_typed_into(sign_in: SignIn) -> None:
    page = sign_in(Role.SUPERVISOR, "/account/")
    expect(page.get_by_label("Serial number, run, work order or carrier")).to_be_visible()
    page.evaluate(LISTEN)
    page.get_by_label("Serial number, run, work order or carrier").focus()
    stop_clock(page)
    play(page, keys_of("SN-404"))
    page.clock.run_for(500)
    assert told(page) == []
    expect(page.locator("#q")).to_have_value("SN-404")


# --- pages ------------------------------------------------------------------------------------------------------


def test_what_is_scanned_at_the_set_up_goes_where_it_belongs(sign_in: SignIn) -> None:
    make_plant()
    Tool.objects.create(tool_id="ST-1", status="READY")
    MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True, paste_status="COMPLIANT")
    page = sign_in(Role.SUPERVISOR, "/lines/SMT-A/set-up/")
    stop_clock(page)
    for text, said in (
        ("LOT-1", "“LOT-1” is bound to the line."),
        ("ST-1", "“ST-1” is bound to the line."),
        ("SN-1", "“SN-1” is a unit. What is wanted here is a stencil."),
    ):
        page.locator("h1").click()  # the focus is nowhere
        scan(page, text)
        expect(page.get_by_text(said)).to_be_visible()
    page.locator("h1").click()
    scan(page, "ST-NEW")
    expect(page.get_by_text("ST-NEW is not known. Choose the field that it is for, and scan it again.")).to_be_visible()
    assert Load.objects.filter(ended_at=None).count() == 2


def test_a_scan_opens_what_it_means_unless_somebody_fills_in_something(sign_in: SignIn) -> None:
    make_plant()
    page = sign_in(Role.SUPERVISOR, "/")
    expect(page.get_by_role("heading", name="Lines")).to_be_visible()
    stop_clock(page)
    scan(page, "SN-2")
    expect(page.get_by_role("heading", name="SN-2")).to_be_visible()
    page.locator("#decide-hold summary").click()
    page.locator("#decide-hold").get_by_label("Reason").fill("bent")
    scan(page, "SN-1")
    expect(page.get_by_text("Scanned: SN-1. What you began here is not sent yet")).to_be_visible()
    expect(page.locator("#decide-hold").get_by_label("Reason")).to_have_value("bent")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="SN-1")).to_be_visible()


def test_a_list_of_units_takes_scans_from_anywhere(sign_in: SignIn) -> None:
    make_plant(units=3)
    page = sign_in(Role.QUALITY, "/holds/new/")
    expect(page.get_by_role("heading", name="Hold units")).to_be_visible()
    stop_clock(page)
    page.locator("h1").click()
    for sn in ("SN-1", "SN-2", "SN-1"):
        scan(page, sn)
    expect(page.locator(".scanned .sn")).to_have_text(["SN-2", "SN-1"][::-1])
    expect(page.get_by_text("SN-1 is there already.")).to_be_visible()


def test_a_scan_calls_no_defect_false(sign_in: SignIn) -> None:
    """Its letters are shortcuts of the review, and Enter presses the button that has the focus."""
    make_plant()
    unit = {"run_no": "RUN-1", "sn": "SN-1", "station_code": "SMT-01"}
    tracking.track_in(**unit)
    tracking.track_out(**unit, result="FAIL", defects=[ReportedDefect("BRIDGE", "C1")])
    Defect.objects.update(source="MACHINE")
    page = sign_in(Role.QUALITY, "/defects/review/")
    expect(page.get_by_role("button", name="False call")).to_be_focused()
    stop_clock(page)
    scan(page, "fd SN-1")
    expect(page.get_by_text("Nothing begins with “fd SN-1”")).to_be_visible()
    assert Defect.objects.get().status == DefectStatus.OPEN
    page.goto("/defects/review/")
    play(page, ["f"])  # alone it does
    page.clock.run_for(100)
    expect(page.get_by_text("Nothing waits for review.")).to_be_visible()


def test_the_sample_of_a_first_article_is_scanned_from_anywhere(sign_in: SignIn) -> None:
    make_plant(authorize=False)
    client = api_client()
    fai = client.post("/api/fai/run/RUN-1", {"sampleQty": 1}).json()["data"]["id"]
    client.post(f"/api/fai/{fai}/start")
    page = sign_in(Role.QUALITY, "/first-articles/RUN-1/")
    expect(page.get_by_label("Scan a sample unit to inspect it")).to_be_focused()
    stop_clock(page)
    page.locator("h1").click()
    scan(page, "RUN-1")
    expect(page.get_by_text("“RUN-1” is a run. What is wanted here is a unit.")).to_be_visible()
    page.locator("h1").click()
    scan(page, "SN-1")
    expect(page.get_by_text("SN-1 is a sample unit.")).to_be_visible()


def test_a_scanner_is_tried(sign_in: SignIn, look: Look) -> None:
    make_plant()
    page = sign_in(Role.OPERATOR, "/trace/")
    page.get_by_role("link", name="Test a scanner").click()
    at(page, 390, "dark")
    expect(page.get_by_text("Nothing was scanned yet.")).to_be_visible()
    look()
    stop_clock(page)
    scan(page, f"]d221SN-1{GS}10L")
    seen = page.locator("#scans li").first
    for said in ("]d221SN-1␝10L", "Ctrl+]", "Ended by Enter.", "Parts: (10) L, (21) SN-1", "It means: UNIT SN-1"):
        expect(seen).to_contain_text(said)
    sent = page.locator("#scans").get_attribute("data-test") or ""
    german = sent.translate(str.maketrans({"y": "z", "z": "y", "Y": "Z", "Z": "Y", "-": "ß", "/": "-"}))
    cdp = page.context.new_cdp_session(page)
    for key in [*german, "Enter"]:
        page.clock.run_for(PACE)
        cdp.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": key})
        cdp.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key})
    expect(seen).to_contain_text("another keyboard than this computer: y → z, z → y, Y → Z, Z → Y, - → ß, / → -.")
    play(page, keys_of("SN-0001"), pace=70)  # a slow one
    page.clock.run_for(500)
    expect(seen).to_contain_text("7 keys arrived, up to 70 ms apart: too slow for a scan")
    page.clock.resume()
    at(page, 1920, "light")
    look()


def test_a_board_of_an_outgoing_inspection_is_scanned_while_a_value_is_typed(sign_in: SignIn) -> None:
    plant = make_plant()
    make_rule(items=[{"itemName": "Joints"}])
    make_lot(plant, "LOT", units=2)
    inspection = drawing.create(run_no="LOT", by="test")
    oqc.start(inspection_id=inspection.pk, by="test")
    page = sign_in(Role.QUALITY, f"/oqc/{inspection.pk}/")
    expect(page.get_by_label("Scan a sampled unit")).to_be_focused()
    stop_clock(page)
    page.locator("h1").click()
    scan(page, "LOT-1")
    expect(page.get_by_role("heading", name="LOT-1")).to_be_visible()
    value = page.get_by_label("What Joints is")
    value.fill("dull ")
    scan(page, "GR-7")  # a text is scanned, too
    expect(value).to_have_value("dull GR-7")
    page.locator("h1").click()
    scan(page, "LOT-2")
    expect(page.get_by_text("Scanned: LOT-2. What you began here is not sent yet")).to_be_visible()
    expect(value).to_have_value("dull GR-7")
    page.get_by_role("button", name="Pass").first.click()
    expect(page.get_by_text("LOT-1, Joints: Pass.")).to_be_visible()
