"""Saved views: over HTTP and on the pages, whose they are, how many one may keep."""

import pytest
from django.test import Client

from mes.platform.accounts.roles import Role, create_roles
from mes.platform.lists import views
from mes.platform.lists.models import SavedView
from tests.factories import api_client, make_plant, make_user

pytestmark = pytest.mark.django_db
HELD = {"list": "units", "name": "On hold", "query": "status=ON_HOLD&sort=sn"}


def sign_in(role: Role, name: str) -> Client:
    client = Client()
    client.force_login(make_user(role, username=name))
    return client


def post(client: Client, body: dict[str, object], address: str = "/api/saved-views") -> tuple[int, dict]:
    answer = client.post(address, body, content_type="application/json")
    return answer.status_code, answer.json()


def test_a_view_is_kept_seen_changed_and_deleted() -> None:
    ada, bob, admin = sign_in(Role.ENGINEER, "ada"), sign_in(Role.OPERATOR, "bob"), sign_in(Role.ADMIN, "amy")
    status, body = post(ada, HELD)
    assert status == 201, body
    view = body["data"]
    assert (view["owner"], view["shared"], view["isDefault"], view["query"]) == ("ada", False, False, HELD["query"])
    assert view["address"] == f"/lists/units/?status=ON_HOLD&sort=sn&view={view['id']}"
    address = f"/api/saved-views/{view['id']}"
    assert bob.get(address).status_code == 404
    assert bob.get("/api/saved-views").json()["data"]["items"] == []
    assert ada.patch(address, {"shared": True}, content_type="application/json").status_code == 200
    assert [item["name"] for item in bob.get("/api/saved-views?list=units").json()["data"]["items"]] == ["On hold"]
    for refused in (bob.patch(address, {"name": "x"}, content_type="application/json"), bob.delete(address)):
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert admin.patch(address, {"name": "Held"}, content_type="application/json").json()["data"]["owner"] == "ada"
    assert SavedView.objects.get().name == "Held"
    assert admin.delete(address).status_code == 200
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"list": "nothing"}, "list"),
        ({"query": "status=NOPE"}, "query"),
        ({"query": "x=1"}, "query"),
        ({"query": "x" * 3000}, "query"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"shared": "perhaps"}, "shared"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(change: dict[str, object], field: str) -> None:
    status, body = post(sign_in(Role.ENGINEER, "ada"), HELD | change)
    assert (status, body["error"]["code"], list(body["error"]["details"])) == (400, "VALIDATION_ERROR", [field])
    assert not SavedView.objects.exists()


def test_a_name_once_and_so_many_views(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = sign_in(Role.ENGINEER, "ada")
    post(ada, HELD)
    status, body = post(ada, HELD)
    assert (status, body["error"]["code"]) == (409, "SAVED_VIEW_EXISTS")
    assert post(ada, HELD | {"list": "runs", "query": ""})[0] == 201
    other = SavedView.objects.get(list="runs")
    assert post(ada, HELD | {"name": "Second", "list": "runs", "query": ""})[0] == 201
    renamed = ada.patch(f"/api/saved-views/{other.pk}", {"name": "Second"}, content_type="application/json")
    assert renamed.json()["error"]["code"] == "SAVED_VIEW_EXISTS"
    monkeypatch.setattr(views, "MOST_VIEWS", 3)
    status, body = post(ada, HELD | {"name": "One more"})
    assert (status, body["error"]["code"]) == (409, "TOO_MANY_SAVED_VIEWS")
    assert SavedView.objects.count() == 3
    assert post(sign_in(Role.QUALITY, "quinn"), HELD)[0] == 201


def test_one_default_of_a_list() -> None:
    make_plant()
    ada = sign_in(Role.ENGINEER, "ada")
    first = post(ada, HELD | {"isDefault": True})[1]["data"]
    assert ada.get("/lists/units/")["Location"] == first["address"]
    second = post(ada, HELD | {"name": "Other", "query": "sort=-sn", "isDefault": True})[1]["data"]
    assert SavedView.objects.filter(is_default=True).count() == 1
    assert ada.get("/lists/units/")["Location"] == second["address"]
    assert ada.get("/lists/units/?view=0").status_code == 200
    assert sign_in(Role.ENGINEER, "eve").get("/lists/units/").status_code == 200
    ada.patch(f"/api/saved-views/{second['id']}", {"isDefault": False}, content_type="application/json")
    assert ada.get("/lists/units/").status_code == 200


def test_a_token_keeps_none() -> None:
    post(sign_in(Role.ENGINEER, "ada"), HELD | {"shared": True})
    token = api_client(Role.ADMIN)
    assert len(token.get("/api/saved-views").json()["data"]["items"]) == 1
    answer = token.post("/api/saved-views", HELD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")


def test_views_of_a_list_that_one_may_not_see_are_not_seen() -> None:
    ada, bob = sign_in(Role.ENGINEER, "ada"), sign_in(Role.OPERATOR, "bob")
    made = post(ada, {"list": "messages", "name": "Failed", "query": "status=FAILED", "shared": True})[1]["data"]
    assert bob.get("/api/saved-views").json()["data"]["items"] == []
    assert bob.get(f"/api/saved-views/{made['id']}").status_code == 404
    assert bob.get("/lists/messages/").status_code == 403
    assert bob.get("/lists/nothing/").status_code == 404
    index = bob.get("/lists/").content.decode()
    assert "/lists/units/" in index and "/lists/messages/" not in index and "Failed" not in index


def test_the_pages_keep_share_change_and_delete_views() -> None:
    make_plant()
    ada = sign_in(Role.ENGINEER, "ada")
    form = {"view_name": "On hold", "query": "status=ON_HOLD", "shared": "1"}
    shown = ada.get(ada.post("/lists/units/views/", form)["Location"]).content.decode()
    assert "The view “On hold” is saved." in shown
    view = SavedView.objects.get()
    assert view.shared and view.query == "status=ON_HOLD"
    again = ada.get(ada.post("/lists/units/views/", form)["Location"]).content.decode()
    assert "You have a view “On hold” of this list already." in again
    steps = [("unshare", "shared", False), ("make-default", "is_default", True), ("no-default", "is_default", False)]
    for action, field, expected in steps:
        assert ada.post(f"/lists/units/views/{view.pk}/{action}/").status_code == 302
        view.refresh_from_db()
        assert getattr(view, field) is expected
    ada.post(f"/lists/units/views/{view.pk}/replace/", {"query": "sort=-sn"})
    view.refresh_from_db()
    assert view.query == "sort=-sn"
    assert ada.post(f"/lists/units/views/{view.pk}/explode/").status_code == 404
    ada.post(f"/lists/runs/views/{view.pk}/delete/")
    assert SavedView.objects.exists()
    bob = sign_in(Role.OPERATOR, "bob")
    ada.post(f"/lists/units/views/{view.pk}/share/")
    assert bob.post(f"/lists/units/views/{view.pk}/delete/").status_code == 403
    ada.post(f"/lists/units/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()


# --- in the administration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.SUPERVISOR, Role.QUALITY])
def test_the_administration_shows_private_views_to_administrators_alone(role: Role) -> None:
    create_roles()
    post(sign_in(Role.ENGINEER, "ada"), HELD)
    page = f"/admin/mes/savedview/{SavedView.objects.get().pk}/change/"
    curious = sign_in(role, "curious")
    for address in (page, "/admin/mes/savedview/", page.replace("change", "history")):
        assert curious.get(address).status_code == 403
    assert HELD["name"] in sign_in(Role.ADMIN, "amy").get(page).content.decode()


@pytest.mark.parametrize("name", ["Other", " Other ", "a\nb", " "])
def test_a_view_is_renamed_there_as_on_its_list(name: str) -> None:
    create_roles()
    ada, amy = sign_in(Role.ENGINEER, "ada"), sign_in(Role.ADMIN, "amy")
    for kept in ("Other", "On hold"):
        post(ada, HELD | {"name": kept})
    page = f"/admin/mes/savedview/{SavedView.objects.get(name='On hold').pk}/change/"
    answer = amy.post(page, {"name": name})
    assert answer.status_code == 200 and answer.context["adminform"].form.errors["name"]
    assert amy.post(page, {"name": " Held "}).status_code == 302
    assert set(SavedView.objects.values_list("name", flat=True)) == {"Other", "Held"}
