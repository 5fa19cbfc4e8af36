"""Where a spec is used, as other rooms tell it: what a change of it reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from mes.specs.rules import LIMIT_FIELDS


class Bound(models.TextChoices):
    """How a step comes to bind a spec."""

    NAMED = "NAMED", _("Named by a config")
    ALL_ACTIVE = "ALL_ACTIVE", _("As every active spec of the operation")


@dataclass(frozen=True)
class BoundStep:
    """A step that would bind the spec if its route were compiled now."""

    route_code: str
    step_no: int
    bound: Bound


@dataclass(frozen=True)
class BoundVersion:
    """A READY version that binds the spec, and the spec as it was frozen. `is_latest`: its route has no later one."""

    pk: int
    route_code: str
    version_no: int
    is_latest: bool
    frozen: Any


@dataclass(frozen=True)
class BoundRun:
    """An open run of a version that binds the spec."""

    run_no: str
    status: str
    status_label: str
    route_code: str
    version_no: int


@dataclass(frozen=True)
class PrepUse:
    """A preparation that a value of the spec confirms."""

    pk: int
    code: str
    name: str
    line_code: str | None
    route_code: str | None


@dataclass(frozen=True)
class Usage:
    """Everywhere a spec is used."""

    routes: Sequence[BoundStep] = ()
    versions: Sequence[BoundVersion] = ()
    runs: Sequence[BoundRun] = ()
    prep_policies: Sequence[PrepUse] = ()


_JUDGED_BY = (*LIMIT_FIELDS, "unit", "alarm_action")


def is_judged_alike(one: Any, other: Any) -> bool:
    """Whether two states of a spec have the same limits and alarm."""
    return all(getattr(one, name) == getattr(other, name) for name in _JUDGED_BY)
