"""That something is held is an event of which rules tell: one for each case, however many units it holds.

A place is told of where it is opened (`holds.open_hold`), units where their case is written
(`execution.quality.holds`).
Who follows the line is told of a place at once, without a rule (`steering_notices`), under the same key: nobody twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce, announce_wanted
from mes.production.hold_models import Hold, HoldScope
from mes.production.models import Run

NAMED = 3


@dataclass(frozen=True)
class HeldUnits:
    """A case that was opened, with how many units it holds, some of their serial numbers, and their runs."""

    hold: Hold
    count: int
    sns: Sequence[str]
    run_ids: Collection[int]


def key_of(hold: Hold) -> str:
    """Return what names a hold to whom it is told."""
    return f"hold:{hold.pk}"


def describe_place(hold: Hold) -> str:
    """Return in a sentence what stands still."""
    if hold.scope == HoldScope.RUN and hold.run is not None:
        return _("Run %(run)s is on hold: %(reason)s") % {"run": hold.run.run_no, "reason": hold.reason}
    if hold.scope == HoldScope.LINE and hold.line is not None:
        return _("Line %(line)s is stopped: %(reason)s") % {"line": hold.line.code, "reason": hold.reason}
    station = hold.station.code if hold.station is not None else ""
    return _("Station %(station)s is stopped: %(reason)s") % {"station": station, "reason": hold.reason}


def tell_place(hold: Hold) -> None:
    """Tell that a run, a line or a station is held, where it is done; a shared station is of all lines."""
    place = hold.run or hold.station
    line_id = hold.line_id if place is None else place.line_id
    announce(
        [_notice(hold, describe_place(hold), [] if line_id is None else [line_id], is_of_all_lines=line_id is None)]
    )


def tell_units(cases: Sequence[HeldUnits], *, is_wanted: bool = False) -> None:
    """Tell of cases of units, where a rule tells of holds; whether there is one may be known already."""
    if not cases:
        return
    run_ids = {run_id for case in cases for run_id in case.run_ids}
    lines = dict(Run.objects.filter(pk__in=run_ids).values_list("pk", "line_id"))
    notices = [
        _notice(case.hold, _describe_units(case), sorted({lines[run] for run in case.run_ids if run in lines}))
        for case in cases
    ]
    if is_wanted:
        announce_wanted(notices)
    else:
        announce(notices)


def _describe_units(case: HeldUnits) -> str:
    names = ", ".join(case.sns[:NAMED]) + (" …" if case.count > NAMED else "")
    text = ngettext(
        "%(hold)s holds %(names)s: %(reason)s", "%(hold)s holds %(count)d units (%(names)s): %(reason)s", case.count
    )
    return text % {"hold": case.hold.hold_no, "names": names, "count": case.count, "reason": case.hold.reason}


def _notice(hold: Hold, text: str, line_ids: Sequence[int], *, is_of_all_lines: bool = False) -> Notice:
    return Notice(
        key=key_of(hold),
        severity=Severity.WARNING,
        text=text,
        address=reverse("hold", args=[hold.hold_no]),
        event=NoticeEvent.HOLD_OPENED,
        line_ids=line_ids,
        is_of_all_lines=is_of_all_lines,
        facts={"holdNo": hold.hold_no, "scope": hold.scope, "source": hold.source, "reason": hold.reason},
        at=hold.opened_at,
    )
