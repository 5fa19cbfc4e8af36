"""Reference units at stations: boards by which machines are checked. What they pass is kept, and nothing else follows.

Of a result that was not expected, and of a unit that should be in use no more, people are told.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.plant.models import Station
from mes.platform.accounts.roles import Role
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_bounds
from mes.platform.notifications.models import Severity
from mes.platform.notifications.services import Notice, notify
from mes.production.identity_models import ReferencePass, ReferenceUnit

TOLD = frozenset({Role.SUPERVISOR.value, Role.QUALITY.value, Role.ENGINEER.value})


@dataclass(frozen=True, slots=True)
class Passed:
    """A reference unit at a station, as it is reported. `result` is PASS, FAIL or nothing."""

    reference_unit: ReferenceUnit
    station: Station | None
    at: datetime
    result: str = ""
    event_id: int | None = None
    by: str = ""


def record(passed: list[Passed]) -> list[ReferencePass]:
    """Record passes, and tell people of those that they should know of (inside a transaction)."""
    passes = ReferencePass.objects.bulk_create(
        ReferencePass(
            reference_unit=each.reference_unit,
            station=each.station,
            passed_at=each.at,
            result=each.result,
            event_id=each.event_id,
            recorded_by=each.by[:150],
        )
        for each in passed
    )
    notices = [_notice(each, kept) for each, kept in zip(passed, passes, strict=True)]
    notify([notice for notice in notices if notice is not None])
    return passes


@transaction.atomic
def pass_by_hand(*, station_code: str, sn: str, result: str, by: str, at: datetime | None = None) -> ReferencePass:
    """Record that a reference unit passed a station.

    Raises StationNotFound, ReferenceUnitNotFound, EventTimeInFuture, EventTooOld.
    """
    now = timezone.now()
    check_bounds(at or now, now=now)
    station = get_or_raise(Station.objects, errors.StationNotFound, code=station_code)
    reference_unit = get_or_raise(ReferenceUnit.objects, errors.ReferenceUnitNotFound, sn=sn)
    return record([Passed(reference_unit, station, at or now, result, by=by)])[0]


def find_concern(reference_unit: ReferenceUnit, result: str, *, at: datetime) -> str:
    """Return in words why people should know of a pass; nothing where all is as it should be."""
    names = {"sn": reference_unit.sn, "result": result, "expected": reference_unit.expected_result}
    if reference_unit.expected_result and result and result != reference_unit.expected_result:
        return _("Reference unit %(sn)s was judged %(result)s; expected is %(expected)s.") % names
    if not reference_unit.is_active:
        return _("Reference unit %(sn)s is not active any more, but is in use.") % names
    if reference_unit.expires_at is not None and reference_unit.expires_at <= at:
        return _("Reference unit %(sn)s has expired, but is in use.") % names
    return ""


def _notice(passed: Passed, kept: ReferencePass) -> Notice | None:
    concern = find_concern(passed.reference_unit, passed.result, at=passed.at)
    if not concern:
        return None
    place = f" ({passed.station.code})" if passed.station is not None else ""
    return Notice(
        key=f"reference-pass:{kept.pk}",
        severity=Severity.ALERT,
        text=f"{concern}{place}",
        roles=TOLD,
        line_id=passed.station.line_id if passed.station is not None else None,
        address=f"{reverse('admin:mes_referencepass_changelist')}?{urlencode({'q': passed.reference_unit.sn})}",
    )
