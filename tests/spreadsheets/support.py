"""Sheets as people send them."""

import csv
from io import BytesIO, StringIO
from typing import Any

import xlsxwriter
from rest_framework.test import APIClient

from mes.platform.http.tables import XLSX

CSV = "text/csv"


def as_csv(*lines: list[Any], delimiter: str = ",") -> bytes:
    target = StringIO()
    csv.writer(target, delimiter=delimiter).writerows(lines)
    return target.getvalue().encode()


def text(*lines: str) -> bytes:
    """Return lines of CSV as they are."""
    return "\n".join(lines).encode()


def as_xlsx(*lines: list[Any]) -> bytes:
    """Return a workbook; texts that begin with `=` are formulas, as a person types them."""
    target = BytesIO()
    with xlsxwriter.Workbook(target, {"strings_to_urls": False}) as workbook:
        sheet = workbook.add_worksheet()
        for number, line in enumerate(lines):
            sheet.write_row(number, 0, line)
    return target.getvalue()


def send(client: APIClient, collection: str, data: Any, kind: str = "") -> Any:
    """Send a sheet as the body; a list is sent as rows of JSON."""
    if isinstance(data, list):
        return client.post(f"/api/imports/{collection}", {"rows": data})
    kind = kind or (XLSX if data.startswith(b"PK") else CSV)
    return client.generic("POST", f"/api/imports/{collection}", data, content_type=kind)


def checked(client: APIClient, collection: str, data: Any) -> dict[str, Any]:
    answer = send(client, collection, data)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def apply(client: APIClient, number: str, reason: str = "from the sheet") -> Any:
    return client.post(f"/api/imports/{number}/apply", {"changeReason": reason})


def export(client: APIClient, collection: str, chosen: str) -> bytes:
    answer = client.get(f"/api/{collection}/export?format={chosen}")
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content) if answer.streaming else answer.content
