"""What of quality files can be attached to: defects, inspected items, holds."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.quality.first_article.models import FirstArticle, FirstArticleItem
from execution.quality.holds.queries import list_history, signed_at_of
from execution.quality.models import Defect
from execution.quality.oqc.models import OqcInspection, OqcItem
from execution.quality.oqc.services import RECORD_TYPE as OQC_RECORD
from execution.quality.record_types import DEFECT, FAI_ITEM, HOLD, OQC_ITEM
from mes import errors
from mes.platform.accounts.roles import Capability
from mes.platform.files.hooks import AttachableRecord, RecordFound
from mes.platform.signatures.queries import read_latest
from mes.production.hold_models import Hold

_QUALITY = (Capability.FAI, Capability.OQC, Capability.MRB, Capability.RELEASE)


def _find_defect(record_id: int) -> RecordFound | None:
    sn = Defect.objects.filter(pk=record_id).values_list("unit__sn", flat=True).first()
    return None if sn is None else RecordFound(f"{reverse('unit', args=[sn])}#defects")


def _find_fai_item(record_id: int) -> RecordFound | None:
    rows = FirstArticleItem.objects.filter(pk=record_id)
    found = rows.values_list("first_article__run__run_no", "first_article__signed_at").first()
    return None if found is None else RecordFound(reverse("first-article", args=[found[0]]), found[1])


def _find_oqc_item(record_id: int) -> RecordFound | None:
    found = OqcItem.objects.filter(pk=record_id).values_list("inspection_id", "unit__sn").first()
    if found is None:
        return None
    inspection_id, sn = found
    signature = read_latest(OQC_RECORD, [inspection_id]).get(str(inspection_id))
    page = reverse("oqc", args=[inspection_id], query={"unit": sn}, fragment="unit")
    return RecordFound(page, signature.signed_at if signature else None)


def _find_hold(record_id: int) -> RecordFound | None:
    hold = Hold.objects.filter(pk=record_id).first()
    if hold is None:
        return None
    return RecordFound(reverse("hold", args=[hold.hold_no]), signed_at_of(list_history(hold)))


KINDS = (
    AttachableRecord(
        DEFECT,
        _("Defect"),
        (Capability.DEFECT, Capability.TRACK, Capability.HOLD, *_QUALITY),
        errors.DefectNotFound,
        _find_defect,
        lambda record_id: Defect.objects.filter(pk=record_id),
    ),
    AttachableRecord(
        FAI_ITEM,
        _("Item of a first article"),
        (Capability.FAI,),
        errors.FaiNotFound,
        _find_fai_item,
        lambda record_id: FirstArticle.objects.filter(items=record_id),
    ),
    AttachableRecord(
        OQC_ITEM,
        _("Item of an inspection"),
        (Capability.OQC,),
        errors.OqcNotFound,
        _find_oqc_item,
        lambda record_id: OqcInspection.objects.filter(items=record_id),
    ),
    AttachableRecord(
        HOLD,
        _("Hold"),
        (Capability.HOLD, *_QUALITY),
        errors.HoldNotFound,
        _find_hold,
        lambda record_id: Hold.objects.filter(pk=record_id),
        prefix=Hold.number_of(0).removesuffix("0"),
    ),
)
