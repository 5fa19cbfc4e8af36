"""The list of material lots."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import LotStatus, MaterialLot
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period

LOTS = Listing(
    name="material-lots",
    title=_("Material lots"),
    about=_("Packages of parts and paste: what is in them, whether they may be used, and until when."),
    empty=_("There is no lot. Scan one at a slot, or have the goods receipt register it by its label."),
    rows=lambda user: MaterialLot.objects.all(),
    columns=(
        Column(
            "lot", _("Lot"), "lot_id", Kind.CODE, sort="lot_id", link=lambda row: reverse("lot", args=[row["lot_id"]])
        ),
        Column("material", _("Material"), "material__code", Kind.CODE),
        Column("status", _("Status"), "status", Kind.STATE, choices=LotStatus.choices),
        Column("quantity", _("Registered"), "quantity", Kind.NUMBER),
        Column("counted", _("Counted"), "counted_quantity", Kind.NUMBER),
        Column("supplier-lot", _("Supplier's lot"), "supplier_lot", Kind.CODE),
        Column("date-code", _("Date code"), "date_code", Kind.CODE),
        Column("expires", _("Expires"), "expires_at", Kind.TIME),
        Column("created", _("First seen"), "created_at", Kind.TIME, sort="id"),
        Column("supplier", _("Supplier"), "supplier", is_shown=False),
        Column("manufacturer-part", _("Manufacturer's part"), "manufacturer_part", Kind.CODE, is_shown=False),
        Column("parent", _("Split from"), "parent__lot_id", Kind.CODE, is_shown=False),
        Column("reason", _("Reason of block"), "block_reason", is_shown=False),
        Column("paste", _("Solder paste"), "is_solder_paste", Kind.YES_NO, is_shown=False),
    ),
    filters=(
        Filter("q", _("Lot begins with"), FilterKind.PREFIX, "lot_id"),
        Filter("material", _("Material"), lookup="material__code"),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=LotStatus.choices, is_indexed=False),
        Filter("supplier-lot", _("Supplier's lot"), lookup="supplier_lot", is_indexed=False),
        Filter("date-code", _("Date code"), lookup="date_code", is_indexed=False),
    ),
    sort="-created",
    period=Period(_("First seen"), "created_at", preset="all"),
)
