"""A database of the version before is taken over: everything in it still works, as it worked there.

`before.sql.xz` was made by the old code, `before.json.xz` is what that answered (`make_dump.py`). Each case has a copy
of the upgraded database for itself. The clock stands where the old code was stopped.
"""

import json
import pydoc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client, TestCase
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from pytest_django import DjangoDbBlocker

from integration.outbound import delivery
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit, WorkOrder
from mes.routing import snapshots
from mes.routing.models import RouteVersion
from tests.upgrade import answers, cases, databases, differences, installation, schema
from tests.upgrade.clock import Clock
from tests.upgrade.history import erp

pytestmark = pytest.mark.django_db  # of the upgraded database: the module's fixture comes first

REPORTED = ("mes_equipment", "mes_maintenancetask", "mes_solderpastelot", "mes_stencil", "execution_inspectionresult")
RENAMED = {"mes_solderpastelot": "mes_materiallot", "mes_stencil": "mes_tool"}
RENAMED_FIELDS = {  # as they are called now
    "mes_solderpastelot": {"status": "paste_status"},
    "mes_stencil": {"last_cleaned_at": "serviced_at"},
}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """What the old code answered."""
    return answers.read_answers()


@dataclass
class Upgrade:
    """What is known of the upgraded database, of the old one before, and of a new one."""

    clock: Clock
    name: str
    fresh: str
    todo: list[Any]
    sources: dict[str, list[Any]]
    queued: list[dict[str, Any]]
    sequences: list[tuple[Any, ...]] = field(default_factory=list)

    def last_ids(self) -> dict[str, int]:
        """Return the last ids that the old code gave."""
        last = {name: number for name, number, _is_used in self.sequences}
        return {"event": last["ingest_settledingestevent_id_seq"], "track": last["execution_track_id_seq"]}


@pytest.fixture(scope="module")
def upgrade(django_db_setup: None, django_db_blocker: DjangoDbBlocker, record: dict[str, Any]) -> Iterator[Upgrade]:
    """The old database, loaded and migrated."""
    with django_db_blocker.unblock(), Clock().in_use() as clock, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conf, "SECRET_KEY", installation.SECRET_KEY)
        fresh = str(connection.settings_dict["NAME"])
        clock.stop(datetime.fromisoformat(record["at"]))
        with databases.loaded(installation.DUMP) as name:
            executor = MigrationExecutor(connection)
            todo = executor.migration_plan(executor.loader.graph.leaf_nodes())
            queued = [queued.task for queued in OrmQ.objects.all()]
            upgrade = Upgrade(clock, name, fresh, todo, read_old_sources(), queued)
            call_command("migrate", verbosity=0)
            upgrade.sequences = read_sequences()
            yield upgrade


@pytest.fixture
def upgraded(upgrade: Upgrade, db: None, record: dict[str, Any]) -> Iterator[Upgrade]:
    """The upgraded database as it is; what a test does to it is undone. The clock stands where the old code stopped."""
    upgrade.clock.stop(datetime.fromisoformat(record["at"]))
    yield upgrade
    with connection.cursor() as cursor:  # no rollback gives their numbers back
        cursor.executemany("SELECT setval(%s, %s, %s)", upgrade.sequences)


@pytest.fixture
def erp_listens(settings: Any) -> Iterator[None]:
    """An ERP that takes everything."""
    with erp.running() as address:
        settings.MES_ERP_URL, settings.MES_ERP_SECRET = address, "secret of the dump"
        delivery.pause.end()
        yield
        delivery.pause.end()


def read_old_sources() -> dict[str, list[Any]]:
    """Return which report each field of reported things came from, by table as it was called, fields as they are."""
    found = _read_sources("told", {})
    for table, names in RENAMED_FIELDS.items():
        found[table] = [(at, {names.get(name, name): it for name, it in told.items()}) for at, told in found[table]]
    return found


def read_sources() -> dict[str, list[Any]]:
    """Return the same of the upgraded database."""
    return _read_sources("field_sources", RENAMED)


def _read_sources(column: str, renamed: Mapping[str, str]) -> dict[str, list[Any]]:
    with connection.cursor() as cursor:
        found = {}
        for table in REPORTED:
            cursor.execute(f"SELECT id, {column}::text FROM {renamed.get(table, table)} ORDER BY id")
            found[table] = [(number, json.loads(told)) for number, told in cursor.fetchall()]
        return found


def read_sequences() -> list[tuple[Any, ...]]:
    """Return where the sequences are, as `setval` takes it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(sequencename), coalesce(last_value, start_value), last_value IS NOT NULL"
            " FROM pg_sequences"
        )
        return list(cursor.fetchall())


# --- the database -------------------------------------------------------------------------------------------


def test_the_database_is_migrated(upgraded: Upgrade) -> None:
    assert upgraded.todo, "The dump is of this very version: make it of the one before."
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
    call_command("migrate", verbosity=0)
    assert read_sources() == upgraded.sources
    assert all(any(sources for _id, sources in rows) for rows in upgraded.sources.values())


def test_what_was_held_is_held_by_a_case_for_each_reason(upgraded: Upgrade) -> None:
    held = Unit.objects.filter(status="ON_HOLD").prefetch_related("held_units__hold")
    assert len(held) > 1
    for unit in held:
        cases = [row.hold for row in sorted(unit.held_units.all(), key=lambda row: row.pk)]
        assert cases and all((case.scope, case.status) == ("UNITS", "OPEN") for case in cases)
        assert " · ".join(case.reason for case in cases)[:500] == unit.hold_reason
    assert set(HeldUnit.objects.values_list("unit", flat=True)) == {unit.pk for unit in held}
    assert {"PERSON", "REPORT", "DATA"} >= set(Hold.objects.filter(scope="UNITS").values_list("source", flat=True))


@pytest.mark.parametrize("kind", schema.KINDS)
def test_its_schema_is_that_of_a_new_one(kind: str, upgraded: Upgrade) -> None:
    assert schema.read_used(kind) == schema.read(kind, upgraded.fresh)


def test_every_frozen_version_loads_and_keeps_its_digest(upgraded: Upgrade) -> None:
    assert load_versions() == {"READY", "INVALID"}


def load_versions() -> set[str]:
    """Load every frozen version and hold it against its digest; return which statuses there are."""
    versions = list(RouteVersion.objects.order_by("pk"))
    for version in versions:
        snapshot = snapshots.load(version_id=version.pk, digest=version.digest)
        document = snapshots.to_document(snapshot)
        assert document == version.snapshot, version
        assert snapshots.digest_of(document, version.errors) == version.digest, version
    return {version.status for version in versions}


def test_what_the_worker_calls_is_there(upgraded: Upgrade) -> None:
    """What was queued under a name of before would fail for ever; what is still there is done."""
    assert not all(callable(pydoc.locate(task["func"])) for task in upgraded.queued)
    schedules = list(Schedule.objects.all())
    assert {schedule.name for schedule in schedules} >= {
        "tick",
        "time rules",
        "partitions",
        "retention",
        "ingest waiting",
    }
    assert all(callable(pydoc.locate(schedule.func)) for schedule in schedules)
    for queued in OrmQ.objects.all():
        pydoc.locate(queued.task["func"])(*queued.task["args"], **queued.task["kwargs"])  # type: ignore[operator]


def test_nothing_old_raises_an_alarm(upgraded: Upgrade) -> None:
    """Results of tasks under names of before, and what the old worker left."""
    state = Client().get("/readyz").json()
    assert (state["checks"]["migrations"]["ok"], state["warnings"]) == (True, [])
    assert answers.page_client().get("/operations/").status_code == 200


def test_people_sign_in_as_before(upgraded: Upgrade, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    assert authenticate(username="quality", password=installation.PASSWORD) is not None


# --- what it answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["api", "pages"])
def test_it_answers_as_before(kind: str, upgraded: Upgrade, record: dict[str, Any]) -> None:
    client, pages = answers.api_client(record["tokens"]["admin"]), answers.page_client()
    wrong = []
    for address, expected in record["asked"].items():
        if address.startswith("/api/") == (kind == "api"):
            answer = answers.of_api(client.get(address)) if kind == "api" else answers.of_page(pages.get(address))
            wrong += find_differences(address, differences.reworded(expected), answer)
    assert not wrong, "\n".join(wrong)


def find_differences(name: str, old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Yield where two answers differ, but for what is told."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted((old.keys() | new.keys()) - (differences.ADDED.keys() - old.keys())):
            yield from find_differences(name, old.get(key, "(none)"), new.get(key, "(none)"), f"{place}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from find_differences(name, before, now, f"{place}.{number}")
    elif old == [] and isinstance(new, list) and place.rpartition(".")[2] in differences.FILLED:
        return
    elif old != new and not differences.is_told(name, place):
        yield f"{name} {place}: {old!r} → {new!r}"[:600]


def test_a_field_may_be_added_where_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(differences.ADDED, "note", "for the operator")
    assert list(find_differences("/", {"items": [{}]}, {"items": [{"note": "", "other": 1}]})) == [
        "/ .items.0.other: '(none)' → 1"
    ]
    assert list(find_differences("/", {"note": "x"}, {})), "what was there stays"


# --- what becomes of it -------------------------------------------------------------------------------------


@pytest.fixture
def actor(upgraded: Upgrade, record: dict[str, Any], erp_listens: None) -> cases.Actor:
    """Acts on the upgraded database."""
    committing = partial(TestCase.captureOnCommitCallbacks, execute=True)
    return cases.Actor(upgraded.clock, record["tokens"], record["sent"], committing)


@pytest.mark.parametrize("name", cases.CASES)
def test_it_goes_on_as_before(name: str, actor: cases.Actor, record: dict[str, Any], upgraded: Upgrade) -> None:
    cases.CASES[name](actor)
    wrong, old_ids, new_ids = [], answers.NewIds(**upgraded.last_ids()), answers.NewIds(**upgraded.last_ids())
    for number, (old, new) in enumerate(zip(record["acted"][name], actor.answers, strict=True)):
        before, now = old_ids.named(differences.reworded(without_messages(old))), new_ids.named(without_messages(new))
        wrong += find_differences(name, before, now, f" {number} {old['asked']}")
    assert not wrong, "\n".join(wrong)


def without_messages(value: Any) -> Any:
    """Return an answer without what its errors say to people: codes and details are promised, words are not."""
    if isinstance(value, dict):
        is_error = "code" in value and "message" in value
        return {name: without_messages(inner) for name, inner in value.items() if not (is_error and name == "message")}
    return [without_messages(inner) for inner in value] if isinstance(value, list) else value


# --- what is mended -----------------------------------------------------------------------------------------


def test_runs_go_on_with_mappings_that_are_no_longer_accepted(actor: cases.Actor) -> None:
    compiled = actor.post("routes/STRANGE/compile")
    assert (compiled["versionNo"], compiled["status"]) == (2, "INVALID")
    assert {(error["stepNo"], error["code"]) for error in compiled["errors"]} == {
        (step_no, "INGEST_MAPPING_INVALID") for step_no in (20, 30, 40)
    }
    cases.strange_mappings_hinder_nobody_else(actor)
    WorkOrder.objects.filter(wo_no="WO-STRANGE").update(overrun_percent=100)  # its run is for all of it
    actor.post("work-orders/WO-STRANGE/runs", {"lineCode": "SMT-1", "planQty": 1, "runNo": "STRANGE-AFTER"})
    assert actor.look("runs/STRANGE-AFTER")["routeVersion"]["versionNo"] == 1


def test_the_event_whose_unit_was_sent_back_expires_and_so_do_the_others(actor: cases.Actor) -> None:
    cases.a_waiting_event_whose_unit_was_sent_back_expires(actor)
    assert actor.look(f"{cases.EVENTS}?status=WAITING")["items"] == []
    [expired, _applied] = actor.look(f"{cases.EVENTS}?sn=T-1")["items"]
    assert (expired["status"], expired["error"]["code"]) == ("REJECTED", "STEP_MISMATCH")
    assert expired["error"]["details"]["waitedSeconds"] == 4 * 3600, "what was told when it began to wait"


def test_the_carrier_is_free_of_its_scrapped_unit(actor: cases.Actor) -> None:
    [scrapped] = [load for load in actor.look("trace/carriers/TRAY-1")["carrierLoads"] if load["sn"] == "S-2"]
    assert scrapped["unloadedAt"] is not None
    applied = actor.post(f"{actor.find_event(tray='TRAY-1')}/replay")
    assert (applied["status"], len(applied["trackIds"])) == ("APPLIED", 2)
    assert (actor.status_of("S-1"), actor.status_of("S-2")) == (("QUEUED", 30), ("SCRAPPED", 20))


def test_what_an_applied_event_left_out_before_is_open_work(actor: cases.Actor) -> None:
    [cause] = actor.look(f"{cases.EVENTS}/causes?status=APPLIED")["items"]
    address = actor.find_event(carrier="PALLET-PART")
    assert (cause["code"], f"{cases.EVENTS}/{cause['exampleId']}") == ("UNIT_ON_HOLD", address)
    dismissed = actor.post(f"{address}/dismiss", {"reason": "thrown away"})
    assert (dismissed["status"], dismissed["note"]["reason"]) == ("APPLIED", "thrown away")
    assert actor.look(f"{cases.EVENTS}/causes?status=APPLIED")["items"] == []
