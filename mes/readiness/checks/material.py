"""MATERIAL: the product is known and has a bill of material; what is loaded of the run's set-up list may be used."""

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.plant.models import BomItem, Material
from mes.readiness.checks.set_up import list_lots
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "MATERIAL"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield one item for the product, and those of the lots."""
    yield _judge_product(facts)
    yield from list_lots(facts)


def _judge_product(facts: Facts) -> Finding:
    code = facts.run.work_order.product_code
    parts = BomItem.objects.filter(parent__code=code).count()
    if parts:
        return Finding(ITEM_TYPE, code, evidence={"bomItems": parts})
    if Material.objects.filter(code=code).exists():
        return Finding(
            ITEM_TYPE,
            code,
            "BOM_MISSING",
            _("Product “%(code)s” has no bill of material.") % {"code": code},
            _("Enter what the product is made of, under BOM items."),
        )
    return Finding(
        ITEM_TYPE,
        code,
        "MATERIAL_MISSING",
        _("Product “%(code)s” is not among the materials.") % {"code": code},
        _("Enter the product as a material, with its bill of material."),
    )


CHECK = Check(ITEM_TYPE, gettext_lazy("Product, bill of material and lots"), evaluate, 30, presets=("SMT", "DIP"))
