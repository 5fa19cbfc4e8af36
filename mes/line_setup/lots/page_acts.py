"""What may be done with a lot on its page: the acts of the interface, by its serializers and capabilities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.lots import services
from mes.line_setup.lots.api import (
    LotDecision,
    LotEventRequest,
    LotSplit,
    MaterialLotViewSet,
    record_told,
    who_asks,
)
from mes.line_setup.lots.floor_life import ClockState
from mes.line_setup.lots.models import LotEventKind, LotStatus
from mes.line_setup.lots.queries import ShownLot
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind


@dataclass(frozen=True)
class LotAct:
    """An act: the interface's action whose capabilities are asked for, the button, when it is offered, and what it
    does: it returns what is said then.
    """

    action: str
    build: Callable[[], Act]
    is_possible: Callable[[ShownLot], bool]
    do: Callable[[HttpRequest, str, Sequence[Field]], str]

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the person may do it."""
        return not role_capabilities(request.user).isdisjoint(MaterialLotViewSet.capabilities[self.action])


def list_offered(request: HttpRequest, shown: ShownLot) -> Iterator[Act]:
    """Yield the acts that the state of a lot allows and the person may do."""
    for name, act in LOT_ACTS.items():
        if act.is_possible(shown) and act.is_allowed(request):
            yield replace(act.build(), name=name, address=reverse("lot-act", args=[name, shown.lot.lot_id]))


# --- what happened to it ------------------------------------------------------------------------------------


def _record(kind: LotEventKind, said: Promise, request: HttpRequest, lot_id: str, fields: Sequence[Field]) -> str:
    told = acts.read_form(LotEventRequest, request, fields)
    record_told(request, lot_id, {**told, "kind": kind})
    return str(said)


def _event(
    kind: LotEventKind,
    label: Promise,
    said: Promise,
    is_possible: Callable[[ShownLot], bool],
    *,
    fields: Callable[[], Sequence[Field]] = tuple,
    action: str = "record_event",
    **look: Any,
) -> LotAct:
    """Return the act that records an event of a kind."""

    def build() -> Act:
        hidden = Field("kind", kind=FieldKind.HIDDEN, value=kind.value)
        return Act("", str(label), "", fields=(hidden, *fields()), **look)

    return LotAct(action, build, is_possible, partial(_record, kind, said))


def _lies(*places: ClockState) -> Callable[[ShownLot], bool]:
    return lambda shown: _is_usable(shown) and shown.clock.place in places


def _is_usable(shown: ShownLot) -> bool:
    return shown.lot.status != LotStatus.SCRAPPED


def _temperature() -> Sequence[Field]:
    return (Field("temperatureC", _("Temperature in °C"), FieldKind.DECIMAL, help=_("Of the oven, such as 125.")),)


def _counted() -> Sequence[Field]:
    return (Field("quantity", _("How much is in it"), FieldKind.DECIMAL, is_required=True),)


def _scrapped() -> Sequence[Field]:
    return (acts.reason_field(), acts.confirmation(_("It is never used again.")))


# --- splitting and blocking ---------------------------------------------------------------------------------


def _split_act() -> Act:
    fields = (
        Field("newLotId", _("New lot"), FieldKind.CODE, is_required=True),
        Field("quantity", _("How much goes into it"), FieldKind.DECIMAL, is_required=True),
    )
    about = _("The part has the supplier's data, the expiry, the block and the floor life of this lot.")
    at = {"LOT_EXISTS": "newLotId", "SCAN_TYPE_MISMATCH": "newLotId", "QUANTITY_EXCEEDED": "quantity"}
    return Act("", _("Split"), "", button=_("Split it"), about=about, fields=fields, at=at)


def _split(request: HttpRequest, lot_id: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(LotSplit, request, fields)
    new, _event = services.split(
        lot_id, new_lot_id=body["new_lot_id"], quantity=body["quantity"], who=who_asks(request)
    )
    return _("“%(lot)s” was split off.") % {"lot": new.lot_id}


def _block_act() -> Act:
    return Act(
        "",
        _("Block"),
        "",
        button=_("Block it"),
        symbol="hold",
        tone="hold",
        about=_("It cannot be loaded any more, nor can any lot that was split from it."),
        fields=(acts.reason_field(),),
    )


def _unblock_act() -> Act:
    return Act(
        "",
        _("Unblock"),
        "",
        button=_("Unblock it"),
        about=_("It goes back to where it was. Lots that were split from it stay blocked until each is unblocked."),
        fields=(acts.reason_field(),),
    )


def _decide(
    service: Callable[..., Any], said: Promise, request: HttpRequest, lot_id: str, fields: Sequence[Field]
) -> str:
    service(lot_id, reason=acts.read_form(LotDecision, request, fields)["reason"], who=who_asks(request))
    return str(said)


_NOT_BLOCKED = (LotStatus.AVAILABLE, LotStatus.USED_UP)
LOT_ACTS: Mapping[str, LotAct] = {
    "open": _event(
        LotEventKind.OPENED,
        gettext_lazy("Opened"),
        gettext_lazy("It is open from now on."),
        _lies(ClockState.SEALED),
    ),
    "dry-in": _event(
        LotEventKind.DRY_IN,
        gettext_lazy("Into dry storage"),
        gettext_lazy("It lies in dry storage from now on."),
        _lies(ClockState.SEALED, ClockState.EXPOSED),
    ),
    "dry-out": _event(
        LotEventKind.DRY_OUT,
        gettext_lazy("Out of dry storage"),
        gettext_lazy("It is open from now on."),
        _lies(ClockState.DRY),
    ),
    "seal": _event(
        LotEventKind.SEALED,
        gettext_lazy("Sealed"),
        gettext_lazy("It is sealed from now on."),
        _lies(ClockState.EXPOSED, ClockState.DRY),
    ),
    "bake-start": _event(
        LotEventKind.BAKE_START,
        gettext_lazy("Bake"),
        gettext_lazy("Its bake has begun."),
        _lies(ClockState.SEALED, ClockState.EXPOSED, ClockState.DRY),
        fields=_temperature,
        button=gettext_lazy("Begin the bake"),
        about=gettext_lazy("Hot and long enough, it begins the floor life anew."),
    ),
    "bake-end": _event(
        LotEventKind.BAKE_END,
        gettext_lazy("Bake ended"),
        gettext_lazy("Its bake has ended; it is open from now on."),
        _lies(ClockState.BAKING),
    ),
    "count": _event(
        LotEventKind.COUNTED,
        gettext_lazy("Count"),
        gettext_lazy("The count is recorded."),
        _is_usable,
        fields=_counted,
        button=gettext_lazy("Record the count"),
    ),
    "use-up": _event(
        LotEventKind.USED_UP,
        gettext_lazy("Used up"),
        gettext_lazy("It is used up."),
        lambda shown: shown.lot.status == LotStatus.AVAILABLE,
        about=gettext_lazy("Nothing is left in it. A count brings it back."),
        button=gettext_lazy("It is used up"),
    ),
    "split": LotAct("split", _split_act, _is_usable, _split),
    "block": LotAct(
        "block",
        _block_act,
        lambda shown: shown.lot.status in _NOT_BLOCKED,
        partial(_decide, services.block, gettext_lazy("It is blocked, with all that was split from it.")),
    ),
    "unblock": LotAct(
        "unblock",
        _unblock_act,
        lambda shown: shown.lot.status == LotStatus.BLOCKED,
        partial(_decide, services.unblock, gettext_lazy("It may be used again.")),
    ),
    "scrap": _event(
        LotEventKind.SCRAPPED,
        gettext_lazy("Scrap"),
        gettext_lazy("It is scrapped."),
        _is_usable,
        fields=_scrapped,
        action="block",
        symbol="scrap",
        tone="bad",
        is_harmful=True,
        button=gettext_lazy("Scrap it"),
    ),
}
