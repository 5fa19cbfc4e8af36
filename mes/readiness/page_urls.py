"""Addresses of the readiness pages."""

from django.urls import path, re_path

from mes.platform.http.addresses import NAME, one_of
from mes.readiness import pages

urlpatterns = [
    path("readiness/", pages.next_runs, name="readiness-next"),
    path("readiness/check/", pages.check_all, name="readiness-check-all"),
    re_path(
        rf"^readiness/runs/(?P<run_no>{NAME})/(?P<action>{one_of(pages.ACTIONS)})/$", pages.act, name="readiness-action"
    ),
    path("readiness/runs/<name:run_no>/", pages.run_board, name="readiness"),
]
