"""Reading what is attached to records: for all rows of a page in one query, or within another statement."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from mes.platform.files.models import FileAttachment, MediaType, StoredFile

_COLUMNS = ("id", "file_id", "file__name", "file__media_type", "note", "attached_by", "attached_at", "is_added_later")


class AttachedFile(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file at a record, as it is shown: in the order in which `select_attached` selects."""

    id: int
    file_id: int
    name: str
    media_type: str
    note: str
    attached_by: str
    attached_at: datetime
    is_added_later: bool

    @property
    def pk(self) -> int:
        """The id of the attachment."""
        return self.id

    @property
    def title(self) -> str:
        """What it is: what was noted, else the name of the file."""
        return self.note or self.name

    @property
    def address(self) -> str:
        """Where browsers show it."""
        return address_of(self.file_id)

    @property
    def thumbnail(self) -> str:
        """Where a small picture of it is; empty of what is no picture."""
        return "" if self.media_type == MediaType.PDF else f"{self.address}thumbnail/"


def address_of(file_id: int) -> str:
    """Return the address at which browsers show a file."""
    return f"/files/{file_id}/"


def find_there(ids: Iterable[int]) -> set[int]:
    """Return those of the ids that are of files; no query for none."""
    return set(StoredFile.objects.filter(pk__in=set(ids)).values_list("pk", flat=True))


def list_attached(record_type: str, record_ids: Iterable[int]) -> dict[int, list[AttachedFile]]:
    """Return the files of each of these records that has some, oldest first, in one query."""
    rows = FileAttachment.objects.filter(record_type=record_type, record_id__in=list(record_ids)).order_by("id")
    found: dict[int, list[AttachedFile]] = {}
    for record_id, *columns in rows.values_list("record_id", *_COLUMNS):
        found.setdefault(record_id, []).append(AttachedFile(*columns))
    return found


def attach(record_type: str, records: Iterable[Any]) -> None:
    """Give each of these rows its files as `files`, as `AttachedFileAnswer` shows them; in one query."""
    rows = list(records)
    found = list_attached(record_type, (row.pk for row in rows)) if rows else {}
    for row in rows:
        row.files = found.get(row.pk, [])


def select_attached(record_type: str, record_id: str) -> str:
    """Return SQL for the files of a record as a JSON array of `AttachedFile`s; `record_id` is SQL, too."""
    return f"""
        coalesce((SELECT json_agg(json_build_array(fa.id, fa.file_id, fs.name, fs.media_type, fa.note, fa.attached_by,
                                                   fa.attached_at, fa.is_added_later) ORDER BY fa.id)
                    FROM mes_fileattachment fa JOIN mes_storedfile fs ON fs.id = fa.file_id
                   WHERE fa.record_type = '{record_type}' AND fa.record_id = {record_id}), '[]')
    """
