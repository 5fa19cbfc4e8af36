"""Addresses of execution, below `/api/`."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from execution.api import StationWorkViewSet, UnitDecisionViewSet
from execution.quality.first_article import api as first_article

_work, _decide = StationWorkViewSet.as_view, UnitDecisionViewSet.as_view

router = SimpleRouter(trailing_slash=False)
first_article.register(router)

urlpatterns = [
    path("", include(router.urls)),
    path("stations/resolve-unit/<str:sn>", _work({"get": "resolve_unit"})),
    path("stations/<str:code>/queue", _work({"get": "queue"})),
    path("stations/<str:code>/unit/<str:sn>/data-specs", _work({"get": "data_specs"})),
    path("stations/<str:code>/track-in", _work({"post": "track_in"})),
    path("stations/<str:code>/track-out", _work({"post": "track_out"})),
    *(path(f"units/<str:sn>/{name}", _decide({"post": name})) for name in ("hold", "release", "rework", "scrap")),
]
