"""EQUIPMENT: every machine of the stations that may do the run's steps on its line is normal and not blocked."""

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.models import MaintenanceTask
from mes.plant.models import EQUIPMENT_NORMAL, Equipment
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "EQUIPMENT"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for each machine, or for each thing that is wrong with it."""
    machines = list(facts.read(_machines(facts)))
    tasks: dict[int, list[MaintenanceTask]] = {}
    for task in MaintenanceTask.objects.filter(
        equipment__in=[machine.pk for machine in machines], is_open=True, is_blocking=True
    ).order_by("number"):
        tasks.setdefault(task.equipment_id, []).append(task)
    for machine in machines:
        yield from _judge(machine, tasks.get(machine.pk, []))


def _machines(facts: Facts):  # type: ignore[no-untyped-def]
    """The machines of the run's line, and of the stations elsewhere that its steps name; in one order."""
    named = {code for step in facts.snapshot.steps for code in step.allowed_stations or ()}
    machines = Equipment.objects.select_related("station").order_by("pk")
    return machines.filter(station__line=facts.run.line) | machines.filter(station__code__in=named)


def _judge(machine: Equipment, tasks: list[MaintenanceTask]) -> Iterator[Finding]:
    assert machine.station is not None  # they were found by their stations
    evidence = {"equipmentStatus": machine.status, "stationCode": machine.station.code}
    if machine.status != EQUIPMENT_NORMAL:
        yield Finding(
            ITEM_TYPE,
            machine.code,
            "EQUIPMENT_NOT_NORMAL",
            _("Machine “%(code)s” of station “%(station)s” is %(status)s.")
            % {"code": machine.code, "station": machine.station.code, "status": machine.status},
            _("Have it repaired; the maintenance system then reports it as normal."),
            evidence,
        )
    if machine.failed_check:
        named = {"code": machine.code, "forms": machine.failed_check}
        yield Finding(
            ITEM_TYPE,
            machine.code,
            "EQUIPMENT_CHECK_FAILED",
            _("The latest check of machine “%(code)s” by %(forms)s failed.") % named,
            _("Put right what was found, and record a check that passes."),
            {**evidence, "failedChecks": machine.failed_check},
        )
    for task in tasks:
        yield Finding(
            ITEM_TYPE,
            machine.code,
            "MAINTENANCE_OPEN",
            _("Maintenance task “%(number)s” (%(title)s) blocks machine “%(code)s”.")
            % {"number": task.number, "title": task.title or _("no title"), "code": machine.code},
            _("Have the task done; the maintenance system then closes it."),
            {**evidence, "taskNumber": task.number, "dueAt": task.due_at and task.due_at.isoformat()},
        )
    if machine.status == EQUIPMENT_NORMAL and not tasks and not machine.failed_check:
        yield Finding(ITEM_TYPE, machine.code, evidence=evidence)


CHECK = Check(ITEM_TYPE, gettext_lazy("Machines: status and maintenance"), evaluate, 20, presets=("SMT", "DIP"))
