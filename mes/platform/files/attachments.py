"""Attaching files to records of other rooms, and taking them away again."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from mes.errors import AttachmentNotFound, AttachmentOfOther, AttachmentSigned, TooManyAttachments
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.hooks import AttachableRecord, attachable_records
from mes.platform.files.models import FileAttachment
from mes.platform.files.services import keep

MOST = 50  # files of a record


def find_kind(record_type: str) -> AttachableRecord | None:
    """Return the kind of record of that name."""
    return next((kind for kind in attachable_records if kind.record_type == record_type), None)


def attach(
    kind: AttachableRecord, *, record_id: int, file_id: int, note: str = "", by: str
) -> tuple[FileAttachment, bool]:
    """Attach a file to a record; return (attachment, whether it is new). Attached again, it stays as it is.

    Raises the kind's `not_found`, StoredFileNotFound, TooManyAttachments.
    """
    found = kind.find(record_id)
    if found is None:
        raise kind.not_found(code=str(record_id))
    with transaction.atomic():
        keep([file_id])
        of_record = FileAttachment.objects.filter(record_type=kind.record_type, record_id=record_id)
        if of_record.exclude(file=file_id).count() >= MOST:
            raise TooManyAttachments(most=MOST)
        about: dict[str, Any] = {"note": note, "attached_by": by, "is_added_later": found.signed_at is not None}
        return of_record.get_or_create(
            file_id=file_id, record_type=kind.record_type, record_id=record_id, defaults=about
        )


def detach(attachment_id: int, *, by: str, may_remove_any: bool) -> FileAttachment:
    """Take a file away from a record; the file itself stays for a while. Return what the attachment was.

    Raises AttachmentNotFound; AttachmentOfOther unless it is one's own or one may take away any; AttachmentSigned of
    what was there when the record was signed.
    """
    with transaction.atomic():
        rows = FileAttachment.objects.select_for_update(of=("self",))
        attachment = get_or_raise(rows, AttachmentNotFound, pk=attachment_id)
        if not may_remove_any and attachment.attached_by != by:
            raise AttachmentOfOther(by=attachment.attached_by)
        if not attachment.is_added_later and _is_signed(attachment):
            raise AttachmentSigned
        keep([attachment.file_id])
        FileAttachment.objects.filter(pk=attachment.pk).delete()
        return attachment


def _is_signed(attachment: FileAttachment) -> bool:
    kind = find_kind(attachment.record_type)
    found = kind.find(attachment.record_id) if kind else None
    return found is not None and found.signed_at is not None


def attached() -> Q:
    """True of files that are attached to something."""
    return Q(Exists(FileAttachment.objects.filter(file=OuterRef("pk"))))
