"""Attaching files to records of other rooms, and taking them away again.

The record is locked before the file, and this before the attachment.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from mes.errors import AttachmentNotFound, AttachmentOfOther, AttachmentSigned, DomainError, TooManyAttachments
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.hooks import AttachableRecord, RecordFound, attachable_records
from mes.platform.files.models import FileAttachment
from mes.platform.files.queries import AttachedFile
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
    with transaction.atomic():
        found = _lock(kind, record_id)
        if found is None:
            raise kind.not_found(code=str(record_id))
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
        attachment = get_or_raise(FileAttachment.objects, AttachmentNotFound, pk=attachment_id)
        kind = find_kind(attachment.record_type)
        found = _lock(kind, attachment.record_id) if kind else None
        signed_at = found.signed_at if found else None
        if refusal := find_refusal(attachment, by=by, may_remove_any=may_remove_any, signed_at=signed_at):
            raise refusal
        keep([attachment.file_id])
        deleted, _by_model = FileAttachment.objects.filter(pk=attachment.pk).delete()
        if not deleted:
            raise AttachmentNotFound(code=str(attachment_id))  # somebody else took it away meanwhile
        return attachment


def find_refusal(
    attachment: FileAttachment | AttachedFile, *, by: str, may_remove_any: bool, signed_at: datetime | None
) -> DomainError | None:
    """Return why somebody may not take a file away from a record, which was signed last at that time; None where they
    may.
    """
    if not may_remove_any and attachment.attached_by != by:
        return AttachmentOfOther(by=attachment.attached_by)
    if signed_at is not None and attachment.attached_at <= signed_at:
        return AttachmentSigned()
    return None


def _lock(kind: AttachableRecord, record_id: int) -> RecordFound | None:
    """Return what a record is, with nobody else signing it, attaching to it or taking away from it until the end of the
    transaction; None where there is no such record.
    """
    list(kind.select_signed(record_id).select_for_update(no_key=True, of=("self",)).values_list("pk"))
    return kind.find(record_id)


def attached() -> Q:
    """True of files that are attached to something."""
    return Q(Exists(FileAttachment.objects.filter(file=OuterRef("pk"))))
