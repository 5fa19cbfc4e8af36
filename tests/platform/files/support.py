"""Files as people send them, and such as nobody should."""

import io
import struct
import zlib
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient


def make_pdf(script: str = "", *, hidden: bool = False, text: str = "") -> bytes:
    """Return a PDF of a red page; with a script that runs when it is opened, in plain or in a compressed object."""
    action = f"<< /S /JavaScript /JS ({script}) >>".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R " + (b"/OpenAction 5 0 R " if script else b"") + b">>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << >> >>",
        _stream(b"", b"1 0 0 rg 0 0 300 300 re f % " + text.encode()),
    ]
    if script and hidden:
        packed = zlib.compress(b"5 0 " + action)
        objects.append(_stream(b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode ", packed))
    elif script:
        objects.append(action)
    written, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
    return (
        written
        + head
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            len(objects) + 1,
            len(written),
        )
    )


def _stream(head: bytes, content: bytes) -> bytes:
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (head, len(content), content)


def make_picture(kind: str = "PNG", size: tuple[int, int] = (640, 480), **saved: Any) -> bytes:
    """Return a picture of one colour."""
    written = io.BytesIO()
    Image.new(saved.pop("mode", "RGB"), size, saved.pop("color", "green")).save(written, kind, **saved)
    return written.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claim_pixels(width: int, height: int) -> bytes:
    """Return a small PNG whose head says that it is large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def send(client: APIClient, content: bytes, name: str = "a.pdf", media_type: str = "application/pdf") -> Any:
    """Send a file as a form does."""
    file = SimpleUploadedFile(name, content, content_type=media_type)
    return client.post("/api/files", {"file": file}, format="multipart")
