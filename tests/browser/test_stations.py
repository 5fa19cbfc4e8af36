"""The stations of a line, seen from afar, and the sheets that are printed: what is rendered is scanned again."""

import io

import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from mes.plant.models import Equipment
from mes.platform.accounts.roles import Role
from mes.production import station_acts
from tests.browser.conftest import PICTURES, Look, SignIn, at
from tests.factories import api_client, make_plant, make_station


def see(page: Page, look: Look, name: str) -> None:
    """Look at a page on a telephone and a desk, by day and by night."""
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            at(page, width, scheme)
            look()
            if PICTURES.is_dir():
                page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)


def test_what_stations_do_is_seen_from_afar(sign_in: SignIn, look: Look) -> None:
    plant = make_plant(units=5)
    make_station("SHARED")
    make_station("AOI-01", line=plant.line, group=plant.groups["PRINTERS"])
    station_acts.stop(station_code="REF-01", reason="Fan of the oven makes a noise", by="anna")
    Equipment.objects.create(code="EQ-1", name="Tester", station=plant.stations["TST-01"], status="maintenance")
    client = api_client()
    client.post("/api/stations/SMT-01/track-in", {"sn": "SN-1"})
    page = sign_in(Role.SUPERVISOR, "/stations/")
    expect(page.locator(".station-now")).to_have_count(5)
    see(page, look, "stations")
    page.goto("/lines/SMT-A/")
    see(page, look, "line")
    client.post("/api/stations/SMT-01/track-out", {"sn": "SN-1", "result": "FAIL", "defectCode": "BRIDGE"})
    client.post("/api/stations/SMT-01/track-in", {"sn": "SN-2"})
    page.goto("/stations/")
    expect(page.locator(".station-now", has_text="SMT-01").get_by_text("SN-2")).to_be_visible()
    client.post("/api/stations/SMT-01/track-in", {"sn": "SN-3"})
    expect(page.locator(".station-now", has_text="SMT-01").get_by_text("and 1 more")).to_be_visible()


def test_a_sheet_is_scanned_as_a_printer_shows_it(
    sign_in: SignIn, look: Look, browser: Browser, live_server: LiveServer
) -> None:
    make_plant()
    page = sign_in(Role.OPERATOR, "/station-sheets/")
    see(page, look, "sheets")
    page.get_by_role("link", name="Show the sheet").click()
    see(page, look, "sheet")
    fine = browser.new_context(
        base_url=live_server.url,
        viewport={"width": 800, "height": 1100},
        device_scale_factor=300 / 96,
        color_scheme="dark",
        storage_state=page.context.storage_state(),
    )
    for media in ("screen", "print"):
        paper = fine.new_page()
        paper.emulate_media(media=media)
        paper.goto(page.url)
        read = zxingcpp.read_barcodes(Image.open(io.BytesIO(paper.screenshot(full_page=True))))
        found = sorted((each.text, str(each.symbology)) for each in read)
        texts, symbologies = ("LK.CANCEL", "LK.FAIL", "LK.PASS"), ("Code 128", "Data Matrix")
        assert found == [(text, symbology) for text in texts for symbology in symbologies], media
    fine.close()
