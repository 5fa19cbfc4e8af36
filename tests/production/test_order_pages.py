"""The pages of orders: late ones first, how much is made and committed, what may be done, a new order and a new run."""

import re
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.production import order_board, order_pages
from mes.production.api import WorkOrderViewSet
from mes.production.decision_models import Decision
from mes.production.models import Run, RunKind, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from mes.production.order_page_acts import ORDER_ACTS
from tests.bad_input.nasty import FORM_VALUES
from tests.factories import Plant, make_line, make_plant, make_run, make_user

pytestmark = pytest.mark.django_db

# Session, user, what the user may do; orders, their runs, what is made; counts of states; lines.
LIST_QUERIES = 8
# Likewise three; order, runs, units, decisions, the order's runs, what is made.
ORDER_QUERIES = 9


def sign_in(role: Role | None = Role.SUPERVISOR) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=0)


def order_of(
    wo_no: str, due: date | None = None, status: str = WorkOrderStatus.RELEASED, **fields: object
) -> WorkOrder:
    values = {"product_code": "BOARD-1", "planned_qty": 100, **fields}
    return WorkOrder.objects.create(wo_no=wo_no, due_date=due, status=status, **values)


def run_of(
    plant: Plant, order: WorkOrder, plan: int = 10, status: str = RunStatus.IN_PROGRESS, **fields: object
) -> Run:
    number = f"{order.wo_no}-{order.runs.count() + 1:02}"
    held_from = RunStatus.IN_PROGRESS if status == RunStatus.ON_HOLD else ""
    return Run.objects.create(
        run_no=number,
        work_order=order,
        line=plant.line,
        route_version=plant.version,
        plan_qty=plan,
        status=status,
        held_from=held_from,
        **fields,
    )


def add_units(run: Run, number: int, status: str) -> None:
    first = Unit.objects.count()
    Unit.objects.bulk_create(
        Unit(sn=f"P-{first + n}", run=run, work_order=run.work_order, status=status) for n in range(number)
    )


def read(client: Client, address: str, **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def shown(page: str) -> list[str]:
    """Return the numbers of the orders that a list shows, in order."""
    return re.findall(r'<th scope="row" role="rowheader"><a class="sn" href="/orders/([^"/]+)/"', page)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


# --- all orders --------------------------------------------------------------------------------------------------


def test_late_orders_come_first_and_ended_ones_are_not_there(plant: Plant) -> None:
    today = timezone.localdate()
    order_of("NO-DATE")
    order_of("SOON", today + timedelta(days=2))
    order_of("LATEST", today - timedelta(days=9), status=WorkOrderStatus.IN_PROGRESS)
    order_of("TODAY", today)
    order_of("LATE", today - timedelta(days=1), status=WorkOrderStatus.RECEIVED)
    order_of("DONE", today - timedelta(days=30), status=WorkOrderStatus.COMPLETED)
    order_of("GONE", today - timedelta(days=30), status=WorkOrderStatus.CANCELLED)
    page = read(sign_in(Role.OPERATOR), "/orders/")
    assert shown(page) == ["LATEST", "LATE", "TODAY", "SOON", *shown(page)[4:]]
    assert set(shown(page)[4:]) == {"NO-DATE", plant.order.wo_no}
    assert "9 days late" in page and "1 day late" in page and page.count(" late</span>") == 2
    assert shown(read(sign_in(), "/orders/?status=LATE")) == ["LATEST", "LATE"]
    assert shown(read(sign_in(), "/orders/?status=COMPLETED")) == ["DONE"]
    assert shown(read(sign_in(), "/orders/?status=CANCELLED")) == ["GONE"]


def test_it_is_narrowed_by_line_product_kind_and_the_beginning_of_the_number(plant: Plant) -> None:
    other = make_line("SMT-B")
    order_of("A-1", line=plant.line)
    order_of("A-2", line=other, product_code="BOARD-2")
    order_of("B-1", line=other, kind=RunKind.REWORK)
    order_of("A-3", status=WorkOrderStatus.COMPLETED, line=other)
    client = sign_in()
    assert shown(read(client, "/orders/?line=SMT-B")) == ["A-2", "B-1"]
    assert shown(read(client, "/orders/?line=SMT-B&product=BOARD-2")) == ["A-2"]
    assert shown(read(client, "/orders/?kind=REWORK")) == ["B-1"]
    assert shown(read(client, "/orders/?q=a-")) == ["A-1", "A-2", "A-3"]  # of any state, also in capitals
    assert shown(read(client, "/orders/?q=A-&status=COMPLETED")) == ["A-3"]
    assert shown(read(client, "/orders/?status=COMPLETED&line=SMT-B")) == ["A-3"]
    assert "No order is like this" in read(client, "/orders/?q=Z")


def test_a_number_that_is_typed_or_scanned_leads_to_its_order(plant: Plant) -> None:
    order_of("A-1")
    order_of("A-11")
    assert sign_in().get("/orders/?q=A-1")["Location"] == "/orders/A-1/"
    assert sign_in().get("/orders/?q=a-11")["Location"] == "/orders/A-11/"


def test_made_committed_and_over_planned_are_seen(plant: Plant) -> None:
    order = order_of("O-1", overrun_percent=2)
    ended = run_of(plant, order, 60, RunStatus.COMPLETED)
    add_units(ended, 55, UnitStatus.DONE)
    add_units(ended, 5, UnitStatus.SCRAPPED)
    run_of(plant, order, 42, RunStatus.ON_HOLD)
    order.planned_qty = 75
    order.save()
    row = next(row for row in order_board.list_orders(order_board.Chosen()).rows if row.order == order)
    assert (row.quantities.made, row.quantities.committed, row.quantities.allowed) == (55, 97, 76)
    assert (row.open_runs, row.held_runs, row.still_allowed) == (1, 1, 0)
    page = words(read(sign_in(), "/orders/"))
    assert "55 of 75" in page and "97 / 76" in page and "21 too many planned" in page and "1 on hold" in page
    page = words(read(sign_in(), "/orders/O-1/"))
    assert "Its runs are for 97 units, and it allows 76" in page


def test_the_list_takes_as_many_queries_for_fifty_orders_as_for_two(plant: Plant) -> None:
    client = sign_in()
    run_of(plant, order_of("Q-0"))
    read(client, "/orders/")

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            read(client, "/orders/")
        return len(captured)

    few = count()
    for number in range(1, 60):
        add_units(run_of(plant, order_of(f"Q-{number}")), 1, UnitStatus.DONE)
    assert count() == few == LIST_QUERIES


def test_the_open_orders_are_found_by_the_index_of_their_due_dates(plant: Plant) -> None:
    WorkOrder.objects.bulk_create(
        WorkOrder(
            wo_no=f"I-{number}",
            product_code="P",
            planned_qty=1,
            due_date=date(2026, 1, 1) + timedelta(days=number % 400),
            status=WorkOrderStatus.RELEASED if number % 2 == 0 else WorkOrderStatus.COMPLETED,
        )
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mes_workorder")
    found, _is_cut = order_board._narrowed(WorkOrder.objects.all(), order_board.Chosen(), timezone.localdate())
    assert "work_order_open_by_due" in found[:51].explain() and "Sort" not in found[:51].explain()
    ended, _is_cut = order_board._narrowed(
        WorkOrder.objects.all(), order_board.Chosen(status="CANCELLED"), timezone.localdate()
    )
    assert "work_order_by_status" in ended[:51].explain()


def test_it_is_paged_and_asks_again_only_for_what_changed(plant: Plant) -> None:
    for number in range(60):
        order_of(f"G-{number:02}", timezone.localdate() + timedelta(days=number))
    client = sign_in()
    first, second = read(client, "/orders/"), read(client, "/orders/?page=2")
    assert len(shown(first)) == 50 and shown(second)[:2] == ["G-50", "G-51"]
    assert 'rel="next"' in first and 'rel="prev"' in second
    asked = re.search(r'id="live" hx-get="([^"]+)"', first)
    assert asked is not None
    address = asked[1].replace("&amp;", "&")
    live = {"HX-Request": "true"}
    assert client.get(address, headers=live).status_code == 204
    WorkOrder.objects.filter(wo_no="G-00").update(planned_qty=7)
    assert "of 7" in words(client.get(address, headers=live).content.decode())


@pytest.mark.parametrize("name", ["q", "line", "product", "kind", "status", "page"])
def test_no_address_breaks_the_list(plant: Plant, name: str) -> None:
    client = sign_in()
    for value in FORM_VALUES:
        text = value if isinstance(value, str) else str(value)
        response = client.get("/orders/", {name: text.encode("utf-8", "replace").decode()})
        assert response.status_code in (200, 302)


@pytest.mark.parametrize(
    ("role", "said", "leads_to"),
    [
        (Role.SUPERVISOR, "or you make one here", "/new-order/"),
        (Role.ENGINEER, "Each needs a compiled route", "/lists/routes/"),
        (Role.OPERATOR, "a supervisor makes them", ""),
    ],
)
def test_an_empty_list_says_what_comes_next_by_role(db: None, role: Role, said: str, leads_to: str) -> None:
    page = read(sign_in(role), "/orders/")
    assert said in page and (leads_to in page or not leads_to)


# --- one order ---------------------------------------------------------------------------------------------------


def test_an_order_shows_its_quantities_and_its_runs(plant: Plant) -> None:
    order = (
        order_of("O-1", overrun_percent=10, due_date=date(2020, 1, 2)) if False else order_of("O-1", date(2020, 1, 2))
    )
    WorkOrder.objects.filter(pk=order.pk).update(overrun_percent=10)
    run = run_of(plant, order, 60)
    add_units(run, 6, UnitStatus.DONE)
    add_units(run, 1, UnitStatus.OUT_FAILED)
    run_of(plant, order, 5, kind=RunKind.ENGINEERING)
    page = read(sign_in(Role.OPERATOR), "/orders/O-1/")
    text = words(page)
    assert "6 of 100 made" in text and "Allowed + 10 % 110" in text and "Still allowed 50" in text
    assert "6 of 60" in text and "1 unit " in text and "uses up nothing of the order" in text
    assert 'href="/trace/runs/O-1-01/"' in page and "days late" in page


def test_a_page_of_an_order_takes_as_many_queries_for_many_runs(plant: Plant) -> None:
    client = sign_in()
    order = order_of("O-1", line=plant.line)
    run_of(plant, order)
    read(client, "/orders/O-1/")

    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            read(client, "/orders/O-1/")
        return len(captured)

    few = count()
    for _number in range(20):
        add_units(run_of(plant, order), 2, UnitStatus.DONE)
    assert count() == few == ORDER_QUERIES


def test_what_is_not_there_is_404(plant: Plant) -> None:
    client = sign_in()
    for address in ("/orders/NONE/", "/new-run/NONE/"):
        assert client.get(address).status_code == 404
    assert client.post("/order-acts/release/NONE/").status_code == 404
    assert client.post(f"/order-acts/nothing/{plant.order.wo_no}/").status_code == 404


# --- what may be done --------------------------------------------------------------------------------------------


def test_what_is_offered_is_what_the_interface_allows() -> None:
    """The capabilities are read from the interface's view: one place for both."""
    assert WorkOrderViewSet.capabilities["create"] == order_pages.ORDER_MAKERS
    assert WorkOrderViewSet.capabilities["runs"] == order_pages.RUN_MAKERS
    for act in ORDER_ACTS.values():
        assert act.capabilities == WorkOrderViewSet.capabilities[act.view_action]


def test_a_received_order_is_released_on_its_page(plant: Plant) -> None:
    order_of("O-1", status=WorkOrderStatus.RECEIVED)
    client = sign_in()
    page = read(client, "/orders/O-1/")
    assert 'action="/order-acts/release/O-1/"' in page and "must be released to a line first" in page
    assert client.post("/order-acts/release/O-1/", {"lineCode": "SMT-A"})["Location"] == "/orders/O-1/"
    order = WorkOrder.objects.get(wo_no="O-1")
    assert order.status == WorkOrderStatus.RELEASED and order.line == plant.line
    page = read(client, "/orders/O-1/")
    assert "The order is released to SMT-A." in page and 'href="/new-run/O-1/"' in page


def test_a_refusal_stands_beside_its_button_and_nothing_is_written(plant: Plant) -> None:
    order_of("O-1", status=WorkOrderStatus.RECEIVED)
    client = sign_in()
    answer = client.post("/order-acts/release/O-1/", {"lineCode": "NO-LINE"})
    assert answer["Location"] == "/orders/O-1/#act-release"
    page = read(client, "/orders/O-1/")
    fold = page.partition('id="act-release"')[2].partition("</details>")[0]
    assert " open>" in fold.partition("<summary")[0] + ">" and "There is no line “NO-LINE”" in fold
    assert WorkOrder.objects.get(wo_no="O-1").status == WorkOrderStatus.RECEIVED
    assert "There is no line" not in read(client, "/orders/O-1/")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.ENGINEER])
def test_who_may_not_is_offered_nothing_and_refused(plant: Plant, role: Role) -> None:
    order_of("O-1", status=WorkOrderStatus.RECEIVED)
    order_of("O-2", line=plant.line)
    client = sign_in(role)
    page = read(client, "/orders/O-1/") + read(client, "/orders/O-2/") + read(client, "/orders/")
    assert "/order-acts/" not in page and "/new-run/" not in page and "/new-order/" not in page
    assert client.post("/order-acts/release/O-1/", {"lineCode": "SMT-A"}).status_code == 403
    assert client.post("/new-run/O-2/", {"planQty": "1", "lineCode": "SMT-A"}).status_code == 403
    assert client.post("/new-order/", {"woNo": "N"}).status_code == 403
    assert not Run.objects.filter(work_order__wo_no="O-2").exists()


def test_strangers_are_sent_to_sign_in(db: None) -> None:
    for address in ("/orders/", "/orders/O-1/", "/new-order/", "/new-run/O-1/"):
        assert Client().get(address)["Location"].startswith("/sign-in/")


def offered(page: str) -> list[str]:
    """Return the names of the acts that a page offers, in order."""
    return re.findall(r'action="/order-acts/([\w-]+)/', page)


@pytest.mark.parametrize(
    ("status", "has_run", "acts"),
    [
        ("RECEIVED", False, ["release", "change", "cancel"]),
        ("RELEASED", False, ["release", "change", "complete", "cancel"]),
        ("RELEASED", True, ["change", "complete", "cancel"]),
        ("IN_PROGRESS", True, ["change", "complete", "cancel"]),
        ("COMPLETED", True, ["reopen"]),
        ("CANCELLED", True, ["reopen"]),
    ],
)
def test_the_state_says_what_is_offered(plant: Plant, status: str, has_run: bool, acts: list[str]) -> None:
    order = order_of("O-1", status=status, line=plant.line)
    if has_run:
        run_of(plant, order, status="CANCELLED")
    assert offered(read(sign_in(), "/orders/O-1/")) == acts


def test_an_order_of_which_something_is_made_is_completed_not_cancelled(plant: Plant) -> None:
    order = order_of("O-1", status="IN_PROGRESS")
    add_units(run_of(plant, order, status="COMPLETED"), 1, UnitStatus.DONE)
    client = sign_in()
    page = read(client, "/orders/O-1/")
    assert offered(page) == ["change", "complete"] and "Only 1 of 100 are made" in page
    client.post("/order-acts/complete/O-1/", {"reason": "Enough"})
    assert "Tick this first" in read(client, "/orders/O-1/")
    assert WorkOrder.objects.get(wo_no="O-1").status == "IN_PROGRESS"
    client.post("/order-acts/complete/O-1/", {"reason": "Enough", "confirm": "1"})
    assert WorkOrder.objects.get(wo_no="O-1").status == "COMPLETED"
    page = words(read(client, "/orders/O-1/"))
    assert "The order is completed." in page and "In progress → Completed" in page and "“Enough”" in page


def test_an_order_is_changed_and_its_history_says_from_what_to_what(plant: Plant) -> None:
    order_of("O-1", date(2026, 5, 1))
    client = sign_in()
    form = {"plannedQty": "80", "was-plannedQty": "100", "overrunPercent": "0", "was-overrunPercent": "0"}
    form |= {"dueDate": "", "was-dueDate": "2026-05-01", "routingCode": "", "was-routingCode": "", "reason": "Cut"}
    client.post("/order-acts/change/O-1/", form)
    order = WorkOrder.objects.get(wo_no="O-1")
    assert (order.planned_qty, order.due_date) == (80, None)
    page = words(read(client, "/orders/O-1/"))
    assert "Planned: 100 → 80" in page and "Due: 2026-05-01 → –" in page and "“Cut”" in page


def test_what_somebody_else_changed_meanwhile_is_not_set_back(plant: Plant) -> None:
    order_of("O-1", planned_qty=100)
    WorkOrder.objects.update(planned_qty=150)  # after the form was shown
    form = {"plannedQty": "100", "was-plannedQty": "100", "overrunPercent": "5", "was-overrunPercent": "0"}
    sign_in().post("/order-acts/change/O-1/", {**form, "reason": "More"})
    order = WorkOrder.objects.get(wo_no="O-1")
    assert (order.planned_qty, order.overrun_percent) == (150, 5)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"plannedQty": "3"}, "plannedQty", "4"),  # made
        ({"plannedQty": "none"}, "plannedQty", "whole number"),
        ({}, "plannedQty", "Nothing is different"),
        ({"plannedQty": "50", "reason": " "}, "reason", "required"),
        ({"plannedQty": "50", "reason": "x" * 501}, "reason", "500"),
    ],
)
def test_a_change_that_cannot_be_is_told_at_its_field(
    plant: Plant, change: dict[str, str], field: str, said: str
) -> None:
    add_units(run_of(plant, order_of("O-1"), status="COMPLETED"), 4, UnitStatus.DONE)
    client = sign_in()
    form = {"plannedQty": "100", "was-plannedQty": "100", "overrunPercent": "0", "was-overrunPercent": "0"}
    client.post("/order-acts/change/O-1/", {**form, "reason": "Because", **change})
    page = read(client, "/orders/O-1/")
    problem = page.partition(f'id="change-{field}-problem">')[2].partition("</p>")[0]
    assert said in problem
    assert WorkOrder.objects.get(wo_no="O-1").planned_qty == 100 and not Decision.objects.exists()


def test_a_cancelled_order_takes_its_untouched_runs_along_and_is_reopened(plant: Plant) -> None:
    run = run_of(plant, order_of("O-1", line=plant.line), status="PREP")
    client = sign_in()
    assert "its open run is closed with it" in read(client, "/orders/O-1/")
    client.post("/order-acts/cancel/O-1/", {"reason": "Not wanted", "confirm": "1"})
    run.refresh_from_db()
    assert (WorkOrder.objects.get(wo_no="O-1").status, run.status) == ("CANCELLED", "CANCELLED")
    client.post("/order-acts/reopen/O-1/", {"reason": "Wanted after all"})
    assert WorkOrder.objects.get(wo_no="O-1").status == "RELEASED"


def test_what_keeps_an_order_open_has_a_way_out_beside_the_button(plant: Plant) -> None:
    run_of(plant, order_of("O-1"))
    client = sign_in()
    client.post("/order-acts/complete/O-1/", {"reason": "Enough", "confirm": "1"})
    fold = read(client, "/orders/O-1/").partition('id="act-complete"')[2].partition("</details>")[0]
    assert "close them first" in fold and 'href="#runs"' in fold and "Enough</textarea>" in fold
    assert not Decision.objects.exists()


# --- a new order -------------------------------------------------------------------------------------------------


def test_an_order_is_made_on_a_page(plant: Plant) -> None:
    client = sign_in()
    assert 'name="woNo"' in read(client, "/new-order/")
    form = {"woNo": "N-1", "productCode": "BOARD-1", "plannedQty": "40", "overrunPercent": "5", "dueDate": "2027-01-31"}
    assert client.post("/new-order/", form)["Location"] == "/orders/N-1/"
    order = WorkOrder.objects.get(wo_no="N-1")
    assert (order.planned_qty, order.overrun_percent, order.due_date) == (40, 5, date(2027, 1, 31))
    assert order.status == WorkOrderStatus.RECEIVED and order.routing is None and order.kind == RunKind.PRODUCTION
    assert "The order is made" in read(client, "/orders/N-1/")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"woNo": ""}, ["woNo"]),
        ({"woNo": "x" * 101}, ["woNo"]),
        ({"plannedQty": "0"}, ["plannedQty"]),
        ({"plannedQty": "many"}, ["plannedQty"]),
        ({"overrunPercent": "101", "plannedQty": "-1"}, ["plannedQty", "overrunPercent"]),
        ({"dueDate": "soon"}, ["dueDate"]),
        ({"productCode": ""}, ["productCode"]),
        ({"woNo": "WO-RUN-1"}, ["woNo"]),  # there is one
        ({"routingCode": "NONE"}, ["routingCode"]),
    ],
)
def test_what_is_wrong_with_an_order_is_told_at_its_fields(
    plant: Plant, change: dict[str, str], fields: list[str]
) -> None:
    client = sign_in()
    before = WorkOrder.objects.get(wo_no="WO-RUN-1").planned_qty
    form = {"woNo": "N-1", "productCode": "BOARD-1", "plannedQty": "40", **change}
    assert client.post("/new-order/", form)["Location"] == "/new-order/"
    page = read(client, "/new-order/")
    assert re.findall(r'id="new-order-(\w+)-problem"', page) == fields
    assert f'value="{form["productCode"]}"' in page  # what was typed stays
    assert not WorkOrder.objects.filter(wo_no="N-1").exists()
    assert WorkOrder.objects.get(wo_no="WO-RUN-1").planned_qty == before


def test_a_reason_is_asked_for_where_the_plant_wants_one(plant: Plant, settings) -> None:
    settings.MES_CHANGE_REASON = "ALWAYS"
    client = sign_in()
    order_of("O-1", routing=plant.routing)
    assert 'name="changeReason"' in read(client, "/new-run/O-1/")
    form = {"planQty": "10", "lineCode": "SMT-A"}
    client.post("/new-run/O-1/", form)
    assert 'id="run-changeReason-problem"' in read(client, "/new-run/O-1/")
    client.post("/new-run/O-1/", {**form, "changeReason": "Asked for by phone"})
    assert Run.objects.filter(work_order__wo_no="O-1").exists()


# --- a new run ---------------------------------------------------------------------------------------------------


def test_a_run_is_made_for_what_is_still_allowed_by_the_version_that_was_shown(plant: Plant) -> None:
    order = order_of("O-1", line=plant.line, routing=plant.routing)
    run_of(plant, order, 70)
    client = sign_in()
    page = read(client, "/new-run/O-1/")
    assert 'value="30"' in page and f"{plant.routing.code} · version {plant.version.version_no}" in words(page)
    assert '<option value="SMT-A" selected>' in page
    answer = client.post("/new-run/O-1/", {"planQty": "30", "lineCode": "SMT-A"})
    run = Run.objects.get(work_order=order, plan_qty=30)
    assert answer["Location"] == f"/readiness/runs/{run.run_no}/" and run.route_version == plant.version


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"planQty": "31"}, "planQty"),
        ({"planQty": ""}, "planQty"),
        ({"lineCode": "NONE"}, "lineCode"),
        ({"shiftCode": "NIGHT"}, "shiftCode"),
        ({"runNo": "RUN-1"}, "runNo"),
    ],
)
def test_what_is_wrong_with_a_run_is_told_at_its_field(plant: Plant, change: dict[str, str], field: str) -> None:
    plant.line.shifts = [{"code": "DAY", "start": "06:00", "end": "14:00", "weekdays": [1, 2, 3, 4, 5]}]
    plant.line.save()
    order = order_of("O-1", line=plant.line, routing=plant.routing, planned_qty=30)
    client = sign_in()
    form = {"planQty": "30", "lineCode": "SMT-A", **change}
    assert client.post("/new-run/O-1/", form)["Location"] == "/new-run/O-1/"
    page = read(client, "/new-run/O-1/")
    assert re.findall(r'id="run-(\w+)-problem"', page) == [field]
    assert not order.runs.exists()


def test_without_a_version_it_is_said_who_does_what(plant: Plant) -> None:
    order_of("O-1", line=plant.line, product_code="NEW-BOARD")
    page = words(read(sign_in(), "/new-run/O-1/"))
    assert (
        "no active route of product" in page and "An engineer compiles the route" in page and "Make the run" not in page
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [(WorkOrderStatus.RECEIVED, "Release it to a line first"), (WorkOrderStatus.COMPLETED, "Reopen it first")],
)
def test_an_order_that_takes_no_run_says_what_to_do(plant: Plant, status: str, said: str) -> None:
    order_of("O-1", status=status, routing=plant.routing)
    client = sign_in()
    page = read(client, "/new-run/O-1/")
    assert said in page and "Make the run" not in page
    assert "/new-run/" not in read(client, "/orders/O-1/")
    client.post("/new-run/O-1/", {"planQty": "1", "lineCode": "SMT-A"})
    assert not Run.objects.filter(work_order__wo_no="O-1").exists()


def test_an_order_that_is_used_up_says_so(plant: Plant) -> None:
    order = order_of("O-1", routing=plant.routing, planned_qty=10)
    run_of(plant, order, 10)
    assert "Its runs use up all that it allows" in read(sign_in(), "/new-run/O-1/")


def test_every_run_of_the_factories_belongs_to_an_order_with_a_page(plant: Plant) -> None:
    run = make_run(plant.version, plant.line, run_no="R/2")
    assert read(sign_in(), f"/orders/{run.work_order.wo_no}/")
