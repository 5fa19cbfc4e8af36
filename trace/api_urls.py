"""Addresses of trace, below `/api/`."""

from django.urls import path

from trace.api import CarrierTraceViewSet, UnitTraceViewSet

urlpatterns = [
    path("trace/units/<str:sn>", UnitTraceViewSet.as_view({"get": "retrieve"})),
    path("trace/carriers/<str:carrier_no>", CarrierTraceViewSet.as_view({"get": "retrieve"})),
]
