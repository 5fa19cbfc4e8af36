"""What becomes of the configs of steps when the steps of a route are edited: pure.

A config names its step by number or source step key. Whoever moves a step means its config too, so the number follows;
what named a removed step goes with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from mes.routing.compilation import applies
from mes.routing.models import RouteExecutionConfig, RoutingStep

# What is set for a step beside its place in the order. A mapping has an editor of its own.
SET_HERE = (
    "station_type",
    "station_group",
    "allowed_station_codes",
    "requires_fai",
    "retest_limit",
    "reentry_limit",
    "is_optional",
    "requires_qualification",
    "data_spec_names",
    "work_instructions",
)


@dataclass(frozen=True)
class StepEdit:
    """A step as it is wanted: one that is there, by its id, or a new one.

    `values` is all that is to be set for it, by SET_HERE: what is missing is inherited. None leaves it as it is.
    """

    step_id: int | None
    step_no: int
    operation_code: str
    values: Mapping[str, Any] | None = None


@dataclass
class ConfigPlan:
    """Which configs get another step number, and which go."""

    moved: list[tuple[RouteExecutionConfig, int | None]] = field(default_factory=list)
    gone: list[RouteExecutionConfig] = field(default_factory=list)


def find_step_problems(steps: Sequence[StepEdit], known: Iterable[int]) -> dict[str, str]:
    """Return what is wrong with how steps are named, by place: one that is not there, or named twice."""
    present, seen = set(known), set[int]()
    problems = {}
    for index, step in enumerate(steps):
        if step.step_id is None:
            continue
        if step.step_id not in present:
            problems[f"steps.{index}.id"] = _("The route has no such step any more.")
        elif step.step_id in seen:
            problems[f"steps.{index}.id"] = _("This step occurs twice.")
        seen.add(step.step_id)
    return problems


def plan_configs(
    configs: Iterable[RouteExecutionConfig], present: Sequence[RoutingStep], steps: Sequence[StepEdit]
) -> ConfigPlan:
    """Return what becomes of the STEP configs of a route whose `present` steps become `steps`."""
    numbers = {step.step_id: step.step_no for step in steps if step.step_id is not None}
    plan = ConfigPlan()
    for config in configs:
        stays, step_no = _place(config, present, numbers, {step.step_no for step in steps})
        if not stays:
            plan.gone.append(config)
        elif step_no != config.step_no:
            plan.moved.append((config, step_no))
    return plan


def _place(
    config: RouteExecutionConfig, present: Sequence[RoutingStep], numbers: Mapping[int, int], taken: set[int]
) -> tuple[bool, int | None]:
    """Return whether a config stays, and its step number then."""
    key = config.source_step_key
    named = [step for step in present if applies(config, step)]
    if not named:  # left over from a step that is gone: a new one with its number would get it unasked
        return bool(key) or config.step_no not in taken, config.step_no
    kept = [step for step in named if step.pk in numbers]
    if not kept:
        return False, None
    its_own = next((step for step in named if step.step_no == config.step_no), None)
    if its_own is None:
        return True, config.step_no
    return True, numbers.get(its_own.pk)
