"""Addresses of the pages of this app."""

from django.urls import path, re_path

from execution.quality.first_article import pages as first_article
from mes.platform.http.addresses import NAME, one_of

urlpatterns = [
    re_path(
        rf"^first-articles/(?P<run_no>{NAME})/(?P<action>{one_of(first_article.NAMES)})/$",
        first_article.act,
        name="first-article-action",
    ),
    path("first-articles/<name:run_no>/", first_article.first_article, name="first-article"),
]
