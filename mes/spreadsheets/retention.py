"""How long sheets are kept."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Rows
from mes.spreadsheets.models import SheetImport

POLICY = Rows(
    "imports",
    _("Imports of spreadsheets"),
    "MES_IMPORT_RETENTION",
    expired=lambda cutoff: SheetImport.objects.filter(created_at__lt=cutoff),
)
