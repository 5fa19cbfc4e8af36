"""A prep policy in one paragraph that people read."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mes.readiness.models import ConfirmMode, DataSource, Gate


def describe_policy(policy: Any) -> str:
    """Return what a policy says: Before a run on line SMT-A starts, “Clean the printer” (PREP_CLEAN) must be confirmed
    by a person. A confirmation holds for the run. Without it a run starts only with a waiver. `policy` is sound, saved
    or not.
    """
    parts = [
        _("Before a run on %(where)s starts, “%(name)s” (%(code)s) must be confirmed %(how)s.")
        % {"where": _where(policy), "name": policy.name, "code": policy.code, "how": _how(policy)},
        _validity(policy),
        _("Without it no run starts; it cannot be waived.")
        if policy.gate == Gate.HARD
        else _("Without it a run starts only with a waiver."),
        "" if policy.is_active else _("It is switched off."),
    ]
    return " ".join(part for part in parts if part)


def _where(policy: Any) -> str:
    if policy.line is not None:
        return _("line %(code)s") % {"code": policy.line.code}
    return _("route %(code)s") % {"code": policy.routing.code}


def _how(policy: Any) -> str:
    """Return who confirms: a source, a person, or both."""
    sources = {
        DataSource.SYSTEM: _("by another system"),
        DataSource.DEVICE: _device(policy),
        DataSource.RECORD: _record(policy),
    }
    source = sources.get(policy.data_source, "")
    if policy.confirm_mode == ConfirmMode.AUTO:
        return source
    if not source:
        return _("by a person")
    return _("%(source)s, and by a person as well") % {"source": source}


def _record(policy: Any) -> str:
    return "" if policy.form is None else _("by a check that passed: %(form)s") % {"form": policy.form.name}


def _device(policy: Any) -> str:
    if policy.spec is None:
        return ""
    named = {"spec": policy.spec.name, "operation": policy.spec.operation.code, "text": policy.expected_text}
    if policy.expected_text:
        return _("by a device: %(spec)s of operation %(operation)s reads “%(text)s”") % named
    return _("by a device: %(spec)s of operation %(operation)s is within its limits") % named


def _validity(policy: Any) -> str:
    minutes = policy.max_age_minutes
    if not minutes:
        return _("A confirmation holds for the run.")
    said = ngettext("It holds for %(number)d minute.", "It holds for %(number)d minutes.", minutes)
    return said % {"number": minutes}
