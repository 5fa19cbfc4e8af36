"""Addresses of the pages."""

from django.urls import path

from ingest import pages, source_pages

urlpatterns = [
    path("ingest/sources/", source_pages.sources_page, name="sources"),
    path("ingest/preview/", pages.preview_page, name="ingest-preview"),
    path("ingest/events/", pages.events_page, name="ingest-events"),
    path("ingest/events/decide/", pages.decide_all, name="ingest-events-decide"),
    path("ingest/events/mend/", pages.mend, name="ingest-events-mend"),
    path("ingest/events/<int:event_id>/dismiss/", pages.dismiss, name="ingest-dismiss"),
    path("ingest/events/<int:event_id>/replay/", pages.replay, name="ingest-replay"),
]
