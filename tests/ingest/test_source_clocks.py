"""What the reports of a source say of its clock, read when it is asked for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ingest.models import OpenIngestEvent, SettledIngestEvent
from ingest.source_clocks import list_systems, measure_clocks
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import Source
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, printed
from tests.ingest.test_pages import sign_in
from tests.integration.helpers import moment


def said(ahead: float, *, number: int = 0, code: str = "AOI-1", model: Any = SettledIngestEvent) -> Any:
    """An event that came `number` minutes ago and said a time so many seconds ahead of that."""
    received_at = timezone.now() - timedelta(minutes=number)
    status = "APPLIED" if model is SettledIngestEvent else "REJECTED"
    event = model(
        source_system=code, dedupe_key=f"{number} {ahead}", received_at=received_at, payload={}, status=status
    )
    event.reported_at = received_at + timedelta(seconds=ahead)
    return event


def keep(*events: Any) -> None:
    for event in events:
        if isinstance(event, OpenIngestEvent):
            event.digest = b""
        event.save(force_insert=True)


def test_delay_only_makes_the_offset_smaller(db: None) -> None:
    keep(said(-3600, number=1), said(-3605, number=2), said(-7200, number=3))
    measured = measure_clocks(["AOI-1"])["AOI-1"]
    assert (measured.offset_seconds, measured.lag_seconds) == pytest.approx((-3600, 5))


def test_the_last_hundred_count_refused_ones_too(db: None) -> None:
    SettledIngestEvent.objects.bulk_create(said(50, number=n) for n in range(200, 250))
    SettledIngestEvent.objects.bulk_create(said(-5, number=n) for n in range(10, 110))
    assert measure_clocks(["AOI-1"])["AOI-1"].offset_seconds == pytest.approx(-5)
    keep(said(3600, number=5, model=OpenIngestEvent))
    assert measure_clocks(["AOI-1"])["AOI-1"].offset_seconds == pytest.approx(3600)


def test_who_said_no_time_has_no_offset(db: None) -> None:
    event = said(0)
    event.reported_at = None
    keep(event)
    assert measure_clocks(["AOI-1", "NOBODY"]) == {}


def test_every_system_that_reported_is_found(db: None) -> None:
    keep(said(0, code="B"), said(0, code="A"), said(0, number=1, code="A"), said(0, code="C", model=OpenIngestEvent))
    assert list_systems(most=10) == ["A", "B", "C"]


def test_a_machine_an_hour_ahead_is_seen_and_mended_by_its_offset(
    plant: IngestPlant, send: Send, client: APIClient, django_assert_num_queries: Any
) -> None:
    ahead = {**printed(plant.sns[0]), "occurredAt": moment(hours=-1)}
    assert send(ahead, 422)["code"] == "EVENT_TIME_IN_FUTURE"
    Source.objects.create(code="QUIET")
    offset = client.post("/api/sources", {"code": "LINE"}).json()["data"]["clockOffsetSeconds"]
    assert offset == pytest.approx(3600, abs=5)
    client.patch("/api/sources/LINE", {"clockCorrectionSeconds": offset})
    send(ahead, 201)
    assert client.get("/api/sources/LINE").json()["data"]["clockOffsetSeconds"] == pytest.approx(3600, abs=5)
    with django_assert_num_queries(2):
        items = client.get("/api/sources").json()["data"]["items"]
    assert {item["code"]: item["clockOffsetSeconds"] is None for item in items} == {"LINE": False, "QUIET": True}


def test_the_page_shows_first_whose_clock_is_off(db: None, django_assert_max_num_queries: Any) -> None:
    keep(said(-1, code="A-RIGHT"), said(-3600, code="Z-BEHIND"), said(3600.5, code="C-CORRECTED"))
    Source.objects.create(code="C-CORRECTED", clock_correction_seconds=3600, time_zone="Europe/Berlin")
    page = sign_in()
    with django_assert_max_num_queries(8):
        text = page.get("/ingest/sources/").content.decode()
    assert text.index("Z-BEHIND") < text.index("A-RIGHT") < text.index("C-CORRECTED")
    assert "-3600.0" in text
    assert "Europe/Berlin" in text
    assert text.count(">off<") == 1


def test_a_source_that_sent_nothing_yet_has_its_row(db: None) -> None:
    Source.objects.create(code="SILENT")
    page = sign_in().get("/ingest/sources/")
    assert (page.status_code, "SILENT" in page.content.decode()) == (200, True)


def test_an_operator_has_no_page_of_clocks(db: None) -> None:
    assert sign_in(Role.OPERATOR).get("/ingest/sources/").status_code == 403
