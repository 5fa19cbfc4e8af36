"""What needs an engineer now: the first thing on the home of the administration.

Any app registers its own kinds in `AppConfig.ready()`. The home asks all of them each minute, so a kind is found by one
query, or a few, over what is open and never over what is done with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Min, QuerySet
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Capability
from mes.platform.hooks import Hook

MOST_ENTRIES = 5
_OLDEST = _("oldest")


@dataclass(frozen=True)
class Act:
    """A button that posts `fields` to `address`. The view behind it decides who may."""

    label: Any
    address: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One thing, or what several have in common. `since` is when it began, `why` says what is wrong or what to do."""

    name: Any
    why: Any = ""
    count: int | None = None
    since: datetime | None = None
    link: str = ""
    act: Act | None = None


@dataclass(frozen=True)
class Found:
    """How much there is of a kind, since when, and the most important of it: no more than MOST_ENTRIES."""

    count: int
    oldest: datetime | None = None
    entries: Sequence[Entry] = ()


@dataclass(frozen=True)
class EngineerWork:
    """A kind of work: `find` reads what there is, `link` leads to its list.

    With `needs`, only those see it who have this capability; without, everyone who may open the administration.
    `oldest_is` says what the time of the oldest is.
    """

    name: str
    label: Any
    find: Callable[[], Found]
    link: Callable[[], str]
    needs: Capability | None = None
    oldest_is: Any = _OLDEST


# Asked by the home of the administration, in this order.
kinds: Hook[EngineerWork] = Hook(key=lambda kind: kind.name)


def find_all(granted: Collection[Capability]) -> list[tuple[EngineerWork, Found]]:
    """Return what there is of each kind that somebody with these capabilities may see, also where it is nothing."""
    return [(kind, kind.find()) for kind in kinds if kind.needs is None or kind.needs in granted]


def find_by_cause(refused: QuerySet[Any], *, page: str, advice: Mapping[str, Any]) -> Found:
    """Return refused messages or events by what they are refused for, most frequent first. One query.

    `page` is the address of the list, which takes `code` and `subject`; `advice` says by code what to do.
    """
    told = {"number": Count("id"), "oldest": Min("received_at"), "first": Min("subject"), "last": Max("subject")}
    causes = list(refused.order_by().values("error_code").annotate(**told).order_by("-number", "error_code"))
    return Found(
        sum(cause["number"] for cause in causes),
        min((cause["oldest"] for cause in causes), default=None),
        [_as_entry(cause, page, advice) for cause in causes[:MOST_ENTRIES]],
    )


def _as_entry(cause: Mapping[str, Any], page: str, advice: Mapping[str, Any]) -> Entry:
    code = cause["error_code"]
    subject = cause["first"] if cause["first"] == cause["last"] else ""
    chosen = {name: value for name, value in (("code", code), ("subject", subject)) if value}
    return Entry(
        " · ".join(filter(None, (code, subject))) or _("without a code"),
        why=advice.get(code, ""),
        count=cause["number"],
        since=cause["oldest"],
        link=f"{page}?{urlencode(chosen)}" if chosen else page,
    )
