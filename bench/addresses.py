"""The addresses of every list and page, found and not listed: what is added is measured too.

Lists of the API with each of their parameters, from the OpenAPI document; change lists of the admin site with each of
their filters; the pages, with what they take. Imported when Django is set up on the plant of `bench.grown`.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from bench.grown import READER
from mes.platform.http.admin import BoundedPaginator
from mes.platform.lists.asked import MOST_PAGES
from mes.platform.lists.listing import Filter, FilterKind, Listing, lists
from mes.production import order_board
from mes.production.models import WorkOrderStatus
from mes.production.order_board import LATE

NOTHING = "nothing-there"
LAST_CURSOR = base64.b64encode(b"r=1&p=0").decode()  # backwards from before the first row
IN_PATH = {  # what stands in addresses: things that there are
    "code": "GROWN-0-TEST",
    "sn": "GROWN-00000007",
    "run_no": "GROWN-R000000",
    "carrier_no": "GROWN-C0000",
    "wo_no": "GROWN-W000000",
}
KINDS_OF_PATHS = {
    "/api/lines/": "GROWN-0",
    "/api/routes/": "GROWN",
    "/api/operations/": "GROWN-TEST",
    "/api/reference-units/": "GROWN-GOLD-0",
}
PAGES = (
    *("/", "/trace/", "/clocks/", "/notifications/", "/operations/", "/operations/tasks/", "/readiness/"),
    *("/operations/retention/", "/ingest/events/", "/integration/messages/", "/reports/record/", "/reports/in-out/"),
    *("/trace/units/GROWN-00000007/", "/trace/runs/GROWN-R000000/", "/trace/carriers/GROWN-C0000/"),
    *("/first-articles/GROWN-R000000/", "/readiness/runs/GROWN-R000000/", "/ingest/sources/", "/ingest/preview/"),
    *("/orders/", "/orders/GROWN-W000000/", "/new-order/", "/new-run/GROWN-N000000/", "/approvals/", "/lines/GROWN-0/"),
    *("/lines/GROWN-0/set-up/", "/stations/GROWN-0-TEST/", "/metrics", "/readyz", "/notifications/bell/"),
    *("/stations/", "/station-sheets/", "/station-sheets/defects/?most-used=1"),
)
PARAMETERS_OF_PAGES: Mapping[str, Sequence[str]] = {
    "/trace/": ("q",),
    "/ingest/events/": ("q", "code", "subject", "source", "station", "run", "step", "event"),
    "/integration/messages/": ("q", "code", "subject", "source", "station", "run", "entity", "message"),
    "/orders/": ("q", "line", "product", "kind"),
    "/clocks/": ("q", "line", "status"),
    "/readiness/": ("line",),
}


@dataclass(frozen=True)
class Address:
    """What is asked for, and what of it that is: `first`, `last`, or a filter."""

    path: str
    what: str


def find_all() -> list[Address]:
    """Return every address once."""
    found = {address.path: address for find in (_of_api, _of_pages, _of_lists, _of_admin) for address in find()}
    return list(found.values())


def _with(path: str, **parameters: str) -> str:
    return f"{path}?{urlencode(parameters)}"


# --- the API -----------------------------------------------------------------------------------------------


def _of_api() -> Iterator[Address]:
    document = SchemaGenerator().get_schema(request=None, public=True)
    for template, operations in document["paths"].items():
        operation = operations.get("get")
        path = operation and _filled(template)
        if path:
            yield from _of_operation(path, operation.get("parameters", []))


def _filled(template: str) -> str | None:
    """Return the address with things that there are in it, None where there are none."""
    kind = next((value for prefix, value in KINDS_OF_PATHS.items() if template.startswith(prefix)), None)
    names = re.findall(r"{(\w+)}", template)
    if any(name not in IN_PATH for name in names):
        return None
    return template.format(**{name: kind if kind and name in ("code", "sn") else IN_PATH[name] for name in names})


def _of_operation(path: str, parameters: Sequence[Mapping[str, Any]]) -> Iterator[Address]:
    asked = [parameter for parameter in parameters if parameter["in"] == "query"]
    yield Address(path, "first")
    names = {parameter["name"] for parameter in asked}
    if "cursor" in names:
        yield Address(_with(path, cursor=LAST_CURSOR), "last")
    for parameter in asked:
        if parameter["name"] not in ("cursor", "pageSize"):
            yield from (
                Address(_with(path, **{parameter["name"]: value}), f"{parameter['name']}={value}")
                for value in _values(parameter)
            )


def _values(parameter: Mapping[str, Any]) -> Sequence[str]:
    """Return each of its choices, one of which may match nothing, or what matches nothing."""
    name, schema = parameter["name"], parameter.get("schema", {})
    if schema.get("enum"):
        return [str(value) for value in schema["enum"]]
    if schema.get("type") == "boolean":
        return ["true", "false"]
    if schema.get("type") == "integer" or name in ("stepNo", "id"):
        return ["987654"]
    if name.lower().endswith(("from", "since")):
        return ["2100-01-01"]
    if name.lower().endswith(("to", "until")):
        return ["1990-01-01"]
    return [NOTHING]


# --- pages -------------------------------------------------------------------------------------------------


def _of_pages() -> Iterator[Address]:
    for path in PAGES:
        yield Address(path, "first")
        for name in PARAMETERS_OF_PAGES.get(path, ()):
            value = "987654" if name in ("step", "event", "message") else NOTHING
            yield Address(_with(path, **{name: value}), f"{name}={value}")
    yield Address(_with("/trace/", q="GROWN-00000007"), "found")
    yield Address(_with("/ingest/events/", before="1"), "last")
    yield Address(_with("/integration/messages/", before="1"), "last")
    for status in (LATE, *WorkOrderStatus.values):
        yield Address(_with("/orders/", status=status), f"status={status}")
    yield Address(_with("/orders/", status=WorkOrderStatus.COMPLETED, line=NOTHING), f"line={NOTHING}")
    yield Address(_with("/orders/", status=WorkOrderStatus.COMPLETED, page=str(order_board.MOST_PAGES)), "last")
    yield Address("/lines/GROWN-3/", "busy")


# --- lists -------------------------------------------------------------------------------------------------


def _of_lists() -> Iterator[Address]:
    """Each list: its first page, its last, each order, each filter, and a period long ago."""
    yield Address("/lists/", "first")
    for listing in lists:
        yield from _of_list(f"/lists/{listing.name}/", listing)


def _of_list(path: str, listing: Listing) -> Iterator[Address]:
    yield Address(path, "first")
    yield Address(_with(path, page=str(MOST_PAGES), period="all"), "last")
    for column in listing.columns:
        needs = {column.sort_needs: NOTHING} if column.sort_needs else {}
        for sign in ("", "-") if column.sort else ():
            yield Address(_with(path, sort=sign + column.key, period="all", **needs), f"sort={sign}{column.key}")
    if listing.period is not None:
        yield Address(_with(path, **{"from": "2000-01-01", "to": "2000-02-01"}), "to=2000-02-01")
        month_ago = timezone.localdate() - timedelta(days=30)
        yield Address(_with(path, **{"from": str(month_ago), "to": str(month_ago)}), f"to={month_ago}")
    for each in listing.filters:
        for value in _values_of(each):
            yield Address(_with(path, period="all", **{each.key: value}), f"{each.key}={value}")


def _values_of(each: Filter) -> Sequence[str]:
    if each.kind is FilterKind.CHOICE:
        return [str(value) for value, _label in each.choices_for(User.objects.get(username=READER))]
    return {FilterKind.YES_NO: ["yes", "no"], FilterKind.NUMBER: ["987654"]}.get(each.kind, [NOTHING])


# --- the admin site ----------------------------------------------------------------------------------------


def _of_admin() -> Iterator[Address]:
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(username=READER)
    for model, model_admin in admin.site._registry.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield Address(path, "first")
        last = BoundedPaginator.bound // model_admin.list_per_page
        if model_admin.get_queryset(request).order_by()[: BoundedPaginator.bound].count() == BoundedPaginator.bound:
            yield Address(_with(path, p=str(last)), "last")
        if model_admin.search_fields:
            yield Address(_with(path, q=NOTHING), f"q={NOTHING}")
        yield from _filtered(path, model_admin, request)


def _filtered(path: str, model_admin: admin.ModelAdmin, request: HttpRequest) -> Iterator[Address]:
    """Each choice of each filter."""
    changes = model_admin.get_changelist_instance(request)
    for each in changes.filter_specs:
        for choice in each.choices(changes):
            query = str(choice.get("query_string", "?"))
            if not choice.get("selected") and query not in ("?", ""):
                yield Address(f"{path}{query}", query.removeprefix("?"))
