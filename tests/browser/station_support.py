"""What the browser tests of the station page share: a plant with work for hands, a scanner, and what the page says."""

import io

from playwright.sync_api import Page, expect

from mes.platform.files import services
from mes.routing.compilation import compile_route
from tests.factories import (
    make_config,
    make_group,
    make_line,
    make_operation,
    make_route,
    make_run,
    make_spec,
    make_station,
)
from tests.platform.files.support import make_picture

STATION = "/stations/INS-01/"
SIZES = ((390, "light"), (390, "dark"), (1920, "light"), (1920, "dark"))


def make_hand_station(units: int = 4, *, has_picture: bool = True) -> list[str]:
    """Make a route of two steps by hand, INSPECT at INS-01 and PACK, and a run; return its units.

    INSPECT asks for a gap (number, key, required), a label (text), whether it is clean (boolean, required), and knows
    a temperature that a machine reports. It has instructions, one of them a picture.
    """
    line, group = make_line("HAND-A"), make_group("HANDS")
    make_station("INS-01", line=line, group=group, name="Visual inspection")
    make_station("PCK-01", line=line, group=make_group("PACKERS"), name="Packing")
    inspect = make_operation("INSPECT", name="Inspect")
    make_spec(inspect, "Gap", method="MANUAL", lsl=0.1, usl=0.3, target=0.2, unit="mm", is_required=True)
    make_spec(inspect, "Label", item_type="OBSERVATION", data_type="TEXT", method="MANUAL")
    make_spec(inspect, "Clean", item_type="OBSERVATION", data_type="BOOLEAN", method="MANUAL", is_required=True)
    make_spec(inspect, "Temperature", item_type="OBSERVATION", unit="°C")
    routing = make_route("HANDS", steps=[(10, "INSPECT"), (20, "PACK")])
    instructions = [{"title": "Criteria", "url": "/healthz"}]
    if has_picture:
        picture, _is_new = services.store(io.BytesIO(make_picture()), name="where.png", by="ed")
        instructions.append({"title": "Where to look", "fileId": str(picture.pk)})
    make_config(operation=inspect, work_instructions=instructions)
    for step_no, name in ((10, "HANDS"), (20, "PACKERS")):
        make_config(routing, step_no=step_no, station_type="MANUAL", station_group=make_group(name))
    version, _changed = compile_route(code=routing.code)
    sns = [f"SN-{number}" for number in range(1, units + 1)]
    make_run(version, line, run_no="HAND-1", sns=sns)
    return sns


def scan(page: Page, text: str) -> None:
    """Scan, wherever the focus is."""
    page.evaluate("text => window.scanner.feed(text)", text)


def says(page: Page, *texts: str) -> None:
    """Wait until the one state says it."""
    for text in texts:
        expect(page.locator("#state")).to_contain_text(text)


def notes(page: Page, text: str) -> None:
    """Wait until it is said beside the state."""
    expect(page.locator("#said")).to_have_text(text)


def take_in(page: Page, sn: str) -> None:
    """Scan a unit, and wait until it may be worked."""
    scan(page, sn)
    says(page, "In work", sn)
    expect(page.get_by_label("Gap")).to_be_visible()


def fill(page: Page, gap: str = "0.2") -> None:
    """Type what a Pass needs."""
    page.get_by_label("Gap").fill(gap)
    page.get_by_role("radio", name="Yes").check()
