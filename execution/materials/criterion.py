"""What is looked for in units, by its names: a lot, with those split from it, a supplier's lot or date code of a
material, a tool, a program, or a serial number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from execution.materials.where_used import Sought
from mes import errors
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools.models import Tool
from mes.plant.models import Material
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.envelope import camel_case
from mes.production import names
from mes.production.models import Unit

KINDS = ("lot_id", "material_code", "tool_id", "program", "serial")


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What is looked for; one of `KINDS` is given."""

    lot_id: str | None = None
    include_splits: bool | None = None
    material_code: str | None = None
    supplier_lot: str | None = None
    date_code: str | None = None
    tool_id: str | None = None
    program: str | None = None
    serial: str | None = None


NAMES = tuple(Criterion.__dataclass_fields__)


def find_problems(criterion: Criterion) -> dict[str, Any]:
    """Return what is wrong with a criterion, by attribute; nothing where it can be looked for."""
    kinds = [name for name in KINDS if getattr(criterion, name) is not None]
    if not kinds:
        return {"lot_id": _("Say what to look for: a lot, a material, a tool, a program or a serial number.")}
    if len(kinds) > 1:
        others = ", ".join(f"“{camel_case(name)}”" for name in kinds[:-1])
        return {kinds[-1]: _("Look for one thing at a time: this does not go with %(others)s.") % {"others": others}}
    of_material = ("supplier_lot", "date_code")
    if kinds == ["material_code"] and all(getattr(criterion, name) is None for name in of_material):
        return {"material_code": _("Say of which “supplierLot” or “dateCode”.")}
    unfit = [name for name in of_material if getattr(criterion, name) is not None and kinds != ["material_code"]]
    problems: dict[str, Any] = {name: _("Goes with “materialCode” alone.") for name in unfit}
    if criterion.include_splits is not None and kinds != ["lot_id"]:
        problems["include_splits"] = _("Goes with “lotId” alone.")
    return problems


def find(criterion: Criterion) -> Sought:
    """Return the rows that a criterion names. Raises LotNotFound, MaterialNotFound, ToolNotFound."""
    if criterion.lot_id is not None:
        lot = get_or_raise(MaterialLot.objects, errors.LotNotFound, lot_id=criterion.lot_id)
        return Sought(lot_ids=_with_splits([lot.pk]) if criterion.include_splits else [lot.pk])
    if criterion.material_code is not None:
        material = get_or_raise(Material.objects, errors.MaterialNotFound, code=criterion.material_code)
        lots = MaterialLot.objects.filter(material=material)
        for name in ("supplier_lot", "date_code"):
            if (value := getattr(criterion, name)) is not None:
                lots = lots.filter(**{name: value})
        return Sought(lot_ids=list(lots.order_by("pk").values_list("pk", flat=True)))
    if criterion.tool_id is not None:
        return Sought(tool_ids=[get_or_raise(Tool.objects, errors.ToolNotFound, tool_id=criterion.tool_id).pk])
    if criterion.program is not None:
        return Sought(programs=[criterion.program])
    assert criterion.serial is not None
    units = names.find_units([criterion.serial], Unit.objects.only("sn"))
    return Sought(serials=[criterion.serial], child_ids=[unit.pk for unit in units.values()])


_BELOW = """
    WITH RECURSIVE below(id) AS (
        SELECT unnest(%s::bigint[]) UNION SELECT k.id FROM below b JOIN mes_materiallot k ON k.parent_id = b.id
    ) SELECT id FROM below"""


def _with_splits(lot_ids: Iterable[int]) -> list[int]:
    """Return lots with all that were split from them, at any depth."""
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, [list(lot_ids)])
        return sorted(lot_id for (lot_id,) in cursor.fetchall())
