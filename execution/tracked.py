"""What of `execution` is tracked: what is changed after it was written. Tracks, dispositions and values are not."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.tracking import Tracked

TRACKED = (
    Tracked("execution_firstarticle", "fai", _("First article")),
    Tracked("execution_oqcinspection", "oqc", _("Outgoing inspection"), left_out=("lot_unit_ids",)),
    Tracked("execution_samplingrule", "sampling-rules", _("Sampling rule"), key="code", name="name"),
    Tracked("execution_samplingstate", "sampling-states", _("Sampling state"), name="product_code"),
    Tracked("execution_defectcode", "defect-codes", _("Defect code"), key="code", name="name"),
    Tracked(
        "execution_defectalias",
        "defect-aliases",
        _("Alias of a defect code"),
        name="reported",
        left_out=("relabels_until",),
    ),
)
