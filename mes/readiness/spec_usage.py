"""Where a data collection spec is used. Here, because the preparations that a value confirms belong to readiness."""

from mes.production.models import OPEN_RUN_STATUSES, Run
from mes.readiness.models import PrepPolicy
from mes.routing.spec_bindings import find_steps, find_versions, ready_versions_with
from mes.specs.models import DataCollectionSpec
from mes.specs.usage import BoundRun, PrepUse, Usage


def find_usage(spec: DataCollectionSpec) -> Usage:
    """Return where a spec is used; six queries."""
    return Usage(find_steps(spec), find_versions(spec), _find_runs(spec), _find_prep_policies(spec))


def _find_runs(spec: DataCollectionSpec) -> list[BoundRun]:
    runs = (
        Run.objects.filter(status__in=OPEN_RUN_STATUSES, route_version__in=ready_versions_with(spec).values("pk"))
        .select_related("route_version__routing")
        .only("run_no", "status", "route_version__version_no", "route_version__routing__code")
    )
    return [
        BoundRun(
            run.run_no,
            run.status,
            run.get_status_display(),
            run.route_version.routing.code,
            run.route_version.version_no,
        )
        for run in runs
    ]


def _find_prep_policies(spec: DataCollectionSpec) -> list[PrepUse]:
    policies = PrepPolicy.objects.filter(spec=spec).values_list("pk", "code", "name", "line__code", "routing__code")
    return [PrepUse(*policy) for policy in policies]
