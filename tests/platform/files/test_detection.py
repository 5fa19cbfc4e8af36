"""A file is what its content says, whatever it is called; what is none of the three is refused."""

import io
import random
import time
import zlib

import pytest
from PIL import Image

from mes.errors import FileTypeRefused
from mes.platform.files import detection
from mes.platform.files.detection import detect
from mes.platform.files.services import safe_name
from mes.platform.files.thumbnails import SIDE, make_thumbnail
from tests.platform.files.support import chunk, claim_pixels, make_pdf, make_picture

MOST = 64_000_000
PNG, JPEG, PDF = make_picture(), make_picture("JPEG"), make_pdf()
PROGRESSIVE = make_picture("JPEG", progressive=True)
NOISE = zlib.compress(b"x" * 100_000)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PDF, ("application/pdf", None, None)),
        (PDF + b"\r\n\0", ("application/pdf", None, None)),
        (PNG, ("image/png", 640, 480)),
        (make_picture("PNG", (3, 5), mode="RGBA"), ("image/png", 3, 5)),
        (JPEG, ("image/jpeg", 640, 480)),
        (PROGRESSIVE, ("image/jpeg", 640, 480)),
        (make_picture("JPEG", comment=b"\xff\xd8 thumbnail \xff\xd9"), ("image/jpeg", 640, 480)),
        (JPEG + b"a film of the phone", ("image/jpeg", 640, 480)),
    ],
    ids=["pdf", "pdf with an end", "png", "png with alpha", "jpeg", "progressive", "jpeg in jpeg", "jpeg and film"],
)
def test_what_a_file_is(content: bytes, expected: tuple[str, int | None, int | None]) -> None:
    found = detect(content, most_pixels=MOST)
    assert (found.media_type, found.width, found.height) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF",
        b"<html>%PDF-1.7 <script>alert(1)</script>%%EOF startxref</html>",
        b"\n" + PDF,
        b"%PDF-1.7 <script>alert(1)</script>",
        PDF[:-20],
        b"GIF89a" + PNG,
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"PK\x03\x04" + PDF,
        PNG[:-1],
        PNG[:-12],
        PNG[:60],
        PNG + b"<script>alert(1)</script>",
        PNG.replace(b"IHDR", b"IHDX"),
        PNG[:100] + b"\0" + PNG[101:],
        PNG[:8] + chunk(b"IEND", b""),
        claim_pixels(0, 10),
        JPEG[:-2],
        JPEG[:300],
        JPEG[:2],
        b"\xff\xd8\xff\xe0<html>\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 200_000 + b"\xff\xd9",
        PNG[:33] + chunk(b"tEXt", b"") * 200_000 + PNG[33:],
    ],
)
def test_what_is_none_or_not_whole_is_refused(content: bytes) -> None:
    with pytest.raises(FileTypeRefused):
        detect(content, most_pixels=MOST)


def test_a_picture_of_too_many_pixels_is_refused_by_its_head() -> None:
    for content in (claim_pixels(20_000, 10_000), claim_pixels(65_535, 65_535), claim_pixels(2**31, 1)):
        with pytest.raises(FileTypeRefused):
            detect(content, most_pixels=MOST)
    assert detect(claim_pixels(8_000, 8_000), most_pixels=MOST).pixels == MOST
    height_at = JPEG.index(b"\xff\xc0") + 5
    large = JPEG[:height_at] + b"\x4e\x20\x27\x10" + JPEG[height_at + 4 :]  # 20,000 × 10,000
    with pytest.raises(FileTypeRefused, match="10000 × 20000"):
        detect(large, most_pixels=MOST)


def test_scripts_of_a_pdf_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (
        make_pdf("app.alert(1)"),
        make_pdf("app.alert(1)", hidden=True),
        make_pdf("app.alert(1)").replace(b"/JavaScript", b"/J#61vaScr#69pt"),
    ):
        with pytest.raises(FileTypeRefused, match="scripts"):
            detect(content, most_pixels=MOST)
    detect(make_pdf(text="/JavaScriptLike is no script"), most_pixels=MOST)
    for many in (b"/ObjStm stream ", b"/ObjStm stream\n" + zlib.compress(b"x")):  # not looked into for hours
        with pytest.raises(FileTypeRefused):
            detect(PDF[:9] + many * 200_000 + PDF[9:], most_pixels=MOST)
    hidden = make_pdf("app.alert(1)", hidden=True)
    with pytest.raises(FileTypeRefused, match="scripts"):
        detect(hidden[:9] + b"% /ObjStm stream that is none\n" + hidden[9:], most_pixels=MOST)
    bomb = b"<< /Type /ObjStm >>\nstream\n" + zlib.compress(b"0" * 70_000) + b"\nendstream\n"
    detect(PDF[:9] + bomb + PDF[9:], most_pixels=MOST)
    monkeypatch.setattr(detection, "_MOST_INFLATED", 50_000)
    with pytest.raises(FileTypeRefused):
        detect(PDF[:9] + bomb + PDF[9:], most_pixels=MOST)


def test_streams_that_break_off_do_not_cost_minutes() -> None:
    head = b"/ObjStm stream\n"
    bomb = zlib.compress(b"0" * 20_000_000)[:-4] + b"bad!"  # it fails at its very end
    content = PDF[:9] + (head + bomb[:2] + b"\0\x11\0\xee\xff") * 5_000 + head + bomb + PDF[9:]
    began = time.monotonic()
    with pytest.raises(FileTypeRefused):
        detect(content, most_pixels=MOST)
    assert time.monotonic() - began < 3
    single = PDF[:9] + b"/ObjStm stream\n" + zlib.compress(b"0" * 5_000)[:-4] + b"bad!\nendstream\n" + PDF[9:]
    detect(single, most_pixels=MOST)
    broken = zlib.compress(b"/JavaScript " + random.Random(1).randbytes(5_000))[:-4] + b"bad!"
    with pytest.raises(FileTypeRefused, match="scripts"):
        detect(PDF[:9] + head + broken + b"endstream" + PDF[9:], most_pixels=MOST)


SCRIPT = b"<< /S /JavaScript /JS (app.alert(1)) >>"
PACKED = zlib.compress(SCRIPT)
HEAD = b"<< /Type /ObjStm >>\nstream\n"


@pytest.mark.parametrize(
    "objects",
    [
        HEAD + zlib.compress(b"x") + b"\nendobj 7 0 obj " + HEAD + PACKED + b"\nendstream",
        HEAD + zlib.compress(HEAD + PACKED + b"\nendstream", 0) + b"\nendstream",
        HEAD + PACKED[:-4] + b"bad!\nendstream",
        HEAD + PACKED[:-4] + b"\nendstream",
        HEAD + zlib.compress(SCRIPT + random.Random(1).randbytes(300))[:200] + b"\xff" * 200 + b"\nendstream",
    ],
    ids=["before the end of another", "in another", "with a wrong check sum", "without one", "that breaks off"],
)
def test_scripts_in_objects_that_only_viewers_look_for_are_found(objects: bytes) -> None:
    with pytest.raises(FileTypeRefused, match="scripts"):
        detect(PDF[:9] + objects + PDF[9:], most_pixels=MOST)


def test_streams_that_share_what_they_are_made_of_do_not_cost_minutes() -> None:
    """Heads before one stream of blocks in which there is nothing, and streams of it that break off."""
    nothing = b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * 2_000_000 + b"\x01\x00\x00\xff\xff"
    for content in (
        b"/ObjStm " * 240 + b"stream\n" + nothing,
        (b"/ObjStm stream\n" + nothing[:1_502]) * 10_000 + nothing,
    ):
        began = time.monotonic()
        with pytest.raises(FileTypeRefused):
            detect(PDF[:9] + content + PDF[9:], most_pixels=MOST)
        assert time.monotonic() - began < 3


def test_scans_of_a_picture_are_counted() -> None:
    scan = b"\xff\xda\x00\x02x"
    assert not detect(JPEG, most_pixels=MOST).is_decoded_whole
    assert detect(JPEG[:-2] + scan + JPEG[-2:], most_pixels=MOST).is_decoded_whole
    with pytest.raises(FileTypeRefused, match="scans"):
        detect(JPEG[:-2] + scan * 100 + JPEG[-2:], most_pixels=MOST)


@pytest.mark.parametrize("content", [PNG, JPEG, PROGRESSIVE, make_picture("PNG", mode="RGBA", color=(0, 0, 0, 0))])
def test_a_thumbnail_is_a_small_jpeg(content: bytes) -> None:
    small = make_thumbnail(content, detect(content, most_pixels=MOST))
    assert small is not None
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, max(picture.size)) == ("JPEG", SIDE)


def test_what_is_transparent_is_white_in_a_thumbnail() -> None:
    content = make_picture("PNG", mode="RGBA", color=(0, 0, 0, 0))
    small = make_thumbnail(content, detect(content, most_pixels=MOST))
    assert small is not None
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.getpixel((9, 9)) == (255, 255, 255)


def test_a_photo_that_was_taken_upright_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    content = make_picture("JPEG", exif=exif)
    small = make_thumbnail(content, detect(content, most_pixels=MOST))
    assert small is not None
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.size == (240, SIDE)


def test_what_cannot_be_decoded_is_refused_and_what_takes_too_much_memory_has_no_thumbnail() -> None:
    damaged = PNG[: PNG.index(b"IDAT") - 4] + chunk(b"IDAT", NOISE[:50]) + chunk(b"IEND", b"")
    with pytest.raises(FileTypeRefused):
        make_thumbnail(damaged, detect(damaged, most_pixels=MOST))
    large = claim_pixels(8_000, 8_000)
    assert make_thumbnail(large, detect(large, most_pixels=MOST)) is None
    assert make_thumbnail(PDF, detect(PDF, most_pixels=MOST)) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Plan A.pdf", "Plan A.pdf"),
        ("Plan.PDF", "Plan.PDF"),
        ("x.html", "x.html.pdf"),
        ("", "file.pdf"),
        (".pdf", "pdf.pdf"),
        ("../../etc/passwd", "_.._etc_passwd.pdf"),
        ('a"b\r\nSet-Cookie: x.pdf', "a_b Set-Cookie_ x.pdf"),
        ("cod\u202efdp.exe", "codfdp.exe.pdf"),
        ("Größe µ 漢.pdf", "Größe µ 漢.pdf"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_names_are_one_safe_line_with_an_ending_of_the_type(name: str, expected: str) -> None:
    assert safe_name(name, detect(PDF, most_pixels=MOST).media_type) == expected
