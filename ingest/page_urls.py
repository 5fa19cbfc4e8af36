"""Addresses of the pages."""

from django.urls import path

from ingest import mapping_pages, pages, source_pages

urlpatterns = [
    path("ingest/sources/", source_pages.sources_page, name="sources"),
    path("ingest/preview/", pages.preview_page, name="ingest-preview"),
    path("ingest/mappings/of-event/<int:event_id>/", mapping_pages.find_mapping, name="ingest-mapping-of-event"),
    path("ingest/mappings/<int:config_id>/", mapping_pages.editor, name="ingest-mapping"),
    path("ingest/mappings/<int:config_id>/event/", mapping_pages.find_event, name="ingest-mapping-event"),
    path("ingest/mappings/<int:config_id>/try/", mapping_pages.try_mapping, name="ingest-mapping-try"),
    path("ingest/mappings/<int:config_id>/examples/", mapping_pages.keep_example, name="ingest-mapping-keep"),
    path(
        "ingest/mappings/<int:config_id>/examples/<int:example_id>/",
        mapping_pages.change_example,
        name="ingest-mapping-example",
    ),
    path("ingest/events/", pages.events_page, name="ingest-events"),
    path("ingest/events/decide/", pages.decide_all, name="ingest-events-decide"),
    path("ingest/events/mend/", pages.mend, name="ingest-events-mend"),
    path("ingest/events/<int:event_id>/dismiss/", pages.dismiss, name="ingest-dismiss"),
    path("ingest/events/<int:event_id>/replay/", pages.replay, name="ingest-replay"),
]
