"""The pages *Spreadsheets*: files out, sheets in, and what a sheet would do before it does it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from mes.errors import DomainError, ImportNotFound
from mes.platform.http.envelope import flatten
from mes.platform.http.pages import in_words, needs, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.spreadsheets import api, reading, services
from mes.spreadsheets.catalogue import BY_NAME, CAPABILITIES, COLLECTIONS, SheetCollection
from mes.spreadsheets.columns import Fault, Source
from mes.spreadsheets.models import ImportStatus, SheetImport

PAGE_SIZE = 100
MOST_LISTED = 20
LONGEST_VALUE = 120


@dataclass(frozen=True)
class WrongCell:
    """An error as the page shows it: where one finds it in the program, what is wrong, what to do."""

    place: str
    column: str
    message: str
    advice: str


@dataclass(frozen=True)
class Difference:
    """What a row does, as the page shows it."""

    line: int | None
    key: str
    action: str
    changes: list[tuple[str, str, str]]  # column, from, to


@signed_in
@require_GET
def spreadsheets(request: HttpRequest) -> HttpResponse:
    """Show the collections with their files, where a sheet is sent, and the sheets that one has sent."""
    chosen = BY_NAME.get(request.GET.get("collection", "")) or _of_model(request.GET.get("model", ""))
    mine = SheetImport.objects.defer("document", "report", "states").filter(created_by=request.user.get_username())
    context = {
        "collections": COLLECTIONS,
        "chosen": chosen,
        "may_write": services.may_write(request.user, chosen),
        "imports": [(each, _label_of(each)) for each in mine[:MOST_LISTED]],
        "most_rows": reading.MOST_ROWS,
    }
    return render(request, "spreadsheets/spreadsheets.html", context)


@needs(*CAPABILITIES)
@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """Check a sheet, and show what it would do."""
    collection = _collection(request.POST.get("collection", ""))
    _check_may_write(request, collection)
    file = request.FILES.get(api.FILE)
    if file is None:
        messages.error(request, _("Choose a file."))
        return _back_to(collection)
    try:
        known = [column.name for column in collection.columns]
        name = file.name or ""
        sheet = reading.read_file(api.read_all(file), known=known, name=name)
        found = services.check(collection, sheet, by=str(request.user.get_username()), file_name=name)
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
        return _back_to(collection)
    return redirect("spreadsheet-import", found.pk)


@signed_in
@require_GET
def one_import(request: HttpRequest, import_id: int) -> HttpResponse:
    """Show what is wrong with a sheet, and what it would do or did."""
    found = _find(request, import_id)
    collection = BY_NAME.get(found.collection)
    wrong, differences = found.report.get("errors", []), found.report.get("differences", [])
    show = request.GET.get("show", "")
    show = show if show in ("errors", "changes") else "errors" if wrong else "changes"
    rows = wrong if show == "errors" else differences
    page = min(max(whole_number(request.GET.get("page", "")) or 1, 1), max(1, -(-len(rows) // PAGE_SIZE)))
    part = rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    context = {
        "found": found,
        "label": _label_of(found),
        "show": show,
        "errors": _wrong_cells(found, part) if show == "errors" else [],
        "differences": [_difference(found, each) for each in part] if show == "changes" else [],
        "shown_errors": len(wrong),
        "difference_count": len(differences),
        "previous": _query(show, page - 1) if page > 1 else "",
        "next": _query(show, page + 1) if page * PAGE_SIZE < len(rows) else "",
        "may_apply": (
            found.status == ImportStatus.CHECKED
            and not found.error_count
            and bool(differences)
            and collection is not None
            and services.may_write(request.user, collection)
        ),
    }
    return render(request, "spreadsheets/import.html", context)


@needs(*CAPABILITIES)
@require_POST
def apply(request: HttpRequest, import_id: int) -> HttpResponse:
    """Apply a sheet, for the reason that the form gives."""
    found = _find(request, import_id)
    _check_may_write(request, _collection(found.collection))
    body = api.ApplyRequest(data={"changeReason": request.POST.get("changeReason", "")})
    try:
        body.is_valid(raise_exception=True)
        reason = body.validated_data["change_reason"]
        done = services.apply(found.pk, by=str(request.user.get_username()), reason=reason)
    except serializers.ValidationError as error:
        told = " ".join(flatten(error.detail).values())
        messages.error(request, _("Say why it is applied. %(told)s") % {"told": told})
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
    else:
        text = _("Applied: %(created)d new, %(changed)d changed, %(deleted)d removed.")
        counts = {"created": done.created, "changed": done.changed, "deleted": done.deleted}
        messages.success(request, text % counts)
    return redirect("spreadsheet-import", found.pk)


def _find(request: HttpRequest, import_id: int) -> SheetImport:
    try:
        return api.find(request.user, import_id)
    except ImportNotFound as refusal:
        raise Http404 from refusal


def _collection(name: str) -> SheetCollection:
    if name not in BY_NAME:
        raise Http404
    return BY_NAME[name]


def _of_model(name: str) -> SheetCollection:
    """Return the collection of a model of the admin site; of routes, their steps; else the first."""
    name = "routingstep" if name == "routing" else name
    return next((each for each in COLLECTIONS if each.model._meta.model_name == name), COLLECTIONS[0])


def _check_may_write(request: HttpRequest, collection: SheetCollection) -> None:
    if not services.may_write(request.user, collection):
        raise PermissionDenied(_("You may not do this."))


def _back_to(collection: SheetCollection) -> HttpResponse:
    response = redirect("spreadsheets")
    response["Location"] += f"?{urlencode({'collection': collection.name})}"
    return response


def _label_of(found: SheetImport) -> str:
    collection = BY_NAME.get(found.collection)
    return found.collection if collection is None else str(collection.label)


def _query(show: str, page: int) -> str:
    return urlencode({"show": show, "page": page})


def _wrong_cells(found: SheetImport, errors: Sequence[dict[str, Any]]) -> list[WrongCell]:
    heads = found.report.get("heads", [])
    return [
        WrongCell(
            place=_place(found, error["row"], heads.index(error["field"]) if error["field"] in heads else None),
            column=error["field"],
            message=error["message"],
            advice=str(Fault(error["code"]).label) if error["code"] in Fault.values else "",
        )
        for error in errors
    ]


def _place(found: SheetImport, row: int, column: int | None) -> str:
    """Return where something stands: the cell as a spreadsheet program calls it, or the line; of JSON, the row."""
    if found.report.get("source") == Source.JSON:
        return _("row %(row)d") % {"row": row}
    line = found.report.get("first", 0) + row + 1
    return _("line %(line)d") % {"line": line} if column is None else f"{_letters(column)}{line}"


def _letters(column: int) -> str:
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _difference(found: SheetImport, each: dict[str, Any]) -> Difference:
    is_file = found.report.get("source") != Source.JSON
    line = each["row"] and each["row"] + (found.report.get("first", 0) + 1 if is_file else 0)
    collection = BY_NAME.get(found.collection)
    order = [] if collection is None else [column.name for column in collection.columns]
    names = sorted(each["changes"], key=lambda name: order.index(name) if name in order else len(order))
    if collection is not None and each["action"] == "CREATE":
        names = [name for name in names if name not in collection.key]  # the key stands before them
    changes = [(name, *(_value(each["changes"][name][side]) for side in ("from", "to"))) for name in names]
    return Difference(line, each["key"], each["action"], changes)


def _value(value: Any) -> str:
    """Return a value as the page shows it; "" is nothing."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_VALUE else f"{line[:LONGEST_VALUE]}…"
