"""The OpenAPI document: sound, without warnings, and telling what callers need."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.management.commands.spectacular import SchemaGenerationError

from mes.api_subjects import SUBJECTS, statuses_of_codes, subject_of
from mes.platform.accounts.roles import Role
from tests.factories import make_user

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
            is_file = response.get("content") and "application/json" not in response["content"]
            if status.startswith("2") and "/api/schema" not in name and not is_file:
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


# --- by subject ---------------------------------------------------------------------------------------------


def test_operations_stand_under_their_subjects_in_order(document: dict[str, Any]) -> None:
    names = [tag["name"] for tag in document["tags"]]
    assert names == [subject.name for subject in SUBJECTS]
    assert all(tag["description"] for tag in document["tags"])
    assert {tag for _name, operation in operations(document, *METHODS) for tag in operation["tags"]} == set(names)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/integration/device-data/batch", "Readings of machines"),
        ("/api/integration/work-orders", "Orders and runs"),
        ("/api/integration/messages", "Status of machines and what was refused"),
        ("/api/stations/{code}", "Stations, units and carriers"),
        ("/api/station-groups", "Plant"),
        ("/api/fai-templates/{code}", "Readiness and first articles"),
        ("/api/audit", "Audit and system"),
    ],
)
def test_an_address_is_of_the_subject_with_the_longest_beginning(path: str, name: str) -> None:
    assert subject_of(path).name == name


def test_each_operation_names_the_codes_of_its_refusals(document: dict[str, Any]) -> None:
    sending = document["paths"]["/api/integration/device-data"]["post"]["responses"]
    assert "`TRACK_NOT_FOUND`" in sending["404"]["description"]
    assert "`EVENT_ID_CONFLICT`" in sending["409"]["description"]
    assert "`DATA_SPEC_NOT_FOUND`" in sending["422"]["description"]
    assert "`BODY_TOO_LATE`" in sending["408"]["description"]
    for name, operation in operations(document, *METHODS):
        if "403" in operation["responses"]:
            assert "`PERMISSION_DENIED`" in operation["responses"]["403"]["description"], name


def test_the_codes_of_subjects_are_those_of_refusals() -> None:
    known = statuses_of_codes()
    assert known["TRACK_NOT_FOUND"] == "404"
    for subject in SUBJECTS:
        assert set(subject.codes.split()) <= known.keys(), subject.name


def test_it_begins_with_the_quick_start(document: dict[str, Any]) -> None:
    assert "# Quick start" in document["info"]["description"]
    assert "curl -sS" in document["info"]["description"]


def test_its_page_leads_back_and_runs_no_script_of_its_own(db: None) -> None:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    answer = client.get("/api/docs/")
    page = answer.content.decode()
    assert '<a href="/">' in page
    assert re.findall(r"<script>|<style|onclick", page) == []
    script = re.findall(r'<script src="([^"]*script=[^"]*)"', page)
    assert client.get(html.unescape(script[0])).headers["Content-Type"].startswith("application/javascript")
