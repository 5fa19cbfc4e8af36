"""Addresses of trace, below `/api/`."""

from django.urls import path

from trace.api import UnitTraceViewSet

urlpatterns = [path("trace/units/<str:sn>", UnitTraceViewSet.as_view({"get": "retrieve"}))]
