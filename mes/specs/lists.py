"""The list of data collection specs."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing
from mes.specs.models import AlarmAction, DataCollectionSpec, DataType, ItemType, Method, TriggerType


def _operation_codes() -> list[str]:
    return list(Operation.objects.order_by("code").values_list("code", flat=True)[:500])


def _number(key: str, label: object, field: str, *, is_shown: bool = True) -> Column:
    return Column(key, label, field, Kind.NUMBER, sort=field, is_shown=is_shown)  # type: ignore[arg-type]


SPECS = Listing(
    name="specs",
    title=_("Data collection specs"),
    about=_("What is collected at each operation, and its limits."),
    empty=_("There is no spec. Engineers add them in the administration, or import a sheet."),
    rows=lambda user: DataCollectionSpec.objects.all(),
    is_small=True,
    columns=(
        Column(
            "name",
            _("Name"),
            "name",
            Kind.CODE,
            sort="name",
            reads=("id",),
            link=lambda row: reverse("admin:mes_datacollectionspec_change", args=[row["id"]]),
            is_link_for_administration=True,
        ),
        Column("operation", _("Operation"), "operation__code", Kind.CODE, sort="operation__code"),
        Column("item-type", _("Item type"), "item_type", sort="item_type", choices=ItemType.choices),
        Column("data-type", _("Data type"), "data_type", sort="data_type", choices=DataType.choices),
        _number("lsl", _("Lower limit"), "lsl"),
        _number("usl", _("Upper limit"), "usl"),
        Column("measure", _("Unit of measure"), "unit", sort="unit"),
        Column("required", _("Required"), "is_required", Kind.YES_NO, sort="is_required"),
        Column("active", _("Active"), "is_active", Kind.YES_NO, sort="is_active"),
        _number("target", _("Target"), "target", is_shown=False),
        _number("alarm-min", _("Alarm below"), "alarm_min", is_shown=False),
        _number("alarm-max", _("Alarm above"), "alarm_max", is_shown=False),
        Column("alarm", _("Alarm action"), "alarm_action", choices=AlarmAction.choices, is_shown=False),
        Column("method", _("Method"), "method", sort="method", choices=Method.choices, is_shown=False),
        Column("trigger", _("Trigger"), "trigger_type", choices=TriggerType.choices, is_shown=False),
    ),
    filters=(
        Filter("q", _("Name begins with"), FilterKind.PREFIX, "name"),
        Filter("operation", _("Operation"), lookup="operation__code", suggest=_operation_codes),
        Filter("item-type", _("Item type"), FilterKind.CHOICE, "item_type", choices=ItemType.choices),
        Filter("data-type", _("Data type"), FilterKind.CHOICE, "data_type", choices=DataType.choices),
        Filter("required", _("Required"), FilterKind.YES_NO, "is_required"),
        Filter("active", _("Active"), FilterKind.YES_NO, "is_active"),
    ),
    sort="operation",
)
