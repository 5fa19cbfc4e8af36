"""The OpenAPI document and its pages, for everyone who has a role."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from mes.platform.accounts.permissions import StationAccess


class SchemaView(SpectacularAPIView):
    """The document."""

    station_access = {"*": StationAccess.SHARED}


class SchemaPage(SpectacularSwaggerView):
    """Its pages."""

    station_access = {"*": StationAccess.SHARED}
