"""A condition in words, for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.materials import criterion
from execution.models import TrackResult
from mes.platform.http.envelope import camel_case
from mes.production.models import UnitStatus

SNS_SHOWN = 20
LABELS = {
    "sns": gettext_lazy("Serial numbers"),
    "runNo": gettext_lazy("Run"),
    "woNo": gettext_lazy("Work order"),
    "productCode": gettext_lazy("Product"),
    "lineCode": gettext_lazy("Line"),
    "statuses": gettext_lazy("Status"),
    "stationCode": gettext_lazy("Station"),
    "stepNo": gettext_lazy("Step"),
    "operationCode": gettext_lazy("Operation"),
    "result": gettext_lazy("Result"),
    "carrierNo": gettext_lazy("Carrier"),
    "from": gettext_lazy("From"),
    "to": gettext_lazy("To (before)"),
    "specName": gettext_lazy("Value"),
    "valueMin": gettext_lazy("At least"),
    "valueMax": gettext_lazy("At most"),
    "defectCode": gettext_lazy("Defect"),
    "defectLocation": gettext_lazy("Location"),
    "lotId": gettext_lazy("Lot"),
    "includeSplits": gettext_lazy("With lots split from it"),
    "materialCode": gettext_lazy("Material"),
    "supplierLot": gettext_lazy("Supplier's lot"),
    "dateCode": gettext_lazy("Date code"),
    "toolId": gettext_lazy("Tool"),
    "program": gettext_lazy("Program"),
    "serial": gettext_lazy("Serial number of a part"),
}
OF_UNIT = ("sns", "runNo", "woNo", "productCode", "lineCode", "statuses")
OF_DEFECT = ("defectCode", "defectLocation")
OF_MATERIAL = tuple(camel_case(name) for name in criterion.NAMES)
OF_PASS = tuple(name for name in LABELS if name not in (*OF_UNIT, *OF_DEFECT, *OF_MATERIAL))


def describe(document: Mapping[str, Any] | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what a condition asks, as it is kept: what it is about, and its parts as (label, text)."""
    given = document or {}
    groups: Sequence[tuple[str, Sequence[str]]] = (
        (_("The unit"), OF_UNIT),
        (_("One and the same pass"), OF_PASS),
        (_("A defect of it"), OF_DEFECT),
        (_("What it is made of"), OF_MATERIAL),
    )
    told = [
        (about, [(str(LABELS[name]), _text(name, given[name])) for name in names if name in given])
        for about, names in groups
    ]
    return [(about, parts) for about, parts in told if parts]


def _text(name: str, value: Any) -> str:
    if name == "statuses":
        return ", ".join(str(_label(UnitStatus, each)) for each in value)
    if name == "sns":
        more = _(" and %(count)d more") % {"count": len(value) - SNS_SHOWN} if len(value) > SNS_SHOWN else ""
        return ", ".join(value[:SNS_SHOWN]) + more
    if name == "result":
        return str(_label(TrackResult, value))
    if name in ("from", "to"):
        return date_format(timezone.localtime(datetime.fromisoformat(value)), "j M Y H:i:s")
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _label(choices: Any, value: str) -> Any:
    return dict(choices.choices).get(value, value)
