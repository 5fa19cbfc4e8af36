"""Sheets to print: what is drawn is read back as a scanner would, and means what it says beside it."""

import re
from xml.etree import ElementTree

import pytest
import zxingcpp
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from execution.quality.defect_codes.models import DefectCode
from execution.station_page import barcodes, sheets
from execution.station_page.barcodes import WIDEST, Barcode, Symbology
from execution.station_page.commands import Command, CommandKind, read_command
from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import Badge
from tests.execution.support import track_in, track_out
from tests.factories import make_user

PIXELS = 4  # of a module
FORMATS = {"CODE_128": zxingcpp.BarcodeFormat.Code128, "DATA_MATRIX": zxingcpp.BarcodeFormat.DataMatrix}
RECTANGLE = re.compile(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z")


def scan(columns: int, rows: int, path: str, symbology: str, *, quiet: bool = True) -> str:
    """Print what a path draws, upon a dark desk, and return what a scanner reads; nothing where it reads none."""
    height = max(rows, 30) if symbology == "CODE_128" else rows
    stretch = height // rows
    image = Image.new("L", (PIXELS * columns, PIXELS * height), 255)
    draw = ImageDraw.Draw(image)
    for x, y, width, tall, back in (map(int, each) for each in RECTANGLE.findall(path)):
        assert back == width
        box = (PIXELS * x, PIXELS * y * stretch, PIXELS * (x + width) - 1, PIXELS * (y + tall) * stretch - 1)
        draw.rectangle(box, fill=0)
    desk = Image.new("L", (image.width + 40, image.height + 40), 0 if quiet else 255)
    desk.paste(image, (20, 20))
    [found] = zxingcpp.read_barcodes(desk, formats=FORMATS[symbology]) or [None]
    return found.text if found else ""


def scan_symbol(symbol: Barcode) -> str:
    return scan(symbol.columns, symbol.rows, symbol.path, symbol.symbology)


texts = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["C", "Z"]), min_size=1, max_size=100
)


@given(
    kind=st.sampled_from([kind for kind in CommandKind if kind.takes_value]),
    value=texts.filter(lambda it: len(it) <= 100),
)
def test_what_is_drawn_is_read_as_the_same_command(kind, value):
    command = Command(kind, value)
    assert read_command(command.text) == command
    assert scan_symbol(barcodes.draw_data_matrix(command.text)) == command.text
    lines = barcodes.draw_code_128(command.text)
    if lines is not None:
        assert scan_symbol(lines) == command.text and lines.width <= WIDEST


def test_a_symbol_without_its_quiet_zone_is_not_read():
    """The control of what reads: white around a symbol is needed, and each has it."""
    symbol = barcodes.draw_code_128("LK.PASS")
    assert symbol is not None and symbol.columns - 20 == 11 * 9 + 13  # ten modules on either side
    cut = RECTANGLE.sub(lambda it: f"M{int(it[1]) - 10} {it[2]}h{it[3]}v{it[4]}h-{it[5]}z", symbol.path)
    assert scan(symbol.columns - 20, 1, cut, "CODE_128") == ""
    assert scan_symbol(symbol) == "LK.PASS"


@pytest.mark.parametrize("text", ["LK.D.BRÜCKE", "LK.D." + "X" * 100])
def test_what_makes_no_code_128_has_a_data_matrix_alone(text):
    assert barcodes.draw_code_128(text) is None
    sheet = sheets.make_designators([text.removeprefix("LK.D.")], [Symbology.CODE_128])
    assert [symbol.symbology for symbol in sheet.labels[0].symbols] == [Symbology.DATA_MATRIX]


# --- pages ------------------------------------------------------------------------------------------------------


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read_labels(client: Client, address: str) -> dict[str, tuple[str, list[str]]]:
    """Return what the sheet at an address says, by its text for people: the title, and what each symbol is read as."""
    page = client.get(f"/station-sheets/{address}")
    assert page.status_code == 200
    labels = ElementTree.fromstring(re.search(r'<ul class="labels">.*?</ul>', page.content.decode(), re.S)[0])
    return {label.findtext("span[@class='label-text is-code']"): read_label(label) for label in labels}


def read_label(label: ElementTree.Element) -> tuple[str, list[str]]:
    read = []
    for symbol in label.iter("svg"):
        _x, _y, columns, rows = map(int, symbol.attrib["viewBox"].split())
        read.append(scan(columns, rows, symbol.find("path").attrib["d"], symbol.attrib["data-symbology"]))
    return label.findtext("b"), read


def test_the_commands_are_printed_for_everyone(db):
    client = sign_in(Role.OPERATOR)
    texts = {"LK.PASS": "Pass", "LK.FAIL": "Fail", "LK.CANCEL": "Cancel"}
    assert read_labels(client, "commands/") == {text: (name, [text, text]) for text, name in texts.items()}
    assert read_labels(client, "commands/?as=DATA_MATRIX")["LK.PASS"] == ("Pass", ["LK.PASS"])
    assert client.get("/station-sheets/").status_code == 200


def test_defects_are_printed_by_branch_and_by_how_often_they_were_found(plant, operator):
    track_in(operator)
    track_out(operator, result="FAIL", defects=[{"code": "BRIDGE"}])
    client = sign_in(Role.OPERATOR)
    assert list(read_labels(client, "defects/?most-used=1")) == ["LK.D.BRIDGE"]
    DefectCode.objects.filter(code="OPEN").update(parent=DefectCode.objects.get(code="BRIDGE"))
    DefectCode.objects.filter(code="VOID").update(is_active=False)
    every = read_labels(client, "defects/?as=DATA_MATRIX")
    assert all(read == [text] for text, (_name, read) in every.items()) and "LK.D.VOID" not in every
    assert list(read_labels(client, "defects/?branch=BRIDGE")) == ["LK.D.BRIDGE", "LK.D.OPEN"]
    of_category = read_labels(client, "defects/?category=COMPONENT")
    assert set(of_category) == {"LK.D.PART_DAMAGED", "LK.D.PART_DEAD", "LK.D.COPLANARITY"}
    chosen = client.post("/station-sheets/defects/", {"code": ["VOID", "SKEWED", "OPEN"]})["Location"]
    assert list(read_labels(client, chosen.removeprefix("/station-sheets/"))) == ["LK.D.SKEWED", "LK.D.OPEN"]


def test_typed_designators_are_printed_and_others_are_refused(db):
    client = sign_in(Role.OPERATOR)
    shown = client.post("/station-sheets/designators/", {"designators": "r1, R2;U3\r\nR1"})
    assert shown["Location"] == "/station-sheets/designators/?designators=R1+R2+U3"
    assert list(read_labels(client, "designators/?designators=R1+R2+U3")) == ["LK.L.R1", "LK.L.R2", "LK.L.U3"]
    refused = client.post("/station-sheets/designators/", {"designators": "R1 " + "X" * 101})
    assert refused.status_code == 422 and "XXX" in refused.content.decode()
    assert "There is nothing to print." in client.get("/station-sheets/designators/").content.decode()


def test_more_than_an_address_holds_is_cut_and_said(db):
    client = sign_in(Role.OPERATOR)
    shown = client.post("/station-sheets/defects/", {"code": ["BRIDGE", *(f"X{n}" for n in range(200))]}, follow=True)
    assert "These are the first 150" in shown.content.decode() and "LK.D.BRIDGE" in shown.content.decode()


def test_badges_are_printed_by_those_who_look_after_terminals(db):
    person = make_user(Role.OPERATOR, username="anna", first_name="Anna", last_name="Berg")
    badge = Badge.objects.create(user=person, code="B-17")
    Badge.objects.create(user=make_user(Role.OPERATOR, is_active=False), code="B-18")
    supervisor = sign_in(Role.SUPERVISOR)
    index = supervisor.get("/station-sheets/").content.decode()
    assert "Anna Berg" in index and "B-18" not in index
    assert read_labels(supervisor, f"badges/?badge={badge.pk}") == {"LK.U.B-17": ("Anna Berg", ["LK.U.B-17"] * 2)}
    assert "There is nothing to print." in supervisor.get("/station-sheets/badges/?badge=x").content.decode()
    for role in (Role.OPERATOR, Role.QUALITY, Role.ENGINEER):
        client = sign_in(role)
        assert client.get("/station-sheets/badges/").status_code == 403
        assert "Anna Berg" not in client.get("/station-sheets/").content.decode()


def test_a_sheet_says_how_much_does_not_fit():
    sheet = sheets.make_designators([f"R{n}" for n in range(sheets.MOST_LABELS + 2)], [Symbology.DATA_MATRIX])
    assert (len(sheet.labels), sheet.more) == (sheets.MOST_LABELS, 2)
