"""Files that nothing uses go some time after they were last sent or used."""

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Rows
from mes.platform.files.hooks import unused
from mes.platform.files.models import StoredFile


def list_unused(cutoff: datetime) -> QuerySet[StoredFile]:
    """Return the files that nothing uses and nobody wanted since then."""
    return StoredFile.objects.filter(unused(), wanted_at__lt=cutoff)


POLICY = Rows("files", _("Files that nothing uses"), "MES_FILE_RETENTION", expired=list_unused)
