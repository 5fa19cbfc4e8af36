"""Addresses of a run's readiness, below /api/."""

from django.urls import path

from mes.readiness import spec_usage_api
from mes.readiness.api import RunReadinessViewSet


def _post(action: str):  # type: ignore[no-untyped-def]
    return RunReadinessViewSet.as_view({"post": action})


def _get(action: str):  # type: ignore[no-untyped-def]
    return RunReadinessViewSet.as_view({"get": action})


urlpatterns = [
    *spec_usage_api.urlpatterns,
    path("runs/<name:run_no>/readiness/precheck", _post("precheck")),
    path("runs/<name:run_no>/readiness/check", _post("check")),
    path("runs/<name:run_no>/readiness/latest", _get("latest")),
    path("runs/<name:run_no>/readiness/history", _get("history")),
    path("runs/<name:run_no>/readiness/items/<str:id>/waive", _post("waive")),
    path("runs/<name:run_no>/readiness/preparations/<name:code>/confirm", _post("confirm")),
]
