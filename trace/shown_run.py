"""A run as what may be done with it looks at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.http import HttpRequest
from django.urls import reverse

from mes.plant.models import Line
from mes.platform.accounts.roles import Capability
from mes.platform.http.acts import Act, Field
from mes.production import holds
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus
from mes.production.runs import snapshot_of

MOST_CHOICES = 200


@dataclass(frozen=True)
class ShownRun:
    """A run as its acts look at it, and what their forms offer; read where it is drawn."""

    run: Run
    holds: Sequence[Hold]
    newer: int | None  # version of its route
    viewer: str = ""  # the name of who looks at it, and signs

    @property
    def is_open(self) -> bool:
        """Whether units may still be put into it."""
        return self.run.status in OPEN_RUN_STATUSES

    @property
    def is_held_by_person(self) -> bool:
        """Whether a person holds it, or did before there were holds."""
        return self.run.status == RunStatus.ON_HOLD and any(hold.source == HoldSource.PERSON for hold in self.holds)

    @cached_property
    def lines(self) -> Sequence[tuple[str, str]]:
        """The lines, to choose of."""
        return [(code, code) for code in Line.objects.order_by("code").values_list("code", flat=True)[:MOST_CHOICES]]

    @cached_property
    def steps(self) -> Sequence[tuple[str, str]]:
        """The steps of its route, to choose of."""
        return [(str(step.step_no), f"{step.step_no} {step.operation_name}") for step in snapshot_of(self.run).steps]


def find_holds(run: Run) -> list[Hold]:
    """Return what holds a run, the oldest first: one query, none for a run that is not held."""
    return holds.list_open(run=run) if run.status == RunStatus.ON_HOLD else []


@dataclass(frozen=True)
class RunAct:
    """Something that may be done with a run: who may, in which states, its form, and the doing, which returns what to
    say.
    """

    needed: tuple[Capability, ...]
    is_possible: Callable[[ShownRun], bool]
    build: Callable[[str, ShownRun], Act]
    do: Callable[[HttpRequest, str, Sequence[Field]], str]


def address_of(name: str, shown: ShownRun) -> str:
    """Return where the form of an act is sent."""
    return reverse("run-act", args=[name, shown.run.run_no])


def name_of(request: HttpRequest) -> str:
    """Return by whom it is."""
    return str(request.user.get_username())


def is_open(shown: ShownRun) -> bool:
    """Whether the run may still be changed."""
    return shown.is_open
