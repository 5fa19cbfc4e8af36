"""The pages of the Pareto of defects: its bars, and the defects that a bar is made of."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from mes.errors import DomainError, ValidationFailed
from mes.plant.models import Line
from mes.platform.http import tables
from mes.platform.http.pages import in_words, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import RunKind
from trace.reports import exports, pareto
from trace.reports.found import By, Question, read_question

# What an address may ask; as the interface calls it, so that the files are asked for in the same words.
ASKED = (
    *("by", "from", "to", "lineCode", "productCode", "runNo", "runKind", "stepNo", "stationCode", "code"),
    "processIndicators",
)
NARROWED = ("runNo", "stepNo", "stationCode", "code")  # by links alone; the page tells them and lets go of them
LONGEST = 200  # characters of what an address asks: more is no name of anything


@signed_in
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The bars, the most frequent first, with the numbers beneath."""
    asked = _asked(request)
    try:
        report = pareto.get_pareto(read_question(asked))
    except DomainError as refusal:
        context = _frame(asked, Line.objects.order_by("code")) | {"refusal": in_words(refusal)}
        return render(request, "trace/reports/pareto.html", context, status=refusal.status)
    asked = _with_period(asked, report.question)
    files = {kind: f"/api/reports/defects?{_query(asked, format=kind)}" for kind in ("csv", "xlsx")}
    context = _frame(asked, report.question.all_lines) | {
        "report": report,
        "bars": [(bar, _query_of(bar, asked) if bar.defects else "") for bar in report.bars],
        "export": files,
    }
    return render(request, "trace/reports/pareto.html", context)


@signed_in
@require_GET
def list_found(request: HttpRequest) -> HttpResponse:
    """The defects that a bar, or all bars, are made of, with links to their units; newest first, or as a file."""
    asked = _asked(request, "key", "others")
    try:
        question = read_question(asked)
        if "others" in asked:
            question = pareto.of_others(question)
        if (chosen := tables.read_format(request.GET)) != "json":
            return _file(chosen, question)
        before = _read_before(request.GET.get("before"))
    except DomainError as refusal:
        told = {"refusal": in_words(refusal), "all": ""}
        return render(request, "trace/reports/pareto_list.html", told, status=refusal.status)
    shown = pareto.list_defects(question, before=before, most=pareto.ON_PAGE + 1)
    rows = shown[: pareto.ON_PAGE]
    defects, units = pareto.count_defects(question)
    context: dict[str, Any] = {
        "label": _label(question),
        "rows": rows,
        "defects": defects,
        "units": units,
        "all": _query({name: value for name, value in asked.items() if name in ASKED}),
        "newest": _query(asked) if before is not None else "",
        "older": _query(asked, before=str(rows[-1].pk)) if len(shown) > len(rows) else "",
        "files": {kind: _query(asked, format=kind) for kind in ("csv", "xlsx")},
    }
    return render(request, "trace/reports/pareto_list.html", context)


def _query_of(bar: pareto.Bar, asked: dict[str, str]) -> str:
    """Return the arguments of the address that lists what a bar counts."""
    return _query(asked, others="true") if bar.key is None else _query(asked, key=bar.key)


def _label(question: Question) -> str:
    if question.not_keys is not None:
        return _("Others")
    return "" if question.key is None else pareto.label_of(question, question.key)


def _file(chosen: str, question: Question) -> HttpResponse:
    rows = pareto.walk_defects(question)
    answer = tables.answer(
        chosen,
        name="defects",
        table=lambda: exports.defects_table(rows),
        sheets=lambda: [(_("Defects"), exports.defects_table(rows))],
    )
    return cast(HttpResponse, answer)


# --- reading addresses --------------------------------------------------------------------------------------


def _asked(request: HttpRequest, *also: str) -> dict[str, str]:
    """Return what the address asks, without what it leaves empty; an empty `key` is a bar, too."""
    given = {name: request.GET[name].replace("\0", "")[:LONGEST] for name in (*ASKED, *also) if name in request.GET}
    return {name: text for name, text in given.items() if text or name == "key"}


def _read_before(text: str | None) -> int | None:
    if text is None:
        return None
    before = whole_number(text)
    if before is None:
        raise ValidationFailed({"before": _("Must be the number of a defect.")})
    return before


def _with_period(asked: dict[str, str], question: Question) -> dict[str, str]:
    """Return what is asked with the days that this means today, so that what a bar opens is what it counts."""
    if question.days is None:
        return asked
    first, last = question.days
    return {**asked, "from": asked.get("from") or first.isoformat(), "to": asked.get("to") or last.isoformat()}


def _query(asked: Mapping[str, str], **changes: str) -> str:
    """Return the query string; a change to nothing lets go of a parameter, but of `key`, where it is a bar."""
    told = {**asked, **changes}
    return urlencode({name: value for name, value in told.items() if value or name == "key"})


def _frame(asked: dict[str, str], lines: Any) -> dict[str, Any]:
    """Return what choosing needs."""
    labels = {"runNo": _("Run"), "stepNo": _("Step"), "stationCode": _("Station"), "code": _("Code")}
    by = asked.get("by") or By.CODE
    return {
        "asked": {name: asked.get(name, "") for name in ASKED},
        "since": asked.get("from", "")[:10],
        "until": asked.get("to", "")[:10],
        "ways": [(value, label, _query(asked, by=value), value == by) for value, label in By.choices],
        "kept": [(name, asked[name]) for name in ("by", *NARROWED) if name in asked],
        "narrowed": [(labels[name], asked[name], _query(asked, **{name: ""})) for name in NARROWED if name in asked],
        "lines": lines,
        "kinds": RunKind.choices,
    }
