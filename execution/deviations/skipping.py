"""Units that go past a step by a deviation: as they come to it, or where they stand when it is approved."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils import timezone

from execution import hooks
from execution.carriers import take_off
from execution.deviations.models import Deviation, DeviationStatus, DeviationType
from execution.deviations.rules import InForce, find_skip
from execution.models import Disposition, DispositionAction
from execution.quality.repair.models import ReworkTask, ReworkTaskStatus
from mes.labels import Action
from mes.production import runs, transitions
from mes.production.models import Unit, UnitStatus
from mes.routing.models import RouteVersion
from mes.routing.snapshots import RouteSnapshot


def pass_over(unit: Unit, snapshot: RouteSnapshot, in_force: Sequence[InForce], *, at: datetime) -> list[Disposition]:
    """Send a unit, unsaved, that would wait at a skipped step past it: to the next, past the last it is done. Return
    the decisions to keep, one for each step. A held unit stays held; its release goes there.
    """
    decisions: list[Disposition] = []
    while unit.standing == UnitStatus.QUEUED:
        step = snapshot.step(unit.current_step_no)
        deviation = None if step is None else find_skip(in_force, step, at)
        if step is None or deviation is None:
            break
        before = unit.status
        transitions.UNIT.next_state(Action.SKIP, unit.standing)
        following = snapshot.next_step_no(step.step_no)
        unit.stand(UnitStatus.DONE if following is None else UnitStatus.QUEUED)
        unit.current_step_no = step.step_no if following is None else following
        decisions.append(
            Disposition(
                unit=unit,
                run_id=unit.run_id,
                action=DispositionAction.SKIP,
                from_status=before,
                to_status=unit.status,
                step_no=step.step_no,
                reason=f"DEV-{deviation.id}: {deviation.reason}"[:500],
                decided_by=deviation.requested_by,
                approved_by=deviation.approved_by,
            )
        )
    return decisions


def settle(units: Iterable[Unit], *, at: datetime | None = None) -> None:
    """Have locked units that wait at a skipped step of their run go past it; writes them and the decisions.

    Called where units came to wait by another way than through a station, as they are by now. One statement where no
    run of theirs has a deviation. One that is to be repaired first waits for that, wherever it would go.
    """
    waiting = [unit for unit in units if unit.standing == UnitStatus.QUEUED and unit.run_id is not None]
    if not waiting:
        return
    skips = _list_skips({unit.run_id for unit in waiting if unit.run_id is not None})
    decisions: list[Disposition] = []
    at_bench = _find_at_bench(waiting) if skips else set()
    for unit in waiting:
        if unit.pk in at_bench:
            continue
        in_force = [_as_in_force(each) for each in skips if each.run_id == unit.run_id and _covers(each, unit)]
        if in_force:
            run = next(each.run for each in skips if each.run_id == unit.run_id)
            decisions += pass_over(unit, runs.snapshot_of(run), in_force, at=at or timezone.now())
    if decisions:
        _write(decisions)


def _find_at_bench(units: Sequence[Unit]) -> set[int]:
    """Return the ids of those that wait for their repair."""
    tasks = ReworkTask.objects.filter(unit__in=[unit.pk for unit in units], status=ReworkTaskStatus.OPEN)
    return set(tasks.values_list("unit_id", flat=True))


def _list_skips(run_ids: set[int]) -> list[Deviation]:
    skips = Deviation.objects.filter(
        run__in=run_ids, run__has_deviations=True, status=DeviationStatus.IN_FORCE, type=DeviationType.SKIP
    )
    found = list(skips.select_related("run").order_by("id"))
    versions = RouteVersion.objects.defer("snapshot", "errors").in_bulk({each.run.route_version_id for each in found})
    for each in found:
        each.run.route_version = versions[each.run.route_version_id]
    return found


def _covers(deviation: Deviation, unit: Unit) -> bool:
    return deviation.unit_ids is None or unit.pk in deviation.unit_ids


def _as_in_force(deviation: Deviation) -> InForce:
    return InForce(*(getattr(deviation, name) for name in InForce.__struct_fields__))


def _write(decisions: Sequence[Disposition]) -> None:
    now = timezone.now()
    units = {decision.unit.pk: decision.unit for decision in decisions}
    for unit in units.values():
        unit.updated_at = now
    Unit.objects.bulk_update(units.values(), ["status", "held_from", "current_step_no", "updated_at"])
    Disposition.objects.bulk_create(decisions)
    for unit in units.values():
        if unit.standing == UnitStatus.DONE:
            take_off(unit, at=now)
        hooks.announce(unit.pk)
