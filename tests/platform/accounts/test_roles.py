"""Roles, the groups they are kept as, and what those may do in the admin site."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from mes.platform.accounts import roles
from mes.platform.accounts.roles import (
    GRANTS,
    Capability,
    Role,
    create_roles,
    role_capabilities,
    roles_with,
)
from mes.platform.sweeps import SweepIncomplete


def test_every_capability_is_held_by_somebody_and_all_by_administrators() -> None:
    assert GRANTS[Role.ADMIN] == frozenset(Capability)
    others = frozenset[Capability]().union(*(GRANTS[role] for role in Role if role != Role.ADMIN))
    assert others == frozenset(Capability) - {Capability.ADMIN}


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        ([Capability.READINGS, Capability.DEVICE_DATA], ["OPERATOR", "SUPERVISOR", "INTEGRATION", "ADMIN"]),
        ([Capability.WAIVE], ["SUPERVISOR", "QUALITY", "ADMIN"]),
        ([Capability.ADMIN], ["ADMIN"]),
        ([], []),
    ],
)
def test_one_of_several_capabilities_is_enough(needed: Iterable[Capability], expected: list[str]) -> None:
    assert roles_with(needed) == expected


@pytest.mark.django_db
def test_capabilities_are_the_union_of_a_users_groups(django_assert_num_queries) -> None:
    create_roles()
    user = User.objects.create_user("ann")
    user.groups.set(Group.objects.filter(name__in=["Operator", "Quality"]))
    user.groups.add(Group.objects.create(name="Canteen"))
    with django_assert_num_queries(1):
        assert role_capabilities(user) == GRANTS[Role.OPERATOR] | GRANTS[Role.QUALITY]
        role_capabilities(user)


@pytest.mark.django_db
def test_superusers_may_everything_and_inactive_people_nothing() -> None:
    assert role_capabilities(User.objects.create_superuser("root")) == frozenset(Capability)
    assert role_capabilities(User.objects.create_superuser("gone", is_active=False)) == frozenset()


@pytest.mark.django_db
def test_groups_are_made_with_their_permissions_even_if_none_existed() -> None:
    Group.objects.all().delete()
    Permission.objects.all().delete()
    create_roles()
    assert set(Group.objects.values_list("name", flat=True)) == {role.group_name for role in Role}
    engineer = codenames("Engineer")
    assert {"add_line", "change_routingstep", "delete_datacollectionspec", "view_unit", "view_mesevent"} <= engineer
    assert not {"add_unit", "change_run", "view_devicetoken", "view_user"} & engineer
    assert {name for name in codenames("Operator") if not name.startswith("view_")} == set()
    admin = codenames("Admin")
    assert {"add_user", "change_group", "delete_line", "view_schedule", "view_ormq"} <= admin
    assert not {"add_schedule", "change_schedule", "delete_ormq", "change_success", "change_permission"} & admin


@pytest.mark.django_db
def test_a_role_loses_what_it_should_not_have_when_the_groups_are_made_anew() -> None:
    create_roles()
    before = codenames("Operator"), codenames("Admin")
    Group.objects.get(name="Operator").permissions.add(Permission.objects.get(codename="change_unit"))
    Group.objects.get(name="Admin").permissions.add(Permission.objects.get(codename="change_schedule"))
    create_roles()
    assert (codenames("Operator"), codenames("Admin")) == before
    assert Group.objects.filter(name="Operator").count() == 1


def codenames(group: str) -> set[str]:
    return set(Group.objects.get(name=group).permissions.values_list("codename", flat=True))


@pytest.mark.django_db
def test_a_role_that_cannot_be_made_keeps_no_other_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    find = roles._permissions_of

    def fail_for_quality(role: Role, permissions: Any) -> Any:
        if role == Role.QUALITY:  # the third of six
            raise ValueError("no way")
        return find(role, permissions)

    monkeypatch.setattr(roles, "_permissions_of", fail_for_quality)
    Group.objects.all().delete()
    with pytest.raises(SweepIncomplete, match="QUALITY: ValueError: no way"):
        create_roles()
    assert set(Group.objects.values_list("name", flat=True)) == {role.group_name for role in Role} - {"Quality"}
