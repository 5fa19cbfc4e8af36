"""Who may do what. A role is a Django group for people, and a field of the token for machines."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.apps import apps as installed_apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS, models, router, transaction
from django.utils.translation import gettext_lazy as _

from mes.platform.database.prepared import fetch_all
from mes.platform.sweeps import Sweep


class Role(models.TextChoices):
    """What somebody is on the shop floor. Groups are named like the labels in English."""

    OPERATOR = "OPERATOR", _("Operator")
    SUPERVISOR = "SUPERVISOR", _("Supervisor")
    QUALITY = "QUALITY", _("Quality")
    ENGINEER = "ENGINEER", _("Engineer")
    INTEGRATION = "INTEGRATION", _("Integration")
    ADMIN = "ADMIN", _("Admin")

    @property
    def group_name(self) -> str:
        """The name of the group, the same in every language."""
        return self.value.capitalize()


class Capability(StrEnum):
    """One kind of writing. Views name those of which one is needed; reading needs none."""

    TRACK = "track"
    READINGS = "readings"
    BIND = "bind"
    STOP = "stop"
    RUNS = "runs"
    UNITS = "units"
    AUTHORIZE = "authorize"
    WAIVE = "waive"
    CLOSE = "close"
    DISPOSITION = "disposition"
    REMARK = "remark"
    NOTIFICATIONS = "notifications"
    HOLD = "hold"
    DEFECT = "defect"
    FAI = "fai"
    OQC = "oqc"
    MRB = "mrb"
    RELEASE = "release"
    QUALITY_RULES = "quality_rules"
    QUALIFY = "qualify"
    TERMINALS = "terminals"
    MASTER_DATA = "master_data"
    ROUTES = "routes"
    RULES = "rules"
    MAPPINGS = "mappings"
    REPLAY = "replay"
    DEVICE_DATA = "device_data"
    INGEST = "ingest"
    STATUS = "status"
    ORDERS = "orders"
    ADMIN = "admin"


_OPERATOR = frozenset({Capability.TRACK, Capability.READINGS, Capability.BIND, Capability.STOP, Capability.DEFECT})
_SUPERVISOR = _OPERATOR | {
    Capability.RUNS,
    Capability.UNITS,
    Capability.AUTHORIZE,
    Capability.WAIVE,
    Capability.CLOSE,
    Capability.DISPOSITION,
    Capability.REMARK,
    Capability.NOTIFICATIONS,
    Capability.HOLD,
    Capability.QUALIFY,
    Capability.TERMINALS,
}

GRANTS: dict[Role, frozenset[Capability]] = {
    Role.OPERATOR: _OPERATOR,
    Role.SUPERVISOR: _SUPERVISOR,
    Role.QUALITY: frozenset(
        {
            Capability.FAI,
            Capability.OQC,
            Capability.MRB,
            Capability.WAIVE,
            Capability.RELEASE,
            Capability.HOLD,
            Capability.DEFECT,
            Capability.QUALITY_RULES,
        },
    ),
    Role.ENGINEER: frozenset(
        {
            Capability.MASTER_DATA,
            Capability.ROUTES,
            Capability.RULES,
            Capability.MAPPINGS,
            Capability.REPLAY,
            Capability.QUALITY_RULES,
        },
    ),
    Role.INTEGRATION: frozenset(
        {Capability.DEVICE_DATA, Capability.INGEST, Capability.STATUS, Capability.ORDERS},
    ),
    Role.ADMIN: frozenset(Capability),
}

_ROLE_OF_GROUP = {role.group_name: role for role in Role}


def roles_with(capabilities: Iterable[Capability]) -> list[Role]:
    """Return the roles that have at least one of these."""
    asked_for = frozenset(capabilities)
    return [role for role, granted in GRANTS.items() if granted & asked_for]


# The administration: these work in it, and these look at what is theirs to see. Nobody else is let in.
ADMINISTRATION_WORKS = (Role.ENGINEER, Role.ADMIN)
ADMINISTRATION_LOOKS = (Role.SUPERVISOR, Role.QUALITY)


@dataclass(frozen=True)
class Standing:
    """What a person is here: roles, the capabilities of all, whether a second factor is asked for or set up, and
    whether the person signed on by badge.
    """

    roles: frozenset[Role] = frozenset()
    capabilities: frozenset[Capability] = frozenset()
    needs_second_factor: bool = False
    second_factor_id: int | None = None
    is_by_badge: bool = False


# What a badge with its PIN opens at a terminal: the work at stations and what is decided there. It is no password:
# whoever keeps rules and master data, or says who may do what, signs in.
ROLES_AT_TERMINALS = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY})
_NOT_AT_TERMINALS = frozenset(
    {Capability.QUALITY_RULES, Capability.QUALIFY, Capability.TERMINALS, Capability.NOTIFICATIONS}
)


def at_terminal(standing: Standing) -> Standing:
    """Return what a person is who signed on by badge and PIN; an Admin does there what the roles of the floor do."""
    roles = ROLES_AT_TERMINALS & standing.roles
    if Role.ADMIN in standing.roles:
        roles = ROLES_AT_TERMINALS
    granted = frozenset[Capability]().union(*(GRANTS[role] for role in roles)) - _NOT_AT_TERMINALS
    return replace(standing, roles=roles, capabilities=granted, is_by_badge=True)


def role_capabilities(user: Any) -> frozenset[Capability]:
    """Return what a user or the principal of a token may do."""
    capabilities: frozenset[Capability] | None = getattr(user, "capabilities", None)
    return standing_of(user).capabilities if capabilities is None else capabilities


def opens_administration(user: Any) -> bool:
    """Whether a person is let into the administration, to work there or to look: never by a badge."""
    standing = standing_of(user)
    return not standing.is_by_badge and not standing.roles.isdisjoint(ADMINISTRATION_WORKS + ADMINISTRATION_LOOKS)


def is_operator(user: Any) -> bool:
    """Whether a person works at stations and has no other role."""
    return standing_of(user).roles == {Role.OPERATOR}


def standing_of(user: Any) -> Standing:
    """Return what a person is. Read in one query, and remembered on the user for the request."""
    standing: Standing | None = getattr(user, "standing", None)
    if standing is None:
        standing = user.standing = _read_standing(user)
    return standing


# A row for each group of the person. `mes_secondfactor` and its rules are tables of the room above.
READ_STANDING = """
    SELECT g.name, rule.id, factor.id,
           EXISTS (SELECT FROM auth_group a JOIN mes_secondfactorrule r ON r.group_id = a.id WHERE a.name = %(admins)s)
      FROM auth_user u
      LEFT JOIN auth_user_groups member ON member.user_id = u.id
      LEFT JOIN auth_group g ON g.id = member.group_id
      LEFT JOIN mes_secondfactorrule rule ON rule.group_id = g.id
      LEFT JOIN mes_secondfactor factor ON factor.user_id = u.id
     WHERE u.id = ANY(ARRAY[%(person)s::integer])
"""


def _read_standing(user: Any) -> Standing:
    if not user.is_active or user.pk is None:
        return Standing()
    rows = fetch_all(READ_STANDING, {"person": user.pk, "admins": Role.ADMIN.group_name})
    names = {name for name, *_others in rows} | ({Role.ADMIN.group_name} if user.is_superuser else set())
    needs = any(rule is not None or (user.is_superuser and of_admins) for _name, rule, _factor, of_admins in rows)
    roles = frozenset(_ROLE_OF_GROUP[name] for name in names if name in _ROLE_OF_GROUP)
    granted = frozenset[Capability]().union(*(GRANTS[role] for role in roles))
    return Standing(roles, granted, needs, rows[0][2] if rows else None)


# --- groups and what they may do in the admin site ----------------------------------------------------------

# Models of libraries that may be changed in the admin site; all others are for looking, for superusers too.
EDITABLE_LIBRARY_MODELS = ("auth.user", "auth.group")

OUR_APPS = ("mes", "execution", "ingest", "integration", "trace")
_SECRET = (
    "devicetoken",
    "devicetokenstation",
    "secondfactor",
    "recoverycode",
    "secondfactorrule",
    "attemptcount",
    "badge",
    "terminal",
    "signon",
    "savedview",
    "notificationrule",
    "noticewindow",
)
_OF_SUPERVISORS = ("notificationrule",)
_MASTER_DATA = (
    "line",
    "stationgroup",
    "station",
    "equipment",
    "operation",
    "material",
    "bomitem",
    "datacollectionspec",
    "routing",
    "routingstep",
    "routeexecutionconfig",
    "mappingexample",
    "timeruledefinition",
    "faitemplate",
    "preppolicy",
    "tool",
    "checkform",
    "setuplist",
    "setupitem",
    "source",
    "referenceunit",
    "samplingrule",
    "holdrule",
    "defectcode",
    "defectalias",
)


def create_roles(*, using: str = DEFAULT_DB_ALIAS, apps: Any = installed_apps, **_kwargs: Any) -> None:
    """Make the groups of the roles, each with exactly its permissions; a post_migrate receiver that may run again.

    Permissions of apps that come later do not exist yet when the first app reports, so they are made here. What a plant
    wants to grant besides goes into a group of its own: a role must not keep what it should no longer have. Raises
    SweepIncomplete when all others are made, where roles failed.
    """
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
    except LookupError:
        return  # migrated only in part
    if not router.allow_migrate_model(using, group_model):
        return
    for config in installed_apps.get_app_configs():
        create_permissions(config, verbosity=0, using=using, apps=apps)
    permissions = permission_model.objects.using(using)
    with Sweep("roles") as sweep:
        for role in Role:
            with sweep.row(role), transaction.atomic(using=using):
                group, _created = group_model.objects.using(using).get_or_create(name=role.group_name)
                group.permissions.set(_permissions_of(role, permissions))


def _permissions_of(role: Role, permissions: Any) -> Any:
    """Everyone sees our tables, engineers keep the master data, supervisors say who is told of what, administrators do
    all but change libraries.
    """
    if role == Role.ADMIN:
        editable = models.Q(content_type__app_label__in=OUR_APPS)
        for label in EDITABLE_LIBRARY_MODELS:
            app_label, model = label.split(".")
            editable |= models.Q(content_type__app_label=app_label, content_type__model=model)
        return permissions.filter(editable | models.Q(codename__startswith="view_"))
    ours = models.Q(content_type__app_label__in=OUR_APPS) & ~models.Q(content_type__model__in=_SECRET)
    allowed = ours & models.Q(codename__startswith="view_")
    if role == Role.SUPERVISOR:
        allowed |= models.Q(content_type__app_label__in=OUR_APPS, content_type__model__in=_OF_SUPERVISORS)
    if role == Role.ENGINEER:
        allowed |= models.Q(content_type__app_label__in=OUR_APPS, content_type__model__in=_MASTER_DATA)
    return permissions.filter(allowed)
