"""Electronic signatures: who signed which record, with what meaning, and what the record said then."""

import hashlib

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Signature(models.Model):
    """A signature by name and password (21 CFR 11.50, 11.70, 11.200). Kept as it was written, by triggers.

    `document` is the signed record as canonical JSON, `sha256` the hash of its UTF-8 text in hexadecimal.
    """

    record_type = models.CharField(_("record"), max_length=40)
    record_id = models.CharField(_("number of the record"), max_length=100)
    meaning = models.CharField(_("meaning"), max_length=200)
    signer = models.CharField(_("signer"), max_length=150)
    printed_name = models.CharField(_("printed name"), max_length=310)
    document = models.TextField(_("signed document"))
    sha256 = models.CharField(_("hash of the document"), max_length=64)
    signed_at = models.DateTimeField(_("signed"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("signature")
        verbose_name_plural = _("signatures")
        indexes = [models.Index(F("record_type"), F("record_id"), F("id").desc(), name="signature_by_record")]

    def __str__(self) -> str:
        return f"{self.record_type} {self.record_id} {self.signer}"

    @property
    def is_intact(self) -> bool:
        """Whether the document is the one that the hash was made of."""
        return digest(self.document) == self.sha256


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
