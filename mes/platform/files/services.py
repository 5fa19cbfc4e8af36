"""Keeping files: once for each content, and as long as something uses them."""

import hashlib
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from io import BytesIO
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from mes.errors import FileQuotaExceeded, PayloadTooLarge, StoredFileNotFound
from mes.platform.files.detection import Detected, detect
from mes.platform.files.hooks import unused
from mes.platform.files.models import LONGEST_NAME, MediaType, StoredFile, StoredFilePart
from mes.platform.files.thumbnails import make_thumbnail

PART = 1024 * 1024  # bytes of a part
_NO_TEXT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNSAFE = frozenset('/\\:*?"<>|')
_ENDINGS = {MediaType.PDF: (".pdf",), MediaType.PNG: (".png",), MediaType.JPEG: (".jpg", ".jpeg")}

# One of several who send the same at once writes it; the others wait for that, and get its row.
_INSERT = """
    INSERT INTO mes_storedfile (sha256, media_type, size, name, width, height, thumbnail, uploaded_by, uploaded_at,
                                wanted_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (sha256) DO UPDATE SET wanted_at = EXCLUDED.wanted_at
    RETURNING id, xmax = 0
"""


def store(stream: IO[bytes], *, name: str, by: str) -> tuple[StoredFile, bool]:
    """Keep a file; return (file, whether it is new). The same content again is the same file, with its first name.

    Raises PayloadTooLarge; FileQuotaExceeded; FileTypeRefused for what is no PDF, PNG or JPEG.
    """
    content = stream.read(settings.MES_FILE_LIMIT + 1)
    if len(content) > settings.MES_FILE_LIMIT:
        raise PayloadTooLarge(limit=settings.MES_FILE_LIMIT)
    sha256 = hashlib.sha256(content).hexdigest()
    known = StoredFile.objects.filter(sha256=sha256).exists()
    if not known:
        _check_quota(len(content), by)
    found = detect(content, most_pixels=settings.MES_FILE_PIXELS)
    thumbnail = None if known else make_thumbnail(content, found)
    with transaction.atomic():
        if not known:
            _lock_quota(by)
            _check_quota(len(content), by)  # once more: another file of theirs may have been kept meanwhile
        pk, is_new = _insert(sha256, content, found, thumbnail, safe_name(name, found.media_type), by)
        if is_new:
            _write_parts(pk, content)
    return StoredFile.objects.defer("thumbnail").get(pk=pk), is_new


def _check_quota(size: int, by: str) -> None:
    """Raise FileQuotaExceeded where somebody has sent too much within a day of what nothing uses. Files in use are
    looked for only where all of them would be too much.
    """
    since = timezone.now() - timedelta(days=1)
    sent = StoredFile.objects.filter(wanted_at__gte=since, uploaded_at__gte=since, uploaded_by=by).order_by()
    for files in (sent, sent.filter(unused())):
        if size + (files.aggregate(bytes=Sum("size"))["bytes"] or 0) <= settings.MES_FILE_QUOTA:
            return
    raise FileQuotaExceeded(most=settings.MES_FILE_QUOTA // (1024 * 1024))


def _lock_quota(by: str) -> None:
    """Let nobody else keep a file of the same sender until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('mes.files'), hashtext(%s))", [by])


def _insert(
    sha256: str, content: bytes, found: Detected, thumbnail: bytes | None, name: str, by: str
) -> tuple[int, bool]:
    now = timezone.now()
    about: list[Any] = [found.media_type.value, len(content), name, found.width, found.height, thumbnail]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [sha256, *about, by, now, now])
        pk, is_new = cursor.fetchone()
        return int(pk), bool(is_new)


def _write_parts(pk: int, content: bytes) -> None:
    """Write one part after the other: a second copy of the content is never in memory."""
    view = memoryview(content)
    for number, start in enumerate(range(0, len(content), PART)):
        StoredFilePart.objects.create(file_id=pk, number=number, content=bytes(view[start : start + PART]))


def read_content(pk: int) -> bytes:
    """Return the content of a file; no more than one part of it is in memory besides."""
    parts = StoredFilePart.objects.filter(file_id=pk).order_by("number").values_list("content", flat=True)
    content = BytesIO()
    for part in parts.iterator(chunk_size=1):
        content.write(part)
    return content.getvalue()


def keep(ids: Iterable[int]) -> None:
    """Note that something comes to use these files. Raises StoredFileNotFound for one that is not there.

    Call it in the transaction that writes the use, before that: their rows are changed, so that a retention that
    chose one of them meanwhile waits, looks again, and leaves it.
    """
    wanted = sorted(set(ids))
    there = keep_those_there(wanted)
    if missing := [pk for pk in wanted if pk not in there]:
        raise StoredFileNotFound(code=str(missing[0]))


def keep_those_there(ids: Iterable[int]) -> list[int]:
    """Like `keep`, for those of the files that are there; return their ids."""
    locked = StoredFile.objects.select_for_update(no_key=True).filter(pk__in=set(ids)).order_by("pk")
    there = list(locked.values_list("pk", flat=True))
    StoredFile.objects.filter(pk__in=there).update(wanted_at=timezone.now())
    return there


def safe_name(name: str, media_type: Any) -> str:
    """Return what a file is called: one line of text, without what paths and commands are made of, with an ending of
    its type.
    """
    text = unicodedata.normalize("NFC", "".join(map(_safe_character, name)))
    text = " ".join(text.split()).strip(". ")
    endings = _ENDINGS[media_type]
    if not text.lower().endswith(endings) or len(text) <= len(endings[0]):
        text = f"{text or 'file'}{endings[0]}"
    if len(text) > LONGEST_NAME:
        ending = text[text.rindex(".") :]
        text = f"{text[: LONGEST_NAME - len(ending)].rstrip()}{ending}"
    return text


def _safe_character(character: str) -> str:
    if unicodedata.category(character) in _NO_TEXT:
        return " " if character.isspace() else ""
    return "_" if character in _UNSAFE else character
