"""Which units may go from run to run, and at which step they go on. Pure, by what was read of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mes import errors
from mes.labels import Action, Entity
from mes.production.models import Run, RunKind, Unit, UnitStatus
from mes.routing.snapshots import RouteSnapshot, StepSnapshot

MOVABLE = (UnitStatus.QUEUED, UnitStatus.OUT_FAILED)


def check_movable(unit: Unit, *, statuses: Iterable[str] = MOVABLE, action: Action = Action.MOVE) -> None:
    """Raise the refusal that a unit's status calls for, of a held one the status behind the hold."""
    standing = unit.standing
    if standing in statuses:
        return
    refusals: Mapping[str, errors.DomainError] = {
        UnitStatus.IN_STATION: errors.UnitAlreadyInStation(sn=unit.sn, station=""),
        UnitStatus.DONE: errors.UnitAlreadyDone(sn=unit.sn),
        UnitStatus.OUT_FAILED: errors.UnitOutFailed(sn=unit.sn),
        UnitStatus.SCRAPPED: errors.UnitScrapped(sn=unit.sn),
    }
    if standing in refusals:
        raise refusals[standing]
    raise errors.InvalidTransition(action=action, entity=Entity.UNIT, state=UnitStatus(standing))


def check_product(unit: Unit, product: str, run: Run, *, parts: Iterable[str] = (), any_product: bool = False) -> None:
    """Raise ProductMismatch unless a run takes a unit of this product: its own, `parts` of it, or any."""
    own = run.work_order.product_code
    if not any_product and product != own and product not in parts:
        raise errors.ProductMismatch(sn=unit.sn, product=product, run=run.run_no, run_product=own)


def check_returnable(unit: Unit, product: str, run: Run, *, parts: Iterable[str]) -> None:
    """Raise ProductMismatch unless a finished unit may return into a run: for rework its own product, for production a
    part of what that makes, for engineering any.
    """
    if run.kind == RunKind.PRODUCTION:
        if product not in parts:
            own = run.work_order.product_code
            raise errors.ProductMismatch(sn=unit.sn, product=product, run=run.run_no, run_product=own)
        return
    check_product(unit, product, run, any_product=run.kind == RunKind.ENGINEERING)


# --- the step at which a unit goes on ----------------------------------------------------------------------


@dataclass(frozen=True)
class StepRule:
    """Where units of one route go on in another: at their step, where all before it agree, else at the named one.

    `is_finished`: they have passed their whole route.
    """

    source: RouteSnapshot
    target: RouteSnapshot
    to_step_no: int | None
    is_finished: bool = False

    def stays(self, step_no: int | None) -> bool:
        """Whether units at a step go on at the step of that number."""
        return self.target.step(step_no) is not None and _before(self.source, step_no) == _before(self.target, step_no)

    def check_named(self, unit: Unit, results: Mapping[str, str]) -> None:
        """Raise StepMismatch where the named step is none of the target's, or lies past the first whose operation the
        unit did not pass last: by `results`, those of its last tracks by operation.

        What it is sent back to, or has yet to come to, in its present route counts as not passed.
        """
        assert self.to_step_no is not None
        step_no = unit.current_step_no
        is_step = self.target.step(self.to_step_no) is not None
        if not is_step or self._first_open(step_no, results) < self.to_step_no:
            raise errors.StepMismatch(current=step_no, step_no=self.to_step_no)

    def _first_open(self, current: int | None, results: Mapping[str, str]) -> int:
        """Return the number of the target's first step that is not passed; beyond the last, where all are."""
        passed, repeated = self._count_passed(current)
        for step in self.target.steps:
            operation = step.operation_code
            if results.get(operation) != "PASS":
                return step.step_no
            if operation in repeated:
                if not passed[operation]:
                    return step.step_no
                passed[operation] -= 1
        return self.target.steps[-1].step_no

    def _count_passed(self, current: int | None) -> tuple[Counter[str], set[str]]:
        """Return how often each operation stands before a step of the source, and which stand from it on."""
        if self.is_finished or current is None:
            return Counter(), set()
        before = Counter(step.operation_code for step in self.source.steps if step.step_no < current)
        return before, {step.operation_code for step in self.source.steps if step.step_no >= current}


def _before(route: RouteSnapshot, step_no: int | None) -> list[tuple[int, str]]:
    return [_key(step) for step in route.steps if step_no is not None and step.step_no < step_no]


def _key(step: StepSnapshot) -> tuple[int, str]:
    return step.step_no, step.operation_code
