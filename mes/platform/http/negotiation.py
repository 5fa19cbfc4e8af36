"""Which form an answer takes: there is one, JSON, so mostly there is nothing to weigh."""

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    """As usual, but quick when a view has one renderer and the client takes anything, or just that."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer and the media type. Raises NotAcceptable."""
        only, *others = renderers
        if not others and not format_suffix and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", only.media_type):
            return only, only.media_type
        return super().select_renderer(request, [only, *others], format_suffix)
