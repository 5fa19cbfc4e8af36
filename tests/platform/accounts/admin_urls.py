"""The admin site alone."""

from django.contrib import admin
from django.urls import path

import mes.platform.accounts.admin  # noqa: F401

urlpatterns = [path("admin/", admin.site.urls)]
