"""PREP_*: what the policies of the run's line and route ask for, confirmed as they say.

The source must be good (a report of another system, or a fresh device value within its limits), and where the policy
asks for a person, a person must have confirmed for this run. A confirmation or value counts for as long as the policy
says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.checks import queries as checks
from mes.line_setup.checks.models import Verdict
from mes.readiness.device_values import DeviceValue, find_device_value
from mes.readiness.models import ConfirmMode, DataSource, Gate, PrepConfirmation, PrepPolicy
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "PREP_*"
PREFIX = "PREP_"


@dataclass(frozen=True)
class Fault:
    """Why a preparation is not confirmed, and what to do."""

    code: str
    reason: str
    action: str


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for each policy that applies, and for each one the line names and nobody defined."""
    policies = list_policies(facts)
    confirmations = _list_confirmations(facts)
    for policy in policies:
        yield _judge(policy, facts, confirmations)
    defined_codes = {policy.code for policy in policies}
    for code in facts.run.line.readiness_checks:
        if code.startswith(PREFIX) and code not in defined_codes:
            yield Finding(
                code,
                facts.run.line.code,
                "PREP_POLICY_MISSING",
                _("Line “%(line)s” asks for %(code)s, and no active policy says how it is confirmed.")
                % {"line": facts.run.line.code, "code": code},
                _("Have an engineer add the policy, or take the check off the line."),
            )


def list_policies(facts: Facts) -> list[PrepPolicy]:
    """Return the active policies of the run's line and route by code. Of two, the route's counts."""
    line, routing = facts.run.line_id, facts.run.route_version.routing_id
    rows = PrepPolicy.objects.filter(Q(line=line) | Q(routing=routing), is_active=True)
    by_code = {policy.code: policy for policy in sorted(facts.read(rows.order_by("pk")), key=_is_of_route)}
    return [by_code[code] for code in sorted(by_code)]


def _is_of_route(policy: PrepPolicy) -> bool:
    return policy.routing_id is not None


def _list_confirmations(facts: Facts) -> dict[tuple[str, str], PrepConfirmation]:
    """The latest confirmation of each preparation by each source."""
    rows = PrepConfirmation.objects.filter(run=facts.run).order_by("code", "source", "-id").distinct("code", "source")
    return {(row.code, row.source): row for row in rows}


def _judge(policy: PrepPolicy, facts: Facts, confirmations: dict[tuple[str, str], PrepConfirmation]) -> Finding:
    evidence: dict[str, Any] = {"confirmMode": policy.confirm_mode, "dataSource": policy.data_source}
    fault = None
    if policy.data_source == DataSource.DEVICE:
        fault = _judge_device(policy, facts, evidence)
    elif policy.data_source == DataSource.RECORD:
        fault = _judge_records(policy, facts, evidence)
    elif policy.data_source == DataSource.SYSTEM:
        fault = _judge_confirmation(policy, facts, confirmations, evidence, source=DataSource.SYSTEM)
    if policy.confirm_mode == ConfirmMode.MANUAL:
        unconfirmed = _judge_confirmation(policy, facts, confirmations, evidence, source=DataSource.MANUAL)
        fault = fault or unconfirmed
    key, waivable = policy.name, policy.gate == Gate.SOFT
    if fault is None:
        return Finding(policy.code, key, evidence=evidence, waivable=waivable)
    return Finding(policy.code, key, fault.code, fault.reason, fault.action, evidence, waivable)


def _judge_confirmation(
    policy: PrepPolicy,
    facts: Facts,
    confirmations: dict[tuple[str, str], PrepConfirmation],
    evidence: dict[str, Any],
    *,
    source: str,
) -> Fault | None:
    """Look for a confirmation by a person or a report of another system that is neither taken back nor too old."""
    confirmation = confirmations.get((policy.code, source))
    by_person = source == DataSource.MANUAL
    if confirmation is not None:
        evidence |= {
            "confirmedBy" if by_person else "reportedBy": confirmation.confirmed_by,
            "confirmedAt" if by_person else "reportedAt": confirmation.confirmed_at.isoformat(),
            "isDone" if by_person else "reportedDone": confirmation.is_done,
            "remark" if by_person else "report": confirmation.remark,
        }
    age = timedelta(minutes=policy.max_age_minutes) if policy.max_age_minutes else None
    is_recent = confirmation is not None and (age is None or confirmation.confirmed_at + age >= facts.now)
    if confirmation is not None and confirmation.is_done and is_recent:
        return None
    todo = policy.instruction or (
        _("Do it, then confirm it here.") if by_person else _("The other system must report it as done.")
    )
    if confirmation is not None and confirmation.is_done:
        return Fault("PREP_LAPSED", _("“%(name)s” was confirmed too long ago to count.") % {"name": policy.name}, todo)
    reason = _("“%(name)s” is not confirmed.") if by_person else _("“%(name)s” is not reported as done.")
    return Fault("PREP_NOT_CONFIRMED" if by_person else "PREP_NOT_REPORTED", reason % {"name": policy.name}, todo)


def _judge_records(policy: PrepPolicy, facts: Facts, evidence: dict[str, Any]) -> Fault | None:
    """Look for a fresh check that passed, of all on the line that the form is about."""
    form = policy.form
    assert form is not None and policy.max_age_minutes is not None  # by constraint
    codes = checks.list_subjects(form, facts.run.line)
    latest = checks.find_latest([(form.pk, code) for code in codes])
    found = {code: latest.get((form.pk, code)) for code in codes}
    evidence["formCode"] = form.code
    evidence["records"] = [
        {"subjectCode": code, "verdict": row.verdict, "at": row.at.isoformat(), "operator": row.operator}
        for code, row in found.items()
        if row is not None
    ]
    since = facts.now - timedelta(minutes=policy.max_age_minutes)
    missing = [code for code, row in found.items() if row is None or row.at < since]
    failed = [code for code, row in found.items() if row is not None and row.verdict != Verdict.PASS]
    named = {"name": policy.name, "minutes": policy.max_age_minutes, "form": form.name}
    todo = policy.instruction or _("Fill in “%(form)s” on the page “Checks”.") % named
    if failed:
        reason = _("“%(name)s” failed at %(codes)s.") % {**named, "codes": ", ".join(failed)}
        return Fault("PREP_RECORD_FAILED", reason, todo)
    if missing or not codes:
        what = ", ".join(missing) or facts.run.line.code
        reason = _("“%(name)s” was not checked within the last %(minutes)d min: %(codes)s.") % {**named, "codes": what}
        return Fault("PREP_RECORD_STALE", reason, todo)
    return None


def _judge_device(policy: PrepPolicy, facts: Facts, evidence: dict[str, Any]) -> Fault | None:
    """Look for a fresh device value within its limits; it becomes the evidence, good or bad."""
    assert policy.spec_id is not None and policy.max_age_minutes is not None  # by constraint
    age = timedelta(minutes=policy.max_age_minutes)
    skew = settings.MES_CLOCK_SKEW
    value = find_device_value(policy.spec_id, facts.run.line_id, facts.now - age, facts.now + skew)
    named = {"name": policy.name, "minutes": policy.max_age_minutes}
    if value is None:
        return Fault(
            "PREP_VALUE_STALE",
            _("No device on the line reported “%(name)s” within the last %(minutes)d min.") % named,
            policy.instruction or _("Have the machine report it again."),
        )
    evidence |= _describe(value)
    if policy.expected_text and value.value != policy.expected_text:
        evidence["expected"] = policy.expected_text
        return Fault(
            "PREP_VALUE_WRONG",
            _("“%(name)s” is “%(value)s”; it must be “%(expected)s”.")
            % {**named, "value": value.value, "expected": policy.expected_text},
            policy.instruction or _("Set the machine up as expected; it then reports it again."),
        )
    if not value.is_good:
        return Fault(
            "PREP_VALUE_OUT_OF_LIMITS",
            _("“%(name)s” is %(value)s, which is out of its limits.") % {**named, "value": _shown(value)},
            policy.instruction or _("Bring it within its limits; the machine then reports it again."),
        )
    return None


def _shown(value: DeviceValue) -> str:
    return f"{value.value} {value.unit}".strip()


def _describe(value: DeviceValue) -> dict[str, Any]:
    return {
        "valueId": str(value.id),
        "value": value.value,
        "unit": value.unit or None,
        "collectedAt": value.collected_at.isoformat(),
        "stationCode": value.station_code,
    }


CHECK = Check(ITEM_TYPE, gettext_lazy("Preparations, by policy"), evaluate, 70, is_always_on=True)
