"""Every endpoint of the API as its OpenAPI document describes it, so that new ones are tested without being listed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

# What the path parameters of a fresh plant may be; `THINGS` holds those of one collection, filled in by the fixture.
NAMES = {
    "code": "X-1",
    "id": "1",
    "no": "1",
    "sn": "SN-1",
    "run_no": "RUN-1",
    "wo_no": "WO-RUN-1",
    "collection": "materials",
}
THINGS: dict[str, dict[str, str]] = {
    "lines": {"code": "SMT-A"},
    "stations": {"code": "REF-01", "slot": "F1"},
    "station-groups": {"code": "OVENS"},
    "operations": {"code": "REFLOW"},
    "routes": {"code": "ROUTE-1"},
    "equipment": {"code": "EQ-1"},
    "materials": {"code": "M-1"},
    "integration/lines": {"code": "SMT-A"},
    "stencils": {"stencil_id": "ST-1"},
    "material-lots": {"lot_id": "R-1"},
    "tools": {"tool_id": "ST-1"},
    "check-forms": {"code": "DAILY"},
    "reference-units": {"sn": "GOLD-1"},
}


@dataclass(frozen=True)
class Endpoint:
    """One method of one address."""

    method: str
    path: str
    queries: tuple[str, ...]
    example: dict[str, Any] | None
    fields: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def url(self) -> str:
        """The address of something that exists."""
        return self.url_with()

    @property
    def subject(self) -> str:
        """The collection it belongs to: `lines`, or `integration/messages`, `oqc/sampling-states`."""
        parts = self.path.split("/")[2:]
        is_inner = parts[0] == "integration" or (parts[0] == "oqc" and parts[1:2] and not parts[1].startswith("{"))
        return "/".join(parts[:2]) if is_inner else parts[0]

    def url_with(self, **values: str) -> str:
        """The address with these path parameters, otherwise of something that exists."""
        names = {**NAMES, **THINGS.get(self.subject, {}), **values}
        url = self.path
        for name in self.parameters:
            url = url.replace(f"{{{name}}}", names.get(name, "1"))
        return url

    @property
    def parameters(self) -> list[str]:
        """The names of the path parameters."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


@cache
def list_endpoints() -> tuple[Endpoint, ...]:
    """Return every endpoint below /api/."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    schemas = document["components"]["schemas"]
    return tuple(
        _endpoint(method.upper(), path, operation, schemas)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )


def body_with(endpoint: Endpoint, name: str, value: str, *, where: tuple[str | int, ...] = ()) -> bytes:
    """Return the endpoint's example with the JSON text `value` in one field."""
    example = json.loads(json.dumps(endpoint.example))
    inner = example
    for step in where:
        inner = inner[step]
    inner[name] = "@here@"
    return json.dumps(example).replace('"@here@"', value).encode()


def inner_fields(endpoint: Endpoint) -> list[tuple[tuple[str | int, ...], str]]:
    """Return (path, name) of every field of the example, and of objects in it."""

    def walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield path, name
                yield from walk(inner, (*path, name))
        elif isinstance(value, list) and value:
            yield from walk(value[0], (*path, 0))

    return list(walk(endpoint.example, ()))


def _endpoint(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Endpoint:
    queries = tuple(p["name"] for p in operation.get("parameters", []) if p["in"] == "query")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return Endpoint(method, path, queries, None, {})
    schema = _resolved(content["schema"], schemas)
    fields = schema.get("properties", {})
    example = {name: _sample(inner, schemas, name) for name, inner in fields.items() if not inner.get("readOnly")}
    for shown in content.get("examples", {}).values():
        if isinstance(shown.get("value"), dict):
            example |= shown["value"]
            break
    return Endpoint(method, path, queries, example, fields)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    while True:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
        elif "allOf" in schema or "oneOf" in schema or "anyOf" in schema:
            options = schema.get("allOf") or schema.get("oneOf") or schema["anyOf"]
            schema = next((option for option in options if option.get("type") != "null"), {})
        else:
            return schema


def _sample(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """Return a value that fits a schema, roughly."""
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {key: _sample(inner, schemas, key) for key, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_sample(schema.get("items", {}), schemas, name)]
    if kind == "string" and schema.get("format") == "date-time":
        return "2026-03-10T10:00:00Z"
    if kind == "string" and schema.get("format") == "date":
        return "2026-03-10"
    return {"string": "X", "integer": 1, "number": 1.5, "boolean": True}.get(str(kind), {})
