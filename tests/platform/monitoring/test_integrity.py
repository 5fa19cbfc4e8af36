"""The check of the stored data: each rule finds what breaks it and names it, and no other does."""

import json
from io import StringIO
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.platform.monitoring import engineer_work, integrity, integrity_checks, open_work
from mes.platform.monitoring.integrity import Finding, Rule, check_integrity
from mes.platform.monitoring.models import IntegrityCheck
from mes.platform.outbox.models import TaskOutcome
from mes.production.decision_models import RunActivation, UnitMove
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Run, Unit
from tests.execution.support import assert_done, make_run, track_in
from tests.factories import api_client, hold_units, make_line, make_plant, make_station, make_user


def build_plant() -> None:
    """A plant in which every table that is asked has rows, as services leave them."""
    plant = make_plant(units=3)
    assert_done(track_in(api_client()), 201)  # SN-1
    hold_units("SN-2")
    done = make_run(plant, run_no="RUN-DONE", sns=["D-1", "D-2", "D-3"])
    done.units.update(status="DONE", current_step_no=30)
    Unit.objects.filter(sn="D-2").update(status="SCRAPPED")
    hold_units("D-3", held_from="DONE")
    end(done, "COMPLETED")
    end(make_run(plant, run_no="RUN-NEVER", sns=[]), "CANCELLED")
    moved, taken_back = Unit.objects.get(sn="D-1"), Unit.objects.get(sn="SN-3")
    first, second = make_run(plant, run_no="RUN-X", sns=[]), make_run(plant, run_no="RUN-Y", sns=[])
    for unit, runs in ((moved, (first, second, done)), (taken_back, (first, None))):
        for from_run, to_run in pairwise(runs):
            UnitMove.objects.create(unit=unit, from_run=from_run, to_run=to_run, act="MOVE", status="QUEUED")
    UnitAlias.objects.create(sn="OLD-1", unit=moved)
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    for place in ({"line": plant.line}, {"station": plant.stations["SMT-01"]}, {"station": make_station("SHARED")}):
        RunActivation.objects.create(run=plant.run, active_from=timezone.now(), **place)
    RunActivation.objects.create(
        run=done, station=make_station("S-2"), active_from=done.created_at, active_to=timezone.now()
    )


def end(run: Run, status: str) -> None:
    Run.objects.filter(pk=run.pk).update(status=status)
    run.work_order.status = status
    run.work_order.save()


def run_sql(statement: str) -> None:
    """Change rows past every trigger, as a restored file may."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("RESET session_replication_role")


@pytest.fixture
def plant(db: None) -> None:
    build_plant()


def asked() -> list[str]:
    """The rules that are asked where no ERP is told: ERP_MESSAGE has its test beside the corrections."""
    return [rule.name for rule in integrity.rules if rule.applies()]


def named() -> list[tuple[str, list[str]]]:
    return [(finding.rule, [example.name for example in finding.examples]) for finding in check_integrity()]


OF = "(SELECT id FROM {} WHERE {} = '{}')"
RUN = OF.format("mes_run", "run_no", "{}")
LINE_B = OF.format("mes_line", "code", "SMT-B")
TO_LINE_B = f"UPDATE mes_station SET line_id = {LINE_B} WHERE code = 'SHARED'"
BROKEN = {
    "a unit in station without a track": (
        "UPDATE mes_unit SET status = 'IN_STATION' WHERE sn = 'SN-3'",
        [("IN_STATION", ["SN-3"])],
    ),
    "one held from there without a track": (
        "UPDATE mes_unit SET held_from = 'IN_STATION' WHERE sn = 'SN-2'",
        [("IN_STATION", ["SN-2"])],
    ),
    "an open track of a queued unit": (
        "UPDATE mes_unit SET status = 'QUEUED' WHERE sn = 'SN-1'",
        [("IN_STATION", ["SN-1"])],
    ),
    "one in station that is in no run": (
        "UPDATE mes_unit SET run_id = NULL, status = 'IN_STATION' WHERE sn = 'SN-3'",
        [("IN_STATION", ["SN-3"])],
    ),
    "a queued unit in an ended run": (
        "UPDATE mes_unit SET status = 'QUEUED' WHERE sn = 'D-2'",
        [("ENDED_RUN", ["D-2"])],
    ),
    "one held from elsewhere in an ended run": (
        "UPDATE mes_unit SET held_from = 'OUT_FAILED' WHERE sn = 'D-3'",
        [("ENDED_RUN", ["D-3"])],
    ),
    "an open track in an ended run": (
        f"UPDATE execution_track SET run_id = {RUN.format('RUN-DONE')}",
        [("ENDED_RUN_TRACK", ["SN-1"])],
    ),
    "a track in a cancelled run": (
        f"UPDATE execution_track SET run_id = {RUN.format('RUN-NEVER')}, out_at = in_at, result = 'PASS';"
        "UPDATE mes_unit SET status = 'QUEUED' WHERE sn = 'SN-1'",
        [("CANCELLED_RUN", ["RUN-NEVER"])],
    ),
    "a failed pass without a defect": (
        "UPDATE execution_track SET out_at = now() + interval '1 day', result = 'FAIL';"
        "UPDATE mes_unit SET status = 'OUT_FAILED' WHERE sn = 'SN-1'",
        [("FAIL_DEFECT", ["SN-1"])],
    ),
    "a unit of another order": (
        f"UPDATE mes_unit SET work_order_id = {OF.format('mes_workorder', 'wo_no', 'WO-RUN-X')} WHERE sn = 'SN-3'",
        [("UNIT_ORDER", ["SN-3"])],
    ),
    "a move that leads elsewhere": (
        "UPDATE mes_unit u SET run_id = r.id, work_order_id = r.work_order_id FROM mes_run r"
        " WHERE u.sn = 'D-1' AND r.run_no = 'RUN-X'",
        [("UNIT_MOVES", ["D-1"])],
    ),
    "a move that leads nowhere": (
        f"UPDATE mes_unitmove SET to_run_id = {RUN.format('RUN-1')} WHERE from_run_id = {RUN.format('RUN-X')}"
        " AND to_run_id IS NOT NULL",
        [("UNIT_MOVES", ["D-1"])],
    ),
    "more units than planned": ("UPDATE mes_run SET plan_qty = 2 WHERE run_no = 'RUN-1'", [("RUN_PLAN", ["RUN-1"])]),
    "a step that the version has not": (
        "UPDATE mes_unit SET current_step_no = 15 WHERE sn = 'SN-3'",
        [("UNIT_STEP", ["SN-3"])],
    ),
    "no step": ("UPDATE mes_unit SET current_step_no = NULL WHERE sn = 'SN-3'", [("UNIT_STEP", ["SN-3"])]),
    "an open run of a completed order": (
        "UPDATE mes_workorder SET status = 'COMPLETED' WHERE wo_no = 'WO-RUN-X'",
        [("ENDED_ORDER", ["WO-RUN-X"])],
    ),
    "an active run that has ended": (
        f"UPDATE mes_runactivation SET run_id = {RUN.format('RUN-DONE')} WHERE line_id IS NOT NULL",
        [("ACTIVE_RUN", ["SMT-A"])],
    ),
    "an active run of another line": (
        f"UPDATE mes_runactivation SET line_id = {LINE_B} WHERE line_id IS NOT NULL",
        [("ACTIVE_RUN", ["SMT-B"])],
    ),
    "an active run at a station of another line": (
        TO_LINE_B,
        [("ACTIVE_RUN", ["SHARED"])],
    ),
    "a unit with another one's earlier number": (
        "UPDATE mes_unitalias SET sn = 'SN-3'",
        [("SERIAL_NUMBERS", ["SN-3"])],
    ),
    "a unit with the number of a reference unit": (
        "UPDATE mes_referenceunit SET sn = 'SN-3'",
        [("SERIAL_NUMBERS", ["SN-3"])],
    ),
    "a held unit that nothing holds": (
        "UPDATE mes_heldunit SET ended_at = held_at, \"end\" = 'RELEASED'",
        [("HELD_UNIT", ["D-3", "SN-2"])],
    ),
    "one that is not held by what holds it": (
        "UPDATE mes_unit SET status = held_from, held_from = '' WHERE sn = 'D-3'",
        [("HELD_UNIT", ["D-3"])],
    ),
    "one held for no reason": (
        "UPDATE mes_unit SET hold_reason = '' WHERE sn = 'D-3'",
        [("HOLD_REASON", ["D-3"])],
    ),
    "one held by what has ended": (
        "UPDATE mes_hold SET status = 'RELEASED', ended_at = opened_at",
        [("ENDED_HOLD", ["D-3", "SN-2"])],
    ),
    "a reference unit with an earlier number": (
        "UPDATE mes_referenceunit SET sn = 'OLD-1'",
        [("SERIAL_NUMBERS", ["OLD-1"])],
    ),
}


def test_what_services_leave_holds_together(plant):
    assert check_integrity() == []


@pytest.mark.parametrize("case", BROKEN)
def test_each_rule_finds_what_breaks_it_and_no_other_does(plant, case):
    make_line("SMT-B")
    statement, found = BROKEN[case]
    run_sql(statement)
    assert named() == found


def test_every_rule_is_broken_by_one_of_these():
    broken = {rule for _statement, found in BROKEN.values() for rule, _names in found}
    assert broken == set(asked())


def test_a_station_of_another_line_that_a_step_names_is_well(plant):
    make_line("SMT-B")
    run_sql("UPDATE mes_station SET line_id = (SELECT id FROM mes_line WHERE code = 'SMT-B') WHERE code = 'SHARED'")
    run_sql(
        """UPDATE mes_routeversion SET snapshot = jsonb_set(snapshot, '{steps,1,allowedStationCodes}', '["SHARED"]')"""
    )
    assert check_integrity() == []


def test_many_are_counted_and_twenty_are_named(db):
    make_plant(units=25)
    Unit.objects.update(current_step_no=7)
    [finding] = check_integrity()
    assert (finding.rule, finding.count, len(finding.examples)) == ("UNIT_STEP", 25, 20)
    assert finding.examples[0].what == "step 7 in RUN-1"


def test_each_rule_is_one_statement(plant, django_assert_num_queries):
    with django_assert_num_queries(len(asked())):
        check_integrity()


# --- as of one moment ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_sees_one_moment_and_cannot_write(monkeypatch):
    make_line()
    seen = []

    def see() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM mes_line")
            seen.append(cursor.fetchone())
            cursor.execute("SHOW transaction_isolation")
            seen.append(cursor.fetchone())
            with pytest.raises(DatabaseError, match="read-only"), transaction.atomic():
                cursor.execute("DELETE FROM mes_line")
        return False

    monkeypatch.setattr(integrity, "rules", Hook())
    integrity.rules.register(Rule("A", "a", "SELECT 'x', 'y'", applies=see))
    assert check_integrity() == []
    assert seen == [(1,), ("repeatable read",)]


# --- the command, and the nightly check ---------------------------------------------------------------------


def run_command(*options: str) -> tuple[str, int]:
    output = StringIO()
    try:
        call_command("check_integrity", *options, stdout=output)
    except CommandError as error:
        return output.getvalue(), error.returncode
    return output.getvalue(), 0


def test_the_command_says_what_it_found_and_ends_with_1(plant):
    assert run_command() == (f"Rules that hold: {len(asked())}.\n", 0)
    assert run_command("--json") == ("[]\n", 0)
    run_sql("UPDATE mes_run SET plan_qty = 2 WHERE run_no = 'RUN-1'")
    text, code = run_command()
    assert (code, "RUN_PLAN (1)" in text, "  RUN-1: 3 of 2" in text) == (1, True, True)
    text, code = run_command("--json")
    [finding] = json.loads(text)
    assert (code, finding["rule"], finding["count"]) == (1, "RUN_PLAN", 1)
    assert finding["examples"] == [{"name": "RUN-1", "what": "3 of 2"}]


@pytest.mark.django_db(transaction=True)
def test_what_the_nightly_check_finds_is_kept_and_is_no_failure_of_the_task():
    build_plant()
    run_sql("UPDATE mes_run SET plan_qty = 2 WHERE run_no = 'RUN-1'")
    assert run_command("--keep")[1] == 1
    kept = IntegrityCheck.objects.get()
    assert (kept.count, kept.findings[0]["rule"], kept.findings[0]["examples"][0]["name"]) == (1, "RUN_PLAN", "RUN-1")
    outcome = TaskOutcome.objects.get(name="integrity")
    assert (outcome.failures, outcome.running_since, outcome.succeeded_at is not None) == (0, None, True)


@pytest.mark.django_db(transaction=True)
def test_a_check_that_fails_is_a_failure_of_the_task(monkeypatch):
    monkeypatch.setattr(integrity, "rules", Hook())
    integrity.rules.register(Rule("A", "a", "SELECT FROM nowhere"))
    with pytest.raises(DatabaseError):
        integrity_checks.check_and_keep()
    outcome = TaskOutcome.objects.get(name="integrity")
    assert (outcome.failures, IntegrityCheck.objects.count()) == (1, 0)
    assert "nowhere" in outcome.error


def test_the_worker_starts_a_process_for_it(monkeypatch):
    started = []
    monkeypatch.setattr(integrity_checks.subprocess, "Popen", lambda command, **options: started.append(command))
    assert integrity_checks.start() == "handed on"
    assert started[0][-2:] == ["check_integrity", "--keep"]


# --- where it is seen ---------------------------------------------------------------------------------------


def keep(*findings: Finding) -> None:
    IntegrityCheck.objects.create(
        count=sum(finding.count for finding in findings), findings=[integrity.as_json(each) for each in findings]
    )


FOUND = Finding("RUN_PLAN", "An open run …", 3, [integrity.Example("RUN-1", "3 of 2")])


def page(role: Role = Role.ENGINEER) -> str:
    client = Client()
    client.force_login(make_user(role))
    return client.get("/operations/").content.decode()


def test_the_operations_page_shows_what_the_latest_check_found_with_links(db):
    assert "It has not been checked yet" in page()
    keep()
    assert "Every rule holds" in page()
    keep(FOUND)
    shown = page()
    assert "RUN_PLAN" in shown and "3 of 2" in shown and 'href="/trace/runs/RUN-1/"' in shown
    keep()
    assert "RUN_PLAN" not in page()


def test_it_is_open_work_and_the_admins_home_tells_it(db):
    def count() -> int:
        return next(count for kind, count in open_work.count_all() if kind.name == "integrity")

    assert (count(), integrity_checks.find_findings().count) == (0, 0)
    keep(FOUND)
    found = integrity_checks.find_findings()
    assert (count(), found.count, found.entries[0].count) == (3, 3, 3)
    assert "RUN-1: 3 of 2" in found.entries[0].why
    seen = {role for role in (Role.ADMIN, Role.QUALITY) if _is_told(role)}
    assert seen == {Role.ADMIN}
    keep()
    assert (count(), integrity_checks.find_findings().count) == (0, 0)


def _is_told(role: Role) -> bool:
    from mes.platform.accounts.roles import role_capabilities

    granted = role_capabilities(make_user(role))
    return "integrity" in {kind.name for kind, _found in engineer_work.find_all(granted)}
