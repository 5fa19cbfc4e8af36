"""A database of the version before the quality loop is taken over: all that was held is held, nothing found is lost.

`loop.sql.xz` was made by the code of that time, `loop.json.xz` is what that answered (`make_dump.py --loop`).
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import TestCase
from pytest_django import DjangoDbBlocker

from execution.models import Defect
from mes.platform.monitoring.integrity import check_integrity
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from tests.upgrade import answers, cases, databases, installation, schema
from tests.upgrade.clock import Clock
from tests.upgrade.test_first_schema import find_lost
from tests.upgrade.test_upgrade import load_versions

pytestmark = pytest.mark.django_db  # of the upgraded database: the module's fixture comes first

VOLTS = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
# What is answered otherwise by intent, with the reason.
CHANGED = {
    r" \.defects \.\d+ \.location: 'r22' → 'R22'$": "designators are written in capitals",
    r" \.defects \.\d+ \.status: (None|'OPEN') → '(NO_FAULT_FOUND|ACCEPTED|SCRAPPED)'$": "what was answered is settled",
}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """What the version before answered."""
    return answers.read_answers(installation.LOOP_RECORD)


@pytest.fixture(scope="module")
def upgrade(django_db_setup: None, django_db_blocker: DjangoDbBlocker, record: dict[str, Any]) -> Iterator[Any]:
    """The database, loaded and migrated: its clock, the name of a new database, and what a row of it held before."""
    with django_db_blocker.unblock(), Clock().in_use() as clock:
        fresh = str(connection.settings_dict["NAME"])
        clock.stop(datetime.fromisoformat(record["at"]))
        with databases.loaded(installation.LOOP_DUMP), connection.cursor() as cursor:
            cursor.execute("SELECT id, scope, source, status FROM mes_hold ORDER BY id")
            holds = cursor.fetchall()
            cursor.execute("SELECT count(*) FROM execution_track WHERE defect_code > ''")
            assert cursor.fetchone()[0] > 5
            executor = MigrationExecutor(connection)
            assert ("mes", "0044_steering_indexes") in executor.loader.applied_migrations
            assert ("mes", "0045_quality_loop") not in executor.loader.applied_migrations
            call_command("migrate", verbosity=0)
            yield clock, fresh, holds


@pytest.fixture
def actor(upgrade: Any, db: None, record: dict[str, Any]) -> cases.Actor:
    """Acts on the upgraded database; what a test does is undone."""
    clock, _fresh, _holds = upgrade
    clock.stop(datetime.fromisoformat(record["at"]))
    committing = partial(TestCase.captureOnCommitCallbacks, execute=True)
    return cases.Actor(clock, record["tokens"], record["sent"], committing)


def units_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what was answered of each unit, by serial number."""
    prefix = "/api/trace/units/"
    found = {address.removeprefix(prefix): answer["body"]["data"] for address, answer in record["asked"].items()}
    return {sn: answer for sn, answer in found.items() if not sn.startswith("/")}


@pytest.mark.parametrize("kind", schema.KINDS)
def test_its_schema_is_that_of_a_new_one(kind: str, upgrade: Any, db: None) -> None:
    assert schema.read_used(kind) == schema.read(kind, upgrade[1])


def test_nothing_that_was_answered_is_lost(actor: cases.Actor, record: dict[str, Any]) -> None:
    client = answers.api_client(record["tokens"]["admin"])
    wrong: list[str] = []
    for address, old in record["asked"].items():
        wrong += find_changed(old, answers.of_api(client.get(address)), address)
    assert not wrong, "\n".join(wrong)
    assert load_versions() == {"READY", "INVALID"}
    assert check_integrity() == []


def find_changed(old: Any, new: Any, place: str) -> Iterator[str]:
    """Yield what an answer has no more, but for what is told."""
    return (told for told in find_lost(old, new, place) if not any(re.search(each, told) for each in CHANGED))


def test_what_was_held_is_held_and_nothing_else(upgrade: Any, actor: cases.Actor, record: dict[str, Any]) -> None:
    held = {sn: each["unit"]["holdReason"] for sn, each in units_of(record).items() if each["unit"]["holdReason"]}
    assert dict(Unit.objects.filter(status="ON_HOLD").values_list("sn", "hold_reason")) == held
    reasons: dict[str, list[tuple[str, str]]] = {}
    for row in HeldUnit.objects.select_related("unit", "hold").order_by("hold_id"):
        assert (row.ended_at, row.hold.status, row.hold.scope) == (None, "OPEN", "UNITS")
        reasons.setdefault(row.unit.sn, []).append((row.hold.source, row.hold.reason))
    assert {sn: " · ".join(reason for _source, reason in told) for sn, told in reasons.items()} == held
    assert {sn: [source for source, _reason in told] for sn, told in reasons.items()} == {
        **{sn: ["PERSON"] for sn in ("H-PERSON", "H-UNSCRAPPED", "O-HELD")},
        **{sn: ["DATA"] for sn in ("H-VALUE", "O-ALARM", "F-LATE")},
        "A-REPORTED": ["REPORT"],
        "A-TWICE": ["PERSON", "REPORT"],
    }
    of_places = Hold.objects.exclude(scope="UNITS").order_by("id")
    assert list(of_places.values_list("id", "scope", "source", "status")) == upgrade[2]
    assert Counter((scope, status) for _id, scope, _source, status in upgrade[2]) == {
        ("RUN", "OPEN"): 2,
        ("RUN", "RELEASED"): 1,
        ("LINE", "OPEN"): 1,
    }


def test_what_was_found_is_open_where_no_later_pass_or_decision_answered_it(db: None, upgrade: Any) -> None:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for defect in Defect.objects.select_related("unit").order_by("code"):
        told = (defect.code, defect.location, defect.status, defect.source)
        found.setdefault(defect.unit.sn, []).append(told)
    cold, of_inspection = ("COLD", "R22"), (("BRIDGE", "U1.3"), ("SHIFT", ""))
    assert found == {
        "F-OPEN": [(*cold, "OPEN", "TRACK_OUT")],
        "F-RETESTED": [(*cold, "NO_FAULT_FOUND", "TRACK_OUT")],
        "F-REWORKED": [(*cold, "OPEN", "TRACK_OUT"), ("SHIFT", "", "OPEN", "TRACK_OUT")],
        "F-SCRAPPED": [(*cold, "SCRAPPED", "TRACK_OUT")],
        "F-NAMED": [(*cold, "NO_FAULT_FOUND", "TRACK_OUT")],
        "F-INSPECTED": [(*each, "OPEN", "INSPECTION") for each in of_inspection],
        "F-REVIEWED": [(*each, "ACCEPTED", "INSPECTION") for each in of_inspection],
        "F-LATE": [(*each, "OPEN", "INSPECTION") for each in of_inspection],
        "D-2": [("D7", "R22", "NO_FAULT_FOUND", "TRACK_OUT")],
    }


def test_holds_hold_until_they_are_ended_and_then_all_goes_on(actor: cases.Actor) -> None:
    """The line first, then its runs and units, each from where it was; what is open keeps a unit from passing."""
    enter = {"runNo": "FAILED", "sn": "F-OPEN"}
    assert actor.post("stations/TST-1/track-in", enter)["code"] == "LINE_ON_HOLD"
    actor.post("lines/SMT-1/resume", {"reason": "only toast"})
    on_hold = {"runNo": "ON-HOLD", "sn": "ON-HOLD-1"}
    assert actor.post("stations/H-REF-1/track-in", on_hold)["code"] == "RUN_ON_HOLD"
    assert actor.post("runs/ON-HOLD/resume", {"reason": "changed"})["status"] == "IN_PROGRESS"
    assert actor.post("stations/H-REF-1/track-in", on_hold)["sn"] == "ON-HOLD-1"
    assert actor.post("runs/LOT/resume", {"reason": "no"})["code"] == "RUN_ON_HOLD"
    assert actor.post("runs/LOT/mrb-decision", {"decision": "RELEASE", "reason": "customer agrees"})

    for sn, state in (("H-UNSCRAPPED", ("QUEUED", 20)), ("O-ALARM", ("IN_STATION", 20)), ("A-TWICE", ("QUEUED", 20))):
        actor.post(f"units/{sn}/release", {"reason": "looked at"})
        assert actor.status_of(sn) == state
    assert actor.status_of("H-PERSON")[0] == "ON_HOLD"
    actor.post("units/F-LATE/rework", {"reason": "solder it again", "toStepNo": 20})
    assert actor.status_of("F-LATE") == ("QUEUED", 20)

    actor.post("stations/TST-1/track-in", enter)
    passed = actor.post("stations/TST-1/track-out", {**enter, "result": "PASS", "data": VOLTS})
    assert passed["nextStepNo"] is None  # the retest answers what was found at this step
    assert set(Defect.objects.filter(unit__sn="F-OPEN").values_list("status", flat=True)) == {"NO_FAULT_FOUND"}
    actor.post("units/F-INSPECTED/rework", {"reason": "again", "toStepNo": 10})
    assert set(Defect.objects.filter(unit__sn="F-INSPECTED").values_list("status", flat=True)) == {"OPEN"}
