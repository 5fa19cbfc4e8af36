"""Rules are asked of what left a station, and act.

A move writes an event, which is wanted only where an active rule may concern it (`INTEREST`): a rule costs the moves
that it is not about nothing. Whoever handles it only looks, and writes an event of its own for what a rule does not let
go by: moves are handled with others, whose locks come after that of a line. Acting is a transaction of its own, one
after the other for each rule, and what was seen is looked at again there: another worker may have acted meanwhile,
and somebody may have let the station go on.
"""

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from execution.dispositions import SYSTEM
from execution.quality.hold_rules import judging, passes
from execution.quality.hold_rules.judging import Breach
from execution.quality.hold_rules.passes import Place
from mes.plant.models import Line, Station
from mes.platform.outbox.emit import NewEvent, SetHandler, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.production import line_acts, station_acts, steering_notices
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import HoldRule, HoldRuleAction, HoldRuleKind, HoldRuleNotice, HoldSource

# A rule of the product is asked for later: the event does not say it.
INTEREST = f"""
    EXISTS (SELECT FROM mes_holdrule r
             WHERE r.is_active
               AND (r.kind <> '{HoldRuleKind.CONSECUTIVE_FAIL}' OR e.payload->>'result' = 'FAIL')
               AND (r.kind <> '{HoldRuleKind.FPY_BELOW}' OR e.payload->>'attempt' = '1')
               AND (r.station_id IS NULL OR r.station_id = (e.payload->>'stationId')::bigint)
               AND (r.operation_id IS NULL
                    OR r.operation_id = (SELECT o.id FROM mes_operation o WHERE o.code = e.payload->>'operationCode'))
               AND (r.line_id IS NULL
                    OR r.line_id = (SELECT coalesce(s.line_id, (e.payload->>'lineId')::bigint) FROM mes_station s
                                     WHERE s.id = (e.payload->>'stationId')::bigint)))"""


# --- looking ------------------------------------------------------------------------------------------------


def watch(events: Sequence[MesEvent]) -> None:
    """Write an event for each rule and place of which these moves tell what is not let go by."""
    rules = list(_rules().filter(is_active=True))
    broken: list[NewEvent] = []
    for place, track_ids in _list_places(events).items() if rules else ():
        for rule in rules:
            if place.fits(rule) and not passes.is_held(rule, place):
                breach = _find_breach(rule, place, track_ids)
                if breach is not None:
                    broken.append(_event_of(rule, place, breach))
    emit(*sorted(broken, key=lambda event: event.key))  # in order: another worker may see the same


HANDLER = SetHandler(watch, interest=INTEREST)


def _rules() -> QuerySet[HoldRule]:
    return HoldRule.objects.select_related("operation")


def _list_places(events: Sequence[MesEvent]) -> dict[Place, list[int]]:
    """Return the tracks that events are of, by station and step."""
    told: dict[tuple[int, int, str, int], list[int]] = {}
    for event in events:
        read: dict[str, Any] = event.payload
        key = (int(read["stationId"]), int(read["stepNo"]), str(read["operationCode"]), int(read["lineId"]))
        told.setdefault(key, []).append(int(read["trackId"]))
    stations = Station.objects.in_bulk({station_id for station_id, *_rest in told})
    found: dict[Place, list[int]] = {}
    for (station_id, step_no, operation_code, line_id), track_ids in told.items():
        station = stations[station_id]
        place = Place(station, step_no, operation_code, station.line_id or line_id)
        found.setdefault(place, []).extend(track_ids)
    return found


def _find_breach(rule: HoldRule, place: Place, track_ids: Collection[int]) -> Breach | None:
    for since, stretch in passes.list_stretches(rule, place, track_ids):
        breach = judging.find_first(rule, stretch, since=since)
        if breach is not None:
            return breach
    return None


def _event_of(rule: HoldRule, place: Place, breach: Breach) -> NewEvent:
    """One for each rule and the pass at which it was broken, however many workers see it."""
    return NewEvent(
        event_type=EventType.HOLD_RULE_BROKEN,
        key=f"hold-rule-broken:{rule.pk}:{breach.last.track_id}",
        entity_type="HOLD_RULE",
        entity_id=rule.code,
        occurred_at=breach.last.out_at,
        payload={
            "ruleId": rule.pk,
            "trackId": str(breach.last.track_id),
            "stationId": place.station.pk,
            "stepNo": place.step_no,
            "operationCode": place.operation_code,
            "lineId": place.line_id,
        },
    )


# --- acting -------------------------------------------------------------------------------------------------


def act(event: MesEvent) -> None:
    """Do what a rule says, if it still does not let go by what was seen."""
    rule = lock(int(event.payload["ruleId"]))
    if rule is None or not rule.is_active:
        return
    for place, track_ids in _list_places([event]).items():
        if not place.fits(rule) or passes.is_held(rule, place):
            continue
        breach = _find_breach(rule, place, track_ids)
        if breach is not None:
            _act(rule, place, breach)


def lock(rule_id: int) -> HoldRule | None:
    """Return a rule, locked: it acts once, whatever workers saw. Before lines, stations and all that follows."""
    return _rules().select_for_update(no_key=True, of=("self",)).filter(pk=rule_id).first()


def _act(rule: HoldRule, place: Place, breach: Breach) -> None:
    reason = _describe(rule, place, breach)
    if rule.action == HoldRuleAction.STOP_STATION:
        station_acts.stop(station_code=place.station.code, reason=reason, by=SYSTEM, source=HoldSource.RULE, rule=rule)
    elif rule.action == HoldRuleAction.HOLD_LINE:
        line = Line.objects.get(pk=place.line_id)
        line_acts.hold(line_code=line.code, reason=reason, by=SYSTEM, source=HoldSource.RULE, rule=rule)
    else:
        notice = HoldRuleNotice.objects.create(
            rule=rule, station=place.station, step_no=place.step_no, reason=reason, passed_at=breach.last.out_at
        )
        steering_notices.tell_rule_broken(notice, Line.objects.get(pk=place.line_id))


def _describe(rule: HoldRule, place: Place, breach: Breach) -> str:
    """Return why, as people read it at the station."""
    return (
        _("Rule %(rule)s at %(station)s, step %(step)d: %(what)s.")
        % {"rule": rule.name, "station": place.station.code, "step": place.step_no, "what": breach.reason}
    )[:LONGEST_REASON]
