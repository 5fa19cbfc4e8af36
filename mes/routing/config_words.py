"""What execution configs say, in the words that people read."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.plant.models import StationType
from mes.routing.compilation import FIELDS, EffectiveStep
from mes.routing.models import ConfigScope, RouteExecutionConfig
from mes.routing.snapshots import DEFAULT_REENTRY_LIMIT

LABELS = {
    "station_type": gettext_lazy("Station type"),
    "station_group": gettext_lazy("Station group"),
    "allowed_station_codes": gettext_lazy("Allowed stations"),
    "requires_fai": gettext_lazy("First article"),
    "retest_limit": gettext_lazy("Retests"),
    "reentry_limit": gettext_lazy("Re-entries"),
    "is_optional": gettext_lazy("Optional"),
    "requires_qualification": gettext_lazy("Qualification"),
    "data_spec_names": gettext_lazy("Specs"),
    "ingest_mapping": gettext_lazy("Mapping"),
    "work_instructions": gettext_lazy("Work instructions"),
}
_STATION_TYPES = dict(StationType.choices)
_MOST_NAMED = 12


def say_value(name: str, value: Any) -> str:
    """Return a value of a field, by FIELDS. None is what it means where no config says anything."""
    if name == "station_type":
        return str(_STATION_TYPES.get(value, value)) if value else _("none")
    if name == "station_group":
        return _("any") if value is None else str(value)
    if name == "allowed_station_codes":
        return _("any") if value is None else _say_list(value)
    if name in ("requires_fai", "requires_qualification"):
        return _("required") if value else _("not required")
    if name == "is_optional":
        return _("yes") if value else _("no")
    if name == "retest_limit":
        return _("none") if not value else str(value)
    if name == "reentry_limit":
        return str(DEFAULT_REENTRY_LIMIT if value is None else value)
    if name == "data_spec_names":
        return _say_list(value or ())
    if name == "work_instructions":
        return _say_list([each["title"] for each in value or ()])
    return _("none") if value is None else _say_mapping(value)


def _say_list(names: Sequence[str]) -> str:
    if not names:
        return _("none")
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return shown if more <= 0 else _("%(names)s and %(more)d more") % {"names": shown, "more": more}


def _say_mapping(mapping: Any) -> str:
    number = len(mapping) if isinstance(mapping, list) else 1
    return ngettext("%(number)d mapping", "%(number)d mappings", number) % {"number": number}


def value_of(effective: EffectiveStep, name: str) -> Any:
    """Return what would be frozen of a field, by FIELDS, as plain values."""
    step = effective.frozen
    if name == "allowed_station_codes":
        return None if step.allowed_stations is None else list(step.allowed_stations)
    if name == "data_spec_names":
        return [spec.name for spec in step.specs]
    if name == "reentry_limit":
        return DEFAULT_REENTRY_LIMIT if step.reentry_limit is None else step.reentry_limit
    if name == "work_instructions":
        return [instruction.document for instruction in step.work_instructions]
    return getattr(step, name)


def say_origin(name: str, config: RouteExecutionConfig | None) -> str:
    """Return who says what counts for a field of a step."""
    if config is None:
        return _("at the operation") if name in ("station_type", "data_spec_names") else _("by default")
    return {
        ConfigScope.STEP: _("here"),
        ConfigScope.OPERATION: _("inherited from operation %(name)s")
        % {"name": config.operation.name if config.operation else ""},
        ConfigScope.ROUTE: _("inherited from the whole route"),
        ConfigScope.GLOBAL: _("inherited from what holds everywhere"),
    }[ConfigScope(config.scope)]


def say_place(config: RouteExecutionConfig) -> str:
    """Return where a config applies. Reads its route and operation."""
    if config.scope == ConfigScope.GLOBAL:
        return _("Everywhere")
    if config.scope == ConfigScope.OPERATION:
        return _("Operation %(operation)s, on every route") % {"operation": config.operation}
    if config.scope == ConfigScope.ROUTE:
        return _("Route %(route)s, all steps") % {"route": config.routing}
    if config.source_step_key:
        return _("Route %(route)s, step with key %(key)s") % {"route": config.routing, "key": config.source_step_key}
    return _("Route %(route)s, step %(number)s") % {"route": config.routing, "number": config.step_no}


def say_values(config: RouteExecutionConfig) -> list[tuple[str, str]]:
    """Return what a config sets: label and value of each field that says something."""
    said = ((name, getattr(config, name)) for name in FIELDS)
    return [(str(LABELS[name]), say_value(name, value)) for name, value in said if value is not None]


def say_all(config: RouteExecutionConfig) -> str:
    """Return what a config sets, in a line."""
    said = "; ".join(f"{label}: {value}" for label, value in say_values(config))
    return said or _("says nothing")
