"""What readiness adds to others at the start: its checks, the gate that asks for them, and what may go in time."""

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from mes.plant.hooks import line_checks
from mes.platform.database import retention
from mes.production import hooks
from mes.production.models import OPEN_RUN_STATUSES
from mes.readiness.checks import equipment, line_hold, material, preparation, set_up, solder_paste, stencil, time_rule
from mes.readiness.models import CheckStatus, ReadinessCheck
from mes.readiness.registry import checks, list_line_checks
from mes.readiness.services import pass_gate
from mes.readiness.spec_usage import find_usage
from mes.specs import hooks as spec_hooks


def register() -> None:
    """Add the checks of this app, the gate and the retention. Other apps add checks in the same way."""
    checks.register(
        *(subject.CHECK for subject in (equipment, material, stencil, solder_paste, time_rule, preparation, line_hold))
    )
    checks.register(*set_up.CHECKS)
    line_checks.register(list_line_checks)
    spec_hooks.usage_finders.register(find_usage)
    hooks.authorization_gates.register(pass_gate)
    retention.policies.register(
        retention.Rows("readiness checks", _("Readiness checks"), "MES_READINESS_RETENTION", expired=_list_expired)
    )


def _list_expired(cutoff):  # type: ignore[no-untyped-def]
    """Old checks, but neither those that authorized a run nor the latest of an open one."""
    newer = ReadinessCheck.objects.filter(run=OuterRef("run"), pk__gt=OuterRef("pk"))
    authorized = Q(is_authorization=True, status=CheckStatus.PASSED)
    is_latest_of_open = Q(run__status__in=OPEN_RUN_STATUSES) & ~Exists(newer)
    return ReadinessCheck.objects.filter(checked_at__lt=cutoff).exclude(authorized).exclude(is_latest_of_open)
