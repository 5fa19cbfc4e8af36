"""What roles and capabilities allow, in words for people who give them."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.platform.accounts.roles import (
    ADMINISTRATION_LOOKS,
    ADMINISTRATION_WORKS,
    GRANTS,
    Capability,
    Role,
)

CAPABILITIES = {
    Capability.TRACK: gettext_lazy("tracks units in and out"),
    Capability.READINGS: gettext_lazy("records readings"),
    Capability.BIND: gettext_lazy("sets lines up: stencils, paste, feeders, preparations"),
    Capability.STOP: gettext_lazy("stops a line or a station"),
    Capability.RUNS: gettext_lazy("makes and changes runs"),
    Capability.UNITS: gettext_lazy("registers units"),
    Capability.AUTHORIZE: gettext_lazy("authorizes runs"),
    Capability.WAIVE: gettext_lazy("waives failed checks and clocks, with a reason"),
    Capability.CLOSE: gettext_lazy("closes runs"),
    Capability.DISPOSITION: gettext_lazy("holds, releases, reworks and scraps units"),
    Capability.REMARK: gettext_lazy("remarks on and signs the production record"),
    Capability.NOTIFICATIONS: gettext_lazy("keeps notification rules: who is told of what, and how"),
    Capability.HOLD: gettext_lazy("makes and ends holds of units, runs, stations and lines"),
    Capability.DEFECT: gettext_lazy("records defects and repairs"),
    Capability.FAI: gettext_lazy("inspects and signs first articles"),
    Capability.OQC: gettext_lazy("records final inspections"),
    Capability.MRB: gettext_lazy("decides in material review"),
    Capability.RELEASE: gettext_lazy("holds and releases units"),
    Capability.QUALITY_RULES: gettext_lazy("keeps defect codes, hold rules and sampling rules"),
    Capability.QUALIFY: gettext_lazy("says who is qualified for which operation"),
    Capability.TERMINALS: gettext_lazy("makes browsers terminals of stations"),
    Capability.MASTER_DATA: gettext_lazy("keeps lines, stations, materials and specs"),
    Capability.ROUTES: gettext_lazy("keeps and publishes routes"),
    Capability.RULES: gettext_lazy("keeps time rules and preparation policies"),
    Capability.MAPPINGS: gettext_lazy("keeps the mappings of machine events"),
    Capability.REPLAY: gettext_lazy("has what was refused tried again or dismissed, and runs tasks"),
    Capability.DEVICE_DATA: gettext_lazy("sends readings of machines"),
    Capability.INGEST: gettext_lazy("sends machine events"),
    Capability.STATUS: gettext_lazy("sends status reports"),
    Capability.ORDERS: gettext_lazy("sends work orders"),
    Capability.ADMIN: gettext_lazy("keeps people, roles and tokens"),
}


def describe_role(role: Role) -> str:
    """Return what a person with a role may do, as a sentence. Everybody with a role reads everything."""
    works = _("Works in the administration.") if role in ADMINISTRATION_WORKS else ""
    looks = _("Looks into the administration.") if role in ADMINISTRATION_LOOKS else ""
    return " ".join(filter(None, (describe_grants(role), works, looks)))


def describe_grants(role: Role) -> str:
    """Return what a role, of a person or of a token, may do."""
    if role == Role.ADMIN:
        return _("May do everything, and says who may do what: people, roles and tokens.")
    granted = GRANTS[role]
    below = next((other for other in Role if GRANTS[other] < granted), None)
    more = granted - (GRANTS[below] if below else frozenset())
    told = ", ".join(str(CAPABILITIES[capability]) for capability in Capability if capability in more)
    if below is None:
        return f"{told[0].upper()}{told[1:]}."
    return _("All that %(role)s may; besides: %(told)s.") % {"role": below.label, "told": told}
