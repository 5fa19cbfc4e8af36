"""The OpenAPI document and its pages, for everyone who has a role."""

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from mes.platform.accounts.permissions import StationAccess
from mes.platform.http.page_middleware import is_of_machine


class SchemaView(SpectacularAPIView):
    """The document."""

    station_access = {"*": StationAccess.SHARED}


class SchemaPage(SpectacularSwaggerSplitView):
    """Its pages. Who is signed out signs in as everywhere; a token is heard as everywhere below /api/."""

    station_access = {"*": StationAccess.SHARED}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Send people to the sign-in."""
        if request.method == "GET" and not is_of_machine(request) and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return super().dispatch(request, *args, **kwargs)
