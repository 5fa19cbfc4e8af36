"""The OpenAPI document says what really is sent: the envelope, the errors, who may call."""

from copy import deepcopy
from typing import Any

import msgspec
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, get_doc

from mes.platform.accounts.permissions import (
    READING_METHODS,
    RolePermission,
    StationAccess,
    capabilities_for,
    station_access,
)
from mes.platform.accounts.roles import roles_with
from mes.platform.http.envelope import EnvelopeRenderer
from mes.platform.http.serializers import LARGEST_LIST

_ERROR_STATUSES = {
    "400": "Not JSON, or a field is missing or malformed.",
    "401": "Not signed in.",
    "403": "Not allowed.",
    "404": "Something named does not exist.",
    "405": "The address knows no such method; `Allow` says which it knows.",
    "406": "Only `application/json` is answered.",
    "408": "The body did not come in time.",
    "409": "A state forbids it now.",
    "413": "The body is too large.",
    "415": "The body is not `application/json`.",
    "422": "Well-formed but cannot be applied.",
    "429": "Too many of these; send it again after `Retry-After`.",
    "503": "It could not be done now; send the same again after `Retry-After`.",
}
_WRITE_ERRORS = ("409", "422")
_BODY_ERRORS = ("408", "413", "415")
_RETRY_LATER = ("429", "503")
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until it makes sense.", "schema": {"type": "integer", "minimum": 0}}
}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["ok", "error"],
    "properties": {
        "ok": {"type": "boolean", "enum": [False]},
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "requestId"],
            "properties": {
                "code": {"type": "string", "description": "Stable; decide by this."},
                "message": {"type": "string", "description": "For people: what to do about it."},
                "details": {"type": "object", "additionalProperties": {}},
                "requestId": {"type": "string", "nullable": True},
            },
        },
    },
}
# Control characters are refused in every address.
_PATTERNS = {"path": r"^[^/\u0000-\u001f\u007f]+$", "query": r"^[^\u0000-\u001f\u007f]*$", "header": "^.*$"}
_OPAQUE = ("id", "pk")


class DeviceTokenScheme(OpenApiAuthenticationExtension):
    """How tokens are sent."""

    target_class = "mes.platform.accounts.authentication.DeviceTokenAuthentication"
    name = "deviceToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Bearer, as in every HTTP client."""
        return {"type": "http", "scheme": "bearer", "description": _("A token made with `create_token`.")}


class EnvelopeSchema(AutoSchema):
    """Wraps answers in the envelope and adds the errors and the needed roles."""

    def get_description(self) -> str:  # type: ignore[override]
        """The view's own words, then who may call it."""
        description = super().get_description()
        if type(self.view).__doc__ is None and description == get_doc(type(self.view)):
            description = ""  # inherited from a base class, so not about this view
        return "\n\n".join(part for part in (description, self._audience()) if part)

    def _audience(self) -> str:
        if not any(isinstance(permission, RolePermission) for permission in self.view.get_permissions()):
            return ""
        return f"{self._roles()} {self._for_stations()}".strip()

    def _for_stations(self) -> str:
        """What a token that is limited to stations may do here."""
        access = station_access(self.view, self.method)
        if access == StationAccess.OWN:
            return _("A token that is limited to stations: for those, and what it reads for their lines.")
        return "" if access == StationAccess.SHARED else _("Not for tokens that are limited to stations.")

    def _roles(self) -> str:
        if self.method in READING_METHODS:
            return _("For everyone who has a role.")
        needed = capabilities_for(self.view, self.method)
        names = ", ".join(f"`{capability.value}`" for capability in needed)
        roles = ", ".join(str(role.label) for role in roles_with(needed))
        return _("Needs %(capabilities)s (roles: %(roles)s).") % {"capabilities": names or "—", "roles": roles or "—"}

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """What a view does, as it is sent: ids are texts, answers lie in the envelope, errors have one shape."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in _OPAQUE:
                parameter["schema"] = {"type": "string"}
            if parameter["schema"].get("type") == "string" and not parameter["schema"].keys() & {"enum", "format"}:
                parameter["schema"] = {**parameter["schema"], "pattern": _PATTERNS[parameter["in"]]}
        self._complete(operation["responses"], takes_body="requestBody" in operation)
        return operation

    def _complete(self, responses: dict[str, Any], *, takes_body: bool) -> None:
        in_envelope = self._answers_in_envelope()
        for status, response in responses.items():
            if in_envelope and "200" <= status < "300":
                _wrap(status, response)
        if self.method == "DELETE" and "204" in responses:
            del responses["204"]
            responses["200"] = {"description": _("Deleted."), "content": _json(_envelope({"nullable": True}))}
        if in_envelope:
            self._add_errors(responses, takes_body=takes_body)

    def _add_errors(self, responses: dict[str, Any], *, takes_body: bool) -> None:
        reference = self._error_reference()
        is_write = self.method not in READING_METHODS
        for status, description in _ERROR_STATUSES.items():
            if (status in _WRITE_ERRORS and not is_write) or (status in _BODY_ERRORS and not takes_body):
                continue
            response: dict[str, Any] = {"description": description, "content": _json(reference)}
            if status in _RETRY_LATER:
                response["headers"] = _RETRY_AFTER
            responses.setdefault(status, response)

    def _answers_in_envelope(self) -> bool:
        return any(issubclass(renderer, EnvelopeRenderer) for renderer in self.view.renderer_classes)

    def _error_reference(self) -> dict[str, Any]:
        component = ResolvedComponent(
            name="Error",
            type=ResolvedComponent.SCHEMA,
            schema=deepcopy(_ERROR_SCHEMA),  # the document's enums are moved out of it in place
            object="mes.platform.http.envelope.error",
        )
        self.registry.register_on_missing(component)
        return component.ref


def name_limits(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Say how many items a list of objects takes, which drf-spectacular leaves out: as many as any list.

    One that takes fewer says so itself. Called for the whole document (SPECTACULAR_SETTINGS).
    """
    for name, component in result["components"]["schemas"].items():
        if name.endswith("Request"):
            for field in component.get("properties", {}).values():
                if field.get("type") == "array":
                    field.setdefault("maxItems", LARGEST_LIST)
    return result


def _wrap(status: str, response: dict[str, Any]) -> None:
    """Put the body of an answer into the envelope."""
    content = response.get("content", {}).get("application/json")
    if content is not None:
        content["schema"] = _envelope(content.get("schema", {}))
    elif "content" not in response and status != "204":
        response["content"] = _json(_envelope({"nullable": True}))


def _envelope(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["ok", "data"],
        "properties": {"ok": {"type": "boolean", "enum": [True]}, "data": schema},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def inline_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a body that msgspec decodes, without references: the document has its own names."""
    schema = msgspec.json.schema(struct)
    return {"application/json": _inlined(schema["$defs"][struct.__name__], schema["$defs"])}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if {"type": "null"} in schema.get("anyOf", ()):  # OpenAPI 3.0 says `nullable`
        [kind] = (part for part in schema["anyOf"] if part != {"type": "null"})
        return {**_inlined(kind, definitions), "nullable": True}
    return {key: _inlined(value, definitions) for key, value in schema.items() if (key, value) != ("required", [])}
