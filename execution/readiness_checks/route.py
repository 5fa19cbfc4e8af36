"""ROUTE: the run's frozen version is READY, and for every step there is a station that may do it for this line."""

from collections.abc import Iterator, Sequence

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution import rules
from mes.plant.models import Station
from mes.readiness.registry import Check, Facts, Finding
from mes.routing.models import VersionStatus
from mes.routing.snapshots import StepSnapshot

ITEM_TYPE = "ROUTE"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for the version, or for each step that no station of the line can do. None can be waived."""
    version, line = facts.run.route_version, facts.run.line
    evidence = {"routeCode": facts.snapshot.route_code, "versionNo": version.version_no}
    if version.status != VersionStatus.READY:
        yield Finding(
            ITEM_TYPE,
            facts.snapshot.route_code,
            "ROUTE_VERSION_NOT_READY",
            _("Version %(number)d of route “%(route)s” is not ready.")
            % {"number": version.version_no, "route": facts.snapshot.route_code},
            _("Have the route compiled without errors, and create the run again."),
            evidence,
            waivable=False,
        )
        return
    stations = _list_stations(facts)
    impossible = [step for step in facts.snapshot.steps if not _find(step, stations, facts)]
    for step in impossible:
        yield Finding(
            ITEM_TYPE,
            f"{facts.snapshot.route_code} {step.step_no}",
            "STEP_WITHOUT_STATION",
            _("Line “%(line)s” has no station for step %(step)d (%(operation)s).")
            % {"line": line.code, "step": step.step_no, "operation": step.operation_name},
            _("Give the line a station of type %(type)s for it, or run the order on another line.")
            % {"type": step.station_type},
            {**evidence, "stepNo": step.step_no, "stationGroupCode": step.station_group},
            waivable=False,
        )
    if not impossible:
        yield Finding(ITEM_TYPE, facts.snapshot.route_code, evidence=evidence, waivable=False)


def _list_stations(facts: Facts) -> list[Station]:
    """The stations of the line, those that all lines share, and those that steps name; in one query."""
    named = {code for step in facts.snapshot.steps for code in step.allowed_stations or ()}
    near = Q(line=facts.run.line) | Q(line=None) | Q(code__in=named)
    return list(Station.objects.select_related("group").filter(near))


def _find(step: StepSnapshot, stations: Sequence[Station], facts: Facts) -> bool:
    return step.is_optional or any(
        rules.station_may_run(station, step) and rules.line_fits(station, step, facts.run) for station in stations
    )


CHECK = Check(ITEM_TYPE, gettext_lazy("Route: the line can do every step"), evaluate, 10, presets=("SMT", "DIP"))
