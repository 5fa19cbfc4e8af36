"""What tests of loads share: a line with stations and reels, and scans."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.models import MaterialLot, Tool
from mes.plant.models import Line, Material
from tests.factories import make_line, make_station

PLACER, OTHER = "SMT-02", "SMT-03"


def make_placers() -> None:
    """Make a line with two placers, another line with one, and a station on no line."""
    line = make_line("SMT-A")
    make_station(PLACER, line=line)
    make_station(OTHER, line=line)
    make_station("SMT-12", line=make_line("SMT-B"))
    make_station("SHARED")


def make_material(code: str, **fields: Any) -> Material:
    """Make a material, or return it."""
    return Material.objects.get_or_create(code=code, defaults={"name": code, **fields})[0]


def make_reel(lot_id: str, material: str = "R-10K", **fields: Any) -> MaterialLot:
    """Make a reel of a material."""
    return MaterialLot.objects.create(lot_id=lot_id, material=make_material(material), **fields)


def make_tool(tool_id: str, **fields: Any) -> Tool:
    """Make a tool."""
    return Tool.objects.create(**{"tool_id": tool_id, "kind": "SQUEEGEE", **fields})


def load_on_line(line: str, slot: str, *, at: datetime | None = None, **thing: Any) -> Load:
    """Put a lot or a tool into a slot of a line, as a scan would."""
    placed = {"line": Line.objects.get(code=line), "slot": slot, **thing}
    at = at or timezone.now()
    mark = LoadMark.objects.create(
        kind="LOAD", at=at, source="SCAN", operator="test", recorded_by="test", verify="NO_LIST", **placed
    )
    return Load.objects.create(opened_by=mark, loaded_at=at, verify="NO_LIST", **placed)


def scan(client: APIClient, slot: str, lot_id: str | None = None, *, station: str = PLACER, **body: Any) -> Any:
    """Scan a lot into a slot."""
    thing = {} if lot_id is None else {"lotId": lot_id}
    return client.post(f"/api/stations/{station}/loads", {"slot": slot, **thing, **body})


def take_out(client: APIClient, *, station: str = PLACER, **body: Any) -> Any:
    """Unload."""
    return client.post(f"/api/stations/{station}/unload", body)


def ago(minutes: float) -> datetime:
    """Return a time so many minutes ago."""
    return timezone.now() - timedelta(minutes=minutes)


def text(at: datetime) -> str:
    """Return a time as it is sent."""
    return at.isoformat()


def there() -> list[tuple[str, str, str, str]]:
    """Return what is loaded now: (station or line, slot, what, state)."""
    rows = Load.objects.filter(ended_at=None).select_related("station", "line", "lot", "tool")
    return sorted(
        (str(row.station or row.line), row.slot, str(row.lot or row.tool or row.program), row.state) for row in rows
    )


def told() -> list[tuple[str, str, datetime, datetime | None]]:
    """Return all loads: (slot, what, from, to)."""
    rows = Load.objects.select_related("lot", "tool")
    return sorted(
        ((row.slot, str(row.lot or row.tool or row.program), row.loaded_at, row.ended_at) for row in rows),
        key=lambda row: (row[2], row[0], row[1]),
    )
