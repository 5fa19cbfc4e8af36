"""What may be done with a run on its page: offered by state and role, done by services, refused beside it."""

from typing import Any

import pytest
from django.test import Client

from execution import dispositions, tracking
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.production import run_acts
from mes.production.approvals import Approval, approve
from mes.production.models import Run, RunKind, RunStatus, Unit, UnitStatus
from tests.factories import Plant, make_line, make_plant, make_run, make_user
from trace.run_act_pages import RUN_ACTS

pytestmark = pytest.mark.django_db

PAGE = "/trace/runs/RUN-1/"


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=3)


def sign_in(role: Role = Role.SUPERVISOR, name: str = "") -> Client:
    client = Client()
    client.force_login(make_user(role, username=name or None))
    return client


def read(client: Client, page: str = PAGE) -> str:
    answer = client.get(page)
    assert answer.status_code == 200
    return answer.content.decode()


SIGNED = {"signature.username": "quinn", "signature.meaning": "Released", "signature.password": "secret"}


def act(client: Client, name: str, run_no: str = "RUN-1", **form: Any) -> str:
    """Return the page after an act."""
    answer = client.post(f"/trace/run-acts/{name}/{run_no}/", form)
    assert answer.status_code == 302, answer.status_code
    return read(client, answer["Location"].partition("#")[0])


def offered(page: str) -> set[str]:
    return {name for name in RUN_ACTS if f"/trace/run-acts/{name}/" in page}


def refused(page: str, name: str) -> str:
    """Return the form of an act that is unfolded."""
    assert f'id="act-{name}" name="decide" open' in page
    return page.partition(f'id="act-{name}"')[2].partition("</form>")[0]


def finish(sn: str) -> None:
    Unit.objects.filter(sn=sn).update(status=UnitStatus.DONE, current_step_no=None)


# --- who is offered what, when --------------------------------------------------------------------------------


def test_the_state_decides_what_is_offered(plant: Plant) -> None:
    client = sign_in()
    open_ones = {"hold", "close", "change", "split", "move", "take-back", "return", "deviation", "register"}
    assert offered(read(client)) == open_ones
    run_acts.hold(run_no="RUN-1", by="sue", reason="Wrong reel")
    page = read(client)
    assert offered(page) == (open_ones | {"resume"}) - {"hold"}
    assert "Held by sue since" in page and "Wrong reel" in page
    run_acts.resume(run_no="RUN-1", by="sue")
    run_acts.close(run_no="RUN-1", by="sue", reason="No more parts")
    page = read(client)
    assert offered(page) == {"reopen"}
    assert "No more parts" in page and "→ Cancelled" in page


@pytest.mark.parametrize(
    ("role", "names"),
    [(Role.OPERATOR, set()), (Role.QUALITY, {"hold"}), (Role.ENGINEER, {"deviation"}), (Role.INTEGRATION, set())],
)
def test_the_role_decides_what_is_offered_and_done(plant: Plant, role: Role, names: set[str]) -> None:
    make_run(plant.version, plant.line, run_no="RUN-2")
    client = sign_in(role)
    assert offered(read(client)) == names
    for name in set(RUN_ACTS) - names - {"resume"}:
        assert client.post(f"/trace/run-acts/{name}/RUN-1/", {"reason": "x"}).status_code == 403
    assert client.post("/trace/run-acts/sing/RUN-1/").status_code == 404
    assert client.post("/trace/run-acts/hold/RUN-9/", {"reason": "x"}).status_code in (403, 404)


def test_a_kind_other_than_production_is_told(plant: Plant) -> None:
    Run.objects.update(kind=RunKind.ENGINEERING)
    assert "Engineering</span>" in read(sign_in())


# --- hold, close, reopen, change ------------------------------------------------------------------------------


def test_a_run_is_held_with_a_reason_and_goes_on(plant: Plant) -> None:
    client = sign_in(Role.QUALITY, "quinn")
    assert "field-problem" in refused(act(client, "hold", reason=" "), "hold")
    page = act(client, "hold", reason="Wrong reel")
    assert "The run is on hold." in page and "Held by quinn" in page
    form = refused(act(client, "resume", **{**SIGNED, "signature.password": ""}), "resume")
    assert 'type="password"' in form and Run.objects.get().status == RunStatus.ON_HOLD
    page = act(client, "resume", **SIGNED)
    assert Signature.objects.get().signer == "quinn"
    assert "The run goes on." in page and Run.objects.get().status == RunStatus.AUTHORIZED
    assert page.index("Resume</b>") < page.index("Put on hold</b>")


def test_what_keeps_a_run_from_being_closed_is_shown_with_links(plant: Plant) -> None:
    client = sign_in()
    check = "/trace/close-check/RUN-1/"
    assert "it becomes cancelled" in read(client, check)
    tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="SMT-01")
    page = read(client, check)
    assert "It cannot be closed yet" in page and 'href="/trace/units/SN-1/"' in page
    assert "Show these units" in refused(act(client, "close", reason="x"), "close")
    dispositions.scrap_unit(sn="SN-1", reason="broken", by="sue")
    assert "Less was made than planned" in read(client, check)
    assert "field-problem" in refused(act(client, "close"), "close")
    page = act(client, "close", reason="Enough")
    assert "The run is closed: Completed." in page and "2 units were never begun and left it." in page
    assert "It has ended already" in read(client, check)
    assert client.get("/trace/close-check/RUN-9/").status_code == 404


def test_a_run_is_reopened_for_another_quantity(plant: Plant) -> None:
    client = sign_in()
    run_acts.close(run_no="RUN-1", by="sue", reason="x")
    assert "allows" in refused(act(client, "reopen", planQty="100000", reason="more"), "reopen")
    page = act(client, "reopen", planQty="50", reason="more")
    assert "The run is open again: In preparation." in page
    assert "Planned: <del>100</del> → " in page and "50</ins>" in page


def test_a_run_is_changed(plant: Plant) -> None:
    make_line("SMT-B")
    client = sign_in()
    assert "field-problem" in refused(act(client, "change", planQty="2", lineCode="SMT-A", reason="less"), "change")
    page = act(client, "change", planQty="40", lineCode="SMT-B", kind="REWORK", reason="Oven is down")
    assert "The run is changed." in page
    run = Run.objects.select_related("line").get()
    assert (run.plan_qty, run.line.code, run.kind, run.status) == (40, "SMT-B", "REWORK", "PREP")


def test_a_form_that_is_older_than_a_change_does_not_set_it_back(db) -> None:
    make_plant(units=0, plan_qty=100)
    make_line("SMT-B")
    client = sign_in()
    Run.objects.update(plan_qty=50)  # after the form was shown
    act(
        client,
        "change",
        **{"planQty": "100", "was-planQty": "100", "lineCode": "SMT-B", "was-lineCode": "SMT-A"},
        reason="x",
    )
    run = Run.objects.get()
    assert (run.plan_qty, run.line.code) == (50, "SMT-B")
    same = {"planQty": "50", "was-planQty": "50", "lineCode": "SMT-B", "was-lineCode": "SMT-B"}
    assert "Nothing is different" in refused(act(client, "change", **same, reason="x"), "change")


# --- units ----------------------------------------------------------------------------------------------------


def test_units_are_moved_all_or_none_with_the_fault_beside_each(plant: Plant) -> None:
    make_run(plant.version, plant.line, run_no="RUN-2")
    client = sign_in()
    tracking.track_in(run_no="RUN-1", sn="SN-2", station_code="SMT-01")
    form = refused(act(client, "move", sns="SN-1\r\nSN-2\r\nSN-X", toRunNo="RUN-2", reason="x"), "move")
    assert 'data-fault-of="SN-2" data-why="is in a station' in form
    assert 'data-fault-of="SN-X" data-why="is not known"' in form and "SN-1\nSN-2\nSN-X" in form.replace("\r", "")
    assert 'data-fault-of="SN-1"' not in form
    page = act(client, "move", sns="(21)SN-1\r\nSN-3", toRunNo="RUN-2", reason="Oven is down")
    assert "2 units are in RUN-2 now." in page
    assert set(Unit.objects.filter(run__run_no="RUN-2").values_list("sn", flat=True)) == {"SN-1", "SN-3"}


def test_units_are_registered_by_scanner(plant: Plant) -> None:
    client = sign_in()
    assert "2 units are registered." in act(client, "register", sns="NEW-1\r\n(21)NEW-2")
    assert "0 units are registered." in act(client, "register", sns="NEW-1")
    assert {"NEW-1", "NEW-2"} < set(Unit.objects.filter(run=plant.run).values_list("sn", flat=True))
    make_run(plant.version, plant.line, run_no="RUN-2")
    form = refused(act(client, "register", "RUN-2", sns="NEW-3\nNEW-1"), "register")
    assert "field-problem" in form and not Unit.objects.filter(sn="NEW-3").exists()
    make_run(plant.version, plant.line, run_no="RUN-3")
    assert 'href="#act-register"' in read(client, "/trace/runs/RUN-3/")


def test_units_are_taken_back_and_returned(plant: Plant) -> None:
    client = sign_in()
    assert "1 unit is taken back." in act(client, "take-back", sns="SN-3", reason="not needed")
    finish("SN-1")
    finish("SN-2")
    run_acts.close(run_no="RUN-1", by="sue", reason="x")
    make_run(plant.version, plant.line, run_no="RUN-2")
    Run.objects.filter(run_no="RUN-2").update(kind=RunKind.REWORK)
    page = act(client, "return", "RUN-2", sns="SN-1", toStepNo="10", reason="Complaint")
    assert "1 unit is in this run now." in page and Unit.objects.get(sn="SN-1").current_step_no == 10
    page = act(client, "return", "RUN-2", sns="SN-2", toStepNo="", reason="Complaint")
    assert "1 unit is in this run now." in page and Unit.objects.get(sn="SN-2").current_step_no == 10
    assert "is not known" in refused(act(client, "return", "RUN-2", sns="SN-9", reason="x"), "return")


def test_a_run_is_split(plant: Plant) -> None:
    make_line("SMT-B")
    client = sign_in()
    assert "field-problem" in refused(act(client, "split", planQty="100", lineCode="SMT-B", reason="x"), "split")
    page = act(client, "split", planQty="40", lineCode="SMT-B", sns="SN-2", reason="Friday")
    assert "is split off, for 40." in page and "Split into" in page
    new = Run.objects.exclude(run_no="RUN-1").get()
    assert (new.plan_qty, new.line.code, new.units.get().sn) == (40, "SMT-B", "SN-2")


# --- undoing a scrap ------------------------------------------------------------------------------------------


def test_a_scrap_is_undone_by_two(plant: Plant) -> None:
    dispositions.scrap_unit(sn="SN-1", reason="the wrong one", by="sue")
    page, client = "/trace/units/SN-1/", sign_in(name="sue")
    assert "/trace/unit-acts/unscrap/" in read(client, page)
    assert "/trace/unit-acts/unscrap/" not in read(sign_in(Role.OPERATOR), page)
    assert sign_in(Role.OPERATOR).post("/trace/unit-acts/unscrap/SN-1/", {"reason": "x"}).status_code == 403
    client.post("/trace/unit-acts/unscrap/SN-1/", {"reason": " "})
    assert "field-problem" in refused(read(client, page), "unscrap")
    client.post("/trace/unit-acts/unscrap/SN-1/", {"reason": "Scanned the wrong board"})
    text = read(client, page)
    assert "Waits for approval: Undo a scrap, asked by sue" in text and "/trace/unit-acts/unscrap/" not in text
    approve(approval_id=Approval.objects.get().pk, by="quinn")
    assert Unit.objects.get(sn="SN-1").status == UnitStatus.ON_HOLD
    assert "Waits for approval" not in read(client, page)
    assert client.post("/trace/unit-acts/unscrap/SN-1/", {"reason": "x"}).status_code == 302  # not scrapped: said


def test_a_unit_gets_a_new_label_and_is_found_by_the_old(plant: Plant) -> None:
    client = sign_in()
    client.post("/trace/unit-acts/relabel/SN-1/", {"newSn": "SN-2", "reason": "torn"})
    assert "field-problem" in refused(read(client, "/trace/units/SN-1/"), "relabel")
    assert client.post("/trace/unit-acts/relabel/SN-1/", {"newSn": "(21)NEW-1", "reason": "torn"}).status_code == 302
    assert Unit.objects.filter(sn="NEW-1").exists()
    page = client.get("/trace/units/SN-1/", follow=True).content.decode()
    assert "The unit has the number NEW-1 now." in page and "NEW-1</h1>" in page
