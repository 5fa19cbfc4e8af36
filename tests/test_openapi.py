"""The OpenAPI document: sound, without warnings, and telling what callers need."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.management.commands.spectacular import SchemaGenerationError

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document as it is served."""
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(document: dict[str, Any], *methods: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in methods:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    return document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]


def test_it_is_valid_and_generated_without_warnings(tmp_path, capsys):
    GENERATOR_STATS.reset()
    try:
        call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    except SchemaGenerationError:
        pytest.fail(capsys.readouterr().err)


def test_every_reference_leads_somewhere_each_time_it_is_made(document):
    again = SchemaGenerator().get_schema(request=None, public=True)
    for made in (document, again):
        names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(made, default=str)))
        assert names - set(made["components"]["schemas"]) == set()


def test_every_operation_says_what_it_does(document):
    silent = [name for name, operation in operations(document, *METHODS) if not operation.get("summary")]
    assert silent == []


def test_every_write_with_a_body_has_an_example(document):
    without = [
        name
        for name, operation in operations(document, "post", "put", "patch")
        if "requestBody" in operation
        and not any(content.get("examples") for content in operation["requestBody"]["content"].values())
    ]
    assert without == []


def test_a_filter_by_a_status_says_which_there_are(document):
    parameters = document["paths"]["/api/integration/messages"]["get"]["parameters"]
    [status] = [one for one in parameters if one["name"] == "status"]
    assert {"FAILED", "SUCCESS", "REPLAYED"} <= set(status["schema"]["enum"])


def test_every_write_names_the_error_envelope(document):
    lacking = []
    for name, operation in operations(document, "post", "put", "patch", "delete"):
        for status in ("400", "401", "403", "404", "409", "422"):
            content = operation["responses"].get(status, {}).get("content", {})
            schema = resolve(document, content.get("application/json", {}).get("schema", {}))
            error = resolve(document, schema.get("properties", {}).get("error", {}))
            if set(error.get("required", ())) != {"code", "message", "details", "requestId"}:
                lacking.append(f"{name} {status}")
    assert lacking == []


def test_every_answer_is_in_the_envelope(document):
    bare = []
    for name, operation in operations(document, *METHODS):
        for status, response in operation["responses"].items():
            if status.startswith("2") and "/api/schema" not in name:
                content = response.get("content", {}).get("application/json", {})
                schema = resolve(document, content.get("schema", {}))
                if set(schema.get("required", ())) != {"ok", "data"}:
                    bare.append(f"{name} {status}")
    assert bare == []


def test_no_write_is_closed_to_everyone(document):
    closed = [
        name
        for name, operation in operations(document, "post", "put", "patch", "delete")
        if "roles: —" in operation.get("description", "")
    ]
    assert closed == []


@pytest.mark.django_db
def test_the_document_is_served_to_those_signed_in(client):
    from tests.factories import api_client

    assert client.get("/api/schema/").status_code == 401
    assert api_client().get("/api/schema/").status_code == 200
