"""Writing clocks: computing them from the marks of entities, waiving, acknowledging, cancelling.

Everything here happens under the locks of the entities (`lock_entities`): a start and an end handled at once by two
workers would each not see the other's mark, and the clock would run for ever. Who holds a unit's row may take the
entity's lock, and where a rule holds units, their rows are locked before (`handlers.LOCKS`); who holds entities' locks
takes no others but of their clocks' rows.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.labels import Action, Entity, State
from mes.platform.database.lookup import get_or_raise
from mes.platform.database.prepared import as_json, fetch_all
from mes.production.models import Unit, UnitStatus
from mes.production.names import find_names
from mes.production.transitions import StateMachine
from mes.time_rules import clock_rows, holding, hooks, notifications
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
        Action.ACKNOWLEDGE: {S.EXPIRED: S.EXPIRED, S.EARLY: S.EARLY},
        Action.CANCEL: {S.ACTIVE: S.CANCELLED},
    },
)
SETTLED_FOR_GOOD = (S.WAIVED, S.CANCELLED)  # by a person; events change nothing of it
SYSTEM = "system"

EntityKey = tuple[str, str]  # type and id of a unit or lot

# In the order of what is locked, each once: a hash may stand for two entities.
LOCK = """
    WITH keys AS MATERIALIZED (
        SELECT DISTINCT hashtextextended(name, 0) AS key
          FROM jsonb_array_elements_text(%(names)s::jsonb) AS name ORDER BY key
    )
    SELECT count(pg_advisory_xact_lock(key)) FROM keys
"""


def lock_entities(entities: Iterable[EntityKey]) -> None:
    """Let no one else read or write the clocks of units or lots until the transaction ends; of all at once."""
    names = [f"time rules {entity_type} {entity_id}" for entity_type, entity_id in entities]
    fetch_all(LOCK, {"names": as_json(names)})


# --- from events ---------------------------------------------------------------------------------------------


@transaction.atomic(savepoint=False)  # of each set of events: what fails here fails as a whole
def record(marks: Sequence[TimeRuleMark], *, definitions: Sequence[TimeRuleDefinition]) -> None:
    """Store marks and update the clocks of the definitions they name, with the effect of one after the other.

    One that was stored before changes nothing. An end of a definition that is switched off counts where one of its
    clocks may run; of one that is active it is kept, because its start may come later.
    """
    if not marks:
        return
    entities = {(mark.entity_type, mark.entity_id) for mark in marks}
    lock_entities(entities)
    entities = _follow_relabelled(marks, entities)
    clocks = _Clocks(entities, definitions)
    updates = [clocks.add(mark) for mark in marks]
    clocks.write()
    for update in updates:
        update.tell()
    held = dict.fromkeys(instance for update in updates for instance in update.held)
    holding.hold(held, now=clocks.now)  # all at once, with the statements of one


def _follow_relabelled(marks: Sequence[TimeRuleMark], entities: set[EntityKey]) -> set[EntityKey]:
    """Have the marks of units that were relabelled since go on under their present serial numbers; return the entities.

    Read under the locks of the earlier ones: who relabels a unit holds that, too.
    """
    sns = [entity_id for entity_type, entity_id in entities if entity_type == EntityType.UNIT]
    present = find_names(sns).present
    if not present:
        return entities
    for mark in marks:
        if mark.entity_type == EntityType.UNIT:
            mark.entity_id = present.get(mark.entity_id, mark.entity_id)
    followed = {(mark.entity_type, mark.entity_id) for mark in marks}
    lock_entities(followed - entities)
    return _follow_relabelled(marks, followed)


def relabel_unit(sn: str, new_sn: str) -> None:
    """Have the clocks of a unit go on under its new serial number, in the transaction that relabels it."""
    lock_entities([(EntityType.UNIT, sn), (EntityType.UNIT, new_sn)])
    for model in (TimeRuleMark, TimeRuleInstance):
        model._default_manager.filter(entity_type=EntityType.UNIT, entity_id=sn).update(entity_id=new_sn)


class _Clocks:
    """The marks and clocks of locked entities, as they become. Each mark finds what those before it left, as if it had
    been written; what was changed is written in the end.
    """

    def __init__(self, entities: Collection[EntityKey], definitions: Iterable[TimeRuleDefinition]) -> None:
        self.now = timezone.now()
        self.entities = entities
        self.definitions = {definition.pk: definition for definition in definitions}
        self.marks: dict[EntityKey, list[TimeRuleMark]] = {entity: [] for entity in entities}
        self.instances: dict[EntityKey, list[TimeRuleInstance]] = {entity: [] for entity in entities}
        self.new_marks: list[TimeRuleMark] = []
        self.new_instances: list[TimeRuleInstance] = []
        self.replaced_marks: list[TimeRuleMark] = []
        theirs = _of_entities(entities)
        for mark in TimeRuleMark.objects.filter(theirs):
            self.marks[mark.entity_type, mark.entity_id].append(mark)
        rows = TimeRuleInstance.objects.select_for_update(no_key=True).filter(theirs).order_by("pk")
        for instance in rows:
            self.instances[instance.entity_type, instance.entity_id].append(instance)
        self.before = {instance.pk: clock_rows.as_row(instance) for instance in rows}

    @cached_property
    def scrapped_sns(self) -> set[str]:
        """The units among the entities that are scrapped; asked only where it matters."""
        sns = [entity_id for entity_type, entity_id in self.entities if entity_type == EntityType.UNIT]
        return set(Unit.objects.filter(sn__in=sns, status=UnitStatus.SCRAPPED).values_list("sn", flat=True))

    def is_scrapped(self, entity: EntityKey) -> bool:
        """Whether the clocks are those of a scrapped unit."""
        entity_type, entity_id = entity
        return entity_type == EntityType.UNIT and entity_id in self.scrapped_sns

    def add(self, mark: TimeRuleMark) -> "_ClockUpdates":
        """Take a mark in, and update the clocks it concerns; return what there is to tell."""
        entity = mark.entity_type, mark.entity_id
        updates, marks = _ClockUpdates(self, entity), self.marks[entity]
        mark.ends = [pk for pk in mark.ends if self._may_have_started(pk, marks)]
        is_stored = any(earlier.event_key == mark.event_key for earlier in marks)
        if is_stored or not (mark.starts or mark.ends or mark.supersedes):
            return updates
        marks.append(mark)
        self.new_marks.append(mark)
        concerned = {int(key) for key in mark.starts} | set(mark.ends)
        for replaced, taken in _supersede(marks):
            self.replaced_marks.append(replaced)
            concerned |= taken
        for definition in self.definitions.values():
            if definition.pk in concerned:
                self._update(updates, definition)
        return updates

    def _may_have_started(self, definition_id: int, marks: Iterable[TimeRuleMark]) -> bool:
        """Whether a clock can be there or come."""
        return self.definitions[definition_id].is_active or any(str(definition_id) in mark.starts for mark in marks)

    def _update(self, updates: "_ClockUpdates", definition: TimeRuleDefinition) -> None:
        """Recompute the clocks of an entity and definition from all marks of the entity."""
        marks, instances = self.marks[updates.entity], self.instances[updates.entity]
        mine = [instance for instance in instances if instance.definition_id == definition.pk]
        for instance in mine:
            instance.definition = definition
        mine.sort(key=lambda instance: instance.started_at)  # then by id: new ones come last
        decided = [instance for instance in mine if instance.status == S.WAIVED]
        waived = {instance.start_key: instance.decided_at for instance in decided if instance.decided_at}
        for clock in read_clocks(_marks_of(definition, marks), waived=waived):
            matching = [instance for instance in mine if instance.start_key in clock.start_keys]
            updates.drop(matching[1:])
            if not matching:
                matching = [_new_instance(definition, *updates.entity)]
                instances.extend(matching)
                self.new_instances.extend(matching)
            updates.follow(matching[0], clock)
        updates.drop(instance for instance in mine if instance.start_key in _list_started_by_none(definition, marks))

    def write(self) -> None:
        """Write what was changed."""
        TimeRuleMark.objects.bulk_create(self.new_marks)
        for mark in self.replaced_marks:  # of reviews, which are few
            mark.save(update_fields=["starts", "ends"])
        everyone = [instance for instances in self.instances.values() for instance in instances]
        stored = [instance for instance in everyone if instance.pk is not None]
        clock_rows.update([it for it in stored if clock_rows.as_row(it) != self.before[it.pk]])
        TimeRuleInstance.objects.bulk_create(self.new_instances)  # in the order of their events, as their ids say


def read_clocks_of(definition: TimeRuleDefinition, marks: Sequence[TimeRuleMark]) -> list[Clock]:
    """Return the clocks of a definition that the marks of one unit or lot make, as if nobody had waived one.

    The marks are changed where others take their place.
    """
    _supersede(marks)
    return read_clocks(_marks_of(definition, marks))


def _of_entities(entities: Iterable[EntityKey]) -> Q:
    ids: dict[str, list[str]] = {}
    for entity_type, entity_id in entities:
        ids.setdefault(entity_type, []).append(entity_id)
    theirs = [Q(entity_type=entity_type, entity_id__in=of_type) for entity_type, of_type in ids.items()]
    return theirs[0] if len(theirs) == 1 else Q(*theirs, _connector=Q.OR)


def _supersede(marks: Iterable[TimeRuleMark]) -> list[tuple[TimeRuleMark, set[int]]]:
    """Take from marks what the ones in their place do not say too, in whatever order they came; return those marks,
    each with the definitions that it says no longer.
    """
    by_key = {mark.event_key: mark for mark in marks}
    changed: list[tuple[TimeRuleMark, set[int]]] = []
    for mark in by_key.values():
        replaced = by_key.get(mark.supersedes)
        if replaced is None:
            continue
        started, ended = replaced.starts.keys() - mark.starts.keys(), set(replaced.ends) - set(mark.ends)
        if started or ended:
            replaced.starts = {key: terms for key, terms in replaced.starts.items() if key not in started}
            replaced.ends = [pk for pk in replaced.ends if pk not in ended]
            changed.append((replaced, {int(key) for key in started} | ended))
    return changed


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
    """Clocks of an entity that were recomputed because of an event, and the notifications that follow."""

    def __init__(self, clocks: _Clocks, entity: EntityKey) -> None:
        self.clocks = clocks
        self.now = clocks.now
        self.entity = entity
        self.expired: list[TimeRuleInstance] = []
        self.early: list[TimeRuleInstance] = []
        self.lifted: list[TimeRuleInstance] = []
        self.withdrawn: list[TimeRuleInstance] = []

    @property
    def is_scrapped(self) -> bool:
        """Whether the clocks are those of a scrapped unit."""
        return self.clocks.is_scrapped(self.entity)

    def follow(self, instance: TimeRuleInstance, clock: Clock) -> None:
        """Have a row say what its clock says."""
        before, was_blocking = instance.status, instance.status == S.EXPIRED and instance.ended_at is None
        if before in SETTLED_FOR_GOOD:
            if instance.ended_at is None and clock.end is not None:
                instance.ended_at = clock.end.at
            return
        self._start(instance, clock)
        self._end(instance, clock)
        if instance.status == S.EXPIRED and before != S.EXPIRED:
            self.expired.append(instance)
        if instance.status == S.EARLY and before != S.EARLY:
            self.early.append(instance)
        if instance.status == S.COMPLETED and before in (S.EXPIRED, S.EARLY):
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

    def _start(self, instance: TimeRuleInstance, clock: Clock) -> None:
        instance.start_key, instance.started_at = clock.start.key, clock.start.at
        instance.run_id, instance.line_id = clock.start.run_id, clock.start.line_id
        instance.duration_minutes, instance.warning_minutes = clock.terms.duration, clock.terms.warning
        instance.expires_at, instance.warning_at = clock.expires_at, clock.warning_at
        instance.min_minutes, instance.earliest_at = clock.terms.minimum, clock.earliest_at

    def _end(self, instance: TimeRuleInstance, clock: Clock) -> None:
        if clock.end is not None:
            instance.status = S.EARLY if clock.is_early else S.COMPLETED if clock.is_in_time else S.EXPIRED
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

    @property
    def held(self) -> list[TimeRuleInstance]:
        """Clocks whose rules may hold their units."""
        return [*self.early, *self.expired]

    def tell(self) -> None:
        """Notify listeners and people."""
        hooks.tell_expired(self.expired)
        hooks.tell_released(self.lifted)
        notifications.tell_expired(self.expired)
        notifications.tell_early(self.early)
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
    lock_entities([entity])
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
    lock_entities([(EntityType.UNIT, sn)])
    rows = TimeRuleInstance.objects.select_for_update(no_key=True, of=("self",)).select_related("definition")
    mine = list(
        rows.filter(entity_type=EntityType.UNIT, entity_id=sn, status__in=[S.ACTIVE, S.EXPIRED, S.EARLY]).order_by("pk")
    )
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
