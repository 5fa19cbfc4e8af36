"""Pure rules of readiness."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PREPARATION_CODE = r"PREP_[A-Z0-9_]{1,90}"


def find_policy_problems(policy: Any) -> dict[str, str | Promise]:
    """Return a message per field of a prep policy that contradicts another; empty when it is sound."""
    problems: dict[str, str | Promise] = {}
    if policy.confirm_mode == "AUTO" and policy.data_source == "MANUAL":
        problems["confirm_mode"] = _("AUTO needs the data source SYSTEM, DEVICE or RECORD.")
    if policy.data_source == "DEVICE":
        if policy.spec_id is None:
            problems["spec"] = _("DEVICE needs the spec whose value confirms.")
        if not policy.max_age_minutes:
            problems["max_age_minutes"] = _("DEVICE needs the minutes for which a value is fresh.")
    else:
        if policy.spec_id is not None:
            problems["spec"] = _("Only DEVICE has a spec.")
        if policy.expected_text:
            problems["expected_text"] = _("Only DEVICE has an expected text.")
    problems |= _find_problems_of_form(policy)
    if policy.max_age_minutes == 0:
        problems["max_age_minutes"] = _("Must be greater than 0.")
    return problems


def _find_problems_of_form(policy: Any) -> dict[str, str | Promise]:
    problems: dict[str, str | Promise] = {}
    if policy.data_source != "RECORD":
        return {} if policy.form_id is None else {"form": _("Only RECORD has a check form.")}
    if policy.form_id is None:
        problems["form"] = _("RECORD needs the form of the check that confirms.")
    if not policy.max_age_minutes:
        problems["max_age_minutes"] = _("RECORD needs the minutes for which a check is fresh.")
    return problems
