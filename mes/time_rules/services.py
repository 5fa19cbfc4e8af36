"""Writing clocks: computing them from the marks of an entity, waiving, acknowledging, cancelling.

Everything here happens under the lock of the entity (`lock_entity`): a start and an end handled at once by two workers
would each not see the other's mark, and the clock would run for ever. Who holds a unit's row may take the entity's
lock; who holds the entity's lock takes no other but of its clocks' rows.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cached_property

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.labels import Action, Entity, State
from mes.platform.database.lookup import get_or_raise
from mes.production.models import Unit, UnitStatus
from mes.production.transitions import StateMachine
from mes.time_rules import hooks, notifications
from mes.time_rules.models import (
    Ending,
    EntityType,
    InstanceStatus,
    TimeRuleDefinition,
    TimeRuleInstance,
    TimeRuleMark,
)
from mes.time_rules.rules import (
    Clock,
    Mark,
    Terms,
    read_clocks,
)

S = InstanceStatus
CLOCK = StateMachine(
    Entity.CLOCK,
    S,
    {
        Action.WAIVE: {S.ACTIVE: S.WAIVED},
        Action.ACKNOWLEDGE: {S.EXPIRED: S.EXPIRED},
        Action.CANCEL: {S.ACTIVE: S.CANCELLED},
    },
)
SETTLED_FOR_GOOD = (S.WAIVED, S.CANCELLED)  # by a person; events change nothing of it
SYSTEM = "system"

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def lock_entity(entity_type: str, entity_id: str) -> None:
    """Let no one else read or write the clocks of a unit or lot until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [f"time rules {entity_type} {entity_id}"])


# --- from events ---------------------------------------------------------------------------------------------


@transaction.atomic(savepoint=False)  # of each event there is: what fails here fails as a whole
def record(mark: TimeRuleMark, *, definitions: Iterable[TimeRuleDefinition], superseded_key: str = "") -> bool:
    """Store a mark and update the clocks of the definitions it names; return False when it was stored before.

    `definitions`: those it names, and perhaps others. `superseded_key` is of the event that it takes the place of.
    """
    lock_entity(mark.entity_type, mark.entity_id)
    marks = list(TimeRuleMark.objects.filter(entity_type=mark.entity_type, entity_id=mark.entity_id))
    if any(earlier.event_key == mark.event_key for earlier in marks):
        return False
    mark.supersedes = superseded_key
    mark.save(force_insert=True)
    concerned = {int(key) for key in mark.starts} | set(mark.ends)
    marks.append(mark)
    concerned |= _supersede(marks)
    _update_clocks(marks, definitions=[definition for definition in definitions if definition.pk in concerned])
    return True


def _supersede(marks: Iterable[TimeRuleMark]) -> set[int]:
    """Take from marks what the ones in their place do not say too, in whatever order they came; return whose clocks
    that concerns.
    """
    by_key = {mark.event_key: mark for mark in marks}
    concerned: set[int] = set()
    for mark in by_key.values():
        replaced = by_key.get(mark.supersedes)
        if replaced is None:
            continue
        started, ended = replaced.starts.keys() - mark.starts.keys(), set(replaced.ends) - set(mark.ends)
        if started or ended:
            replaced.starts = {key: terms for key, terms in replaced.starts.items() if key not in started}
            replaced.ends = [pk for pk in replaced.ends if pk not in ended]
            replaced.save(update_fields=["starts", "ends"])
            concerned |= {int(key) for key in started} | ended
    return concerned


def _update_clocks(marks: list[TimeRuleMark], *, definitions: Collection[TimeRuleDefinition]) -> None:
    """Recompute the clocks of a locked entity from all of its marks."""
    entity_type, entity_id = marks[-1].entity_type, marks[-1].entity_id
    rows = TimeRuleInstance.objects.select_for_update(no_key=True, of=("self",)).select_related("definition")
    rows = rows.filter(entity_type=entity_type, entity_id=entity_id, definition__in=definitions).order_by("pk")
    instances = sorted(rows, key=lambda instance: (instance.started_at, instance.pk))
    followed = _ClockUpdates(now=timezone.now(), entity=(entity_type, entity_id))
    for definition in definitions:
        mine = [instance for instance in instances if instance.definition_id == definition.pk]
        decided = [instance for instance in mine if instance.status == S.WAIVED]
        waived = {instance.start_key: instance.decided_at for instance in decided if instance.decided_at}
        for clock in read_clocks(_marks_of(definition, marks), waived=waived):
            matching = [instance for instance in mine if instance.start_key in clock.start_keys]
            followed.drop(matching[1:])
            followed.follow(matching[0] if matching else _new_instance(definition, entity_type, entity_id), clock)
        followed.drop(instance for instance in mine if instance.start_key in _list_started_by_none(definition, marks))
    followed.tell()


def _list_started_by_none(definition: TimeRuleDefinition, marks: Iterable[TimeRuleMark]) -> set[str]:
    """Return the keys of events that no longer start a clock of a definition: others took their place."""
    replaced = {mark.supersedes for mark in marks if mark.supersedes}
    return {mark.event_key for mark in marks if mark.event_key in replaced and str(definition.pk) not in mark.starts}


def _new_instance(definition: TimeRuleDefinition, entity_type: str, entity_id: str) -> TimeRuleInstance:
    return TimeRuleInstance(
        definition=definition,
        definition_code=definition.code,
        entity_type=entity_type,
        entity_id=entity_id,
        status="",
    )


def _marks_of(definition: TimeRuleDefinition, marks: Iterable[TimeRuleMark]) -> list[Mark]:
    """Return the marks that concern a definition."""
    seen = []
    for mark in marks:
        terms, is_end = mark.starts.get(str(definition.pk)), definition.pk in mark.ends
        if terms is None and not is_end:
            continue
        seen.append(
            Mark(
                key=mark.event_key,
                at=mark.at,
                sequence=mark.sequence,
                belongs_at=mark.belongs_at,
                terms=None if terms is None else Terms(**terms),
                is_end=is_end,
                run_id=mark.run_id,
                line_id=mark.line_id,
            )
        )
    return seen


class _ClockUpdates:
    """Clocks that were recomputed, and the notifications that follow."""

    def __init__(self, *, now: datetime, entity: tuple[str, str]) -> None:
        self.now = now
        self.entity = entity
        self.expired: list[TimeRuleInstance] = []
        self.lifted: list[TimeRuleInstance] = []
        self.withdrawn: list[TimeRuleInstance] = []

    @cached_property
    def is_scrapped(self) -> bool:
        """Whether the clocks are those of a scrapped unit; asked only where it matters."""
        entity_type, entity_id = self.entity
        return entity_type == EntityType.UNIT and Unit.objects.filter(sn=entity_id, status=UnitStatus.SCRAPPED).exists()

    def follow(self, instance: TimeRuleInstance, clock: Clock) -> None:
        """Write what a clock says into its row."""
        before, was_blocking = instance.status, instance.status == S.EXPIRED and instance.ended_at is None
        if before in SETTLED_FOR_GOOD:
            if instance.ended_at is None and clock.end is not None:
                instance.ended_at = clock.end.at
                instance.save(update_fields=["ended_at"])
            return
        self._start(instance, clock)
        self._end(instance, clock)
        instance.save()
        if instance.status == S.EXPIRED and before != S.EXPIRED:
            self.expired.append(instance)
        if instance.status == S.COMPLETED and before == S.EXPIRED:
            self.withdrawn.append(instance)
        if was_blocking and instance.ended_at is not None:
            self.lifted.append(instance)

    def drop(self, merged: Iterable[TimeRuleInstance]) -> None:
        """Cancel clocks without an end that an earlier start, which came late, turned out to have taken in."""
        for instance in merged:
            if instance.status in (S.ACTIVE, S.EXPIRED) and instance.ended_at is None:
                if instance.status == S.EXPIRED:
                    self.lifted.append(instance)
                instance.status, instance.ended_at = S.CANCELLED, self.now
                instance.save(update_fields=["status", "ended_at"])

    def _start(self, instance: TimeRuleInstance, clock: Clock) -> None:
        instance.start_key, instance.started_at = clock.start.key, clock.start.at
        instance.run_id, instance.line_id = clock.start.run_id, clock.start.line_id
        instance.duration_minutes, instance.warning_minutes = clock.terms.duration, clock.terms.warning
        instance.expires_at, instance.warning_at = clock.expires_at, clock.warning_at

    def _end(self, instance: TimeRuleInstance, clock: Clock) -> None:
        if clock.end is not None:
            instance.status = S.COMPLETED if clock.is_in_time else S.EXPIRED
            instance.ended_at = clock.end.at
            instance.ending = Ending.RESTART if clock.is_restarted else Ending.END
        elif clock.has_lapsed:
            instance.status = S.EXPIRED
            if instance.ending != Ending.SCRAP:  # an end known before belongs to the later start
                instance.ended_at, instance.ending = None, ""
        elif instance.status == S.EXPIRED:
            return  # what the sweep found stays, until an end says otherwise
        elif self.is_scrapped:
            instance.status, instance.ended_at, instance.ending = S.CANCELLED, self.now, Ending.SCRAP
        else:
            instance.status, instance.ended_at, instance.ending = S.ACTIVE, None, ""
        if instance.status == S.EXPIRED and instance.expired_at is None:
            instance.expired_at = self.now
            if self.is_scrapped:
                _settle_for_scrap(instance, self.now)

    def tell(self) -> None:
        """Notify listeners and people."""
        hooks.tell_expired(self.expired)
        hooks.tell_released(self.lifted)
        notifications.tell_expired(self.expired)
        notifications.tell_withdrawn(self.withdrawn)


# --- by people -----------------------------------------------------------------------------------------------


@transaction.atomic
def waive(*, instance_id: int, reason: str, by: str) -> TimeRuleInstance:
    """Waive a running clock: it is ignored from now on.

    Raises TimeRuleInstanceNotFound, InvalidTransition, TimeRuleNotWaivable.
    """
    instance = _lock_instance(instance_id)
    status = CLOCK.next_state(Action.WAIVE, instance.status)
    if not instance.definition.is_waivable:
        raise errors.TimeRuleNotWaivable(rule=instance.definition_code)
    instance.status = status
    _decide(instance, reason=reason, by=by)
    return instance


@transaction.atomic
def acknowledge(*, instance_id: int, reason: str, by: str) -> TimeRuleInstance:
    """Record what was done about an expired clock, which stays expired.

    Raises TimeRuleInstanceNotFound, InvalidTransition.
    """
    instance = _lock_instance(instance_id)
    CLOCK.next_state(Action.ACKNOWLEDGE, instance.status)
    if instance.decided_at is not None:
        raise errors.InvalidTransition(action=Action.ACKNOWLEDGE, entity=Entity.CLOCK, state=State.ACKNOWLEDGED)
    _decide(instance, reason=reason, by=by)
    if instance.definition.is_waivable and instance.ended_at is None:
        hooks.tell_released([instance])
    return instance


def _lock_instance(instance_id: int) -> TimeRuleInstance:
    """Lock the entity, then the row: in the order in which events are handled."""
    entity = get_or_raise(
        TimeRuleInstance.objects.values_list("entity_type", "entity_id"),
        errors.TimeRuleInstanceNotFound,
        pk=instance_id,
    )
    lock_entity(*entity)
    rows = TimeRuleInstance.objects.select_for_update(no_key=True, of=("self",)).select_related("definition", "run")
    return rows.get(pk=instance_id)


def _decide(instance: TimeRuleInstance, *, reason: str, by: str) -> None:
    instance.decided_at, instance.decided_by, instance.decision_reason = timezone.now(), by[:150], reason[:500]
    instance.save(update_fields=["status", "decided_at", "decided_by", "decision_reason"])


# --- by scrapping --------------------------------------------------------------------------------------------


def cancel_of_unit(sn: str) -> None:
    """Cancel the running clocks of a unit that is being scrapped, in the transaction that scraps it.

    Those that expired stay expired; nobody has to deal with them any more.
    """
    lock_entity(EntityType.UNIT, sn)
    rows = TimeRuleInstance.objects.select_for_update(no_key=True, of=("self",)).select_related("definition")
    mine = list(rows.filter(entity_type=EntityType.UNIT, entity_id=sn, status__in=[S.ACTIVE, S.EXPIRED]).order_by("pk"))
    now = timezone.now()
    released = [clock for clock in mine if clock.status == S.EXPIRED and clock.ended_at is None]
    for instance in mine:
        if instance.status == S.ACTIVE:
            instance.status = S.CANCELLED
        elif instance.decided_at is None:
            _settle_for_scrap(instance, now)
        if instance.ended_at is None:
            instance.ended_at, instance.ending = now, Ending.SCRAP
        instance.save(update_fields=["status", "ended_at", "ending", "decided_at", "decided_by", "decision_reason"])
    hooks.tell_released(released)


def _settle_for_scrap(instance: TimeRuleInstance, now: datetime) -> None:
    instance.decided_at, instance.decided_by, instance.decision_reason = now, SYSTEM, _("The unit was scrapped.")
