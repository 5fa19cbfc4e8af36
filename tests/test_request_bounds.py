"""Every list and every text of a request body has a limit, which the document says and the product enforces."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

from mes.platform.accounts.roles import Role
from mes.platform.http.serializers import LARGEST_LIST, LONGEST_TEXT, StrictSerializer
from tests.bad_input.endpoints import Endpoint, list_endpoints
from tests.bad_input.test_no_500 import make_things
from tests.factories import api_client

DOCUMENT = SchemaGenerator().get_schema(request=None, public=True)
SCHEMAS = DOCUMENT["components"]["schemas"]
MOST_ITEMS = 20_000  # nothing takes more at once
Path = tuple[str, ...]


def parts(schema: dict[str, Any], path: Path = (), seen: frozenset[str] = frozenset()) -> Iterator[tuple[Path, Any]]:
    """Yield every schema within a schema, with the names that lead to it; items are called `*`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        assert name not in seen, f"{name} holds itself: nothing limits how deep"
        yield from parts(SCHEMAS[name], path, seen | {name})
        return
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        if not inner.get("readOnly"):
            yield from parts(inner, (*path, name), seen)
    for inner in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from parts(inner, path, seen)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key], (*path, "*"), seen)


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    for address, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{method.upper()} {address}", content["schema"]


FIELDS = [(endpoint, path, schema) for endpoint, body in bodies() for path, schema in parts(body) if schema.get("type")]


def test_every_list_says_how_many_items_it_takes() -> None:
    lists = [(endpoint, path, schema) for endpoint, path, schema in FIELDS if schema["type"] == "array"]
    assert len(lists) > 10
    assert [one for one in lists if not 0 < one[2].get("maxItems", 0) <= MOST_ITEMS] == []


def test_every_text_says_how_long_it_may_be() -> None:
    texts = [(endpoint, path, schema) for endpoint, path, schema in FIELDS if schema["type"] == "string"]
    assert len(texts) > 100
    bounded = {"enum", "format", "maxLength"}  # of an empty text that is 0
    assert [(endpoint, ".".join(path)) for endpoint, path, schema in texts if bounded.isdisjoint(schema)] == []


# --- enforced ------------------------------------------------------------------------------------------------

BY_NAME = {str(endpoint): endpoint for endpoint in list_endpoints()}


def with_value(endpoint: Endpoint, path: Path, value: Any) -> dict[str, Any]:
    """Return the example of an endpoint with a value at a place, whatever else is there."""
    body: Any = json.loads(json.dumps(endpoint.example))
    inner = body
    for name, following in zip(path, (*path[1:], None), strict=True):
        fresh: Any = value if following is None else [] if following == "*" else {}
        if name == "*":
            if isinstance(inner, dict):
                name = "x"
            else:
                inner[:] = inner[:1] or [None]
        key: Any = 0 if name == "*" else name
        present = inner[key] if isinstance(inner, list) or key in inner else None
        if following is None or not isinstance(present, dict | list):
            inner[key] = fresh
        inner = inner[key]
    return body


def limits() -> Iterator[Any]:
    for endpoint, path, schema in FIELDS:
        if path and "maxItems" in schema:
            yield pytest.param(endpoint, path, [None] * (schema["maxItems"] + 1), id=f"{endpoint} {'.'.join(path)}")
        elif path and schema["type"] == "string" and "maxLength" in schema:
            yield pytest.param(endpoint, path, "x" * (schema["maxLength"] + 1), id=f"{endpoint} {'.'.join(path)}")


@pytest.fixture(scope="module")
def things(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Make what the addresses name once for all."""
    from django.db import transaction

    from tests.bad_input.endpoints import THINGS

    with django_db_blocker.unblock(), transaction.atomic():
        THINGS.update(make_things())
        yield
        transaction.set_rollback(True)


@pytest.mark.usefixtures("things", "db")
@pytest.mark.parametrize(("name", "path", "value"), list(limits()))
def test_a_limit_is_enforced(name: str, path: Path, value: Any) -> None:
    endpoint = BY_NAME[name]
    answer = api_client(Role.ADMIN).generic(
        endpoint.method, endpoint.url, json.dumps(with_value(endpoint, path, value)), content_type="application/json"
    )
    if "/batch" in name and answer.status_code == 200:  # each event is refused by itself
        [error] = {result["error"]["code"] for result in answer.json()["data"]["results"]}
        assert error == "VALIDATION_ERROR"
        return
    error = answer.json()["error"]
    refusal = (422, "TOO_MANY_ROWS") if path == ("rows",) else (400, "VALIDATION_ERROR")
    assert (answer.status_code, error["code"]) == refusal, answer.content[:300]


# --- where none is named -------------------------------------------------------------------------------------


class Inner(StrictSerializer):
    texts = serializers.ListField(child=serializers.CharField(), required=False)


class Sample(StrictSerializer):
    text = serializers.CharField(required=False)
    short = serializers.CharField(max_length=3, required=False)
    texts = serializers.ListField(child=serializers.CharField(), required=False)
    inner = Inner(many=True, required=False)
    names = serializers.DictField(child=serializers.CharField(), required=False)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"text": "x" * (LONGEST_TEXT + 1)}, "text"),
        ({"short": "xxxx"}, "short"),
        ({"texts": ["x"] * (LARGEST_LIST + 1)}, "texts"),
        ({"texts": ["x" * (LONGEST_TEXT + 1)]}, "texts"),
        ({"inner": [{}] * (LARGEST_LIST + 1)}, "inner"),
        ({"inner": [{"texts": ["x"] * (LARGEST_LIST + 1)}]}, "inner"),
        ({"names": {str(number): "x" for number in range(LARGEST_LIST + 1)}}, "names"),
    ],
)
def test_a_field_that_names_no_limit_has_the_usual_one(body: dict[str, Any], place: str) -> None:
    serializer = Sample(data=body)
    assert not serializer.is_valid()
    assert set(serializer.errors) == {place}


def test_what_is_at_the_limit_is_taken() -> None:
    body = {
        "text": "x" * LONGEST_TEXT,
        "texts": ["x"] * LARGEST_LIST,
        "inner": [{}] * LARGEST_LIST,
        "names": {str(number): "x" for number in range(LARGEST_LIST)},
    }
    assert Sample(data=body).is_valid()


def test_a_long_list_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serializers.CharField, "run_validation", lambda *args: pytest.fail("an item was looked at"))
    assert not Sample(data={"texts": ["x"] * 100_000}).is_valid()


@pytest.mark.parametrize(("count", "status"), [(200, 401), (201, 400), (20_000, 400)])
def test_a_query_has_so_many_parameters_at_most(count: int, status: int) -> None:
    query = "&".join(f"p{number}=1" for number in range(count))
    assert Client().get(f"/api/lines?{query}").status_code == status
