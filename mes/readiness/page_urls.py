"""Addresses of the readiness pages."""

from django.urls import path

from mes.readiness import pages

urlpatterns = [
    path("readiness/", pages.next_runs, name="readiness-next"),
    path("readiness/check/", pages.check_all, name="readiness-check-all"),
    path("readiness/runs/<str:run_no>/", pages.run_board, name="readiness"),
    path("readiness/runs/<str:run_no>/<str:action>/", pages.act, name="readiness-action"),
]
