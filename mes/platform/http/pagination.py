"""Lists: newest first, paged by a cursor that stays right while rows are added."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from mes.errors import ValidationFailed
from mes.platform.http.whole_numbers import LARGEST, whole_number


class NewestFirstPagination(CursorPagination):
    """`{"items": […], "next": url, "previous": url}`; a `pageSize` above the maximum gives the maximum."""

    ordering = "-id"
    page_size = 50
    max_page_size = 200
    page_size_query_param = "pageSize"
    page_size_query_description = gettext_lazy(  # type: ignore[assignment]
        "Items on a page, 50 if not given, at most 200."
    )
    cursor_query_description = gettext_lazy(  # type: ignore[assignment]
        "Where to go on; take `next` or `previous` of an answer."
    )

    def get_page_size(self, request: Request) -> int:
        """Return the size asked for; anything but a positive number is refused."""
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        size = whole_number(asked)
        if not size:
            message = _("Must be a whole number from 1 to %(largest)d.") % {"largest": self.max_page_size}
            raise ValidationFailed({self.page_size_query_param: message})
        return min(size, self.max_page_size)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the position asked for; a cursor that we did not make is refused."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise self._invalid_cursor() from None
        if cursor is not None and not self._is_position(cursor.position):
            raise self._invalid_cursor()
        return cursor

    def _is_position(self, position: Any) -> bool:
        return position is None or whole_number(position) is not None

    def _invalid_cursor(self) -> ValidationFailed:
        message = _("This is not a cursor; take `next` or `previous` of an answer.")
        return ValidationFailed({self.cursor_query_param: message})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters for the OpenAPI document: a page has something on it."""
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": LARGEST}
        return parameters

    def get_paginated_response(self, data: Any) -> Response:
        """Return one page."""
        return Response({"items": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe one page for the OpenAPI document."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["items", "next", "previous"],
            "properties": {"items": schema, "next": link, "previous": link},
        }
