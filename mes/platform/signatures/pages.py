"""The page of a signature: who signed what and when, the document that was signed, and whether it still holds."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from django.views.decorators.http import require_GET

from mes.platform.http.envelope import snake_case
from mes.platform.http.pages import signed_in
from mes.platform.signatures.models import Signature
from mes.platform.signatures.queries import find_kind, is_unchanged

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Cell:
    """A value of a document: a time, or a text."""

    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Table:
    """A list of objects of a document."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Part:
    """A field of a document: a value, or a list of objects."""

    label: str
    cell: Cell | None = None
    table: Table | None = None


@signed_in
@require_GET
def signature(request: HttpRequest, signature_id: int) -> HttpResponse:
    """Show a signature, for the screen and for paper."""
    found = Signature.objects.filter(pk=signature_id).first() if signature_id < 2**63 else None
    if found is None:
        raise Http404
    kind = find_kind(found.record_type)
    context = {
        "signature": found,
        "label": kind.label if kind else found.record_type,
        "record_page": kind.page(found.record_id) if kind else "",
        "is_unchanged": is_unchanged(found),
        "parts": list(describe(found.document)),
    }
    return render(request, "signatures/signature.html", context)


def describe(document: str) -> Iterator[Part]:
    """Yield the fields of a signed document as they are read; nothing of a text that is no document any more."""
    try:
        fields = json.loads(document)
    except ValueError:
        return
    if isinstance(fields, dict):
        yield from _parts(fields)


def _parts(fields: Mapping[str, Any], path: str = "") -> Iterator[Part]:
    for name, value in fields.items():
        label = f"{path}{_words(name)}"
        if isinstance(value, dict):
            yield from _parts(value, f"{label}: ")
        elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
            yield Part(label, table=_table([each for each in value if isinstance(each, dict)]))
        else:
            yield Part(label, cell=_cell(value))


def _table(objects: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for each in objects for name in each))
    return Table([_words(name) for name in names], [[_cell(each.get(name)) for name in names] for each in objects])


def _cell(value: Any) -> Cell:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return Cell(at=datetime.fromisoformat(value))
    if isinstance(value, list):
        return Cell(", ".join(_cell(each).text for each in value))
    return Cell("" if value is None else str(value))


_WRITTEN = {
    "sn": "SN",
    "sns": "SNs",
    "no": "number",
    "qty": "quantity",
    "id": "ID",
    "ac": "Ac",
    "re": "Re",
    "aql": "AQL",
}


def _words(name: str) -> str:
    """Return the name of a field as people read it: `sampleSns` is “Sample SNs”."""
    return capfirst(" ".join(_WRITTEN.get(word, word) for word in snake_case(name).split("_")))
