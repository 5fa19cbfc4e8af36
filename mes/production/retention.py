"""How long it is kept which run was active where, and which reference units passed a station."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Rows
from mes.production.decision_models import RunActivation
from mes.production.identity_models import ReferencePass

POLICIES = (
    Rows(
        "active-runs",
        _("Active runs of lines and stations that are over"),
        "MES_ACTIVE_RUN_RETENTION",
        expired=lambda cutoff: RunActivation.objects.filter(active_to__lt=cutoff),
    ),
    Rows(
        "reference-passes",
        _("Passes of reference units"),
        "MES_REFERENCE_PASS_RETENTION",
        expired=lambda cutoff: ReferencePass.objects.filter(created_at__lt=cutoff),
    ),
)
