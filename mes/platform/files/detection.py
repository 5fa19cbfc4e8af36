"""What a file is, by its content alone: PDF, PNG or JPEG, whole, of a size that can be shown. Nothing is decoded.

A name or a media type that is sent along says nothing. Each of the three is read from its first byte as its standard
says, so that what a browser would take for something else (HTML that says PDF) is none of them.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from mes.errors import FileTypeRefused
from mes.platform.files.models import MediaType

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PDF = re.compile(rb"%PDF-[12]\.\d")
_PDF_END = 1024  # bytes in which the end mark stands
_LARGEST_SIDE = 65_535
_MOST_SEGMENTS = 100_000  # of a picture; a camera writes some hundred
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15, but DHT, JPG and DAC
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN, _END = 0xDA, 0xD9
_MOST_SCANS = 100  # of a picture; a progressive one has about ten, and each costs a pass over all of it
_LONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length: TEM, RST0 to RST7, SOI
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


def _spelled(name: str) -> bytes:
    """Return the expression of a name of a PDF, whose letters may each be written as `#` and two digits."""
    letters = (f"(?:{letter}|#{ord(letter):02x}|#{ord(letter):02X})" for letter in name)
    return f"/{''.join(letters)}(?![A-Za-z0-9#])".encode()


_SCRIPT = re.compile(_spelled("JavaScript"))
_OBJECT_STREAM = re.compile(_spelled("ObjStm"))
_LONGEST_HEAD = 2000  # bytes between the type of a stream and its content
_BEGINNING = 1024  # bytes by which a compressed stream is known
_MOST_STREAMS = 20_000  # of objects
_MOST_BROKEN = 20  # of them that begin well and end badly
_ZLIB_HEAD = 2  # bytes
_INFLATED_AT_ONCE = 4096  # bytes, compressed
_MOST_INFLATED = 64 * 1024 * 1024  # bytes of all of them, compressed and not


@dataclass(frozen=True)
class Detected:
    """A file's type; of a picture its size in pixels, and whether decoding it takes memory for all of it at once."""

    media_type: MediaType
    width: int | None = None
    height: int | None = None
    is_decoded_whole: bool = False

    @property
    def pixels(self) -> int:
        """The pixels of a picture; 0 of a PDF."""
        return (self.width or 0) * (self.height or 0)


def detect(content: bytes, *, most_pixels: int) -> Detected:
    """Return what a file is. Raises FileTypeRefused for what is none of the three, ends too early, has scripts, or is a
    picture of more than `most_pixels`.
    """
    if content.startswith(_PNG):
        found = _read_png(content)
    elif content.startswith(_JPEG):
        found = _read_jpeg(content)
    elif _PDF.match(content):
        found = _read_pdf(content)
    else:
        raise FileTypeRefused(reason=_("it is neither a PDF nor a PNG or JPEG picture"))
    if found.pixels > most_pixels:
        told = _("it has %(width)d × %(height)d pixels; at most %(most)d million can be shown")
        size = {"width": found.width, "height": found.height, "most": most_pixels // 1_000_000}
        raise FileTypeRefused(reason=told % size)
    return found


def damaged() -> FileTypeRefused:
    """Return the refusal of what is not whole."""
    return FileTypeRefused(reason=_("it is damaged, or was cut off"))


# --- PNG (ISO/IEC 15948) ----------------------------------------------------------------------------------


def _read_png(content: bytes) -> Detected:
    """Walk the chunks: each has its length and its check sum, the first is the head, and nothing follows the end."""
    kinds: list[bytes] = []
    width = height = 0
    for kind, data in _chunks(content):
        if not kinds:
            if kind != b"IHDR" or len(data) != 13:
                raise damaged()
            width, height = struct.unpack(">II", data[:8])
        kinds.append(kind)
    if b"IDAT" not in kinds or kinds[-1] != b"IEND":
        raise damaged()
    _check_sides(width, height)
    return Detected(MediaType.PNG, width, height, is_decoded_whole=True)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, place = memoryview(content), len(_PNG)
    for _number in range(_MOST_SEGMENTS):
        if place >= len(content):
            return
        if place + 12 > len(content):
            raise damaged()
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 8 + length
        if end + 4 > len(content):
            raise damaged()
        kind = bytes(view[place + 4 : place + 8])
        if zlib.crc32(view[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise damaged()
        yield kind, view[place + 8 : end]
        place = end + 4
        if kind == b"IEND" and place != len(content):
            raise FileTypeRefused(reason=_("something stands behind the end of the picture"))
    raise damaged()


def _check_sides(width: int, height: int) -> None:
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise damaged()


# --- JPEG (ISO/IEC 10918-1) -------------------------------------------------------------------------------


def _read_jpeg(content: bytes) -> Detected:
    """Walk the segments to the end mark. What cameras write behind it (a film, a depth map) is no part of the picture,
    and harmless where the type is told.
    """
    frame, scans, has_end = None, 0, False
    for marker, place in _markers(content):
        if marker in _FRAMES and frame is None:
            if place + 7 > len(content):
                raise damaged()
            height, width = struct.unpack_from(">HH", content, place + 3)
            frame = Detected(MediaType.JPEG, width, height, is_decoded_whole=marker in _PROGRESSIVE)
        scans += marker == _SCAN
        if scans > _MOST_SCANS:
            raise FileTypeRefused(reason=_("it is a picture in too many scans"))
        has_end |= marker == _END
    if frame is None or not scans or not has_end:
        raise damaged()
    _check_sides(frame.width or 0, frame.height or 0)
    return replace(frame, is_decoded_whole=frame.is_decoded_whole or scans > 1)


def _markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker up to the end mark, and where its segment begins."""
    place, number = 2, 0
    while (match := _NEXT_MARKER.search(content, place)) is not None:
        marker, place, number = match[1][0], match.end(), number + 1
        if number > _MOST_SEGMENTS:
            raise damaged()
        yield marker, place
        if marker == _END:
            return
        if marker in _LONE:
            continue
        if place + 2 > len(content):
            raise damaged()
        (length,) = struct.unpack_from(">H", content, place)
        if length < 2 or place + length > len(content):
            raise damaged()
        place += length


# --- PDF (ISO 32000) --------------------------------------------------------------------------------------


def _read_pdf(content: bytes) -> Detected:
    end = content[-_PDF_END:]
    if b"%%EOF" not in end or b"startxref" not in content[-2 * _PDF_END :]:
        raise damaged()
    if _has_scripts(content):
        raise FileTypeRefused(reason=_("it has scripts; print it into a PDF anew, which leaves them out"))
    return Detected(MediaType.PDF)


def _has_scripts(content: bytes) -> bool:
    """Whether an action of a script can be seen, also in compressed objects, or too much would have to be looked into.

    What is encrypted cannot be looked into: that a script reaches nothing is seen to by how files are served.
    """
    if _SCRIPT.search(content):
        return True
    left, broken = _MOST_INFLATED, 0
    for number, match in enumerate(_OBJECT_STREAM.finditer(content)):
        if number >= _MOST_STREAMS or broken > _MOST_BROKEN:
            return True
        objects, read, is_broken = _inflate(content, match.end(), left)
        left -= read + len(objects)
        broken += is_broken
        if left <= 0 or _SCRIPT.search(objects):
            return True
    return False


def _inflate(content: bytes, head: int, most: int) -> tuple[bytes, int, bool]:
    """Return what is compressed in the stream whose head goes on at `head`, up to `most` bytes, how many were read for
    it, and whether it breaks off, with what is before that; nothing of what is not compressed.

    It ends where it says so itself, and its check sum is not asked for: so do viewers.
    """
    place = content.find(b"stream", head, head + _LONGEST_HEAD)
    if place < 0:
        return b"", 0, False
    place += len(b"stream")
    place += 2 if content.startswith(b"\r\n", place) else 1
    try:
        zlib.decompressobj().decompress(content[place : place + _BEGINNING], 1)
    except zlib.error:
        return b"", 0, False
    start = place = place + _ZLIB_HEAD
    inflater, objects, step = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), _INFLATED_AT_ONCE
    while not inflater.eof and len(objects) < most and place < len(content):
        before = inflater.copy() if step > 1 else inflater
        try:
            objects += inflater.decompress(content[place : place + step], most - len(objects))
        except zlib.error:
            if step == 1:
                return bytes(objects), place - start, True
            inflater, step = before, 1  # byte by byte up to the break
        else:
            place += step
    return bytes(objects), place - start, False
