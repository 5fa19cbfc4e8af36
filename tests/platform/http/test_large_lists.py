"""Filters of lists that grow: by indexes, whatever they match. Plans are asked for with what a small table would do
instead forbidden.
"""

from typing import Any

import pytest
from django.contrib.admin import site
from django.db import connection
from django.db.models import Q, QuerySet
from django.test import Client, RequestFactory
from django.utils import timezone

from bench.floor import recorded
from execution.models import DataValue, Track
from ingest.models import IngestEvent, IngestEventUnit, OpenIngestEvent, SettledIngestEvent
from integration.models import DeviceDataRecord, SettledMessage
from mes.platform.accounts.roles import Role
from mes.platform.http import admin
from mes.platform.http.narrowing import narrowed
from mes.platform.outbox.models import MesEvent
from mes.production_counts.models import HourlyCount
from mes.status_reports.models import StatusReport
from tests.factories import Plant, api_client, make_plant, make_user


def plan_of(rows: QuerySet[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant(units=3)


@pytest.mark.parametrize(
    ("model", "lookup", "index"),
    [
        (DeviceDataRecord, "station__code", "station_id_id_idx"),
        (DeviceDataRecord, "run__run_no", "run_id_id_idx"),
        (IngestEvent, "station__code", "station_id_id_idx"),
    ],
)
def test_what_rows_refer_to_is_found_by_its_index(db, model, lookup, index):
    wanted = model.objects.order_by("-id")[:51]
    plan = plan_of(model.objects.filter(narrowed(lookup, "X", model)).order_by("-id")[:51])
    assert index in plan and "Index Cond: (" in plan and "InitPlan" in plan, plan
    owner = lookup.split("__")[0]
    joined = plan_of(model.objects.filter(**{lookup: "X"}).order_by("-id")[:51])
    assert f"{owner}_id = (InitPlan" not in joined  # the control
    assert list(wanted) == []


@pytest.mark.parametrize(
    ("model", "condition", "index"),
    [
        (SettledIngestEvent, {"status": "REJECTED"}, "status_id_idx"),
        (SettledIngestEvent, {"error_code": "UNIT_NOT_FOUND"}, "error_code_id_idx"),
        (MesEvent, {"event_type": "DATA_ALARM"}, "event_of_no_move"),
        (SettledMessage, SettledMessage.with_business_key("X"), "business_key_idx"),
        (StatusReport, {"event_id": "X"}, "status_report_by_event"),
    ],
)
def test_what_is_rare_has_an_index_of_its_own(db, model, condition, index):
    condition = condition if isinstance(condition, Q) else Q(**condition)
    with connection.cursor() as cursor:  # it also begins with the type, and in a table of few rows any would do
        cursor.execute("DROP INDEX event_by_type_and_time")
    assert index in plan_of(model.objects.filter(condition).order_by())


def test_a_path_that_is_no_foreign_key_or_no_unique_field_is_joined(db):
    assert str(narrowed("station__name", "X", DeviceDataRecord)) == "(AND: ('station__name', 'X'))"
    assert str(narrowed("status", "X", IngestEvent)) == "(AND: ('status', 'X'))"
    of_line = HourlyCount.objects.filter(narrowed("stream__run__run_no", "X", HourlyCount))
    assert "mes_run" in str(of_line.query) and not of_line


def test_events_are_found_by_a_unit_applied_refused_and_dismissed(plant):
    """Applied ones by their parts; what names units that are not there is only written in them."""
    unit, now = plant.units[0], timezone.now()
    fields = {"source_system": "S", "event_type": "AUTO", "received_at": now, "payload": {}}
    applied = SettledIngestEvent.objects.create(
        pk=1, dedupe_key="1", status="APPLIED", sns=[unit.sn], unit_ids=[unit.pk], **fields
    )
    IngestEventUnit.objects.create(received_at=now, unit_id=unit.pk, event_id=applied.pk)
    SettledIngestEvent.objects.create(pk=2, dedupe_key="2", status="DISMISSED", sns=["GHOST"], **fields)
    OpenIngestEvent.objects.create(
        pk=3, dedupe_key="3", status="REJECTED", sns=["GHOST", unit.sn], digest=b"", **fields
    )
    client = api_client()

    def ids(sn: str) -> list[str]:
        return [item["id"] for item in client.get("/api/ingest/events", {"sn": sn}).json()["data"]["items"]]

    assert (ids(unit.sn), ids("GHOST"), ids("NOBODY")) == (["3", "1"], ["3", "2"], [])


def test_device_data_is_narrowed_to_the_stations_of_a_token(plant):
    now = timezone.now()
    for number, at in enumerate((*plant.stations.values(), None), 1):
        DeviceDataRecord.objects.create(
            pk=number,
            received_at=now,
            event_id=str(number),
            event_time=now,
            station=at,
            payload={},
            values_count=0,
        )
    code = next(iter(plant.stations))
    answer = api_client(stations=[code]).get("/api/integration/device-data").json()
    assert [item["stationCode"] for item in answer["data"]["items"]] == [code]


# --- the admin site ----------------------------------------------------------------------------------------


@pytest.fixture
def tracks(plant: Plant) -> list[Track]:
    now = timezone.now()
    station = next(iter(plant.stations.values()))
    return [
        Track.objects.create(
            unit=unit, run=plant.run, step_no=10, operation_code="PRINT", station=station, source="MANUAL",
            in_at=now, out_at=now, result="FAIL",
        )
        for unit in plant.units[:3]
    ]  # fmt: skip


def _shown(model: type[Any], **parameters: str) -> list[Any]:
    request = RequestFactory().get("/", parameters)
    request.user = make_user(Role.ADMIN, is_superuser=True)
    return list(site._registry[model].get_changelist_instance(request).result_list)


def test_a_search_goes_by_ids(tracks):
    assert _shown(Track, q=tracks[0].unit.sn) == [tracks[0]]
    assert _shown(Track, q=f'"{tracks[0].unit.sn}" {tracks[0].run.run_no}') == [tracks[0]]
    assert len(_shown(Track, q=tracks[0].run.run_no)) == 3
    with recorded() as ran:
        assert _shown(Track, q="nothing-there") == []
    assert not [query for query, _values in ran if 'FROM "execution_track"' in query and "COUNT" not in query]


def test_values_of_a_run_are_found_by_its_units(tracks):
    track = tracks[1]
    value = DataValue.objects.create(
        received_at=track.in_at, unit=track.unit, run=track.run, track=track, spec_id=1, operation_code="PRINT",
        name="X", item_type="KEY", value_number=1, source="AUTO", collected_at=track.in_at,
    )  # fmt: skip
    assert _shown(DataValue, q=track.run.run_no) == [value]
    assert _shown(DataValue, q=track.unit.sn) == [value]
    assert _shown(DataValue, q="nothing-there") == []


def test_filters_without_an_index_look_among_the_newest_unless_all_are_asked_for(tracks, monkeypatch):
    monkeypatch.setattr(admin.AmongNewest, "number", 2)
    newest = [tracks[2], tracks[1]]
    assert _shown(Track, result__exact="FAIL") == newest
    assert _shown(Track, result__exact="FAIL", among="all") == [*newest, tracks[0]]
    assert _shown(Track) == _shown(Track, p="1") == [*newest, tracks[0]]  # no other filter
    assert _shown(Track, q=tracks[0].unit.sn, result__exact="FAIL") == [tracks[0]]  # a search has its index


def test_what_is_looked_through_is_said(tracks):
    client = Client()
    client.force_login(make_user(Role.ADMIN, is_superuser=True))
    page = client.get("/admin/execution/track/").content.decode()
    assert "The newest 100,000" in page and "All, however long it takes" in page
