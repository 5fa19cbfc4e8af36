"""Addresses of spreadsheets."""

from django.urls import path, re_path

from mes.platform.http.addresses import one_of
from mes.spreadsheets import api
from mes.spreadsheets.catalogue import BY_NAME

_COLLECTION = f"(?P<collection>{one_of(BY_NAME)})"
urlpatterns = [
    re_path(rf"^{_COLLECTION}/export\Z", api.ExportView.as_view(), name="export"),
    re_path(rf"^imports/{_COLLECTION}\Z", api.ImportView.as_view(), name="import"),
    path("imports/<str:id>", api.OneImportView.as_view(), name="import-read"),
    path("imports/<str:id>/apply", api.ApplyView.as_view(), name="import-apply"),
]
