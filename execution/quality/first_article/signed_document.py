"""A first article as it is signed: the document whose text a signature keeps, and with which it is compared later."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.quality.first_article.models import FirstArticle, FirstArticleItem
from mes.platform.signatures.hooks import SignedRecord
from mes.production.names import find_sns_at

# Names of the interface and of the document: what is added to the model later is no part of what was signed before.
_FIELDS = {
    "status": "status",
    "sampleQty": "sample_qty",
    "remark": "remark",
    "createdBy": "created_by",
    "createdAt": "created_at",
    "startedBy": "started_by",
    "startedAt": "started_at",
    "completedBy": "completed_by",
    "completedAt": "completed_at",
    "decisionRemark": "decision_remark",
    "signedBy": "signed_by",
    "signedAt": "signed_at",
    "signRemark": "sign_remark",
}
_OF_ITEMS = {
    "itemName": "item_name",
    "itemSpec": "item_spec",
    "actualValue": "actual_value",
    "result": "result",
    "remark": "remark",
    "recordedBy": "recorded_by",
    "recordedAt": "recorded_at",
}
_WHERE_SAID = {"actualNumber": "actual_number", "claimedResult": "claimed_result"}


def read(fai_id: int) -> dict[str, Any]:
    """Return the document of a first article that is signed, as it is in the database. Its units are named as they were
    then: who relabels one later changes nothing that was signed.
    """
    fai = FirstArticle.objects.select_related("run__work_order", "run__line").get(pk=fai_id)
    assert fai.signed_at is not None  # it is signed
    items, sampled = list(fai.items.order_by("id")), fai.samples.order_by("id").values_list("unit_id", flat=True)
    sns = find_sns_at({*sampled, *(item.unit_id for item in items)}, fai.signed_at)
    return {
        "id": str(fai.pk),
        "runNo": fai.run.run_no,
        **{name: getattr(fai, field) for name, field in _FIELDS.items()},
        "sampleSns": [sns[unit_id] for unit_id in sampled],
        "items": list(_describe(items, sns)),
    }


def _describe(items: Sequence[FirstArticleItem], sns: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    for item in items:
        said = {name: getattr(item, field) for name, field in _WHERE_SAID.items()}
        yield {
            "id": str(item.pk),
            "unitSn": sns[item.unit_id],
            **{name: getattr(item, field) for name, field in _OF_ITEMS.items()},
            **{name: value for name, value in said.items() if value not in (None, "")},
        }


def _read_signed(record_id: str) -> dict[str, Any] | None:
    is_there = record_id.isdigit() and FirstArticle.objects.filter(pk=record_id, signed_at__isnull=False).exists()
    return read(int(record_id)) if is_there else None


def _page_of(record_id: str) -> str:
    if not record_id.isdigit():
        return ""
    run_no = FirstArticle.objects.filter(pk=record_id).values_list("run__run_no", flat=True).first()
    return reverse("first-article", args=(run_no,)) if run_no else ""


KIND = SignedRecord("FAI", _("First article"), _read_signed, _page_of)
