"""Reports over HTTP, as JSON, CSV or XLSX."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from mes.plant.reach import check_serves_line
from mes.platform.accounts.permissions import StationAccess
from mes.platform.http import tables
from mes.platform.inbound.sender import sender_of
from mes.production.models import RunKind
from mes.production_counts.models import HourlyCount
from trace.reports import exports, found, in_out, pareto, production
from trace.reports.found import By
from trace.reports.json import in_out_as_json, production_as_json
from trace.reports.query import Group, Question, read_question


class MachineCounts(serializers.Serializer):
    """What a machine counted. A number is null that it does not count."""

    stationCode = serializers.CharField()
    stepNo = serializers.IntegerField()
    equipmentId = serializers.CharField(allow_null=True)
    boardsIn = serializers.IntegerField(allow_null=True)
    boardsOut = serializers.IntegerField(allow_null=True)
    scrapped = serializers.IntegerField(allow_null=True)
    picked = serializers.IntegerField(allow_null=True)
    placed = serializers.IntegerField(allow_null=True)
    loss = serializers.IntegerField(allow_null=True)
    lossPpm = serializers.IntegerField(allow_null=True)
    doubtful = serializers.BooleanField()
    doubts = serializers.ListField(child=serializers.CharField())


class ProductionRow(serializers.Serializer):
    """A job on a day, in a shift, or whatever the report is put together by."""

    date = serializers.DateField(allow_null=True)
    lineCode = serializers.CharField()
    shift = serializers.CharField(allow_null=True)
    productCode = serializers.CharField()
    runNo = serializers.CharField(allow_null=True)
    runKind = serializers.CharField()
    woNo = serializers.CharField(allow_null=True)
    quantity = serializers.DictField()
    checkedBy = serializers.CharField(allow_null=True)
    startedAt = serializers.DateTimeField(allow_null=True)
    endedAt = serializers.DateTimeField(allow_null=True)
    machines = MachineCounts(many=True)
    boardsByTracks = serializers.ListField(child=serializers.DictField())
    remarks = serializers.ListField(child=serializers.DictField())


class ProductionReport(serializers.Serializer):
    """Rows and totals of the production data record, and the remarks on days as a whole."""

    rows = ProductionRow(many=True)
    totals = serializers.DictField()
    remarks = serializers.ListField(child=serializers.DictField())


class DefectBar(serializers.Serializer):
    """What is counted together. `key` is null of the others, which have no bar of their own."""

    key = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    defects = serializers.IntegerField()
    units = serializers.IntegerField()
    share = serializers.FloatField()
    cumulativeShare = serializers.FloatField()


class DefectTotal(serializers.Serializer):
    """All of them."""

    defects = serializers.IntegerField()
    units = serializers.IntegerField()


class DefectReport(serializers.Serializer):
    """The Pareto of defects."""

    by = serializers.CharField()
    items = DefectBar(many=True)
    total = DefectTotal()


class InOutReport(serializers.Serializer):
    """Rows and totals of the in/out record."""

    rows = serializers.ListField(child=serializers.DictField())
    totals = serializers.DictField()


def _parameters(groups: tuple[Group, ...], default: Group) -> list[OpenApiParameter]:
    return [
        OpenApiParameter("lineCode", str, description="A line; all when it is left out."),
        OpenApiParameter("from", str, description="Day of production, or time with offset. Default: today."),
        OpenApiParameter("to", str, description="Day of production (included), or time with offset (not included)."),
        OpenApiParameter("groupBy", str, enum=[*groups], description=f"What makes a row. Default: {default}."),
        OpenApiParameter("shift", str, description="A shift only."),
        OpenApiParameter("runNo", str, description="A run only."),
        OpenApiParameter("productCode", str, description="A product only."),
        *_KIND_AND_FORMAT,
    ]


_KIND_AND_FORMAT = (
    OpenApiParameter(
        "runKind",
        str,
        enum=RunKind.values,
        description="What its runs are for; no report mixes kinds. Default: that of `runNo`, else PRODUCTION.",
    ),
    OpenApiParameter("format", str, enum=tables.FORMATS, description="Default: json."),
)
_OF_DEFECTS = [
    OpenApiParameter("by", str, enum=By.values, description="What makes a bar. Default: code."),
    OpenApiParameter("from", str, description="Day of the plant, or time with offset. Default: six days before `to`."),
    OpenApiParameter("to", str, description="Day of the plant (included), or time with offset. Default: today."),
    OpenApiParameter("lineCode", str, description="A line; all when it is left out."),
    OpenApiParameter("productCode", str, description="A product only."),
    OpenApiParameter("runNo", str, description="A run only; without `from` and `to` all of it."),
    OpenApiParameter("stepNo", int, description="A step only."),
    OpenApiParameter("stationCode", str, description="A station only."),
    OpenApiParameter("code", str, description="This defect code, or one below it in the tree."),
    OpenApiParameter("key", str, description="One bar only."),
    OpenApiParameter("processIndicators", bool, description="Whether they count, too. Default: false."),
    *_KIND_AND_FORMAT,
]


def _answers(report: type[serializers.Serializer]) -> dict[Any, Any]:
    """Describe an answer in each of the formats."""
    files = {(200, "text/csv"): OpenApiTypes.STR, (200, tables.XLSX): OpenApiTypes.BINARY}
    return {(200, "application/json"): report, **files}


class ReportViewSet(GenericViewSet):
    """What the lines made, and what was wrong with it."""

    queryset = HourlyCount.objects.none()
    serializer_class = ProductionReport
    station_access = {"*": StationAccess.OWN}

    @extend_schema(
        summary="Production data record",
        description="What each machine counted for each job, with loss (picked − placed) and its rate in ppm, who "
        "checked the record and what was remarked. A night shift belongs to the day it began. `doubtful` figures say "
        "why in `doubts`: GAP, RESET, BASE, OVERLAP, CONTRADICTION, DIVIDED. `boardsByTracks` sets boards by tracks "
        "beside those that machines counted (periods up to 31 days).",
        parameters=_parameters(production.GROUPS, Group.SHIFT),
        responses=_answers(ProductionReport),
    )
    def production(self, request: Request) -> HttpResponseBase:
        """Answer with the report."""
        question = read_question(request.query_params, groups=production.GROUPS, default=Group.SHIFT)
        _check_lines(request, question)
        return answer_production(request, question)

    @extend_schema(
        summary="In/out record",
        description="Boards that went into the first and came out of the last counting machine of their runs: by "
        "hour, added up since the day began, or by what `groupBy` says.",
        parameters=_parameters(in_out.GROUPS, Group.HOUR),
        responses=_answers(InOutReport),
    )
    def in_out(self, request: Request) -> HttpResponseBase:
        """Answer with the report."""
        question = read_question(request.query_params, groups=in_out.GROUPS, default=Group.HOUR)
        _check_lines(request, question)
        return answer_in_out(request, question)

    @extend_schema(
        summary="Pareto of defects",
        description="How many defects were found by code, category, designator, product, step or day, the most "
        "frequent first (days in their order), with their share and that of all up to there. Quantities count; "
        "withdrawn ones, false calls and what was found on trials do not. After 50 bars the rest is told as one, with "
        "`key` null.",
        parameters=_OF_DEFECTS,
        responses=_answers(DefectReport),
    )
    def defects(self, request: Request) -> HttpResponseBase:
        """Answer with the report."""
        question = found.read_question(request.query_params)
        _check_lines(request, question)
        return answer_defects(request, question)


def _check_lines(request: Request, question: Question | found.Question) -> None:
    """Raise LineNotAllowed for a report with a line that the sender has no station for."""
    sender = sender_of(request)
    for line in question.lines if sender.is_limited else ():
        check_serves_line(sender, line)


def answer_production(request: Request | HttpRequest, question: Question) -> HttpResponseBase:
    """Answer with a production report in the format that is asked for."""
    chosen = tables.read_format(request.GET)
    report = production.get_report(question)
    return _answer(
        chosen,
        name=_file_name("production", question),
        document=lambda: production_as_json(report),
        table=lambda: exports.production_table(report),
        sheets=lambda: [
            (_("Record"), exports.production_table(report)),
            (_("Totals"), exports.production_totals(report)),
            *([(_("Remarks"), exports.remarks_table(report))] if report.remarks else []),
        ],
    )


def answer_in_out(request: Request | HttpRequest, question: Question) -> HttpResponseBase:
    """Answer with an in/out report in the format that is asked for."""
    chosen = tables.read_format(request.GET)
    report = in_out.get_in_out(question)
    return _answer(
        chosen,
        name=_file_name("in-out", question),
        document=lambda: in_out_as_json(report),
        table=lambda: exports.in_out_table(report),
        sheets=lambda: [(_("In and out"), exports.in_out_table(report))],
    )


def answer_defects(request: Request | HttpRequest, question: found.Question) -> HttpResponseBase:
    """Answer with a Pareto of defects in the format that is asked for."""
    chosen = tables.read_format(request.GET)
    report = pareto.get_pareto(question)
    return _answer(
        chosen,
        name=_file_name("defects", question),
        document=lambda: pareto.as_json(report),
        table=lambda: exports.pareto_table(report),
        sheets=lambda: [(_("Defects"), exports.pareto_table(report))],
    )


def _file_name(name: str, question: Question | found.Question) -> str:
    if question.days is None:
        return f"{name}-{question.run_no}"
    first, last = question.days
    line = question.line.code if question.line else "all"
    return f"{name}-{line}-{first}" + ("" if first == last else f"-{last}")


def _answer(
    chosen: str,
    *,
    name: str,
    document: Callable[[], dict[str, Any]],
    table: Callable[[], tables.Table],
    sheets: Callable[[], list[tuple[str, tables.Table]]],
) -> HttpResponseBase:
    if chosen == "json":
        return Response(document())
    return tables.answer(chosen, name=name, table=table, sheets=sheets)
