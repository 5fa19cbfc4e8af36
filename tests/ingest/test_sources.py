"""Sources: what is entered of the clocks of those who report, and when it holds."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.inbound import sources
from mes.platform.inbound.models import Source
from mes.platform.inbound.sources import NO_CORRECTION, SourceClock, clock_of
from tests.factories import api_client

BODY = {"code": "AOI 1", "timeZone": "Europe/Berlin", "clockCorrectionSeconds": -3600.5}
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def engineer(db: None) -> APIClient:
    return api_client(Role.ENGINEER)


def details(answer: Any) -> list[str]:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR"), error
    return list(error["details"])


def test_a_source_is_entered_read_changed_and_deleted_and_holds_at_once(engineer: APIClient) -> None:
    made = engineer.post("/api/sources", BODY)
    assert made.status_code == 201, made.json()
    assert made.json()["data"].items() >= BODY.items()
    assert clock_of("AOI 1") == SourceClock(BERLIN, timedelta(seconds=-3600.5))
    assert clock_of("AOI 1").time_zone == BERLIN
    address = "/api/sources/AOI%201"
    assert engineer.get(address).json()["data"].items() >= BODY.items()
    changed = engineer.patch(address, {"timeZone": None, "clockCorrectionSeconds": 0}).json()["data"]
    assert (changed["timeZone"], changed["clockCorrectionSeconds"]) == (None, 0)
    assert clock_of("AOI 1") == NO_CORRECTION
    assert details(engineer.patch(address, {"code": "OTHER"})) == ["code"]
    engineer.patch(address, {"clockCorrectionSeconds": 5})
    assert engineer.delete(address).status_code == 200
    assert clock_of("AOI 1") == NO_CORRECTION
    missing = engineer.get(address)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "SOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        *(
            ({"timeZone": zone}, "timeZone")
            for zone in ("Europe/Berlim", "Europe", "../etc/passwd", "UTC+2", "x" * 65, 1)
        ),
        *(
            ({"clockCorrectionSeconds": wrong}, "clockCorrectionSeconds")
            for wrong in (86400 * 365 * 3, -86400 * 365, 86400 * 8, 1e300, "3600", True, None)
        ),
        ({"code": ""}, "code"),
        ({"code": " AOI"}, "code"),
        ({"timezone": "UTC"}, "timezone"),
    ],
)
def test_what_is_no_clock_is_refused_by_its_place(engineer: APIClient, change: dict[str, Any], place: str) -> None:
    assert details(engineer.post("/api/sources", BODY | change)) == [place]
    assert not Source.objects.exists()


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ENGINEER, Role.ADMIN)])
def test_only_engineers_enter_sources(db: None, role: Role) -> None:
    client = api_client(role)
    assert client.get("/api/sources").status_code == 200
    assert client.post("/api/sources", BODY).status_code == 403


def test_a_code_is_entered_once(engineer: APIClient) -> None:
    engineer.post("/api/sources", BODY)
    assert details(engineer.post("/api/sources", BODY)) == ["code"]


def test_another_process_follows_when_what_it_remembers_is_stale(db: None, settings: Any) -> None:
    Source.objects.bulk_create([Source(code="AOI-1", clock_correction_seconds=60)])  # as another process would
    assert clock_of("AOI-1") == NO_CORRECTION
    settings.MES_SOURCE_CACHE = timedelta(seconds=-1)
    assert clock_of("AOI-1").correction == timedelta(minutes=1)


def test_a_zone_that_this_host_does_not_know_stops_no_report(db: None) -> None:
    Source.objects.bulk_create([Source(code="AOI-1", time_zone="Mars/Base", clock_correction_seconds=60)])
    sources.forget_sources()
    assert clock_of("AOI-1") == SourceClock(None, timedelta(minutes=1))


def test_sources_are_not_read_for_each_report(db: None) -> None:
    sources.forget_sources()
    with CaptureQueriesContext(connection) as read:
        for _report in range(100):
            clock_of("AOI-1")
    assert len(read) == 1


def test_what_is_changed_while_it_is_read_is_read_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_and_change() -> dict[str, SourceClock]:
        found = read()
        Source.objects.create(code="AOI-1", clock_correction_seconds=60)
        return found

    read = sources._read
    monkeypatch.setattr(sources, "_read", read_and_change)
    sources.forget_sources()
    assert clock_of("AOI-1") == NO_CORRECTION
    monkeypatch.setattr(sources, "_read", read)
    assert clock_of("AOI-1").correction == timedelta(minutes=1)
