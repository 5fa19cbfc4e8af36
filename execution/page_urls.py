"""Addresses of the pages of this app."""

from django.urls import path, re_path

from execution.quality.first_article import pages as first_article
from execution.quality.oqc import pages as oqc
from mes.platform.http.addresses import NAME, one_of

urlpatterns = [
    path("oqc/", oqc.outgoing, name="oqc-list"),
    path("oqc/sampling-states/<int:state_id>/resume/", oqc.resume, name="oqc-resume"),
    path("oqc/<int:inspection_id>/", oqc.inspection, name="oqc"),
    path("oqc/<int:inspection_id>/scan/", oqc.scan, name="oqc-scan"),
    path("oqc/<int:inspection_id>/record/", oqc.record, name="oqc-record"),
    path("oqc/<int:inspection_id>/<str:name>/", oqc.act, name="oqc-action"),
    re_path(
        rf"^first-articles/(?P<run_no>{NAME})/(?P<action>{one_of(first_article.NAMES)})/$",
        first_article.act,
        name="first-article-action",
    ),
    path("first-articles/<name:run_no>/", first_article.first_article, name="first-article"),
]
