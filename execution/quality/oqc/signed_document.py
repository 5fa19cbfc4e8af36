"""The decision of an outgoing inspection as it is signed."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.quality.oqc.models import OqcInspection
from mes.platform.signatures.hooks import SignedRecord
from mes.production.names import find_sns_at

RECORD_TYPE = "OQC"
# Names of the document: what is added to the model later is no part of what was signed before.
_FIELDS = {
    "status": "status",
    "scheme": "scheme",
    "level": "level",
    "aql": "aql",
    "state": "state",
    "letter": "letter",
    "usedLetter": "used_letter",
    "lotSize": "lot_size",
    "sampleQty": "sample_qty",
    "ac": "ac",
    "re": "re",
    "seed": "seed",
    "nonconforming": "nonconforming",
    "createdBy": "created_by",
    "createdAt": "created_at",
    "startedBy": "started_by",
    "startedAt": "started_at",
    "completedBy": "completed_by",
    "completedAt": "completed_at",
    "decisionRemark": "decision_remark",
}
_OF_ITEMS = {
    "itemName": "item_name",
    "itemSpec": "item_spec",
    "actualValue": "actual_value",
    "actualNumber": "actual_number",
    "result": "result",
    "claimedResult": "claimed_result",
    "defectCode": "defect_code",
    "location": "location",
    "remark": "remark",
    "recordedBy": "recorded_by",
    "recordedAt": "recorded_at",
}


def describe(inspection: OqcInspection) -> dict[str, Any]:
    """Return the document of an inspection that is decided, with its items as they are in the database. Its units are
    named as they were then: who relabels one later changes nothing that was signed.
    """
    assert inspection.completed_at is not None  # it is decided
    items = list(inspection.items.order_by("id"))
    sampled = list(inspection.samples.order_by("id").values_list("unit_id", flat=True))
    sns = find_sns_at({*sampled, *(item.unit_id for item in items)}, inspection.completed_at)
    return {
        "id": str(inspection.pk),
        "runNo": inspection.run.run_no,
        **{name: getattr(inspection, field) for name, field in _FIELDS.items()},
        "sampleSns": [sns[unit_id] for unit_id in sampled],
        "items": [
            {"unitSn": sns[item.unit_id], **{name: getattr(item, field) for name, field in _OF_ITEMS.items()}}
            for item in items
        ],
    }


def _read(record_id: str) -> dict[str, Any] | None:
    inspection = OqcInspection.objects.select_related("run").filter(pk=record_id).first()
    return None if inspection is None or inspection.completed_at is None else describe(inspection)


SIGNED = SignedRecord(RECORD_TYPE, _("Outgoing inspection"), _read, lambda record_id: reverse("oqc", args=[record_id]))
