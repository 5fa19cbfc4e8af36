"""Addresses of the set-up of a run, below /api/."""

from django.urls import path

from mes.line_setup.set_up_lists.api import RunSetUpListViewSet

urlpatterns = [
    path("runs/<name:run_no>/set-up", RunSetUpListViewSet.as_view({"get": "set_up"})),
    path("runs/<name:run_no>/setup-list", RunSetUpListViewSet.as_view({"post": "bind"})),
]
