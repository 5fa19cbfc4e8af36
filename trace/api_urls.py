"""Addresses of trace, below `/api/`."""

from django.urls import path

from trace.api import CarrierTraceViewSet, UnitTraceViewSet
from trace.reports.api import ReportViewSet

urlpatterns = [
    path("reports/production", ReportViewSet.as_view({"get": "production"})),
    path("reports/in-out", ReportViewSet.as_view({"get": "in_out"})),
    path("reports/defects", ReportViewSet.as_view({"get": "defects"})),
    path("trace/units/<name:sn>", UnitTraceViewSet.as_view({"get": "retrieve"})),
    path("trace/carriers/<name:carrier_no>", CarrierTraceViewSet.as_view({"get": "retrieve"})),
]
