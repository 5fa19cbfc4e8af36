"""What a run was authorized by, in the trace of its units and on its page."""

from django.test import Client

from tests.execution.support import assert_done
from tests.factories import api_client, make_user
from tests.readiness.support import authorize, bind_stencil, check, item, make_unready_plant, waive


def trace(client):
    return assert_done(client.get("/api/trace/units/SN-1"))["readiness"]


def test_the_latest_check_before_and_the_authorizing_one_after(db):
    admin = api_client()
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    assert trace(admin) == []
    bind_stencil()
    made = check(admin)
    assert [(one["checkId"], one["status"]) for one in trace(admin)] == [(made["id"], "FAILED")]
    assert_done(waive(admin, item(made, "SOLDER_PASTE_NOT_BOUND"), reason="dry run"))
    assert_done(authorize(admin))
    check(admin)  # what is checked later does not change what it was authorized by
    (found,) = trace(admin)
    assert (found["isAuthorization"], found["status"]) == (True, "PASSED")
    assert [(one["itemType"], one["status"]) for one in found["items"]] == [
        ("STENCIL", "PASSED"),
        ("SOLDER_PASTE", "WAIVED"),
    ]
    assert found["items"][1]["waiver"]["reason"] == "dry run"


def test_the_pages_tell_it(db):
    admin, client = api_client(), Client()
    client.force_login(make_user("SUPERVISOR"))
    make_unready_plant("STENCIL")
    assert "not checked yet" in client.get("/trace/runs/RUN-1/").content.decode()
    made = check(admin)
    assert "1 thing not right" in client.get("/trace/runs/RUN-1/").content.decode()
    assert_done(waive(admin, made["items"][0], reason="printed by hand"))
    assert_done(authorize(admin))
    for address in ("/trace/runs/RUN-1/", "/trace/units/SN-1/"):
        page = client.get(address).content.decode()
        assert "1 failure waived" in page and "printed by hand" in page and "Authorized by" in page
