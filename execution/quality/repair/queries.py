"""What the bench is shown: the unit's defects, what was done about them before, and what helped on other boards."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from execution.quality.defect_codes.models import DefectCode
from execution.quality.models import Defect, DefectStatus
from execution.quality.record_types import DEFECT
from execution.quality.repair.models import RepairRecord, RepairResult, ReworkTask, ReworkTaskStatus
from mes.platform.files.queries import attach
from mes.production.runs import snapshot_of
from mes.routing.snapshots import StepSnapshot

MOST_TASKS = 200
MOST_ELSEWHERE = 200  # repairs of other units that are looked at for each page
SHOWN_ELSEWHERE = 5


@dataclass(frozen=True)
class Remedy:
    """What was done about the same code at the same designator on other units, and how often it fixed it."""

    action: str
    label: str
    times: int
    fixed: int


@dataclass(frozen=True)
class BenchDefect:
    """A defect of a task with what is recorded of it now, what was before, and what was done elsewhere."""

    defect: Defect
    name: str
    record: RepairRecord | None
    before: Sequence[RepairRecord] = ()
    elsewhere: Sequence[RepairRecord] = ()
    remedies: Sequence[Remedy] = ()

    @property
    def is_open(self) -> bool:
        """Whether something is to be recorded of it."""
        return self.defect.status == DefectStatus.OPEN


@dataclass(frozen=True)
class Bench:
    """A task with its unit, the step that it goes back to, and its defects, the open ones first."""

    task: ReworkTask
    step: StepSnapshot | None
    defects: Sequence[BenchDefect] = field(default=())

    @property
    def missing(self) -> int:
        """Of how many defects nothing is recorded yet."""
        return sum(1 for each in self.defects if each.is_open and each.record is None)

    @property
    def next_defect_id(self) -> int | None:
        """Which defect is to be recorded next."""
        return next((each.defect.pk for each in self.defects if each.is_open and each.record is None), None)

    @property
    def is_open(self) -> bool:
        """Whether the unit waits for it."""
        return self.task.status == ReworkTaskStatus.OPEN


def list_open_tasks() -> QuerySet[ReworkTask]:
    """Return the open tasks with their defects, the oldest first."""
    tasks = ReworkTask.objects.filter(status=ReworkTaskStatus.OPEN).select_related("unit", "run__line")
    return tasks.prefetch_related("defects").order_by("id")[:MOST_TASKS]


def load_bench(task: ReworkTask) -> Bench:
    """Load a task for the bench, in six statements, whatever there is."""
    defects = list(task.defects.select_related("station").order_by("id"))
    attach(DEFECT, defects)
    defects.sort(key=lambda defect: defect.status != DefectStatus.OPEN)
    names = dict(DefectCode.objects.filter(code__in={defect.code for defect in defects}).values_list("code", "name"))
    own = list(_records().filter(defect__unit=task.unit_id).order_by("id"))
    elsewhere = _find_elsewhere(task, defects)
    return Bench(
        task=task,
        step=load_step(task),
        defects=[_bench_defect(task, defect, names.get(defect.code, ""), own, elsewhere) for defect in defects],
    )


def load_step(task: ReworkTask) -> StepSnapshot | None:
    """Return the step that a unit goes back to after its repair."""
    return snapshot_of(task.run).step(task.to_step_no)


def _records() -> QuerySet[RepairRecord]:
    return RepairRecord.objects.select_related("defect__unit", "task")


def _find_elsewhere(task: ReworkTask, defects: Iterable[Defect]) -> list[RepairRecord]:
    """Return the newest repairs of other units that had one of these codes at the same designator."""
    alike = Q(pk__in=())
    for code, location in {(defect.code, defect.location) for defect in defects if defect.location}:
        alike |= Q(defect__code=code, defect__location=location)
    return list(_records().filter(alike).exclude(defect__unit=task.unit_id).order_by("-id")[:MOST_ELSEWHERE])


def _bench_defect(
    task: ReworkTask, defect: Defect, name: str, own: Sequence[RepairRecord], elsewhere: Sequence[RepairRecord]
) -> BenchDefect:
    here = [record for record in own if record.task_id == task.pk and record.defect_id == defect.pk]
    alike = [each for each in elsewhere if _place(each.defect) == _place(defect)]
    latest: dict[tuple[int, int], RepairRecord] = {}
    for each in alike:  # the newest first: of several of one task and defect it counts
        latest.setdefault((each.task_id, each.defect_id), each)
    return BenchDefect(
        defect=defect,
        name=name,
        record=here[-1] if here else None,
        before=[
            record for record in reversed(own) if record.task_id != task.pk and _place(record.defect) == _place(defect)
        ],
        elsewhere=list(latest.values())[:SHOWN_ELSEWHERE],
        remedies=_count_remedies(latest.values()),
    )


def _place(defect: Defect) -> tuple[str, str]:
    return defect.code, defect.location


def _count_remedies(records: Iterable[RepairRecord]) -> list[Remedy]:
    records = list(records)
    times = Counter(record.action for record in records)
    fixed = Counter(record.action for record in records if record.result == RepairResult.FIXED)
    labels = {record.action: record.get_action_display() for record in records}
    return [Remedy(action, labels[action], count, fixed[action]) for action, count in times.most_common()]
