"""That a message was refused is an event of which rules tell: once for each message, its content and its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from mes.errors import DomainError
from mes.plant.models import Line, Station
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce_wanted


@dataclass(frozen=True)
class Refused:
    """A message that is kept as refused, under its id."""

    message_id: int
    entity_type: str
    system: str
    key: str
    payload: Any
    error: DomainError


def tell(refused: Sequence[Refused]) -> None:
    """Tell of messages that were kept; there is a rule for it. In the transaction that keeps them."""
    lines = _find_lines(refused)
    announce_wanted([_notice(each, line_id) for each, line_id in zip(refused, lines, strict=True)])


def _notice(refused: Refused, line_id: int | None) -> Notice:
    values = {
        "type": refused.entity_type,
        "key": refused.key or "-",
        "system": refused.system or "-",
        "reason": str(refused.error),
    }
    return Notice(
        key=f"refused-message:{refused.message_id}:{refused.error.code}",
        severity=Severity.WARNING,
        text=_("A message (%(type)s %(key)s of %(system)s) was refused: %(reason)s") % values,
        address=reverse("integration-messages"),
        event=NoticeEvent.EVENT_REJECTED,
        line_id=line_id,
        facts={
            "messageId": str(refused.message_id),
            "sourceSystem": refused.system,
            "entityType": refused.entity_type,
            "errorCode": refused.error.code,
        },
    )


def _find_lines(refused: Sequence[Refused]) -> list[int | None]:
    """Return the lines of the stations or lines that messages name, in their order; None of who names none."""
    named = [(_text(each.payload, "lineCode"), _text(each.payload, "stationCode")) for each in refused]
    lines = dict(Line.objects.filter(code__in=_given(line for line, _station in named)).values_list("code", "pk"))
    stations = dict(
        Station.objects.filter(code__in=_given(station for _line, station in named)).values_list("code", "line_id")
    )
    return [lines.get(line) or stations.get(station) for line, station in named]


def _text(payload: Any, name: str) -> str:
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""


def _given(codes: Iterable[str]) -> set[str]:
    return {code for code in codes if code}
