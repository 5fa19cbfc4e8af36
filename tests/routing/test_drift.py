"""Drift: every change of a source is looked at once it is committed, and a look that dies loses nothing."""

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.production.engineer_work import find_older
from mes.production.models import Run, RunStatus
from mes.routing import drift, engineer_work
from mes.routing.compilation import compile_route, compose
from mes.routing.drift_models import DriftPosition, RouteDrift
from mes.routing.models import RouteExecutionConfig, Routing
from mes.routing.preview import compare_with_live
from tests import databases
from tests.factories import (
    Plant,
    make_config,
    make_group,
    make_operation,
    make_plant,
    make_route,
    make_spec,
    make_station,
    make_user,
)


def is_right(routing: Routing) -> bool:
    """Whether the row of a route tells what differs now."""
    row = RouteDrift.objects.get(routing=routing)
    latest = routing.versions.order_by("-version_no").first()
    differences = [] if latest is None else compare_with_live(latest, compose(routing))
    texts = [each.text for each in differences[: drift.KEPT]]
    told = (row.count, row.differences, row.version_no, row.due_since)
    return told == (len(differences), texts, latest and latest.version_no, None)


def tighten(plant: Plant, usl: float = 248) -> None:
    plant.peak.usl = usl
    plant.peak.save()


# --- with commits ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_row_tells_what_differs_and_only_changed_routes_are_looked_at() -> None:
    plant = make_plant()
    other = make_route("OTHER", steps=[(10, "AOI")])
    make_config(other, station_group=make_group("PRINTERS"))
    compile_route(code="OTHER")
    drift.look()
    assert is_right(plant.routing)
    assert is_right(other)
    drift.look()  # the entries of the first look's own time
    assert drift.look() == 0
    tighten(plant)
    assert drift.look() == 1
    row = RouteDrift.objects.get(routing=plant.routing)
    assert (row.count, row.differences) == (1, ["Step 20: Peak Temperature, upper limit 250 → 248 °C"])
    assert row.drifted_at is not None
    assert is_right(plant.routing)
    compile_route(code="ROUTE-1")
    assert drift.look() == 1
    assert is_right(plant.routing)
    assert RouteDrift.objects.get(routing=plant.routing).drifted_at is None
    make_config(retest_limit=3)  # everywhere
    assert drift.look() == 2
    assert is_right(plant.routing)
    assert is_right(other)


@pytest.mark.django_db
def test_what_is_open_in_another_database_of_the_server_holds_nothing_back() -> None:
    number = "SELECT pg_current_xact_id()::text::bigint"
    elsewhere = databases.url_of("postgres")
    with psycopg.connect(elsewhere) as open_one, psycopg.connect(elsewhere, autocommit=True) as later:
        [begun] = open_one.execute(number).fetchone() or ()
        later.execute(number)
        oldest, next_one = drift._read_horizon()
    assert begun < oldest <= next_one


@pytest.mark.parametrize(
    ("told", "next_one", "whole"),
    [(7, 9, 7), (11, 9, 11), (2**32 - 1, 2**32 + 5, 2**32 - 1), (3, 2**33 + 9, 2**33 + 3), (2, 2**32 - 2, 2**32 + 2)],
)
def test_the_epoch_of_a_transaction(told: int, next_one: int, whole: int) -> None:
    assert drift._whole(told, next_one) == whole


@pytest.mark.django_db(transaction=True)
def test_what_commits_late_is_not_passed_over(monkeypatch: Any) -> None:
    """A transaction that began before a look, and ends after it, has smaller ids than what the look has read."""
    plant = make_plant()
    drift.look()
    drift.look()
    wrote, may_commit = threading.Event(), threading.Event()

    def change_slowly() -> None:
        try:
            with transaction.atomic():
                tighten(plant)
                wrote.set()
                may_commit.wait(20)
        finally:
            connections.close_all()

    late = threading.Thread(target=change_slowly)
    late.start()
    assert wrote.wait(20)
    make_operation("NEW")  # a larger id, committed first
    try:
        assert drift.look() == 0
    finally:
        may_commit.set()
        late.join()
    assert drift.look() == 1
    assert is_right(plant.routing)
    control = AuditEntry.objects.order_by("-id").values_list("entity", flat=True)[:2]
    assert list(control) == ["operations", "data-collection-specs"]  # by ids alone, it would have been passed over


@pytest.mark.django_db(transaction=True)
def test_a_look_that_dies_loses_nothing(monkeypatch: Any) -> None:
    plant = make_plant()
    drift.look()
    drift.look()
    tighten(plant)
    before = DriftPosition.objects.get().transaction

    def die(*_given: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as broken, pytest.raises(SystemExit):  # between the marks and the position
        broken.setattr(DriftPosition, "save", die)
        drift.look()
    assert DriftPosition.objects.get().transaction == before
    with monkeypatch.context() as broken, pytest.raises(SystemExit):  # between the position and the comparison
        broken.setattr(drift, "compare_with_live", die)
        drift.look()
    assert DriftPosition.objects.get().transaction > before
    assert RouteDrift.objects.get(routing=plant.routing).due_since is not None
    assert drift.look() == 1
    assert is_right(plant.routing)


@pytest.mark.django_db(transaction=True)
def test_much_is_read_by_pages_and_looked_at_a_part_at_a_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(drift, "PAGE", 3)
    monkeypatch.setattr(drift, "MOST_PAGES", 2)
    monkeypatch.setattr(drift, "MOST_LOOKS", 1)
    plant = make_plant()
    while drift.look():
        pass
    for number in range(9):
        make_spec(plant.peak.operation, f"Spec {number}")
    make_spec(plant.reflow if hasattr(plant, "reflow") else plant.peak.operation, "Last")
    for _number in range(4):
        drift.look()
    assert is_right(plant.routing)
    assert RouteDrift.objects.get(routing=plant.routing).count == 10


@pytest.mark.django_db(transaction=True)
def test_a_bad_route_stops_no_other(monkeypatch: Any) -> None:
    good = [make_route(code, steps=[]) for code in ("A", "B", "C")]
    drift.mark_changed()

    def fail_for_b(routing: Routing) -> Any:
        if routing.code == "B":
            raise ValueError("broken")
        return compose(routing)

    monkeypatch.setattr(drift, "compose", fail_for_b)
    with pytest.raises(Exception, match="broken"):
        drift.look()
    looked = RouteDrift.objects.filter(due_since=None).values_list("routing__code", flat=True)
    assert sorted(looked) == ["A", "C"]
    assert len(good) == 3


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_all_are_looked_at() -> None:
    plant = make_plant()
    while drift.look():
        pass
    DriftPosition.objects.update(transaction=2**62)  # of another server, which had counted further
    assert drift.look() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        assert DriftPosition.objects.get().transaction < cursor.fetchone()[0]
    assert is_right(plant.routing)


# --- which routes an entry is about ---------------------------------------------------------------------------


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def since(entry_id: int) -> set[str]:
    entries = AuditEntry.objects.filter(id__gt=entry_id).order_by("id").values(*drift._FIELDS)
    return set(Routing.objects.filter(pk__in=drift.find_routes(entries)).values_list("code", flat=True))


def now_at() -> int:
    return AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0


def test_each_source_leads_to_its_routes(plant: Plant) -> None:
    make_route("OTHER", steps=[(10, "AOI")])
    group, station = make_group("G"), make_station("S-1")
    own = make_config(plant.routing, step_no=10, station_group=group, allowed_station_codes=["S-1"])
    operation = make_operation("REFLOW")
    wide = make_config(operation=operation, retest_limit=1)
    everywhere = make_config(retest_limit=2)

    def touched(change: Any) -> set[str]:
        before = now_at()
        change()
        return since(before)

    def rename(thing: Any) -> Any:
        def save() -> None:
            thing.name = f"{thing.name} anew"
            thing.save()

        return save

    one, both = {"ROUTE-1"}, {"ROUTE-1", "OTHER"}
    assert touched(lambda: tighten(plant)) == one
    assert touched(rename(operation)) == one
    assert touched(rename(plant.routing)) == one
    assert touched(rename(group)) == one
    assert touched(rename(station)) == set()  # only whether it is there counts
    assert touched(station.delete) == one
    assert touched(lambda: plant.routing.steps.all().first().delete()) == one
    assert touched(lambda: RouteExecutionConfig.objects.filter(pk=own.pk).update(retest_limit=5)) == one
    assert touched(lambda: RouteExecutionConfig.objects.filter(pk=wide.pk).update(retest_limit=5)) == one
    assert touched(wide.delete) == one
    assert touched(lambda: RouteExecutionConfig.objects.filter(pk=everywhere.pk).update(retest_limit=5)) == both
    assert touched(everywhere.delete) == both
    assert touched(lambda: make_operation("UNUSED")) == set()
    assert touched(lambda: Run.objects.update(status=RunStatus.PREP)) == set()


def test_what_was_long_not_looked_at_is_looked_at_whatever_the_audit_says(plant: Plant) -> None:
    RouteDrift.objects.create(routing=plant.routing, looked_at=timezone.now() - timedelta(days=2))
    assert drift._list_due() == [plant.routing.pk]
    assert drift.look_at(plant.routing.pk)
    assert drift._list_due() == []


# --- where it shows -------------------------------------------------------------------------------------------


def test_lists_and_the_home_read_the_row(plant: Plant, django_assert_num_queries: Any) -> None:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    RouteDrift.objects.create(
        routing=plant.routing, version_no=1, count=2, differences=["Step 20: one", "two"], drifted_at=timezone.now()
    )
    page = client.get(reverse("admin:mes_routing_changelist")).content.decode()
    assert "2 differences" in page
    with django_assert_num_queries(1):
        found = engineer_work.find_drifted()
    assert (found.count, found.entries[0].name, found.entries[0].why) == (1, "ROUTE-1", "2 differences. Step 20: one")
    tighten(plant)
    compile_route(code="ROUTE-1")  # the row is of the version before
    assert engineer_work.find_drifted().count == 0
    assert "2 differences" not in client.get(reverse("admin:mes_routing_changelist")).content.decode()


def test_routes_that_cannot_be_used_and_runs_of_older_versions_wait_for_an_engineer(
    plant: Plant, django_assert_num_queries: Any
) -> None:
    assert engineer_work.find_invalid().count == find_older().count == 0
    Run.objects.update(status=RunStatus.PREP)
    tighten(plant)
    compile_route(code="ROUTE-1")
    RouteExecutionConfig.objects.update(data_spec_names=["Nothing"])
    compile_route(code="ROUTE-1")
    with django_assert_num_queries(2):
        invalid, older = engineer_work.find_invalid(), find_older()
    assert (invalid.count, invalid.entries[0].name) == (1, "ROUTE-1")
    assert (older.count, older.entries[0].name) == (1, "RUN-1")
    assert older.entries[0].why == "Version 2 is newer than its version 1."
    assert older.oldest is not None
    Routing.objects.update(is_active=False)
    assert engineer_work.find_invalid().count == 0
