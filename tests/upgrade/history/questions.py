"""Every question that the old code is asked, so that the new one can be asked the same."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from django.utils import timezone
from rest_framework.test import APIClient

COLLECTIONS = (
    "lines",
    "station-groups",
    "stations",
    "equipment",
    "operations",
    "materials",
    "bom-items",
    "data-collection-specs",
    "execution-configs",
    "fai-templates",
    "prep-policies",
    "time-rules",
    "time-rules/instances",
    "stencils",
    "solder-paste-lots",
    "solder-paste-usages",
    "work-orders",
    "readiness/exceptions",
    "fai",
    "ingest/events",
    "integration/device-data",
    "integration/messages",
    "integration/stencil-status",
    "integration/solder-paste-status",
    "integration/solder-paste-usage",
    "integration/equipment-status",
    "integration/maintenance-task",
    "integration/inspection-result",
    "integration/station-data",
    "integration/outbound/events",
    "events",
)
UNITS = (
    *("B-OLD-1", "B-OLD-3", "B-QUEUED", "B-IN", "B-DONE", "B-FAILED", "B-HELD-IN", "B-REWORKED", "B-SCRAPPED"),
    *("B-FLY-1", "B-ON_HOLD-1", "F-INSPECTING-1", "P-1", "P-2", "P-3", "P-5", "P-6", "O-SOON", "O-TOO-LONG", "O-HELD"),
    *("O-PART-1", "O-PART-3", "S-2", "T-1", "X-1", "R-GOOD", "R-ALARM", "R-LATE", "I-FAIL", "I-REVIEW", "I-LATE"),
    *("C-LATE", "C-ACKNOWLEDGED", "C-WAIVED", "C-CANCELLED", "ERP-SN-1", "E-TOLD"),
)
LOOKED_AT = (  # of these the pages, too, which take longer
    *("B-IN", "B-FAILED", "B-HELD-IN", "B-REWORKED", "B-SCRAPPED", "F-INSPECTING-1", "P-1", "P-2", "P-5", "O-TOO-LONG"),
    *("O-PART-3", "S-2", "R-GOOD", "R-LATE", "I-REVIEW", "C-ACKNOWLEDGED"),
)
RUNS = ("BOARD-1", "BOARD-OLD", "BOARD-SCRAPPED", "PANEL-1", "OPEN", "READY-2", "FAI-SIGNED", "CLOCKS")
CARRIERS = ("PALLET-1", "PALLET-5", "PALLET-PART", "TRAY-1", "PALLET-IDLE", "PALLET-O-TRANSACTION")
PAGES = (
    "/",
    "/readiness/",
    "/clocks/",
    "/clocks/?status=EXPIRED",
    "/lines/SMT-1/set-up/",
    "/notifications/",
    "/ingest/events/",
    "/ingest/events/?status=REJECTED",
    "/reports/record/?line=SMT-1",
    "/reports/in-out/?line=SMT-1",
    "/reports/picture/?line=SMT-1",
)


def list_api(client: APIClient) -> Iterator[str]:
    """Yield the addresses of the HTTP interface that are asked."""
    for collection in COLLECTIONS:
        yield from _pages_of(client, f"/api/{collection}?pageSize=200")
    yield from _pages_of(client, "/api/runs?pageSize=200")
    for run in _items(client, "/api/runs?pageSize=200"):
        yield f"/api/runs/{quote(run['runNo'])}"
    for run_no in ("READY-1", "READY-2", "READY-3", "FAI-SIGNED"):
        yield f"/api/runs/{run_no}/readiness/latest"
        yield f"/api/runs/{run_no}/readiness/history"
    yield from _pages_of(client, "/api/routes?pageSize=200")
    for route in _items(client, "/api/routes?pageSize=200"):
        address = f"/api/routes/{quote(route['code'])}"
        yield f"{address}/execution-config"
        yield f"{address}/versions"
        yield from (f"{address}/versions/{number}" for number in _version_numbers(client, address))
    for event in _items(client, "/api/ingest/events?pageSize=200&status=REJECTED"):
        yield f"/api/ingest/events/{event['id']}"
    for station in ("H-PRN-1", "H-REF-1", "MRK-1", "OVN-1"):
        yield f"/api/stations/{station}/queue"
    yield "/api/stations/H-REF-1/unit/B-QUEUED/data-specs"
    yield "/api/integration/lines/SMT-1/set-up"
    yield from (f"/api/trace/units/{sn}" for sn in UNITS)
    yield from (f"/api/trace/carriers/{carrier_no}" for carrier_no in CARRIERS)
    today = timezone.now().date()
    for report in ("production", "in-out"):
        period = f"lineCode=SMT-1&from={today - timedelta(days=3)}&to={today}"
        yield from (f"/api/reports/{report}?{period}&format={form}" for form in ("json", "csv"))


def _version_numbers(client: APIClient, route: str) -> list[int]:
    return [version["versionNo"] for version in _items(client, f"{route}/versions")]


def list_pages() -> Iterator[str]:
    """Yield the addresses of the pages that are asked."""
    yield from PAGES
    yield from (f"/trace/units/{sn}/" for sn in LOOKED_AT)
    yield from (f"/trace/carriers/{carrier_no}/" for carrier_no in CARRIERS)
    yield from (f"/trace/runs/{run_no}/" for run_no in RUNS)
    for run_no in ("READY-1", "READY-2", "READY-3", "FAI-INSPECTING"):
        yield f"/readiness/runs/{run_no}/"
    for name in ("CREATED", "INSPECTING", "FAILED", "PASSED", "SIGNED"):
        yield f"/first-articles/FAI-{name}/"


def _items(client: APIClient, address: str) -> list[dict[str, Any]]:
    data = client.get(address).json()["data"]
    return list(data if isinstance(data, list) else data["items"])


def _pages_of(client: APIClient, address: str) -> Iterator[str]:
    following: str | None = address
    while following:
        yield following
        data = client.get(following).json()["data"]
        parts = urlsplit(data.get("next") or "")
        following = f"{parts.path}?{parts.query}" if parts.path else None
