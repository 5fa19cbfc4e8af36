"""Files that people sent, kept in the database once for each content."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

LONGEST_NAME = 200  # characters of a file's name
LONGEST_NOTE = 500
LONGEST_BY = 160  # of an account, or of `token:` and a token's name


class MediaType(models.TextChoices):
    """What a file is, by its content."""

    PDF = "application/pdf", _("PDF")
    PNG = "image/png", _("PNG")
    JPEG = "image/jpeg", _("JPEG")


class StoredFile(models.Model):
    """A file: its content never changes. `sha256` is the hash of it in hexadecimal, `size` its bytes.

    Pictures have a width and a height in pixels, and a thumbnail (JPEG) where making one costs little. `wanted_at` is
    when somebody last sent or used it: what nothing uses goes some time after.
    """

    sha256 = models.CharField(_("hash of the content"), max_length=64, validators=[RegexValidator(r"^[0-9a-f]{64}\Z")])
    media_type = models.CharField(_("type"), max_length=20, choices=MediaType)
    size = models.PositiveIntegerField(_("size in bytes"))
    name = models.CharField(_("name"), max_length=LONGEST_NAME)
    width = models.PositiveIntegerField(_("width in pixels"), null=True)
    height = models.PositiveIntegerField(_("height in pixels"), null=True)
    thumbnail = models.BinaryField(_("thumbnail"), null=True)
    uploaded_by = models.CharField(_("uploaded by"), max_length=LONGEST_BY)
    uploaded_at = models.DateTimeField(_("uploaded"), default=timezone.now)
    wanted_at = models.DateTimeField(_("last wanted"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [
            models.UniqueConstraint(fields=["sha256"], name="stored_file_content_once"),
            models.CheckConstraint(
                condition=Q(media_type=MediaType.PDF, width=None, height=None)
                | (~Q(media_type=MediaType.PDF) & Q(width__gt=0, height__gt=0)),
                name="stored_file_pictures_have_a_size",
            ),
        ]
        indexes = [models.Index(F("wanted_at"), name="stored_file_wanted")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_picture(self) -> bool:
        """Whether browsers show it as a picture."""
        return self.media_type != MediaType.PDF


class StoredFilePart(models.Model):
    """A part of a file's content: 1 MiB each but for the last, in order from 0.

    In parts, 20 MiB are written in a quarter of the time of one value, and take a third of the server's memory.
    """

    file = models.ForeignKey(
        StoredFile, on_delete=models.CASCADE, related_name="parts", db_index=False, verbose_name=_("file")
    )
    number = models.PositiveSmallIntegerField(_("number"))
    content = models.BinaryField(_("content"))

    class Meta:
        ordering = ["file", "number"]
        verbose_name = _("part of a file")
        verbose_name_plural = _("parts of files")
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="stored_file_part_once")]

    def __str__(self) -> str:
        return f"{self.file_id} {self.number}"


class FileAttachment(models.Model):
    """A file at a record of another room: a photo at a defect, a report at a hold. A record has a file once.

    `record_type` is the name of an `AttachableRecord`. `is_added_later`: the record was signed before; what was signed
    says nothing of it.
    """

    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="attachments", verbose_name=_("file"))
    record_type = models.CharField(_("record"), max_length=20)
    record_id = models.BigIntegerField(_("number of the record"))
    note = models.CharField(_("note"), max_length=LONGEST_NOTE, blank=True)
    is_added_later = models.BooleanField(_("added after it was signed"), default=False)
    attached_by = models.CharField(_("attached by"), max_length=LONGEST_BY)
    attached_at = models.DateTimeField(_("attached"), default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = [
            models.UniqueConstraint(fields=["record_type", "record_id", "file"], name="file_attachment_once_per_record")
        ]

    def __str__(self) -> str:
        return f"{self.record_type} {self.record_id} {self.file_id}"
