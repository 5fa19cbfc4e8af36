"""What the trace reads of a unit is what its rows hold: each field beside the model's, in the models' order."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import CharField, Model, Q, Value
from django.utils import timezone

from execution.models import (
    Carrier,
    CarrierLoad,
    CarrierTrack,
    CarrierTrackUnit,
    DataValue,
    Defect,
    Disposition,
    InspectionResult,
    Track,
)
from ingest.models import IngestEventUnit, OpenIngestEvent, SettledIngestEvent
from integration.models import DeviceDataRecord
from mes.platform.database.partitions import list_months
from mes.platform.files.models import FileAttachment, StoredFile
from mes.platform.files.queries import attach
from mes.production.decision_models import UnitMove
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Run, Unit
from mes.readiness.models import ReadinessCheck, ReadinessItem, ReadinessWaiver
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from tests.factories import Plant, make_plant
from trace.unit_reading import read_unit

numbers = count(1000)


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def some(field: Any) -> Any:
    """Return a value for a field that no other has, as far as its choices allow."""
    number = next(numbers)
    if field.choices:
        return [value for value, _label in field.flatchoices if value][number % len(field.flatchoices)]
    if isinstance(field, ArrayField):
        return [some(field.base_field), some(field.base_field)]
    if isinstance(field, models.JSONField):
        return {"größe": [number, None, 0.5, "“µ”\n"], "meta": {"n": number}, "data": [{"n": number}]}
    if isinstance(field, models.BooleanField):
        return number % 2 == 0
    if isinstance(field, models.DateTimeField):
        return timezone.now() + timedelta(seconds=number, microseconds=-number)
    if isinstance(field, models.FloatField):
        return number / 7
    if isinstance(field, models.IntegerField):
        return number
    if isinstance(field, models.BinaryField):
        return b"%d" % number
    return f"{number}"[: field.max_length]


def make(model: type[Model], **given: Any) -> Any:
    """Write a row of which each column has a value of its own, but for those given."""
    fields = [field for field in model._meta.concrete_fields if not field.is_relation and not field.primary_key]
    return model._default_manager.create(**{**{field.name: some(field) for field in fields}, **given})


def make_rows(plant: Plant, unit: Unit) -> None:
    """Make two rows of everything that a unit may have, the later ones with the earlier times."""
    run, station, now = plant.run, plant.stations["REF-01"], timezone.now()
    clock = {"status": "CANCELLED", "entity_type": "UNIT", "entity_id": unit.sn, "run": run, "ended_at": now}
    for place, at in enumerate((now, now - timedelta(hours=1))):
        track = make(Track, unit=unit, run=run, station=station, in_at=at, out_at=at, result="PASS")
        carrier = make(Carrier)
        carrier_track = make(CarrierTrack, carrier=carrier, run=run, station=station if place else None)
        CarrierTrackUnit.objects.create(carrier_track=carrier_track, track=track)
        make(CarrierLoad, carrier=carrier, unit=unit, unloaded_at=at)
        of_event = {"run": run, "received_at": at, "track_ids": [track.pk, 7], "station": station if place else None}
        settled = make(SettledIngestEvent, **of_event, carrier_track_id=None)
        IngestEventUnit.objects.create(received_at=at, unit_id=unit.pk, event_id=settled.pk)
        about = make(SettledIngestEvent, **of_event)
        make(Disposition, unit=unit, run=run, about_event_id=about.pk if place else None)
        case = make(Hold, scope="UNITS", status="RELEASED")
        make(HeldUnit, unit=unit, hold=case, ended_at=at if place else None, end="SCRAP" if place else "")
        make(UnitMove, unit=unit, from_run=run, to_run=run if place else None)
        named = {"blocked_unit_id": unit.pk} if place else {"sns": ["SN-X", unit.sn]}
        make(OpenIngestEvent, **{**of_event, "blocked_unit_id": None, "status": "REJECTED", **named})
        record = make(DeviceDataRecord, unit=unit, run=run, station=station, received_at=at, track_id=track.pk)
        inspection = make(InspectionResult, track=track, inspection_type="SPI")
        defect = make(Defect, unit=unit, run=run, track=track, inspection=inspection if place else None)
        file = make(StoredFile, media_type="image/png", sha256=f"{defect.pk:064d}")
        make(FileAttachment, file=file, record_type="DEFECT", record_id=defect.pk)
        for passed in ({"unit": unit, "track": track}, {"carrier_track": carrier_track}):
            where = {**passed, "received_at": at, "collected_at": at, "spec": plant.peak, "record_id": record.pk}
            for name in ("value_number", "value_text", "value_boolean", "value_json"):
                others = dict.fromkeys({"value_number", "value_text", "value_boolean", "value_json"} - {name})
                make(DataValue, **{**where, **others})
        whole = {"scope": "GLOBAL", "scope_value": "", "route_operation_kinds": []}
        rule = make(TimeRuleDefinition, warning_minutes=0, min_minutes=None, action="NOTIFY", **whole)
        make(TimeRuleInstance, definition=rule, started_at=at, **clock)
        waiver = make(ReadinessWaiver, run=run)
        check = make(ReadinessCheck, run=run, is_authorization=True, status="PASSED")
        make(ReadinessItem, check_made=check, status="WAIVED", waiver=waiver)
        make(ReadinessItem, check_made=check, status="PASSED", code="", waiver=None)


def check_same(row: Any, thing: Any) -> None:
    """Compare each field of a struct, and what templates call, with the model's."""
    for name in row.__struct_fields__:
        read, kept = getattr(row, name), getattr(thing, name)
        if isinstance(read, msgspec.Struct):
            check_same(read, kept)
        elif isinstance(kept, models.Manager):
            check_all(read, kept.order_by("id"))
        else:
            assert read == kept, name
    for name in dir(row):
        if name.startswith("get_") and name.endswith("_display"):
            assert getattr(row, name)() == getattr(thing, name)()


def check_all(rows: Sequence[Any], things: Iterable[Any]) -> None:
    assert [row.id for row in rows if hasattr(row, "id")] == [thing.pk for thing in things if hasattr(rows[0], "id")]
    for row, thing in zip(rows, things, strict=True):
        check_same(row, thing)


def test_every_field_of_every_row_is_read(plant: Plant) -> None:
    unit, other, *_others = plant.units
    for each in (other, unit):
        make_rows(plant, each)
    rows = read_unit(unit.sn)
    check_all(rows.tracks, Track.objects.filter(unit=unit).order_by("id"))
    check_all(rows.records, DeviceDataRecord.objects.filter(unit=unit).order_by("id"))
    check_all(rows.dispositions, Disposition.objects.filter(unit=unit).order_by("id"))
    check_all(rows.holds, HeldUnit.objects.filter(unit=unit).order_by("id"))
    check_all(rows.moves, UnitMove.objects.filter(unit=unit).order_by("id"))
    applied = IngestEventUnit.objects.filter(unit_id=unit.pk).values("event_id")
    about = Disposition.objects.filter(unit=unit, about_event_id__isnull=False).values("about_event_id")
    settled = SettledIngestEvent.objects.filter(Q(pk__in=applied) | Q(pk__in=about)).order_by("id")
    opened = OpenIngestEvent.objects.filter(Q(blocked_unit_id=unit.pk) | Q(sns__contains=[unit.sn])).order_by("id")
    assert (len(settled), len(opened)) == (3, 2)
    check_all(rows.events, [*settled, *opened])
    check_all(rows.loads, CarrierLoad.objects.filter(unit=unit).order_by("id"))
    check_all(rows.carrier_passes, CarrierTrackUnit.objects.filter(track__unit=unit).order_by("id"))
    check_all(rows.clocks, TimeRuleInstance.objects.filter(entity_id=unit.sn).order_by("started_at"))
    check_all(rows.inspections, InspectionResult.objects.filter(track__unit=unit).order_by("id"))
    none = Value(None, output_field=CharField())  # no code of these is one of the tree
    defects = list(Defect.objects.filter(unit=unit).annotate(category=none).order_by("id"))
    attach("DEFECT", defects)
    check_all(rows.defects, defects)
    assert [len(defect.files) for defect in rows.defects] == [1, 1]
    check_all(rows.values, DataValue.objects.filter(unit=unit).order_by("collected_at", "id"))
    carried = DataValue.objects.filter(carrier_track__unit_tracks__track__unit=unit).order_by("collected_at", "id")
    check_all(rows.carrier_values, carried)
    assert (len(rows.values), len(rows.carrier_values), len(rows.clocks), len(rows.inspections)) == (8, 8, 2, 2)
    check_same(rows.check, ReadinessCheck.objects.order_by("-id")[0])


def test_the_unit_comes_with_what_it_belongs_to(plant: Plant, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        unit = read_unit("SN-1").unit
    kept = Unit.objects.select_related("work_order", "run__line", "run__route_version__routing").get(sn="SN-1")
    for name in [field.attname for field in Unit._meta.concrete_fields]:
        assert getattr(unit, name) == getattr(kept, name), name
    for name in [field.attname for field in Run._meta.concrete_fields]:
        assert getattr(unit.run, name) == getattr(kept.run, name), name
    with django_assert_num_queries(0):
        assert unit.run is not None and kept.run is not None
        assert (unit.work_order.wo_no, unit.work_order.product_code) == (kept.work_order.wo_no, "BOARD-1")
        version, routing = unit.run.route_version, unit.run.route_version.routing
        assert (version.version_no, version.compiled_at) == (1, kept.run.route_version.compiled_at)
        assert (version.digest, unit.run.line.code) == (kept.run.route_version.digest, kept.run.line.code)
        assert (routing.code, routing.name) == (
            kept.run.route_version.routing.code,
            kept.run.route_version.routing.name,
        )


def test_what_the_run_was_checked_for_since_plays_no_part(plant: Plant) -> None:
    authorizing = make(ReadinessCheck, run=plant.run, is_authorization=True, status="PASSED")
    later = make(ReadinessCheck, run=plant.run, is_authorization=False, status="FAILED")
    assert plant.run.authorized_at is not None
    assert getattr(read_unit("SN-1").check, "id", None) == authorizing.pk
    plant.run.authorized_at = None
    plant.run.save()
    assert getattr(read_unit("SN-1").check, "id", None) == later.pk


def test_values_from_before_the_unit_are_not_looked_for(plant: Plant) -> None:
    unit = plant.units[0]
    others = dict.fromkeys(("value_text", "value_boolean", "value_json"))
    for hours in (23, 25):
        make(DataValue, unit=unit, spec=plant.peak, received_at=unit.created_at - timedelta(hours=hours), **others)
    assert len(read_unit(unit.sn).values) == 1


@pytest.mark.parametrize("is_applied", [True, False])
def test_events_from_long_before_the_unit_are_found(plant: Plant, is_applied: bool) -> None:
    unit, long_ago = plant.units[0], timezone.now() - timedelta(days=400)
    recent, old = (
        make(SettledIngestEvent, run=plant.run, received_at=at, station=None) for at in (timezone.now(), long_ago)
    )
    for event in (recent, old) if is_applied else (recent,):
        IngestEventUnit.objects.create(received_at=event.received_at, unit_id=unit.pk, event_id=event.pk)
    if not is_applied:
        make(Disposition, unit=unit, run=plant.run, about_event_id=old.pk)
    check_all(read_unit(unit.sn).events, [recent, old])


def test_months_that_hold_nothing_of_the_unit_are_left_alone(plant: Plant) -> None:
    unit, now = plant.units[0], timezone.now()
    months = {name for day, name in list_months("integration_devicedatarecord").items() if day <= now.date()}
    assert months <= partitions_read(unit)
    Unit.objects.filter(pk=unit.pk).update(created_at=now + timedelta(days=40))
    make_event_of(unit, now + timedelta(days=40))
    read = partitions_read(unit)
    assert {name for name in read if name.startswith("execution_datavalue")}
    for table in ("execution_datavalue", "integration_devicedatarecord", "ingest_settledingestevent"):
        assert not {name for day, name in list_months(table).items() if day <= now.date()} & read


def make_event_of(unit: Unit, at: datetime) -> None:
    event = make(SettledIngestEvent, run=unit.run, received_at=at, station=None)
    IngestEventUnit.objects.create(received_at=at, unit_id=unit.pk, event_id=event.pk)


def partitions_read(unit: Unit) -> set[str]:
    """Return the relations that stand in the plans of what is read once the unit is known."""
    ran: list[tuple[str, Sequence[Any]]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        ran.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        read_unit(unit.sn)
    plans = [connection.fetch_prepared(f"EXPLAIN {sql}", params) for sql, params in ran[1:]]
    return {word for plan in plans for (line,) in plan for word in line.split()}
