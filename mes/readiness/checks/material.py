"""MATERIAL: the product is known and has a bill of material.

What is mounted on the machines is not known yet; this looks at the master data that a run cannot do without.
"""

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.plant.models import BomItem, Material
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "MATERIAL"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield one item for the product."""
    code = facts.run.work_order.product_code
    parts = BomItem.objects.filter(parent__code=code).count()
    if parts:
        yield Finding(ITEM_TYPE, code, evidence={"bomItems": parts})
    elif Material.objects.filter(code=code).exists():
        yield Finding(
            ITEM_TYPE,
            code,
            "BOM_MISSING",
            _("Product “%(code)s” has no bill of material.") % {"code": code},
            _("Enter what the product is made of, under BOM items."),
        )
    else:
        yield Finding(
            ITEM_TYPE,
            code,
            "MATERIAL_MISSING",
            _("Product “%(code)s” is not among the materials.") % {"code": code},
            _("Enter the product as a material, with its bill of material."),
        )


CHECK = Check(ITEM_TYPE, gettext_lazy("Product and bill of material"), evaluate, 30, presets=("SMT", "DIP"))
