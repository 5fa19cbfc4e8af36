"""Reading a file out of a form, for interface and pages."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from mes.errors import PayloadTooLarge, ValidationFailed
from mes.platform.http.parsing import check_length

FILE = "file"  # the name of the file in a form
UPLOADS = ("file-list", "file-attach")  # the names of the addresses that take one


def read_file(request: Any) -> UploadedFile:
    """Return the one file of a form. Raises PayloadTooLarge, ValidationFailed."""
    check_length(request, settings.MES_FILE_BODY_LIMIT)
    files = request.FILES.getlist(FILE)
    if unknown := set(request.FILES) - {FILE}:
        raise ValidationFailed(dict.fromkeys(sorted(unknown), _("Unknown field.")))
    if len(files) != 1:
        raise ValidationFailed({FILE: _("Send one file under this name.")})
    (file,) = files
    if not isinstance(file, UploadedFile) or (file.size or 0) > settings.MES_FILE_LIMIT:
        raise PayloadTooLarge(limit=settings.MES_FILE_LIMIT)
    return file
