"""Addresses of the pages."""

from django.urls import path, re_path

from mes.platform.http.addresses import NAME, one_of
from trace import (
    approval_pages,
    carrier_act_pages,
    line_pages,
    pages,
    run_act_pages,
    run_deviations,
    station_pages,
    unit_act_pages,
)
from trace.reports import pages as report_pages
from trace.reports import pareto_pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("approvals/", approval_pages.show, name="approvals"),
    re_path(
        rf"^approvals/(?P<approval_id>[0-9]{{1,18}})/(?P<action>{one_of(approval_pages.ACTIONS)})/$",
        approval_pages.decide,
        name="approval-act",
    ),
    re_path(rf"^lines/(?P<code>{NAME})/(?P<action>{one_of(line_pages.ACTIONS)})/$", line_pages.act, name="line-act"),
    path("lines/<name:code>/", line_pages.line, name="line"),
    path("stations/", station_pages.stations, name="stations"),
    path("reports/", report_pages.record, name="reports"),
    path("reports/record/", report_pages.record, name="report-record"),
    path("reports/in-out/", report_pages.in_and_out, name="report-in-out"),
    path("reports/picture/", report_pages.day_picture, name="report-picture"),
    path("reports/defects/", pareto_pages.show, name="report-defects"),
    path("reports/defects/list/", pareto_pages.list_found, name="report-defects-list"),
    path("reports/made-of/", report_pages.made_of, name="report-made-of"),
    path("reports/remark/", report_pages.remark, name="report-remark"),
    path("reports/sign/", report_pages.sign, name="report-sign"),
    path("trace/", pages.search, name="trace"),
    path("trace/depanel/<name:carrier_no>/", carrier_act_pages.depanel, name="carrier-depanel"),
    path("trace/carriers/<name:carrier_no>/", pages.carrier, name="carrier"),
    path("trace/run-acts/<slug:name>/<name:run_no>/", run_act_pages.act, name="run-act"),
    path("trace/close-check/<name:run_no>/", run_act_pages.close_check, name="run-close-check"),
    path("trace/deviations/<name:no>/end/", run_deviations.end, name="deviation-end"),
    path("trace/unit-acts/<slug:name>/<name:sn>/", unit_act_pages.act, name="unit-act"),
    path("trace/runs/<name:run_no>/", pages.run, name="run"),
    re_path(
        rf"^trace/units/(?P<sn>{NAME})/(?P<action>{one_of(pages.DECISIONS)})/$", pages.decide, name="unit-decision"
    ),
    path("trace/units/<name:sn>/", pages.unit, name="unit"),
]
