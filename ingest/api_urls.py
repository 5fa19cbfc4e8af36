"""Addresses of ingest, below `/api/`."""

from django.urls import path

from ingest.api import CarrierViewSet, IngestEventViewSet
from ingest.preview_api import PresetViewSet, PreviewViewSet
from ingest.sources_api import SourceViewSet
from mes.platform.http.addresses import NameRouter

router = NameRouter()
router.register("ingest/events", IngestEventViewSet, "ingest-event")
router.register("sources", SourceViewSet, "source")
urlpatterns = [
    path("carriers/<name:carrier_no>/load", CarrierViewSet.as_view({"post": "load"})),
    path("carriers/<name:carrier_no>/unload", CarrierViewSet.as_view({"post": "unload"})),
    path("routes/<name:code>/ingest-preview", PreviewViewSet.as_view({"post": "create"})),
    path("ingest/presets", PresetViewSet.as_view({"get": "list"})),
    *router.urls,
]
