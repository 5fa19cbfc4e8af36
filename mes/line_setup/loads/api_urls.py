"""Addresses of loads, below `/api/`."""

from django.urls import path, re_path

from mes.line_setup.loads.api import LoadCorrectionViewSet, StationLoadsViewSet
from mes.platform.http.addresses import FIRST_NAME, NAME

_loads = StationLoadsViewSet.as_view

urlpatterns = [
    path("stations/<name:code>/loads", _loads({"get": "loads", "post": "load"})),
    path("stations/<name:code>/unload", _loads({"post": "unload"})),
    path("loads/<int:pk>/correct", LoadCorrectionViewSet.as_view({"post": "correct"})),
    re_path(rf"^stations/(?P<code>{FIRST_NAME})/slots/(?P<slot>{NAME})/unlock$", _loads({"post": "unlock"})),
]
