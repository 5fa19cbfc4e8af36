"""People and access: roles as ticks, passwords, sessions that end, and the last Admin, who stays."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mes.errors import LastAdmin
from mes.platform.accounts import people
from mes.platform.accounts.in_words import CAPABILITIES, describe_grants, describe_role
from mes.platform.accounts.roles import Capability, Role, create_roles
from mes.platform.accounts.tokens import issue_token
from mes.platform.audit.models import AuditEntry
from tests.factories import make_user
from tests.forms import state_of

pytestmark = pytest.mark.django_db
LIST = "/admin/auth/user/"
PASSWORD = "pin-board-7-sill"


@pytest.fixture(autouse=True)
def groups(db: None) -> None:
    create_roles()


@pytest.fixture
def root() -> User:
    """The only Admin."""
    return make_user(Role.ADMIN, username="root")


@pytest.fixture
def client(root: User) -> Client:
    return sign_in(root)


def sign_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def form_of(person: User, **fields: Any) -> dict[str, Any]:
    """What the form of a person sends, with changes; None leaves a field out, as a tick that is not set."""
    sent: dict[str, Any] = {
        "username": person.username,
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_active": "on",
        "roles": [role.value for role in people.roles_of(person)],
        "new_password": "",
        "change_reason": "asked for by the plant",
        **state_of(person),
        **fields,
    }
    return {name: value for name, value in sent.items() if value is not None}


def change(client: Client, person: User, **fields: Any) -> Any:
    return client.post(f"{LIST}{person.pk}/change/", form_of(person, **fields))


def act(client: Client, action: str, *chosen: User, **fields: str) -> Any:
    body = {"action": action, "_selected_action": [person.pk for person in chosen], "change_reason": "left", **fields}
    body |= state_of(*chosen)  # of the page on which it is confirmed
    return client.post(LIST, body)


# --- in words -------------------------------------------------------------------------------------------------


def test_every_capability_is_told_in_words_and_each_role_by_them() -> None:
    assert set(CAPABILITIES) == set(Capability)
    assert "All that Operator may" in describe_role(Role.SUPERVISOR)
    assert "authorizes runs" in describe_role(Role.SUPERVISOR)
    assert "records readings" not in describe_role(Role.SUPERVISOR)
    assert describe_role(Role.QUALITY).endswith("Looks into the administration.")
    assert "administration" not in describe_grants(Role.ENGINEER)
    for role in Role:
        assert describe_role(role)[0].isupper()


def test_the_form_knows_no_word_of_django(client: Client, root: User) -> None:
    for page in (f"{LIST}add/", f"{LIST}{root.pk}/change/", LIST):
        text = client.get(page).content.decode().partition('id="content"')[2]
        assert text
        for word in ("Groups", "Staff", "staff", "uperuser", "ermissions", "Password-based"):
            assert word not in text, (page, word)
    assert "authorizes runs" in client.get(f"{LIST}add/").content.decode()


# --- making and changing --------------------------------------------------------------------------------------


def test_a_person_is_made_with_roles_and_a_password_and_signs_in(client: Client) -> None:
    body = form_of(User(username="olga"), roles=["OPERATOR", "QUALITY"], new_password=PASSWORD)
    assert client.post(f"{LIST}add/", body).status_code == 302
    olga = User.objects.get(username="olga")
    assert people.roles_of(olga) == [Role.OPERATOR, Role.QUALITY]
    assert Client().login(username="olga", password=PASSWORD)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"new_password": ""}, "new_password"),
        ({"new_password": "1234"}, "new_password"),
        ({"username": "ROOT!*"}, "username"),
        ({"username": "root"}, "username"),
        ({"roles": ["KING"]}, "roles"),
        ({"email": "no"}, "email"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(client: Client, fields: dict[str, Any], wrong: str) -> None:
    body = form_of(User(username="olga"), **{"new_password": PASSWORD, **fields})
    answer = client.post(f"{LIST}add/", body)
    assert answer.status_code == 200
    assert wrong in answer.context["adminform"].form.errors
    assert not User.objects.filter(username="olga").exists()


def test_roles_change_with_a_reason_and_groups_of_the_plant_stay(client: Client) -> None:
    olga = make_user(Role.OPERATOR, username="olga")
    own = Group.objects.create(name="Label printers")
    olga.groups.add(own)
    assert change(client, olga, roles=["SUPERVISOR"], change_reason="").status_code == 200
    assert change(client, olga, roles=["SUPERVISOR"], further_groups=[own.pk]).status_code == 302
    assert set(olga.groups.values_list("name", flat=True)) == {"Supervisor", "Label printers"}
    entries = AuditEntry.objects.filter(entity="user-roles").order_by("-id")[:2]
    assert {(entry.action, entry.reason) for entry in entries} == {
        ("CREATE", "asked for by the plant"),
        ("DELETE", "asked for by the plant"),
    }


def test_a_new_password_ends_the_sessions_and_an_empty_field_keeps_the_old(client: Client) -> None:
    olga = make_user(Role.OPERATOR, username="olga")
    theirs = sign_in(olga)
    assert change(client, olga).status_code == 302
    assert theirs.get("/account/").status_code == 200
    assert change(client, olga, new_password=PASSWORD).status_code == 302
    assert theirs.get("/account/").status_code == 302
    assert Client().login(username="olga", password=PASSWORD)


@pytest.mark.parametrize("door", ["form", "action"])
def test_deactivating_ends_all_sessions_for_good(client: Client, door: str) -> None:
    olga, others = make_user(Role.OPERATOR, username="olga"), sign_in(make_user(Role.OPERATOR))
    sessions = [sign_in(olga), sign_in(olga)]
    if door == "form":
        assert change(client, olga, is_active=None).status_code == 302
    else:
        assert act(client, "deactivate", olga).status_code == 302
    assert [session.get("/account/").status_code for session in sessions] == [302, 302]
    act(client, "activate", olga)
    assert User.objects.get(pk=olga.pk).is_active
    assert [session.get("/account/").status_code for session in sessions] == [302, 302], "an old session came back"
    assert others.get("/account/").status_code == 200
    assert Session.objects.count() == 2


# --- who may --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.SUPERVISOR])
def test_others_see_none_of_it_even_with_rights_of_a_group(role: Role) -> None:
    person = make_user(role)
    own = Group.objects.create(name="Personnel")
    own.permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user", "add_devicetoken"]))
    person.groups.add(own)
    client = sign_in(person)
    for page in (LIST, f"{LIST}add/", f"{LIST}{person.pk}/change/", "/admin/mes/devicetoken/", "/admin/auth/group/"):
        assert client.get(page).status_code == 403, page
    assert change(client, person, roles=["ADMIN"]).status_code == 403
    assert act(client, "deactivate", person).status_code == 403
    index = client.get("/admin/").content.decode()
    for hidden in ("/admin/auth/", "/admin/mes/devicetoken/"):
        assert f'href="{hidden}' not in index


def test_groups_of_roles_are_kept_by_the_product(client: Client) -> None:
    group = Group.objects.get(name="Admin")
    address = f"/admin/auth/group/{group.pk}/"
    assert client.post(f"{address}change/", {"name": "Kings", "permissions": []}).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    body = {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"}
    client.post("/admin/auth/group/", body)
    assert Group.objects.filter(name="Admin").exists()


# --- the last Admin -------------------------------------------------------------------------------------------


def test_the_last_admin_stays_whatever_the_door(client: Client, root: User) -> None:
    make_user(Role.ADMIN, username="gone", is_active=False)
    make_user(Role.ENGINEER)
    doors = {
        "role": lambda: change(client, root, roles=["ENGINEER"]),
        "deactivated": lambda: change(client, root, is_active=None),
        "deleted": lambda: client.post(
            f"{LIST}{root.pk}/delete/", {"post": "yes", "change_reason": "left", **state_of(root)}
        ),
        "bulk deactivation": lambda: act(client, "deactivate", root),
        "bulk deletion": lambda: act(client, "delete_selected", root, post="yes"),
        "everybody at once": lambda: act(client, "delete_selected", *User.objects.all(), post="yes"),
    }
    for name, use in doors.items():
        answer = use()
        assert answer.status_code == 409, name
        assert "The last active Admin stays" in answer.content.decode(), name
        root.refresh_from_db()
        assert root.is_active, name
        assert people.roles_of(root) == [Role.ADMIN], name
    assert User.objects.count() == 3
    assert client.get(LIST).status_code == 200


def test_the_form_keeps_what_was_typed_when_the_last_admin_stays(client: Client, root: User) -> None:
    page = change(client, root, roles=["ENGINEER"], first_name="Ruth").content.decode()
    assert 'value="Ruth"' in page


def test_with_another_admin_one_may_go_oneself_too(client: Client, root: User) -> None:
    make_user(Role.ADMIN, username="second")
    assert change(client, root, roles=["ENGINEER"]).status_code == 302
    assert people.roles_of(User.objects.get(pk=root.pk)) == [Role.ENGINEER]
    assert client.get(LIST).status_code == 403


def test_a_superuser_is_an_admin_here_and_stays_or_goes_like_one() -> None:
    root = User.objects.create_superuser("maker", password=PASSWORD)
    client = sign_in(root)
    page = client.get(f"{LIST}{root.pk}/change/").content.decode()
    assert 'value="ADMIN" id="id_roles_5" checked' in page.replace("\n", " ")
    assert change(client, root, roles=[]).status_code == 409
    make_user(Role.ADMIN)
    assert change(client, root, roles=["ENGINEER"]).status_code == 302
    root.refresh_from_db()
    assert not root.is_superuser


def test_where_nobody_is_an_admin_nothing_is_kept_back() -> None:
    person = make_user(Role.OPERATOR)
    people.delete([person.pk])
    assert not User.objects.exists()


def test_the_rule_is_of_the_service_not_of_its_pages(root: User) -> None:
    for use in (
        lambda: people.deactivate([root.pk], by="x"),
        lambda: people.delete([root.pk]),
        lambda: people.save_person(root, roles=[]),
    ):
        with pytest.raises(LastAdmin):
            use()
    root.refresh_from_db()
    assert root.is_active


# --- the list -------------------------------------------------------------------------------------------------


def test_the_list_shows_roles_the_last_sign_in_and_tokens(client: Client) -> None:
    olga = make_user(Role.QUALITY, username="olga", first_name="Olga", last_name="Ortiz")
    issue_token(name="a", role=Role.OPERATOR, created_by=olga)
    issue_token(name="b", role=Role.OPERATOR, created_by=olga, expires_at=timezone.now() + timezone.timedelta(1))
    page = client.get(LIST).content.decode()
    for text in ("Olga Ortiz", "Quality", "never", f"created_by__id__exact={olga.pk}"):
        assert text in page
    assert client.get(LIST, {"role": "QUALITY"}).context["cl"].result_count == 1
    assert client.get(LIST, {"role": "ADMIN"}).context["cl"].result_count == 1
    tokens = client.get(reverse("admin:mes_devicetoken_changelist"), {"created_by__id__exact": olga.pk})
    assert tokens.context["cl"].result_count == 2


@pytest.mark.parametrize(("address", "number"), [(LIST, 9), ("/admin/mes/devicetoken/", 10)])
def test_the_number_of_queries_does_not_grow(
    client: Client, address: str, number: int, django_assert_num_queries: Any
) -> None:
    def make(number: int) -> None:
        for one in range(number):
            person = make_user(Role.OPERATOR)
            issue_token(name=f"t-{person.pk}-{one}", role=Role.OPERATOR, created_by=person)

    make(1)
    client.get(address)
    for _time in range(2):
        with django_assert_num_queries(number):
            client.get(address)
        make(8)


def test_taking_roles_and_rights_away_wants_a_reason(client: Client) -> None:
    olga = make_user(Role.OPERATOR, username="olga")
    group = Group.objects.create(name="Line leaders")
    assert change(client, olga, is_active=None, change_reason="").context["adminform"].form.errors["change_reason"]
    for thing, page in ((olga, f"{LIST}{olga.pk}/delete/"), (group, f"/admin/auth/group/{group.pk}/delete/")):
        answer = client.post(page, {"post": "yes", **state_of(thing)})
        assert answer.context["edit"].errors["change_reason"]
    body = {"name": group.name, "permissions": ["1"], **state_of(group)}
    answer = client.post(f"/admin/auth/group/{group.pk}/change/", body)
    assert answer.context["adminform"].form.errors["change_reason"]
    assert User.objects.filter(username="olga", is_active=True).exists() and not group.permissions.exists()
