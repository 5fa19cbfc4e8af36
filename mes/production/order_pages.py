"""The pages of work orders: all of them, late ones first; one of them; a new order and a new run."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mes.errors import DomainError, ValidationFailed, WorkOrderNotFound
from mes.plant.models import Line
from mes.platform.accounts.roles import Capability
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import is_live, needs, show_live, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.production import order_board, orders, runs
from mes.production.api import RunRequest, WorkOrderViewSet
from mes.production.models import RunKind, WorkOrder, WorkOrderStatus
from mes.production.order_acts_api import OPTIONAL, NewWorkOrderRequest
from mes.production.order_board import LATE, OPEN, Chosen, OrderDetail
from mes.production.order_page_acts import (
    MOST_SUGGESTED,
    ORDER_ACTS,
    change_reason,
    line_codes,
    list_offered,
    may,
    route_choices,
)
from mes.routing.models import Routing

RUN_MAKERS: tuple[Capability, ...] = WorkOrderViewSet.capabilities["runs"]
ORDER_MAKERS: tuple[Capability, ...] = WorkOrderViewSet.capabilities["create"]


# --- all orders --------------------------------------------------------------------------------------------------


@signed_in
@require_GET
def all_orders(request: HttpRequest) -> HttpResponse:
    """The orders: open ones, late first, unless others are asked for. What is called exactly so is shown at once."""
    chosen = _read_chosen(request)
    if chosen.q and not is_live(request) and (wo_no := order_board.find_exact(chosen.q)) is not None:
        return redirect("order", wo_no=wo_no)
    page = order_board.list_orders(chosen)
    context = {
        "page": page,
        "chosen": chosen,
        "statuses": list(_status_links(chosen, page)),
        "previous": _query(chosen, page=chosen.page - 1) if chosen.page > 1 else "",
        "next": _query(chosen, page=chosen.page + 1) if page.has_next and chosen.page < order_board.MOST_PAGES else "",
        "may_make": may(request, ORDER_MAKERS),
    }
    if not is_live(request):
        context |= {"lines": line_codes(), "kinds": RunKind.choices}
    return show_live(request, "orders/orders.html", "orders/_orders_live.html", context, seconds=15)


def _read_chosen(request: HttpRequest) -> Chosen:
    """Read the filters from the address; what makes no sense is left out."""
    texts = {name: request.GET.get(name, "").strip() for name in ("status", "line", "product", "kind", "q")}
    texts = {name: "" if "\0" in text else text[: order_board.LONGEST] for name, text in texts.items()}
    if texts["status"] not in (OPEN, LATE, *WorkOrderStatus.values):
        texts["status"] = OPEN
    if texts["kind"] not in RunKind.values:
        texts["kind"] = ""
    page = whole_number(request.GET.get("page", "")) or 1
    return Chosen(**texts, page=min(page, order_board.MOST_PAGES))


def _query(chosen: Chosen, **changes: Any) -> str:
    """Return the arguments of an address that asks for this with changes."""
    arguments = {**vars(chosen), "page": 1, **changes}
    defaults = {"status": OPEN, "page": 1}
    return "?" + urlencode([(key, value) for key, value in arguments.items() if value not in ("", defaults.get(key))])


def _status_links(chosen: Chosen, page: order_board.OrderPage) -> Iterator[tuple[str, Any, int | None, str, bool]]:
    """Yield what may be chosen like a status: (value, label, how many, address, whether it is)."""
    labels = [(OPEN, _("Open")), (LATE, _("Late")), *WorkOrderStatus.choices]
    for value, label in labels:
        yield value, label, page.counts.get(value), _query(chosen, status=value), chosen.status == value


# --- one order ---------------------------------------------------------------------------------------------------


@signed_in
@require_GET
def order(request: HttpRequest, wo_no: str) -> HttpResponse:
    """An order: how much of it is made and committed, its runs, what was decided, and what may be done."""
    try:
        detail = order_board.get_order(wo_no)
    except WorkOrderNotFound as missing:
        return _missing(request, wo_no, missing)
    offered = list(list_offered(request, detail))
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=_address_of(wo_no)))
    context = {"detail": detail, "acts": offered, "may_make_run": _may_make_run(request, detail.order)}
    return show_live(request, "orders/order.html", "orders/_order_live.html", context, seconds=5)


def _missing(request: HttpRequest, wo_no: str, missing: WorkOrderNotFound) -> HttpResponse:
    return render(request, "trace/missing.html", {"text": wo_no, "message": str(missing)}, status=404)


def _address_of(wo_no: str) -> str:
    return reverse("order", args=[wo_no])


def _may_make_run(request: HttpRequest, order: WorkOrder) -> bool:
    return order.status in runs.TAKES_RUNS and may(request, RUN_MAKERS)


# --- what may be done with an order ------------------------------------------------------------------------------


@signed_in
@require_POST
def act(request: HttpRequest, name: str, wo_no: str) -> HttpResponse:
    """Do something with an order; a refusal stands beside its button."""
    chosen = ORDER_ACTS.get(name)
    if chosen is None:
        raise Http404
    if not chosen.is_allowed(request):
        raise PermissionDenied(_("You may not do this."))
    try:
        detail = order_board.get_order(wo_no)
    except WorkOrderNotFound as missing:
        raise Http404(str(missing)) from missing
    fields = chosen.build(name, detail).fields
    return acts.carry_out(request, partial(chosen.do, request, detail, fields), place=_address_of(wo_no), name=name)


# --- a new order -------------------------------------------------------------------------------------------------


@needs(*ORDER_MAKERS)
@require_http_methods(["GET", "POST"])
def new_order(request: HttpRequest) -> HttpResponse:
    """Make an order by hand, as the ERP would send it."""
    place = reverse("order-new")
    act = _new_order_act(place)
    if request.method == "POST":
        made: list[WorkOrder] = []
        is_made = acts.attempt(request, partial(_make_order, request, act.fields, made), place=place, name=act.name)
        return redirect("order", wo_no=made[0].wo_no) if is_made else redirect(place)
    [act] = acts.with_refusal(request, [act], place=place)
    return render(request, "orders/new_order.html", {"act": act})


def _new_order_act(place: str) -> Act:
    products = Routing.objects.exclude(product_code="").order_by("product_code").values_list("product_code", flat=True)
    fields = (
        Field("woNo", _("Work order"), FieldKind.CODE, is_required=True, most=100),
        Field(
            "productCode",
            _("Product"),
            FieldKind.CODE,
            is_required=True,
            most=100,
            suggestions=list(products.distinct()[:MOST_SUGGESTED]),
        ),
        Field("plannedQty", _("Quantity"), FieldKind.NUMBER, is_required=True),
        Field(
            "overrunPercent",
            _("Overrun %"),
            FieldKind.NUMBER,
            value="0",
            help=_("By how much its runs may exceed the quantity."),
        ),
        Field("dueDate", _("Due"), FieldKind.DATE),
        Field("routingCode", _("Route"), FieldKind.CHOICE, choices=route_choices()),
        Field("kind", _("Kind"), FieldKind.CHOICE, value=RunKind.PRODUCTION, choices=RunKind.choices),
        *change_reason(NewWorkOrderRequest),
    )
    at = {"ROUTE_NOT_FOUND": "routingCode"}
    return Act("new-order", _("New order"), place, button=_("Make the order"), fields=fields, at=at)


def _make_order(request: HttpRequest, fields: Sequence[Field], made: list[WorkOrder]) -> str:
    body = acts.read_form(NewWorkOrderRequest, request, fields)
    if WorkOrder.objects.filter(wo_no=body["wo_no"]).exists():
        raise ValidationFailed({"woNo": _("There is an order of this number already.")})
    with transaction.atomic():
        order, is_new = orders.receive(
            wo_no=body["wo_no"],
            product_code=body["product_code"],
            planned_qty=body["planned_qty"],
            optional={name: body[name] for name in OPTIONAL if name in body},
            by=request.user.get_username(),
            is_from_erp=False,
        )
        if not is_new:  # made meanwhile: it is not changed by who wanted a new one
            raise ValidationFailed({"woNo": _("There is an order of this number already.")})
    made.append(order)
    return _("The order is made. Release it to a line; then it may have runs.")


# --- a new run ---------------------------------------------------------------------------------------------------


@needs(*RUN_MAKERS)
@require_http_methods(["GET", "POST"])
def new_run(request: HttpRequest, wo_no: str) -> HttpResponse:
    """Make a run of an order: for what is still allowed, on its line, by the version that is shown before."""
    try:
        detail = order_board.get_order(wo_no)
    except WorkOrderNotFound as missing:
        return _missing(request, wo_no, missing)
    place = reverse("run-new", args=[wo_no])
    act = _new_run_act(place, detail)
    if request.method == "POST":
        made: list[str] = []
        is_made = acts.attempt(request, partial(_make_run, request, wo_no, act.fields, made), place=place, name="run")
        return redirect("readiness", run_no=made[0]) if is_made else redirect(place)
    [act] = acts.with_refusal(request, [act], place=place)
    context = {"detail": detail, "act": act, "takes_runs": detail.order.status in runs.TAKES_RUNS}
    context |= _version_shown(detail.order)
    return render(request, "orders/new_run.html", context)


def _version_shown(order: WorkOrder) -> dict[str, Any]:
    """Return the version that a run made now is bound to, or why there is none, and the route to compile."""
    try:
        version = runs.choose_version(order)
    except DomainError as refusal:
        return {"no_version": str(refusal), "route_code": refusal.details.get("route", "")}
    return {"version": version}


def _new_run_act(place: str, detail: OrderDetail) -> Act:
    order = detail.order
    lines = list(Line.objects.order_by("code")[:MOST_SUGGESTED])
    shifts = sorted({str(shift["code"]) for line in lines for shift in line.shifts})
    fields = (
        Field(
            "planQty",
            _("Quantity"),
            FieldKind.NUMBER,
            value=str(detail.row.still_allowed or ""),
            is_required=True,
            help=_("The order still allows %(count)d.") % {"count": detail.row.still_allowed},
        ),
        Field(
            "lineCode",
            _("Line"),
            FieldKind.CHOICE,
            value=order.line.code if order.line else "",
            choices=[
                (line.code, f"{line.code} {line.name}" if line.name != line.code else line.code) for line in lines
            ],
            is_required=True,
        ),
        Field("shiftCode", _("Shift"), FieldKind.CHOICE, choices=[("", _("none")), *((code, code) for code in shifts)]),
        Field(
            "kind",
            _("Kind"),
            FieldKind.CHOICE,
            value=order.kind,
            choices=RunKind.choices,
            help=_("Only runs of the order's kind use it up. Only production counts in yields and totals."),
        ),
        Field(
            "runNo",
            _("Run number (optional)"),
            FieldKind.CODE,
            most=100,
            help=_("Left empty, it is made of the order's number."),
        ),
        *change_reason(RunRequest),
    )
    at = {"ORDER_QTY_EXCEEDED": "planQty", "LINE_NOT_FOUND": "lineCode"}
    return Act("run", _("New run"), place, button=_("Make the run"), fields=fields, at=at)


def _make_run(request: HttpRequest, wo_no: str, fields: Sequence[Field], made: list[str]) -> str:
    body = acts.read_form(RunRequest, request, fields)
    run = runs.create(
        wo_no=wo_no,
        line_code=body["line_code"],
        plan_qty=body["plan_qty"],
        run_no=body.get("run_no"),
        shift_code=body.get("shift_code"),
        kind=body.get("kind"),
    )
    made.append(run.run_no)
    return _("Run %(run)s is made. See what it needs, then authorize it.") % {"run": run.run_no}
