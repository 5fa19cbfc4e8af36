"""Set-up lists: drafts with their items, released ones that never change, and what runs go by."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes import errors
from mes.line_setup.loads.models import Verify
from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists import queries
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpList
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.platform.accounts.roles import Role
from mes.production import run_changes, runs
from mes.production.active_runs import begin_where_none
from mes.production.models import Run, RunStatus
from tests.execution.support import assert_done, assert_refused
from tests.factories import Plant, api_client, make_line, make_plant, make_run, make_station, put_runs
from tests.line_setup.set_up_lists.support import make_list, make_materials, part

ITEMS: list[dict[str, Any]] = [
    {
        "stationCode": "SMT-01",
        "slot": "F/1",
        "materialCode": "R-10K",
        "alternates": ["R-10K-B"],
        "quantityPerUnit": 2.5,
        "refDes": ["R1", "R2"],
    },
    {"stationCode": "SMT-01", "slot": "STENCIL", "kind": "TOOL", "toolIds": ["ST-1", "ST-2"]},
    {"stationCode": "SHARED", "slot": "PROGRAM", "kind": "PROGRAM", "program": "CTRL rev C"},
]


@pytest.fixture
def plant(db: None) -> Plant:
    make_materials("R-10K", "R-10K-B", "C-1U")
    Tool.objects.bulk_create(Tool(tool_id=code) for code in ("ST-1", "ST-2"))
    make_station("SHARED", line=None)
    return make_plant(units=0)


@pytest.fixture
def engineer() -> APIClient:
    return api_client(Role.ENGINEER)


def create(client: APIClient, *items: dict[str, Any], **body: Any) -> Any:
    return client.post(
        "/api/setup-lists", {"routeCode": "R-1", "lineCode": "SMT-A", "items": list(items), **body}, format="json"
    )


def test_a_draft_is_made_changed_released_and_stays(plant, engineer):
    body = {"routeCode": plant.routing.code}
    made = assert_done(create(engineer, *ITEMS, **body), 201)
    assert (made["revision"], made["status"]) == (1, "DRAFT")
    by_slot = {item["slot"]: item for item in made["items"]}
    assert by_slot["F/1"] == {**ITEMS[0], "kind": "PART", "toolIds": [], "program": None}
    assert by_slot["STENCIL"]["toolIds"] == ["ST-1", "ST-2"]
    kept = SetUpItem.objects.get(slot="F/1").pk
    address = f"/api/setup-lists/{made['id']}"
    changed = assert_done(engineer.patch(address, {"items": ITEMS[:1]}, format="json"))
    assert [item["slot"] for item in changed["items"]] == ["F/1"]
    assert SetUpItem.objects.get().pk == kept  # what is the same is not written
    released = assert_done(engineer.post(f"{address}/release"))
    assert (released["status"], bool(released["releasedAt"])) == ("RELEASED", True)
    assert assert_done(engineer.post(f"{address}/release")) == released
    for refused in (engineer.patch(address, {"items": []}, format="json"), engineer.delete(address)):
        assert_refused(refused, "LIST_RELEASED")
    again = assert_done(create(engineer, **body), 201)
    assert again["revision"] == 2
    empty = engineer.post(f"/api/setup-lists/{again['id']}/release")
    assert "items" in assert_refused(empty, "VALIDATION_ERROR", 400)
    assert_done(engineer.delete(f"/api/setup-lists/{again['id']}"))
    for unknown in (again["id"], "x"):
        assert_refused(engineer.get(f"/api/setup-lists/{unknown}"), "SETUP_LIST_NOT_FOUND", 404)
    rows = engineer.get("/api/setup-lists", {"lineCode": "SMT-A", "status": "RELEASED"}).json()["data"]["items"]
    assert [row["id"] for row in rows] == [made["id"]]


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_written(plant, engineer):
    make_station("SMT-B1", line=make_line("SMT-B"))
    items = [
        {"stationCode": "SMT-01", "slot": "1", "materialCode": "NONE", "alternates": ["C-1U", "C-1U", "NO-ALT"]},
        {"stationCode": "SMT-01", "slot": "1", "materialCode": "R-10K", "alternates": ["R-10K"]},
        {"stationCode": "SMT-B1", "slot": "1", "materialCode": "R-10K", "quantityPerUnit": 0},
        {"stationCode": "GONE", "slot": "1\u200b", "materialCode": "R-10K", "toolIds": ["ST-1"]},
        {"stationCode": "SMT-01", "slot": "2", "kind": "TOOL", "toolIds": ["ST-9"], "materialCode": "R-10K"},
        {"stationCode": "SMT-01", "slot": "3", "kind": "TOOL", "program": "P"},
        {"stationCode": "SMT-01", "slot": "4", "kind": "PROGRAM", "refDes": ["R1"]},
        {"stationCode": "SMT-01", "slot": "5"},
    ]
    refused = create(engineer, *items, routeCode=plant.routing.code)
    assert set(assert_refused(refused, "VALIDATION_ERROR", 400)) == {
        "items.0.materialCode",
        "items.0.alternates",
        "items.1.slot",
        "items.1.alternates",
        "items.2.stationCode",
        "items.2.quantityPerUnit",
        "items.3.stationCode",
        "items.3.slot",
        "items.3.toolIds",
        "items.4.materialCode",
        "items.4.toolIds",
        "items.5.toolIds",
        "items.5.program",
        "items.6.refDes",
        "items.6.program",
        "items.7.materialCode",
    }
    assert not SetUpList.objects.exists()


@pytest.mark.parametrize("quantity", [-1, 1e30, 0.00001, "x", True])
def test_quantities_that_are_none(plant, engineer, quantity):
    item = {"stationCode": "SMT-01", "slot": "1", "materialCode": "R-10K", "quantityPerUnit": quantity}
    assert create(engineer, item, routeCode=plant.routing.code).status_code == 400


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY])
def test_engineers_keep_lists(plant, role):
    assert create(api_client(role), routeCode=plant.routing.code).status_code == 403


CHANGES = {
    "list": "UPDATE mes_setuplist SET revision = 9",
    "deleted": "DELETE FROM mes_runsetuplist; DELETE FROM mes_setuplist",
    "item": "UPDATE mes_setupitem SET slot = 'X'",
    "deleted item": "DELETE FROM mes_setupitem_alternates; DELETE FROM mes_setupitem",
    "alternate": "DELETE FROM mes_setupitem_alternates",
    "tool": """INSERT INTO mes_setupitem_tools (setupitem_id, tool_id)
               SELECT i.id, t.id FROM mes_setupitem i, mes_tool t""",
    "new item": """INSERT INTO mes_setupitem
                     (set_up_list_id, station_id, slot, kind, program, ref_des, quantity_per_unit)
                   SELECT set_up_list_id, station_id, 'NEW', 'PROGRAM', 'P', '{}', 1 FROM mes_setupitem LIMIT 1""",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("is_released", [True, False])
def test_the_database_refuses_changes_of_released_lists(plant, change, is_released):
    make_list(plant, part("F1", alternates=["R-10K-B"]), release=is_released)

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(change)

    if not is_released and not change.startswith("DELETE FROM mes_runsetuplist"):
        write()  # the control: drafts take all of it
        return
    with pytest.raises(IntegrityError, match=r"released|foreign key"):
        write()


# --- what a run goes by -------------------------------------------------------------------------------------


def new_run(plant: Plant, run_no: str, line: str = "SMT-A") -> Run:
    return runs.create(wo_no=plant.order.wo_no, line_code=line, plan_qty=10, run_no=run_no)


def test_a_run_is_bound_as_it_is_made_and_to_another_list_with_a_reason(plant, engineer):
    assert queries.list_of_run(new_run(plant, "EARLY")) is None
    first = make_list(plant, part("F1"))
    make_list(plant, part("F9"), release=False)
    run = new_run(plant, "NEXT")
    assert queries.list_of_run(run) == first
    second = make_list(plant, part("F2"))
    assert queries.list_of_run(run) == first
    draft = engineer.post("/api/runs/NEXT/setup-list", {"revision": 2, "reason": "try"})
    assert_refused(draft, "SETUP_LIST_NOT_FOUND", 404)
    assert engineer.post("/api/runs/NEXT/setup-list", {"revision": 3}).status_code == 400
    before = timezone.now()
    bound = assert_done(engineer.post("/api/runs/NEXT/setup-list", {"revision": 3, "reason": "R7 is out"}), 201)
    assert (bound["revision"], bound["reason"]) == (3, "R7 is out")
    assert_done(engineer.post("/api/runs/NEXT/setup-list", {"revision": 3, "reason": "again"}), 200)
    assert queries.list_of_run(run) == second
    assert queries.list_of_run(run, at=before) == queries.list_of_run(run, at=before - timedelta(days=9)) == first
    assert [item.slot for item in queries.list_items(second)] == ["F2"]
    put_runs(RunStatus.COMPLETED, run_no="NEXT")
    closed = engineer.post("/api/runs/NEXT/setup-list", {"revision": 1, "reason": "late"})
    assert_refused(closed, "RUN_CLOSED")


def test_a_run_that_goes_to_another_line_goes_by_the_list_of_that_line(plant):
    make_list(plant, part("F1"))
    run = new_run(plant, "NEXT")
    make_line("SMT-B")
    run_changes.change(run_no="NEXT", wanted={"line_code": "SMT-B"}, by="test", reason="full")
    run.refresh_from_db()
    assert queries.list_of_run(run) is None
    run_changes.change(run_no="NEXT", wanted={"line_code": "SMT-A"}, by="test", reason="free")
    run.refresh_from_db()
    assert RunSetUpList.objects.filter(run=run).count() == 1
    assert queries.list_of_run(run) is not None


# --- what a slot must hold ----------------------------------------------------------------------------------


@pytest.fixture
def two_runs(plant: Plant) -> tuple[Run, Run]:
    """Two authorized runs on the line; the first wants R-10K or R-10K-B in F1, the second C-1U."""
    put_runs(RunStatus.COMPLETED)
    one, other = (make_run(plant.version, plant.line, run_no=number) for number in ("ONE", "OTHER"))
    for run, items in ((one, [part("F1", alternates=["R-10K-B"])]), (other, [part("F1", "C-1U"), part("F2", "C-1U")])):
        RunSetUpList.objects.create(run=run, set_up_list=make_list(plant, *items))
    return one, other


def find(plant: Plant, slot: str = "F1", run_no: str | None = None) -> Any:
    return queries.find_slot(plant.stations["SMT-01"], slot, run_no)


@pytest.mark.parametrize(
    ("one", "other", "chosen"),
    [
        ("AUTHORIZED", "AUTHORIZED", None),
        ("PREP", "PREP", None),
        ("IN_PROGRESS", "IN_PROGRESS", None),
        ("IN_PROGRESS", "AUTHORIZED", "ONE"),
        ("ON_HOLD", "AUTHORIZED", "ONE"),
        ("PREP", "AUTHORIZED", "OTHER"),
        ("PREP", "COMPLETED", "ONE"),
    ],
)
def test_which_run_counts(plant, two_runs, one, other, chosen):
    put_runs(one, run_no="ONE")
    put_runs(other, run_no="OTHER")
    if chosen is None:
        with pytest.raises(errors.SetUpRunAmbiguous):
            find(plant)
        assert find(plant, run_no="OTHER").run.run_no == "OTHER"
    else:
        assert find(plant).run.run_no == chosen


def test_of_several_in_progress_the_active_one_counts(plant, two_runs):
    put_runs("IN_PROGRESS")
    begin_where_none(two_runs[1], by="test")
    assert find(plant).run == two_runs[1]


def test_what_fits(plant, two_runs, django_assert_max_num_queries):
    put_runs("IN_PROGRESS", run_no="ONE")
    codes = make_materials("R-10K", "R-10K-B", "C-1U")
    with django_assert_max_num_queries(6):
        expected = find(plant)
    fits = {code: expected.compare(material=material.pk) for code, material in codes.items()}
    assert fits == {"R-10K": Verify.PASS, "R-10K-B": Verify.ALTERNATE, "C-1U": Verify.WRONG_PART}
    assert expected.compare() == expected.compare(tool=1) == expected.compare(program="P") == Verify.WRONG_PART
    with pytest.raises(errors.SlotUnknown):
        find(plant, "F2")
    with pytest.raises(errors.RunNotFound):
        find(plant, run_no="NONE")
    # For the next run, where the one in progress does not use the slot; where it does, it must fit both.
    assert find(plant, "F2", "OTHER").compare(material=codes["C-1U"].pk) == Verify.PASS
    assert find(plant, "F1", "OTHER").compare(material=codes["C-1U"].pk) == Verify.WRONG_PART
    put_runs("COMPLETED", run_no="ONE")
    assert find(plant, "F1", "OTHER").compare(material=codes["C-1U"].pk) == Verify.PASS


def test_a_run_that_is_named_is_open_and_may_use_the_station(plant, two_runs):
    put_runs("AUTHORIZED", run_no="ONE")
    put_runs("CANCELLED", run_no="OTHER")
    with pytest.raises(errors.RunClosed):
        find(plant, "F1", "OTHER")
    with pytest.raises(errors.RunClosed):  # the plant's own run: it has no list at all
        find(plant, "F1", "RUN-1")
    elsewhere = make_run(plant.version, make_line("SMT-B"), run_no="ELSEWHERE")
    with pytest.raises(errors.StationLineMismatch):
        find(plant, "F1", "ELSEWHERE")
    shared = make_station("SHARED", line=None)
    assert queries.find_slot(shared, "P", "ELSEWHERE") is None  # nobody has a list for it
    program = ItemInput("SHARED", "P", kind="PROGRAM", program="CTRL")
    RunSetUpList.objects.create(run=two_runs[0], set_up_list=make_list(plant, part("F1"), program))
    for run in ("ELSEWHERE", "NONE"):
        with pytest.raises(errors.SlotUnknown if run == "ELSEWHERE" else errors.RunNotFound):
            queries.find_slot(shared, "P", run)
    assert elsewhere.status == RunStatus.AUTHORIZED


def test_without_a_list_nothing_is_wanted_but_by_who_runs(plant, two_runs):
    RunSetUpList.objects.filter(run__run_no="OTHER").delete()
    put_runs("IN_PROGRESS", run_no="ONE")
    assert find(plant, run_no="OTHER").run.run_no == "ONE"
    assert find(plant, "F2", "OTHER") is None
    RunSetUpList.objects.all().delete()
    put_runs("AUTHORIZED")
    assert find(plant) is None


def test_tools_programs_and_a_station_of_all_lines(plant):
    stencil = Tool.objects.get(tool_id="ST-1")
    items = [
        ItemInput("SHARED", "T", kind="TOOL", tool_ids=["ST-1"]),
        ItemInput("SHARED", "P", kind="PROGRAM", program="CTRL", quantity_per_unit=Decimal(1)),
    ]
    RunSetUpList.objects.create(run=plant.run, set_up_list=make_list(plant, *items))
    shared = make_station("SHARED", line=None)
    tool, program = (queries.find_slot(shared, slot) for slot in ("T", "P"))
    assert tool is not None and program is not None
    assert (tool.compare(tool=stencil.pk), tool.compare(tool=stencil.pk + 1)) == (Verify.PASS, Verify.WRONG_PART)
    assert (program.compare(program="CTRL"), program.compare(program="ctrl")) == (Verify.PASS, Verify.WRONG_PART)
