"""People: which roles they have, whether they may sign in, and that somebody can always say so.

The last active Admin stays, by whatever door: each of these calls `keep_an_admin` before it writes.
"""

from collections.abc import Collection, Iterable

import structlog
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Q, QuerySet

from mes.errors import LastAdmin
from mes.platform.accounts.roles import Role
from mes.platform.accounts.sessions import end_sessions

logger = structlog.get_logger(__name__)

ROLE_NAMES = {role.group_name: role for role in Role}


def roles_of(person: User) -> list[Role]:
    """Return the roles of a person; whoever is a superuser is an Admin."""
    names = {group.name for group in person.groups.all()} if person.pk else set()
    return [role for role in Role if role.group_name in names or (role == Role.ADMIN and person.is_superuser)]


def active_admins() -> QuerySet[User]:
    """Return those who may say who may do what."""
    is_admin = Q(is_superuser=True) | Q(groups__name=Role.ADMIN.group_name)
    return User.objects.filter(is_admin, is_active=True).distinct()


def keep_an_admin(*, without: Collection[int]) -> None:
    """Raise LastAdmin where nobody but these people is an active Admin (inside a transaction).

    Locks the people, in order of their ids, then the row of the role: of two who remove each other at once, the second
    waits until the first is done, and then finds nobody else.
    """
    list(User.objects.filter(pk__in=without).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    admin = Group.objects.filter(name=Role.ADMIN.group_name)
    list(admin.select_for_update(no_key=True).values_list("pk"))
    admins = set(active_admins().values_list("pk", flat=True))
    if admins and admins <= set(without):
        raise LastAdmin


@transaction.atomic
def save_person(
    person: User, *, roles: Collection[Role], further_groups: Iterable[Group] = (), password: str = ""
) -> None:
    """Keep a person with these roles, and a new password if one is given. Raises LastAdmin.

    Whoever may no longer sign in is signed out everywhere.
    """
    stays = person.is_active and Role.ADMIN in roles
    if person.pk is not None and not stays:
        keep_an_admin(without=[person.pk])
    if Role.ADMIN not in roles:
        person.is_superuser = False
    if password:
        person.set_password(password)
    person.save()
    names = [role.group_name for role in roles]
    groups = [Group.objects.get_or_create(name=name)[0] for name in names]
    person.groups.set([*groups, *(group for group in further_groups if group.name not in ROLE_NAMES)])
    if not person.is_active:
        end_sessions([person.pk])


@transaction.atomic
def deactivate(ids: Collection[int], *, by: str) -> int:
    """Let people sign in no more, end all their sessions; return how many there were. Raises LastAdmin."""
    keep_an_admin(without=ids)
    count = User.objects.filter(pk__in=ids, is_active=True).update(is_active=False)
    end_sessions(ids)
    logger.info("people deactivated", count=count, by=by)
    return count


def activate(ids: Collection[int], *, by: str) -> int:
    """Let people sign in again; return how many could not."""
    count = User.objects.filter(pk__in=ids, is_active=False).update(is_active=True)
    logger.info("people activated", count=count, by=by)
    return count


@transaction.atomic
def delete(ids: Collection[int]) -> None:
    """Delete people. What they did stays under their names. Raises LastAdmin."""
    keep_an_admin(without=ids)
    end_sessions(ids)
    for person in User.objects.filter(pk__in=ids).order_by("pk"):
        person.delete()
