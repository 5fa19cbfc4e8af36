"""Each kind of check, through the API: passing, failing, and what it says about it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from execution.models import DataValue
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaintenanceTask
from mes.plant.hooks import preset_for
from mes.plant.models import BomItem, Equipment, Line, Material, Station
from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.production.models import Run
from mes.readiness import registry
from mes.routing.models import RouteVersion
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from mes.time_rules.sweep import sweep
from tests.execution.support import assert_done, assert_refused, make_run
from tests.factories import api_client, make_line, make_spec, make_station
from tests.readiness.support import (
    add_policy,
    ago,
    authorize,
    bind_lot,
    bind_stencil,
    check,
    codes,
    confirm,
    enable,
    item,
    make_unready_plant,
    waive,
)


def assert_told(made: dict, code: str, *, key: str) -> None:
    """Assert that a check failed with this one item, which says what is wrong and what to do."""
    assert (made["status"], codes(made)) == ("FAILED", [code])
    found = made["items"][0]
    assert found["itemKey"] == key
    assert found["reason"] and found["action"]
    assert found["status"] == "FAILED"


# --- route --------------------------------------------------------------------------------------------------


def test_a_line_that_can_do_every_step_passes(admin):
    make_unready_plant("ROUTE")
    made = check(admin)
    assert (made["status"], codes(made)) == ("PASSED", [None])
    assert made["items"][0]["evidence"] == {"routeCode": "ROUTE-1", "versionNo": 1}


def test_a_step_without_a_station_on_the_line_fails_and_cannot_be_waived(admin):
    make_unready_plant("ROUTE")
    other = make_line("SMT-B")
    Station.objects.filter(code="REF-01").update(line=other)
    made = check(admin)
    assert_told(made, "STEP_WITHOUT_STATION", key="ROUTE-1 20")
    assert made["items"][0]["waivable"] is False
    assert made["items"][0]["evidence"]["stationGroupCode"] == "OVENS"


def test_a_shared_station_will_do(admin):
    make_unready_plant("ROUTE")
    Station.objects.filter(code="REF-01").update(line=None)
    assert check(admin)["status"] == "PASSED"


def test_a_version_that_is_not_ready_fails(admin):
    plant = make_unready_plant("ROUTE")
    version = RouteVersion.objects.create(
        routing=plant.routing, version_no=2, status="INVALID", snapshot=plant.version.snapshot, digest="other"
    )
    Run.objects.update(route_version=version)
    assert_told(check(admin), "ROUTE_VERSION_NOT_READY", key="ROUTE-1")


# --- equipment ----------------------------------------------------------------------------------------------


def make_machine(**fields) -> Equipment:
    station = Station.objects.get(code="SMT-01")
    return Equipment.objects.create(**{"code": "EQ-1", "name": "Printer", "station": station, **fields})


def test_machines_that_are_normal_pass(admin):
    make_unready_plant("EQUIPMENT")
    make_machine()
    make_machine(code="EQ-2")
    made = check(admin)
    assert (made["status"], [one["itemKey"] for one in made["items"]]) == ("PASSED", ["EQ-1", "EQ-2"])


def test_a_machine_that_is_down_fails(admin):
    make_unready_plant("EQUIPMENT")
    make_machine(status="down")
    assert_told(check(admin), "EQUIPMENT_NOT_NORMAL", key="EQ-1")


def test_a_blocking_task_fails_and_a_closed_or_harmless_one_does_not(admin):
    make_unready_plant("EQUIPMENT")
    machine = make_machine()
    task = MaintenanceTask.objects.create(equipment=machine, number="T-1", title="Belt", is_blocking=True)
    MaintenanceTask.objects.create(equipment=machine, number="T-2", is_blocking=False)
    assert_told(check(admin), "MAINTENANCE_OPEN", key="EQ-1")
    task.is_open = False
    task.save()
    assert check(admin)["status"] == "PASSED"


def test_machines_of_other_lines_do_not_matter(admin):
    make_unready_plant("EQUIPMENT")
    elsewhere = make_station("OTHER-1", line=make_line("SMT-B"))
    make_machine(code="EQ-9", station=elsewhere, status="down")
    assert check(admin)["items"] == []


def test_every_fault_is_an_item_of_its_own(admin):
    make_unready_plant("EQUIPMENT")
    machine = make_machine(status="down")
    for number in ("T-1", "T-2"):
        MaintenanceTask.objects.create(equipment=machine, number=number, is_blocking=True)
    assert codes(check(admin)) == ["EQUIPMENT_NOT_NORMAL", "MAINTENANCE_OPEN", "MAINTENANCE_OPEN"]


# --- material -----------------------------------------------------------------------------------------------


def test_the_product_needs_master_data_and_a_bill_of_material(admin):
    make_unready_plant("MATERIAL")
    assert_told(check(admin), "MATERIAL_MISSING", key="BOARD-1")
    product = Material.objects.create(code="BOARD-1", name="Board", unit="pcs")
    assert_told(check(admin), "BOM_MISSING", key="BOARD-1")
    part = Material.objects.create(code="R-1", name="Resistor", unit="pcs")
    BomItem.objects.create(parent=product, child=part, quantity=2)
    assert check(admin)["items"][0]["evidence"] == {"bomItems": 1}


# --- stencil ------------------------------------------------------------------------------------------------


def test_a_line_without_stencil_fails(admin):
    make_unready_plant("STENCIL")
    assert_told(check(admin), "STENCIL_NOT_BOUND", key="SMT-A")


def test_a_ready_stencil_within_its_limits_passes(admin):
    make_unready_plant("STENCIL")
    bind_stencil(tension_min=30, tension_value=35, max_uses=100, uses_since_service=99, serviced_at=ago(hours=1))
    made = check(admin)
    assert (made["status"], made["items"][0]["itemKey"]) == ("PASSED", "ST-1")
    assert made["items"][0]["evidence"]["tensionValue"] == 35


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": ""}, "STENCIL_STATUS_UNKNOWN"),
        ({"status": "NOT_READY"}, "STENCIL_NOT_READY"),
        ({"status": "MAINTENANCE"}, "STENCIL_NOT_READY"),
        ({"tension_min": 30, "tension_value": 29.9}, "STENCIL_TENSION_LOW"),
        ({"tension_min": 30}, "STENCIL_TENSION_LOW"),
        ({"max_uses": 100, "uses_since_service": 100}, "STENCIL_USED_TOO_OFTEN"),
        ({"max_hours_since_service": 8}, "STENCIL_NOT_CLEANED"),
        ({"max_hours_since_service": 8, "serviced_at": ago(hours=9)}, "STENCIL_NOT_CLEANED"),
    ],
)
def test_what_is_wrong_with_a_stencil(admin, fields, code):
    make_unready_plant("STENCIL")
    bind_stencil(**fields)
    assert_told(check(admin), code, key="ST-1")


def test_all_faults_of_a_stencil_are_told_at_once(admin):
    make_unready_plant("STENCIL")
    bind_stencil(status="NOT_READY", tension_min=30, max_uses=1, uses_since_service=2)
    assert codes(check(admin)) == ["STENCIL_NOT_READY", "STENCIL_TENSION_LOW", "STENCIL_USED_TOO_OFTEN"]


# --- solder paste -------------------------------------------------------------------------------------------


def test_a_line_without_solder_paste_fails(admin):
    make_unready_plant("SOLDER_PASTE")
    assert_told(check(admin), "SOLDER_PASTE_NOT_BOUND", key="SMT-A")


def test_a_compliant_lot_passes(admin):
    make_unready_plant("SOLDER_PASTE")
    bind_lot(expires_at=timezone.now() + timedelta(hours=1))
    assert check(admin)["status"] == "PASSED"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"paste_status": ""}, "SOLDER_PASTE_STATUS_UNKNOWN"),
        ({"paste_status": "NON_COMPLIANT"}, "SOLDER_PASTE_NOT_COMPLIANT"),
        ({"paste_status": "EXPIRED"}, "SOLDER_PASTE_EXPIRED"),
        ({"expires_at": ago(minutes=1)}, "SOLDER_PASTE_EXPIRED"),
    ],
)
def test_what_is_wrong_with_a_lot(admin, fields, code):
    make_unready_plant("SOLDER_PASTE")
    bind_lot(**fields)
    assert_told(check(admin), code, key="LOT-1")


def test_what_passed_goes_stale(admin):
    """A lot that was good when it was checked is not when the run is to be authorized."""
    make_unready_plant("SOLDER_PASTE")
    lot = bind_lot(expires_at=timezone.now() + timedelta(hours=1))
    assert check(admin)["status"] == "PASSED"
    lot.expires_at = ago(seconds=1)
    lot.save()
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")


# --- preparations -------------------------------------------------------------------------------------------


def test_a_person_confirms(admin, operator, engineer):
    make_unready_plant()
    add_policy(engineer, instruction="Compare the feeders with the list.")
    made = check(admin)
    assert_told(made, "PREP_NOT_CONFIRMED", key="Feeders")
    assert made["items"][0]["itemType"] == "PREP_FEEDERS"
    assert made["items"][0]["action"] == "Compare the feeders with the list."
    assert_done(confirm(operator, remark="all there"), 201)
    made = check(admin)
    assert made["status"] == "PASSED"
    assert made["items"][0]["evidence"]["remark"] == "all there"
    assert_done(confirm(operator, done=False), 201)
    assert_told(check(admin), "PREP_NOT_CONFIRMED", key="Feeders")


def test_a_confirmation_lapses(admin, operator, engineer, monkeypatch):
    make_unready_plant()
    add_policy(engineer, maxAgeMinutes=30)
    assert_done(confirm(operator), 201)
    assert check(admin)["status"] == "PASSED"
    later = timezone.now() + timedelta(minutes=31)
    monkeypatch.setattr("mes.readiness.evaluation.timezone.now", lambda: later)
    assert_told(check(admin), "PREP_LAPSED", key="Feeders")


def test_a_confirmation_counts_for_its_run_only(admin, operator, engineer):
    plant = make_unready_plant()
    make_run(plant, run_no="RUN-2", sns=[], authorize=False)
    add_policy(engineer)
    assert_done(confirm(operator), 201)
    assert check(admin, run_no="RUN-2")["status"] == "FAILED"


def test_a_system_reports(admin, operator, engineer):
    make_unready_plant()
    system = api_client(Role.INTEGRATION)
    add_policy(engineer, code="PREP_KIT", name="Kit", confirmMode="AUTO", dataSource="SYSTEM")
    assert_told(check(admin), "PREP_NOT_REPORTED", key="Kit")
    assert_refused(confirm(operator, "PREP_KIT"), "PREP_SOURCE_MISMATCH")
    assert_refused(confirm(operator, "PREP_KIT", source="SYSTEM"), "PERMISSION_DENIED", 403)
    assert_refused(confirm(system, "PREP_KIT"), "PERMISSION_DENIED", 403)
    assert_done(confirm(system, "PREP_KIT", source="SYSTEM"), 201)
    assert check(admin)["status"] == "PASSED"


def test_a_report_that_a_person_must_confirm_too(admin, operator, engineer):
    make_unready_plant()
    add_policy(engineer, dataSource="SYSTEM")
    assert_done(confirm(operator), 201)
    assert codes(check(admin)) == ["PREP_NOT_REPORTED"]
    assert_done(confirm(admin, source="SYSTEM"), 201)
    assert check(admin)["status"] == "PASSED"


def test_nobody_confirms_what_no_policy_asks_for(operator):
    make_unready_plant()
    assert_refused(confirm(operator), "PREP_POLICY_NOT_FOUND", 404)


def test_a_preparation_without_policy_fails(admin):
    make_unready_plant("PREP_FEEDERS")
    assert_told(check(admin), "PREP_POLICY_MISSING", key="SMT-A")


def test_an_inactive_policy_asks_for_nothing(admin, engineer):
    make_unready_plant()
    add_policy(engineer, isActive=False)
    assert check(admin)["items"] == []


def test_the_policy_of_the_route_counts_before_the_line_s(admin, engineer):
    make_unready_plant()
    add_policy(engineer, name="Of the line", gate="HARD")
    add_policy(engineer, name="Of the route", lineCode=None, routeCode="ROUTE-1")
    assert [one["itemKey"] for one in check(admin)["items"]] == ["Of the route"]


# --- preparations confirmed by a device ---------------------------------------------------------------------


def device_policy(engineer, **fields) -> None:
    add_policy(
        engineer,
        **{
            "code": "PREP_OVEN",
            "name": "Oven",
            "confirmMode": "AUTO",
            "dataSource": "DEVICE",
            "deviceSpec": {"operationCode": "REFLOW", "specName": "Peak Temperature"},
            "maxAgeMinutes": 60,
            **fields,
        },
    )


def report(plant, number: float | None = 245.0, *, station: str = "REF-01", spec=None, **fields) -> None:
    """Store a value as a device's statement does."""
    spec = spec or plant.peak
    DataValue.objects.create(
        **{
            "received_at": timezone.now(),
            "station": Station.objects.get(code=station),
            "spec": spec,
            "operation_code": spec.operation.code,
            "name": spec.name,
            "item_type": spec.item_type,
            "value_number": number,
            "measure": spec.unit,
            "judge": "PASS",
            "source": "AUTO",
            "collected_at": timezone.now(),
            **fields,
        }
    )


def test_a_fresh_device_value_confirms_and_is_the_evidence(admin, engineer):
    plant = make_unready_plant()
    device_policy(engineer)
    assert_told(check(admin), "PREP_VALUE_STALE", key="Oven")
    report(plant)
    made = check(admin)
    assert made["status"] == "PASSED"
    evidence = made["items"][0]["evidence"]
    assert (evidence["value"], evidence["unit"], evidence["stationCode"]) == (245.0, "°C", "REF-01")
    assert evidence["valueId"] == str(DataValue.objects.get().pk)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"collected_at": ago(minutes=61)}, "PREP_VALUE_STALE"),
        ({"collected_at": ago(minutes=-30)}, "PREP_VALUE_STALE"),  # a clock far ahead proves nothing
        ({"source": "MANUAL"}, "PREP_VALUE_STALE"),
        ({"station": "OTHER-1"}, "PREP_VALUE_STALE"),
        ({"judge": "FAIL"}, "PREP_VALUE_OUT_OF_LIMITS"),
        ({"alarmed": True}, "PREP_VALUE_OUT_OF_LIMITS"),
    ],
)
def test_a_device_value_that_does_not_confirm(admin, engineer, fields, code):
    plant = make_unready_plant()
    make_station("OTHER-1", line=make_line("SMT-B"))
    device_policy(engineer)
    report(plant, **fields)
    assert_told(check(admin), code, key="Oven")


def test_the_latest_value_decides(admin, engineer):
    plant = make_unready_plant()
    device_policy(engineer)
    report(plant, 260, judge="FAIL", collected_at=ago(minutes=2))
    report(plant, 245, collected_at=ago(minutes=1))
    assert check(admin)["status"] == "PASSED"
    report(plant, 260, judge="FAIL")
    made = check(admin)
    assert_told(made, "PREP_VALUE_OUT_OF_LIMITS", key="Oven")
    assert made["items"][0]["evidence"]["value"] == 260


def test_the_program_must_be_the_right_one(admin, engineer):
    plant = make_unready_plant()
    program = make_spec(plant.operations["PRINT"], "Program Name", data_type="TEXT", item_type="OBSERVATION")
    named = {"operationCode": "PRINT", "specName": "Program Name"}
    device_policy(engineer, code="PREP_PROGRAM", name="Program", deviceSpec=named, expectedText="BOARD-1")
    report(plant, None, value_text="BOARD-2", spec=program, station="SMT-01", judge="")
    made = check(admin)
    assert_told(made, "PREP_VALUE_WRONG", key="Program")
    assert "BOARD-2" in made["items"][0]["reason"] and "BOARD-1" in made["items"][0]["reason"]
    report(plant, None, value_text="BOARD-1", spec=program, station="SMT-01", judge="")
    assert check(admin)["status"] == "PASSED"


def test_a_device_value_that_a_person_must_confirm_too(admin, operator, engineer):
    plant = make_unready_plant()
    device_policy(engineer, confirmMode="MANUAL")
    report(plant)
    assert codes(check(admin)) == ["PREP_NOT_CONFIRMED"]
    assert_done(confirm(operator, "PREP_OVEN"), 201)
    assert check(admin)["status"] == "PASSED"


# --- checks of other apps -----------------------------------------------------------------------------------


def test_any_app_adds_a_check_that_lines_may_enable(admin, engineer, monkeypatch):
    checks: Hook[registry.Check] = Hook(key=lambda check: check.item_type)
    checks.register(*registry.checks)
    monkeypatch.setattr(registry, "checks", checks)
    found = registry.Finding("HUMIDITY", "hall 1", "TOO_DRY", "28 %", "Switch the humidifier on.")
    make_unready_plant()
    assert_refused(engineer.patch("/api/lines/SMT-A", {"readinessChecks": ["HUMIDITY"]}), "VALIDATION_ERROR", 400)
    checks.register(registry.Check("HUMIDITY", "Humidity", lambda facts: [found], 55, presets=("SMT",)))
    assert_done(engineer.patch("/api/lines/SMT-A", {"readinessChecks": ["HUMIDITY"]}))
    assert_told(check(admin), "TOO_DRY", key="hall 1")
    assert "HUMIDITY" in preset_for("SMT")
    assert "HUMIDITY" not in preset_for("DIP")


def test_a_line_is_asked_only_for_what_it_enables(admin):
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    assert {one["itemType"] for one in check(admin)["items"]} == {"STENCIL", "SOLDER_PASTE"}
    enable()
    assert check(admin)["items"] == []


def test_items_come_in_the_order_of_the_checks(admin):
    make_unready_plant("SOLDER_PASTE", "MATERIAL", "STENCIL", "ROUTE")
    assert [one["itemType"] for one in check(admin)["items"]] == ["ROUTE", "MATERIAL", "STENCIL", "SOLDER_PASTE"]
    assert item(check(admin), "MATERIAL_MISSING")["itemKey"] == "BOARD-1"


# --- time rules ---------------------------------------------------------------------------------------------


def start_clock(entity_id: str = "SN-1", *, minutes: float, **fields) -> TimeRuleInstance:
    """Start a clock on the line that runs out in so many minutes."""
    definition = TimeRuleDefinition.objects.get(code="WASH_4H")
    expires_at = timezone.now() + timedelta(minutes=minutes)
    return TimeRuleInstance.objects.create(
        **{
            "definition": definition,
            "definition_code": definition.code,
            "entity_type": "UNIT",
            "entity_id": entity_id,
            "line": Line.objects.get(code="SMT-A"),
            "run": Run.objects.get(run_no="RUN-1"),
            "duration_minutes": 240,
            "warning_minutes": 30,
            "start_key": f"start:{entity_id}",
            "started_at": expires_at - timedelta(minutes=240),
            "expires_at": expires_at,
            **fields,
        }
    )


def test_clocks_that_run_in_time_pass(admin):
    make_unready_plant("TIME_RULE")
    assert check(admin)["items"][0]["itemKey"] == "SMT-A"
    start_clock(minutes=10)
    assert check(admin)["status"] == "PASSED"


def test_an_expired_clock_of_the_line_fails(admin):
    make_unready_plant("TIME_RULE")
    start_clock(minutes=-10, status="EXPIRED")
    start_clock("SN-2", minutes=-20, line=make_line("SMT-B"), status="EXPIRED")
    made = check(admin)
    assert codes(made) == ["TIME_EXPIRED"]
    assert made["items"][0]["itemKey"].startswith("WASH_4H SN-1 ")
    assert made["items"][0]["evidence"]["entityId"] == "SN-1"
    assert made["items"][0]["waivable"] is True


def test_a_clock_that_ran_out_counts_before_the_sweep_has_seen_it(admin):
    make_unready_plant("TIME_RULE")
    clock = start_clock(minutes=10)
    assert check(admin)["status"] == "PASSED"
    clock.expires_at = ago(seconds=1)
    clock.save()
    assert codes(check(admin)) == ["TIME_EXPIRED"]
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")


def test_the_last_moment_of_a_clock_is_in_time(admin, monkeypatch):
    make_unready_plant("TIME_RULE")
    last = timezone.now()
    clock = start_clock(minutes=10)
    clock.expires_at = last
    clock.save()
    monkeypatch.setattr(timezone, "now", lambda: last)
    assert sweep()["expired"] == 0
    assert check(admin)["status"] == "PASSED"
    monkeypatch.setattr(timezone, "now", lambda: last + timedelta(microseconds=1))
    assert codes(check(admin)) == ["TIME_EXPIRED"]
    assert sweep()["expired"] == 1


def test_a_clock_that_is_dealt_with_no_longer_counts(admin):
    make_unready_plant("TIME_RULE")
    clock = start_clock(minutes=-10, status="EXPIRED")
    clock.decided_at, clock.decided_by, clock.decision_reason = timezone.now(), "somebody", "washed twice"
    clock.save()
    assert check(admin)["status"] == "PASSED"


def test_a_waiver_is_of_one_clock(admin):
    make_unready_plant("TIME_RULE")
    start_clock(minutes=-10, status="EXPIRED")
    assert_done(waive(admin, check(admin)["items"][0]))
    assert check(admin)["status"] == "PASSED"
    start_clock(minutes=-5, status="EXPIRED", start_key="another")
    assert sorted(one["status"] for one in check(admin)["items"]) == ["FAILED", "WAIVED"]


def test_the_clock_of_a_lot_counts_where_the_lot_is_now(admin):
    make_unready_plant("TIME_RULE")
    lot = bind_lot()
    definition = TimeRuleDefinition.objects.get(code="SOLDER_PASTE_24H")
    start_clock(
        lot.lot_id,
        minutes=-1,
        definition=definition,
        definition_code=definition.code,
        entity_type="SOLDER_PASTE_LOT",
        status="EXPIRED",
        line=None,
        run=None,
    )
    assert codes(check(admin)) == ["TIME_EXPIRED"]
    Load.objects.update(line=make_line("SMT-B"))
    assert check(admin)["status"] == "PASSED"
