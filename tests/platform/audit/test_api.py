"""The audit over HTTP: filters, names and codes of the interface, who sees what, files."""

import csv
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.audit import api as audit_api
from mes.platform.audit import entries
from mes.platform.audit.models import AuditEntry
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_line, make_operation, make_plant, make_spec, make_station, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer() -> APIClient:
    return api_client(Role.ENGINEER)


def items(client: APIClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/audit{query}")
    assert answer.status_code == 200, answer.json()
    found: list[dict[str, Any]] = answer.json()["data"]["items"]
    return found


def test_a_change_in_the_words_of_the_interface(engineer: APIClient) -> None:
    spec = make_spec(make_operation("REFLOW"), "Peak", usl=255.0)
    body = {"limits": {"usl": 250}, "changeReason": "oven 2 drifts"}
    assert engineer.patch(f"/api/data-collection-specs/{spec.pk}", body).status_code == 200
    item = items(engineer, "?entity=data-collection-specs&action=UPDATE")[0]
    assert item["changes"]["limits.usl"] == {"from": 255, "to": 250}
    assert (item["name"], item["entityId"], item["reason"], item["actorKind"], item["via"]) == (
        "Peak", str(spec.pk), "oven 2 drifts", "TOKEN", "API",
    )  # fmt: skip
    assert item["actor"].startswith("token:") and item["requestId"] and item["at"].endswith("Z")
    (created,) = items(engineer, "?entity=data-collection-specs&action=CREATE")
    assert created["changes"]["operationCode"] == {"from": None, "to": "REFLOW"}


def test_rows_that_are_gone_keep_their_codes(engineer: APIClient) -> None:
    operation = make_operation("REFLOW")
    make_spec(operation, "Peak")
    DataCollectionSpec.objects.all().delete()
    operation.delete()
    for item in items(engineer, "?entity=data-collection-specs"):
        assert "REFLOW" in item["changes"]["operationCode"].values()


def test_the_history_of_a_route_has_its_parts(engineer: APIClient) -> None:
    plant = make_plant()
    found = items(engineer, f"?rootEntity=routes&rootId={plant.routing.code}")
    assert {item["entity"] for item in found} == {"routes", "route-steps", "execution-configs", "route-versions"}
    assert all("snapshot" not in item["changes"] for item in found)


def test_people_and_tokens_are_for_administrators(engineer: APIClient) -> None:
    make_user(Role.OPERATOR, username="ada")
    for query in ("?entity=users", "?rootEntity=users", "?entity=tokens", "?entity=user-roles", "?entity=roles"):
        assert items(engineer, query) == []
        assert items(api_client(Role.ADMIN), query) or query == "?entity=roles"
    kinds = {item["entity"] for item in items(engineer, "?pageSize=200")}
    assert not kinds & {"users", "user-roles", "tokens", "roles", "role-permissions", "second-factors"}


def test_as_many_statements_for_many_as_for_few(engineer: APIClient) -> None:
    plant = make_plant()
    counts = []
    for size in (2, 50):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            items(engineer, f"?pageSize={size}&rootEntity=routes&rootId={plant.routing.code}")
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 3  # one for each kind of thing that is named


@pytest.mark.parametrize(
    "query, place",
    [
        ("?action=NOPE", "action"),
        ("?from=yesterday", "from"),
        ("?to=2026-13-01", "to"),
        ("?format=pdf", "format"),
        ("?pageSize=0", "pageSize"),
        ("?cursor=x", "cursor"),
    ],
)
def test_what_cannot_be_asked(engineer: APIClient, query: str, place: str) -> None:
    answer = engineer.get(f"/api/audit{query}")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [place])


def test_who_may_not_look() -> None:
    assert APIClient().get("/api/audit").status_code == 401
    make_station("SMT-01")
    assert api_client(Role.OPERATOR, stations=["SMT-01"]).get("/api/audit").status_code == 403


def test_files(engineer: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    make_line("L-1", name="=1+1")
    text = b"".join(engineer.get("/api/audit?entity=lines&format=csv")).decode("utf-8-sig")  # type: ignore[arg-type]
    rows = list(csv.DictReader(StringIO(text)))
    assert [(row["Field"], row["To"]) for row in rows if row["Field"] == "name"] == [("name", "'=1+1")]
    workbook = engineer.get("/api/audit?entity=lines&format=xlsx")
    assert "xl/worksheets/sheet1.xml" in ZipFile(BytesIO(workbook.content)).namelist()
    monkeypatch.setattr(audit_api, "MOST_ROWS", 1)
    make_line("L-2")
    answer = engineer.get("/api/audit?entity=lines&format=csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "TOO_MANY_ROWS")


def test_numbers_in_files_are_numbers(engineer: APIClient) -> None:
    make_spec(make_operation("REFLOW"), "Drift", lsl=-5.5, usl=3)
    query = "/api/audit?entity=data-collection-specs&format="
    text = b"".join(engineer.get(f"{query}csv")).decode("utf-8-sig")  # type: ignore[arg-type]
    in_csv = {row["Field"]: row["To"] for row in csv.DictReader(StringIO(text))}
    sheet = openpyxl.load_workbook(BytesIO(engineer.get(f"{query}xlsx").content)).worksheets[0]
    in_xlsx = {row[6]: row[8] for row in sheet.iter_rows(values_only=True)}
    assert (in_csv["limits.lsl"], in_xlsx["limits.lsl"]) == ("-5.5", -5.5)
    assert (in_csv["limits.usl"], in_xlsx["limits.usl"]) == ("3", 3)
    assert (in_csv["isRequired"], in_xlsx["isRequired"]) == ("false", "false")


def test_entries_are_read_by_index(db: None) -> None:
    for found in (
        AuditEntry.objects.filter(root_entity="routes", root_id="R"),
        AuditEntry.objects.filter(entity="lines", entity_id="L"),
        AuditEntry.objects.filter(actor="ada"),
        AuditEntry.objects.filter(request_id="r"),
        AuditEntry.objects.filter(entries.of_row("lines", make_line("L-1").pk)),
    ):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert "Seq Scan" not in found.order_by("-id").explain()
