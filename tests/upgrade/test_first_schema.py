"""A database of the first schema there was is taken over: it shows what it showed, what was open goes on to its end.

`first.sql.xz` was made by the code of that time, `first.json.xz` is what that answered (`make_dump.py --first`).
Whoever skipped every release in between upgrades like this.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client, TestCase
from django_q.models import Schedule
from pytest_django import DjangoDbBlocker

from execution.models import DataValue
from integration.models import FailedMessage
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.production.models import Run, Unit
from tests.upgrade import answers, cases, databases, installation, schema
from tests.upgrade.clock import Clock
from tests.upgrade.test_upgrade import load_versions

pytestmark = pytest.mark.django_db  # of the upgraded database: the module's fixture comes first

RUN, VOLTS = "OPEN", [{"specName": "Supply Voltage", "valueNumber": 3.3}]
# What is shown otherwise by intent, by the end of its place, with the reason.
CHANGED: dict[str, str] = {}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """What the first code answered."""
    return answers.read_answers(installation.FIRST_RECORD)


@pytest.fixture(scope="module")
def upgrade(django_db_setup: None, django_db_blocker: DjangoDbBlocker, record: dict[str, Any]) -> Iterator[Any]:
    """The first database, loaded and migrated: how many migrations that took, its clock, the name of a new database."""
    with django_db_blocker.unblock(), Clock().in_use() as clock:
        fresh = str(connection.settings_dict["NAME"])
        clock.stop(datetime.fromisoformat(record["at"]))
        with databases.loaded(installation.FIRST_DUMP):
            executor = MigrationExecutor(connection)
            todo = executor.migration_plan(executor.loader.graph.leaf_nodes())
            call_command("migrate", verbosity=0)
            yield len(todo), clock, fresh


@pytest.fixture
def actor(upgrade: Any, db: None, record: dict[str, Any]) -> cases.Actor:
    """Acts on the upgraded database; what a test does is undone."""
    _count, clock, _fresh = upgrade
    committing = partial(TestCase.captureOnCommitCallbacks, execute=True)
    return cases.Actor(clock, record["tokens"], record["sent"], committing)


@pytest.mark.parametrize("kind", schema.KINDS)
def test_it_is_migrated_to_the_schema_of_a_new_one(kind: str, upgrade: Any, db: None) -> None:
    count, _clock, fresh = upgrade
    assert count >= 24, "The dump is not of the first schema."
    assert schema.read_used(kind) == schema.read(kind, fresh)


def test_every_version_of_then_loads_and_keeps_its_digest(upgrade: Any, db: None) -> None:
    assert load_versions() == {"READY", "INVALID"}


def test_everything_is_shown_that_was_shown(actor: cases.Actor, record: dict[str, Any]) -> None:
    """Fields may have been added since; each that there was has its value."""
    client = answers.api_client(record["tokens"]["admin"])
    wrong = []
    for address, old in record["asked"].items():
        wrong += list(find_lost(old, answers.of_api(client.get(address)), address))
    assert not wrong, "\n".join(wrong)


def find_lost(old: Any, new: Any, place: str) -> Iterator[str]:
    """Yield where an answer lacks what an old one had."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            yield from find_lost(value, new.get(key, "(none)"), f"{place} .{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from find_lost(before, now, f"{place} .{number}")
    elif old != new and not any(place.endswith(end) for end in CHANGED):
        yield f"{place}: {old!r} → {new!r}"[:400]


def test_every_page_of_it_answers(actor: cases.Actor) -> None:
    person = User.objects.create_user("looker")
    person.groups.add(Group.objects.get(name=Role.ADMIN.group_name))
    pages = Client()
    pages.force_login(person)
    addresses = ["/", "/trace/", "/operations/", "/ingest/events/", "/readiness/", "/clocks/", "/admin/"]
    addresses += [f"/trace/units/{sn}/" for sn in Unit.objects.values_list("sn", flat=True)]
    for run_no in Run.objects.values_list("run_no", flat=True):
        addresses += [f"/trace/runs/{run_no}/", f"/readiness/runs/{run_no}/"]
    assert len(addresses) > 20
    assert {address: pages.get(address, follow=True).status_code for address in addresses} == dict.fromkeys(
        addresses, 200
    )


def test_what_was_sent_then_is_recognised_and_what_failed_can_be_replayed(actor: cases.Actor) -> None:
    values = DataValue.objects.count()
    for message in actor.sent:
        if not message["code"]:
            by, name = ("line", "duplicate") if message["address"] == cases.EVENTS else ("oven", "isDuplicate")
            assert actor.post(message["address"], message["body"], by=by)[name] is True
    assert DataValue.objects.count() == values
    actor.post("stations/H-REF-1/track-in", {"runNo": RUN, "sn": "O-QUEUED"})
    [early] = [message for message in FailedMessage.objects.all() if message.error_code == "TRACK_NOT_FOUND"]
    actor.post(f"{cases.MESSAGES}/{early.pk}/replay")
    assert DataValue.objects.count() == values + 1
    assert not FailedMessage.objects.filter(pk=early.pk).exists()


def test_the_run_that_was_open_goes_on_to_its_end(actor: cases.Actor) -> None:
    """Each unit from where the first code left it; then the run is closed, and what was pending is worked off."""
    for sn in ("O-ALARM", "O-HELD"):
        actor.post(f"units/{sn}/release", {"reason": "looked at"})
    for sn in ("O-ALARM", "O-IN"):
        _leave(actor, "H-REF-1", sn)
    assert actor.status_of("O-ALARM") == ("OUT_FAILED", 20), "the old value still counts"
    for sn in ("O-ALARM", "O-FAILED"):
        actor.post(f"units/{sn}/rework", {"reason": "once more", "toStepNo": 20})
    _pass(actor, "PRN-1", "O-REWORKED")
    for sn in ("O-QUEUED", "O-ALARM", "O-FAILED", "O-REWORKED"):
        _pass(actor, "H-REF-1", sn, reading=246.0)
    for sn in ("O-QUEUED", "O-ALARM", "O-FAILED", "O-REWORKED", "O-IN", "O-HELD"):
        _pass(actor, "TST-1", sn, data=VOLTS)
        assert actor.status_of(sn)[0] == "DONE"
    closed = actor.post(f"runs/{RUN}/close", {"reason": "all made"})
    assert (closed["status"], closed["notMade"]) == ("COMPLETED", ["O-NEVER"])
    assert MesEvent.objects.filter(status=EventStatus.PENDING).exists()
    actor.call("tick")
    assert not MesEvent.objects.exclude(status=EventStatus.COMPLETED).exists()


def test_the_machine_event_that_waited_is_applied_after_the_one_it_waited_for(actor: cases.Actor) -> None:
    by_key = {event["dedupeKey"]: event["status"] for event in actor.list(f"{cases.EVENTS}?pageSize=200")}
    assert by_key == {"mark-done": "APPLIED", "pack-done": "APPLIED", "pack-waits": "WAITING", "nobody": "REJECTED"}
    waited = next(message["body"] for message in actor.sent if message["body"].get("dedupeKey") == "pack-waits")
    before = {**waited, "dedupeKey": "mark-waited", "payload": {**waited["payload"], "machine": "MARK-1"}}
    assert actor.post(cases.EVENTS, before, by="line")["status"] == "APPLIED"
    assert actor.status_of("A-WAITED")[0] == "DONE"
    assert actor.post(cases.EVENTS, waited, by="line")["status"] == "APPLIED"


def _pass(actor: cases.Actor, station: str, sn: str, reading: float | None = None, **more: Any) -> None:
    actor.post(f"stations/{station}/track-in", {"runNo": RUN, "sn": sn})
    if reading is not None:
        body = {"eventId": f"after-{sn}", "eventTime": actor.ago(), "source": "AUTO", "runNo": RUN, "unitSn": sn}
        data = [{"specName": "Peak Temperature", "valueNumber": reading}]
        assert actor.post(cases.DATA, {**body, "stationCode": station, "stepNo": 20, "data": data})["judge"] == "PASS"
    _leave(actor, station, sn, **more)


def _leave(actor: cases.Actor, station: str, sn: str, **more: Any) -> None:
    answer = actor.post(f"stations/{station}/track-out", {"runNo": RUN, "sn": sn, "result": "PASS", **more})
    assert answer["sn"] == sn, answer


def test_the_worker_calls_what_there_is_today(upgrade: Any, db: None) -> None:
    assert set(Schedule.objects.values_list("name", flat=True)) >= {"tick", "partitions", "retention", "time rules"}


# --- back and forth -----------------------------------------------------------------------------------------


def test_the_last_migrations_can_be_taken_back_and_made_again(actor: cases.Actor, record: dict[str, Any]) -> None:
    """As by somebody who tried the commit before this one on the same data; what cannot be undone refuses that."""
    client = answers.api_client(record["tokens"]["admin"])
    before = {address: answers.of_api(client.get(address)) for address in record["asked"]}
    graph = MigrationExecutor(connection).loader.graph
    undone = []
    for app in ("integration", "ingest", "execution", "mes"):
        [leaf] = graph.leaf_nodes(app)
        [parent] = [parent.key for parent in graph.node_map[leaf].parents if parent.key[0] == app]
        if all(operation.reversible for operation in graph.nodes[leaf].operations):
            MigrationExecutor(connection).migrate([parent])
            undone.append(leaf)
        else:
            with pytest.raises(IrreversibleError):
                MigrationExecutor(connection).migrate([parent])
    assert undone and not set(undone) & set(MigrationExecutor(connection).loader.applied_migrations)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert {address: answers.of_api(client.get(address)) for address in record["asked"]} == before
