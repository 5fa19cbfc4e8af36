"""Addresses of the pages of this app."""

from django.urls import path

from execution.quality.first_article import pages as first_article

urlpatterns = [
    path("first-articles/<str:run_no>/", first_article.first_article, name="first-article"),
    path("first-articles/<str:run_no>/<str:action>/", first_article.act, name="first-article-action"),
]
