"""Files that are no sheets, or more than one can take: refused before they cost anything, and said why."""

import contextlib
import struct
import tracemalloc
import zipfile
from io import BytesIO
from typing import Any

import pytest
import xlsxwriter
from django.test import Client
from django.urls import reverse

from mes import errors
from mes.platform.accounts.roles import Role
from mes.platform.http.tables import XLSX
from mes.spreadsheets import reading, workbooks
from tests.factories import api_client, make_user
from tests.spreadsheets.support import as_csv, as_xlsx, send, text

KNOWN = ("code", "name", "unit")
SHEET = "xl/worksheets/sheet1.xml"


def refused(data: bytes, name: str = "") -> str:
    with pytest.raises(errors.SheetUnreadable) as refusal:
        reading.read_file(data, known=KNOWN, name=name)
    return str(refusal.value)


def with_part(name: str, content: bytes, book: bytes = b"") -> bytes:
    """Return a workbook with another part."""
    target = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(book or as_xlsx(list(KNOWN), ["A", "a", "pcs"]))) as before,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for info in before.infolist():
            after.writestr(info.filename, content if info.filename == name else before.read(info))
    return target.getvalue()


def sheet_of(rows: bytes) -> bytes:
    head = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    return head + rows + b"</sheetData></worksheet>"


@pytest.mark.parametrize(
    ("data", "name", "word"),
    [
        (b"", "", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "limits.xlsx", "picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "limits.csv", "picture"),
        (b"BM" + bytes(100), "limits.csv", "picture"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "old.xls", "old kind"),
        (b"code,name\nA,a\n", "limits.xlsx", "no XLSX file"),
        (b"PK\x03\x04" + bytes(100), "", "damaged"),
        ("code,name\nA,a\n".encode("utf-16"), "", "UTF-16"),
        ("code,name\nA,a\n".encode("utf-16-le"), "", "UTF-16"),
        ("code,name\nA,Größe\n".encode("cp1252"), "", "UTF-8"),
        ("code,name\nA,工序\n".encode("gbk"), "", "UTF-8"),
        (b'code,name\nA,"a\n', "", "quotes"),
        (b"\n\n ,\n"[:2], "", "heads"),
        (b"code,name\nA,a" + b"x" * 1200 + b"\0\n", "", "NUL"),
        (",".join(f"c{number}" for number in range(201)).encode(), "", "columns"),
    ],
)
def test_it_says_why_a_file_cannot_be_read(data: bytes, name: str, word: str) -> None:
    assert word in refused(data, name)


def test_damaged_workbooks() -> None:
    good = as_xlsx(list(KNOWN), ["A", "a", "pcs"])
    assert reading.read_file(good, known=KNOWN).rows[0].cells == {"code": "A", "name": "a", "unit": "pcs"}
    for cut in range(30, len(good), 97):
        refused(good[:cut])
    for place in range(30, len(good), 53):
        bent = bytearray(good)
        bent[place] ^= 0xFF
        with contextlib.suppress(errors.SheetUnreadable, errors.TooManyRows):
            reading.read_file(bytes(bent), known=KNOWN)
    for part in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", SHEET, "xl/sharedStrings.xml"):
        refused(with_part(part, b"<x"))
    assert "entities" in refused(with_part(SHEET, b'<!DOCTYPE x [<!ENTITY a "aaa">]>' + sheet_of(b"")))


def peak(read: Any) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_bounded_whatever_it_claims() -> None:
    bomb = with_part(SHEET, sheet_of(b" " * (workbooks.MOST_UNPACKED + 1)))
    assert len(bomb) < 200_000
    assert peak(lambda: refused(bomb)) < 8 * 1024 * 1024  # by what it claims itself

    lying = bytearray(bomb)
    with zipfile.ZipFile(BytesIO(bomb)) as archive:
        real = archive.getinfo(SHEET).file_size
    claimed = struct.pack("<I", 100)
    for place in range(len(lying) - 4):
        if lying[place : place + 4] == struct.pack("<I", real):
            lying[place : place + 4] = claimed
    with zipfile.ZipFile(BytesIO(bytes(lying))) as archive:
        assert archive.getinfo(SHEET).file_size == 100
    assert "MiB" in refused(bytes(lying))


def test_parts_that_are_not_needed_are_not_unpacked() -> None:
    target = BytesIO(as_xlsx(list(KNOWN), ["A", "a", "pcs"]))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.png", bytes(workbooks.MOST_UNPACKED + 1))
    assert len(reading.read_file(target.getvalue(), known=KNOWN).rows) == 1


def test_a_million_empty_rows_cost_little() -> None:
    row = b'<row r="%d"><c r="A%d" s="1"/></row>'
    empty = b"".join(row % (number, number) for number in range(3, 1_000_003))
    first = b'<row r="1"><c r="A1" t="inlineStr"><is><t>code</t></is></c></row>'
    second = b'<row r="2"><c r="A2" t="inlineStr"><is><t>A</t></is></c></row>'
    book = with_part(SHEET, sheet_of(first + second + empty))
    assert len(reading.read_file(book, known=KNOWN).rows) == 1


@pytest.mark.parametrize(("reference", "word"), [("A1048576", "1048576"), ("XFD2", "beyond column")])
def test_a_cell_far_away_makes_no_table_of_billions(reference: str, word: str) -> None:
    line = reference.lstrip("AXFD")
    rows = f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{line}"><c r="{reference}"><v>1</v></c></row>'
    assert word in refused(with_part(SHEET, sheet_of(rows.encode())))


def test_cells_far_apart() -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="99999"><c r="GA99999"><v>1</v></c></row>'
    assert "too far apart" in refused(with_part(SHEET, sheet_of(rows.encode())))


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="99999"><c r="GA99999"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>',
        '<row r="99998"><c r="A1"><v>1</v></c></row><row><c r="GA99999"/><c><v>1</v></c></row>',
    ],
    ids=["the last first", "a row that does not say which"],
)
def test_cells_far_apart_in_another_order(rows: str) -> None:
    assert "too far apart" in refused(with_part(SHEET, sheet_of(rows.encode())))


def test_a_text_that_begins_as_pictures_do() -> None:
    assert reading.read_file(b"BMK;name\nA;a\n", known=KNOWN).heads == ["BMK", "name"]


def test_more_sheets_than_a_workbook_has() -> None:
    sheets = b"<workbook><sheets>" + b'<sheet name="a"/>' * (workbooks.MOST_PARTS + 1) + b"</sheets></workbook>"
    assert "too many parts" in refused(with_part("xl/workbook.xml", sheets))


def test_a_long_text_that_thousands_of_cells_refer_to() -> None:
    book = as_xlsx(["x" * 30_000, "b"])
    cells = "".join(f'<row r="{number}"><c r="A{number}" t="s"><v>0</v></c></row>' for number in range(1, 2_001))
    assert "too much text" in refused(with_part(SHEET, sheet_of(cells.encode()), book))
    few = cells.replace("<v>0</v>", "<v>1</v>")
    assert len(reading.read_file(with_part(SHEET, sheet_of(few.encode()), book), known=KNOWN).rows) == 1_999
    bent = cells.replace("<v>0</v>", "<v>0<!-- -->0</v>")
    assert "too much text" in refused(with_part(SHEET, sheet_of(bent.encode()), book))


def test_more_cells_than_a_sheet_can_have(monkeypatch: Any) -> None:
    monkeypatch.setattr(workbooks, "MOST_ELEMENTS", 1000)
    assert "too many cells" in refused(with_part(SHEET, sheet_of(b'<row r="1">' + b"<c/>" * 1000 + b"</row>")))


def test_rows_without_numbers_come_after_the_one_before() -> None:
    rows = '<row r="3"><c r="A1"><v>1</v></c></row><row><c><f>1+1</f><v>2</v></c></row>'
    lines, marked = workbooks.read(with_part(SHEET, sheet_of(rows.encode())))
    assert (lines[3], marked) == ([2.0], [(3, 0, "FORMULA")])


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
@pytest.mark.django_db
def test_ten_thousand_and_one_rows(kind: str) -> None:
    client = api_client(Role.ENGINEER)
    rows = [[f"C-{number}", "x", "pcs"] for number in range(10_001)]
    made = {"csv": as_csv, "xlsx": as_xlsx}
    body: Any = [{"code": "A"}] * 10_001 if kind == "json" else made[kind](list(KNOWN), *rows)
    answer = send(client, "materials", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "TOO_MANY_ROWS")


@pytest.mark.django_db
def test_a_body_that_is_too_large() -> None:
    client = api_client(Role.ENGINEER)
    answer = send(client, "materials", b"code,name\n" + b"x" * (16 * 1024 * 1024))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    answer = send(client, "materials", text("code", "A"), kind="text/plain")
    assert answer.status_code == 415
    answer = send(client, "materials", b"\xff\xfea\0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "SHEET_UNREADABLE")


@pytest.mark.django_db
def test_a_body_that_was_left_unread_is_not_called_empty() -> None:
    """The server in front leaves a body unread that is too large; only its length is there."""
    client = api_client(Role.ENGINEER)
    for kind in ("text/csv", XLSX, "application/json", "multipart/form-data; boundary=x"):
        answer = client.generic(
            "POST", "/api/imports/materials", b"", content_type=kind, CONTENT_LENGTH=str(17 * 1024 * 1024)
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user(Role.ENGINEER))
    page = browser.generic(
        "POST",
        reverse("spreadsheet-send"),
        b"",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(17 * 1024 * 1024),
    )
    assert (page.status_code, b"at most 16 MiB" in page.content) == (413, True)


def test_what_a_workbook_holds_beside_its_first_sheet() -> None:
    target = BytesIO()
    with xlsxwriter.Workbook(target) as workbook:
        first, second = workbook.add_worksheet("Ä"), workbook.add_worksheet()
        chart: Any = workbook.add_chart({"type": "line"})
        chart.add_series({"values": "=Sheet2!$A$1:$A$2"})
        workbook.add_chartsheet().set_chart(chart)
        first.write_row(2, 0, ["code", "name"])
        first.write_row(4, 0, ["A", 5])
        first.write_formula(4, 2, "=1")
        first.write_formula(9, 1, "=A1", None, "x")
        second.write_formula(0, 0, "=1")
    sheet = reading.read_file(target.getvalue(), known=KNOWN)
    assert sheet.heads == ["code", "name"]
    assert [(row.number, row.cells) for row in sheet.rows] == [
        (2, {"code": "A", "name": 5}),
        (7, {"code": "", "name": "x"}),
    ]
    assert sheet.faulty == [(2, "", "FORMULA"), (7, "name", "FORMULA")]
