"""The list of holds."""

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period
from mes.production.hold_models import Hold, HoldScope, HoldSource, HoldStatus

_PLACES = ("run__run_no", "line__code", "station__code")


def _number(row: Mapping[str, Any]) -> str:
    return Hold.number_of(row["id"])


def _place(row: Mapping[str, Any]) -> str | None:
    return next((row[path] for path in _PLACES if row[path] is not None), None)


HOLDS = Listing(
    name="holds",
    title=_("Holds"),
    about=_("What keeps units, runs, stations and lines still, or did."),
    empty=_("Nothing was ever held. Hold units, a run, a station or a line, and it appears here."),
    rows=lambda user: Hold.objects.all(),
    columns=(
        Column(
            "hold",
            _("Hold"),
            kind=Kind.CODE,
            read=_number,
            reads=("id",),
            link=lambda row: reverse("hold", args=[_number(row)]),
        ),
        Column("status", _("Status"), "status", choices=HoldStatus.choices),
        Column("scope", _("What is held"), "scope", choices=HoldScope.choices),
        Column("place", _("Where"), kind=Kind.CODE, read=_place, reads=_PLACES),
        Column("source", _("Source"), "source", choices=HoldSource.choices),
        Column("reason", _("Reason"), "reason"),
        Column("owner", _("Who sees to it"), "owner"),
        Column("opened", _("Held"), "opened_at", Kind.TIME, sort="id"),
        Column("opened-by", _("Held by"), "opened_by"),
        Column("ended", _("Ended"), "ended_at", Kind.TIME),
        Column("ended-by", _("Ended by"), "ended_by"),
        Column("end-reason", _("Reason of the end"), "end_reason", is_shown=False),
        Column("catches", _("Catches what comes"), "catches", Kind.YES_NO, is_shown=False),
        Column("rule", _("Hold rule"), "rule__code", Kind.CODE, is_shown=False),
    ),
    filters=(
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=HoldStatus.choices, is_indexed=False),
        Filter("scope", _("What is held"), FilterKind.CHOICE, "scope", choices=HoldScope.choices, is_indexed=False),
        Filter("source", _("Source"), FilterKind.CHOICE, "source", choices=HoldSource.choices, is_indexed=False),
        Filter("run", _("Run"), lookup="run__run_no"),
        Filter("line", _("Line"), lookup="line__code"),
        Filter("station", _("Station"), lookup="station__code"),
    ),
    sort="-opened",
    period=Period(_("Held"), "opened_at", preset="all"),
    more=((_("What stands still"), lambda: reverse("holds")),),
)
