"""That a unit failed, and that a value alarms, are events of which rules tell. The outbox hands them over where there
is such a rule: what a machine or a person reports pays nothing for it.
"""

from collections.abc import Callable, Sequence

from django.urls import reverse
from django.utils.translation import gettext as _

from execution.models import TrackResult
from mes.plant.models import Station
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce, interest
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import MesEvent
from mes.platform.sweeps import Sweep
from mes.production.models import Run


def tell_failed(events: Sequence[MesEvent]) -> None:
    """Tell of passes that failed (TRACK_OUT), each once: also if a review says so again."""
    failed = [event for event in events if event.payload.get("result") == TrackResult.FAIL]
    stations = dict(
        Station.objects.filter(pk__in={event.payload.get("stationId") for event in failed}).values_list("pk", "code")
    )
    _announce(failed, lambda event: _failed(event, stations.get(event.payload.get("stationId"), "")))


def _failed(event: MesEvent, station: str) -> Notice:
    told = event.payload
    values = {"sn": told["sn"], "station": station, "step": told["stepNo"], "operation": told["operationCode"]}
    return Notice(
        key=f"unit-failed:{told['trackId']}",
        severity=Severity.WARNING,
        text=_("Unit %(sn)s failed at %(station)s (step %(step)s, %(operation)s).") % values,
        address=reverse("unit", args=[told["sn"]]),
        event=NoticeEvent.UNIT_FAILED,
        line_id=told["lineId"],
        facts={"sn": told["sn"], "runNo": told["runNo"], "stationCode": station, "stepNo": str(told["stepNo"])},
        at=event.occurred_at,
    )


def tell_alarms(events: Sequence[MesEvent]) -> None:
    """Tell of values outside their alarm band (DATA_ALARM)."""
    runs = Run.objects.in_bulk({event.run_id for event in events if event.run_id is not None})
    _announce(events, lambda event: _alarm(event, runs.get(event.run_id or 0)))


def _announce(events: Sequence[MesEvent], describe: Callable[[MesEvent], Notice]) -> None:
    """Announce what can be described: one that cannot must not keep what else follows of its event from happening."""
    sweep, notices = Sweep("notices of units"), list[Notice]()
    for event in events:
        with sweep.row(event.pk):
            notices.append(describe(event))
    announce(notices)


def _alarm(event: MesEvent, run: Run | None) -> Notice:
    told = event.payload
    values = {
        "name": told["specName"],
        "value": f"{told['value']:g}" if told["value"] is not None else "-",
        "unit": f" {told['unit']}" if told["unit"] else "",
        "of": told["sn"] or (run.run_no if run else ""),
        "low": "…" if told["min"] is None else f"{told['min']:g}",
        "high": "…" if told["max"] is None else f"{told['max']:g}",
    }
    return Notice(
        key=event.idempotency_key,
        severity=Severity.ALERT,
        text=_("Alarm: %(name)s is %(value)s%(unit)s at %(of)s; %(low)s to %(high)s is normal.") % values,
        address=reverse("unit", args=[told["sn"]]) if told["sn"] else reverse("run", args=[run.run_no]) if run else "",
        event=NoticeEvent.DATA_ALARM,
        line_id=run.line_id if run else None,
        facts={"specName": told["specName"], "value": str(told["value"]), "sn": told["sn"] or ""},
        at=event.occurred_at,
    )


FAILED = SetHandler(
    tell_failed, interest=f"e.payload->>'result' = '{TrackResult.FAIL}' AND {interest(NoticeEvent.UNIT_FAILED)}"
)
ALARMS = SetHandler(tell_alarms, interest=interest(NoticeEvent.DATA_ALARM))
