"""What is wrong with units: who names it, what it keeps from happening, and what the codes of machines mean."""

from datetime import timedelta
from importlib import import_module
from typing import Any

from django.db import connection
from django.utils import timezone

from execution import dispositions
from execution.models import Defect, DefectAlias, DefectCatalogue, DefectCode, Track
from execution.quality.defect_codes import engineer_work, services
from execution.quality.defect_codes.catalogue import load
from execution.quality.defects import ReportedDefect
from mes.platform.accounts.roles import Role, create_roles
from mes.production.models import Run, Unit
from tests.execution.support import assert_done, assert_refused, decide, make_run, nothing_written, track_in, track_out
from tests.execution.test_leaving import enter, machine_out, send, state_of, value
from tests.factories import Plant, api_client
from tests.trace.test_run_acts import read, sign_in


def rows(*columns: str) -> list[Any]:
    return list(Defect.objects.order_by("id").values_list(*columns))


# --- the tree ----------------------------------------------------------------------------------------------


def test_engineers_keep_codes_aliases_and_rules_in_the_administration(db: None) -> None:
    create_roles()  # as each migration does
    client = sign_in(Role.ENGINEER)
    for model in ("execution/defectcode", "execution/defectalias", "execution/samplingrule", "mes/holdrule"):
        assert client.get(f"/admin/{model}/add/").status_code == 200, model


def test_the_tree_of_codes(db: None) -> None:
    client = api_client(Role.QUALITY)
    assert {"BRIDGE", "UNSPECIFIED", "OUT_OF_LIMITS"} <= set(DefectCode.objects.values_list("code", flat=True))
    parent = "BRIDGE"
    for level in (2, 3, 4):
        body = {"code": f"B{level}", "name": f"Level {level}", "parentCode": parent}
        made = assert_done(client.post("/api/defect-codes", body), 201)
        assert (made["parentCode"], made["category"], made["severity"], made["isActive"]) == (
            parent,
            "TERMINATION",
            "DEFECT",
            True,
        )
        parent = f"B{level}"
    assert_done(client.post("/api/defect-codes", {"code": "C2", "name": "x", "parentCode": "COATING"}), 201)
    with nothing_written():
        deep = client.post("/api/defect-codes", {"code": "B5", "name": "x", "parentCode": "B4"})
        circle = client.patch("/api/defect-codes/COATING", {"parentCode": "C2"})  # not too deep
        lower = client.patch("/api/defect-codes/BRIDGE", {"parentCode": "OPEN"})
        for refused in (deep, circle, lower):
            assert "parentCode" in assert_refused(refused, "VALIDATION_ERROR", 400)
        nowhere = client.post("/api/defect-codes", {"code": "B5", "name": "x", "parentCode": "BRIDG"})
        assert "BRIDGE" in assert_refused(nowhere, "DEFECT_CODE_NOT_FOUND", 422)["nearest"]
        assert_refused(client.get("/api/defect-codes/bridge"), "DEFECT_CODE_NOT_FOUND", 404)
        assert_refused(client.delete("/api/defect-codes/B3"), "IN_USE", 409)
        assert_refused(client.delete("/api/defect-codes/UNSPECIFIED"), "IN_USE", 409)
    assert_done(client.delete("/api/defect-codes/B4"))
    assert load().list_below("BRIDGE") == ["BRIDGE", "B2", "B3"]


def test_every_change_of_codes_has_a_version_of_its_own(db: None) -> None:
    versions = [DefectCatalogue.objects.get().version]

    def note() -> None:
        versions.append(DefectCatalogue.objects.get().version)

    code = DefectCode.objects.create(code="X", name="x")
    note()
    DefectCode.objects.filter(pk=code.pk).update(is_active=False)
    note()
    DefectAlias.objects.create(reported="x", code=code)
    note()
    DefectAlias.objects.all().delete()
    note()
    assert len(set(versions)) == 5
    assert load().codes["X"].is_active is False


# --- by hand -----------------------------------------------------------------------------------------------


def test_what_a_person_names_must_be_a_code(plant: Plant, operator: Any) -> None:
    enter(operator, 10)
    DefectCode.objects.filter(code="COATING").update(is_active=False)
    named = [{"code": "BRIDGE"}] * 50
    with nothing_written():
        for code, nearest in (("BRIGDE", "BRIDGE"), ("solder bridge", "BRIDGE"), ("COATING", "CONTAMINATION")):
            refused = track_out(operator, result="FAIL", defects=[{"code": code}])
            assert nearest in assert_refused(refused, "DEFECT_CODE_NOT_FOUND", 422)["nearest"], code
        assert_refused(track_out(operator, result="FAIL", defectCode="nope"), "DEFECT_CODE_NOT_FOUND", 422)
        for body in (
            {"defects": [*named, {"code": "OPEN"}]},
            *({"defects": [{"code": "OPEN", "location": text}]} for text in ("R\0", "R\u200f1", "R\n1")),
            {"defects": [{"code": "OPEN", "quantity": 0}]},
            {"defects": [{"location": "R1"}]},
        ):
            assert_refused(track_out(operator, result="FAIL", **body), "VALIDATION_ERROR", 400)
    given = [{"code": "BRIDGE", "location": " u3 ", "quantity": 2, "remark": "pins"}, {"code": "OPEN"}]
    assert_done(track_out(operator, result="FAIL", defects=given, defectCode="SKEWED", defectLocation="r1"))
    columns = ("code", "location", "quantity", "remark", "source", "reported_code", "status")
    assert rows(*columns) == [
        ("SKEWED", "R1", 1, "", "TRACK_OUT", "", "OPEN"),
        ("BRIDGE", "U3", 2, "pins", "TRACK_OUT", "", "OPEN"),
        ("OPEN", "", 1, "", "TRACK_OUT", "", "OPEN"),
    ]
    listed = assert_done(operator.get("/api/defects?unitSn=SN-1&code=BRIDGE"))["items"]
    assert [(it["code"], it["category"], it["location"], it["stationCode"]) for it in listed] == [
        ("BRIDGE", "TERMINATION", "U3", "SMT-01")
    ]
    assert listed[0]["foundBy"].startswith("token:OPERATOR")


def test_a_unit_with_an_open_defect_does_not_pass(plant: Plant, operator: Any, supervisor: Any) -> None:
    enter(operator, 10)
    with nothing_written():
        refused = track_out(operator, result="PASS", defects=[{"code": "SOLDER_BALL"}, {"code": "OPEN"}])
        assert assert_refused(refused, "RESULT_CONTRADICTS_DEFECT", 422)["defects"] == ["OPEN"]
    make_run(plant, run_no="RUN-2", sns=[])
    elsewhere = {"unitSn": "SN-1", "code": "OPEN", "runNo": "RUN-2"}
    assert_refused(operator.post("/api/defects", elsewhere), "UNIT_RUN_MISMATCH")
    assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "SOLDER_BALL"}), 201)
    hand = assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN", "location": "r2"}), 201)
    assert (hand["stepNo"], hand["source"], hand["location"], hand["status"]) == (10, "HAND", "R2", "OPEN")
    with nothing_written():
        assert_refused(track_out(operator, result="PASS"), "RESULT_CONTRADICTS_DEFECT", 422)
    assert_done(track_out(operator, result="FAIL"))
    assert rows("code", "source") == [("SOLDER_BALL", "HAND"), ("OPEN", "HAND")]  # they say why it failed
    page = read(sign_in(Role.OPERATOR), "/trace/units/SN-1/")
    assert "OPEN · R2" in page
    assert "SOLDER_BALL" in page
    assert_done(decide(supervisor, "rework", toStepNo=10))
    assert_done(track_in(operator, "SMT-01"), 201)
    assert_done(track_out(operator, "SMT-01", result="PASS"))
    assert rows("code", "status") == [("SOLDER_BALL", "NO_FAULT_FOUND"), ("OPEN", "NO_FAULT_FOUND")]


def test_a_machine_that_passes_a_unit_with_a_defect_fails_it(plant: Plant, operator: Any, supervisor: Any) -> None:
    enter(operator, 10)
    assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN"}), 201)
    track = machine_out("PASS").track
    assert (track.result, track.claimed_result, track.result_override) == ("FAIL", "PASS", "DEFECT")
    assert len(rows("code")) == 1
    assert_done(decide(supervisor, "rework", toStepNo=10))
    assert_done(track_in(operator, "SMT-01"), 201)
    assert machine_out("PASS", [ReportedDefect("SOLDER_BALL")]).track.result == "PASS"
    assert rows("code", "status") == [("OPEN", "NO_FAULT_FOUND"), ("SOLDER_BALL", "OPEN")]


def test_a_fail_always_has_a_defect(plant: Plant, operator: Any, supervisor: Any, device: Any) -> None:
    enter(operator, 10)
    assert_done(track_out(operator, result="FAIL"))
    assert rows("code", "source", "location") == [("UNSPECIFIED", "TRACK_OUT", "")]
    track_id = enter(operator, 30, sn="SN-2")
    assert_done(send(device, track_id, value("Supply Voltage", 9.5), source="MANUAL", operatorId="OP-7"), 201)
    assert_done(track_out(operator, "TST-01", sn="SN-2", result="PASS"))
    assert rows("code", "source", "location", "remark")[1] == (
        "OUT_OF_LIMITS",
        "VALUE",
        "Supply Voltage",
        "9.5 V, LSL 3.2, USL 3.4",
    )
    before = Defect.objects.count()
    Unit.objects.filter(sn="SN-1").update(status="QUEUED")
    assert_done(track_in(operator, "SMT-01"), 201)
    assert_done(decide(supervisor, "scrap"))  # closes the pass, which needs no reason
    assert Track.objects.filter(result="FAIL").count() == 3
    assert Defect.objects.count() == before


def test_a_defect_of_a_unit_that_is_done_holds_it(plant: Plant, operator: Any, supervisor: Any) -> None:
    Unit.objects.filter(sn="SN-1").update(status="DONE", current_step_no=30)
    Run.objects.update(status="COMPLETED")
    assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "FLUX_RESIDUE"}), 201)
    assert state_of() == ("DONE", 30, "")
    with nothing_written():
        for body, code, status in (
            ({"unitSn": "SN-1", "code": "nope"}, "DEFECT_CODE_NOT_FOUND", 422),
            ({"unitSn": "SN-1", "code": "OPEN", "stepNo": 99}, "STEP_MISMATCH", 409),
            ({"unitSn": "SN-1", "code": "OPEN", "runNo": "nope"}, "RUN_NOT_FOUND", 404),
            ({"unitSn": "nope", "code": "OPEN"}, "UNIT_NOT_FOUND", 404),
        ):
            assert_refused(operator.post("/api/defects", body), code, status)
    made = assert_done(operator.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN", "runNo": "RUN-1"}), 201)
    assert (made["stepNo"], state_of()) == (30, ("ON_HOLD", 30, "DONE"))
    case = Unit.objects.get(sn="SN-1").held_units.get().hold
    assert (case.source, case.opened_by) == ("DEFECT", made["foundBy"])
    assert_done(decide(supervisor, "release"))
    assert state_of() == ("DONE", 30, "")


def test_a_case_that_is_released_lets_a_unit_pass_with_what_was_found(plant: Plant) -> None:
    client = api_client()
    enter(client, 10)
    assert_done(client.post("/api/defects", {"unitSn": "SN-1", "code": "OPEN"}), 201)
    for source, result in (("PERSON", "refused"), ("ALARM", "refused"), ("DEFECT", "passed")):
        unit = Unit.objects.get(sn="SN-1")
        dispositions.hold(unit, reason=f"looked at by {source}", source=source)
        assert_done(decide(client, "release"))
        answer = track_out(client, result="PASS")
        if result == "refused":
            assert_refused(answer, "RESULT_CONTRADICTS_DEFECT", 422)
        else:
            assert_done(answer)


def test_the_upgrade_takes_what_was_released_with_its_finding_as_accepted(plant: Plant) -> None:
    """Else every board under way that was released after a late inspection would fail at its next machine."""
    supervisor = api_client(Role.SUPERVISOR)
    settle = import_module("execution.migrations.0025_defects_of_old_tracks").SETTLE
    for sn in ("SN-1", "SN-2"):
        track = Track.objects.get(pk=enter(supervisor, 10, sn=sn))
        assert_done(track_out(supervisor, sn=sn))
        place = {"unit_id": track.unit_id, "run_id": track.run_id, "track": track, "step_no": 10}
        Defect.objects.create(**place, code="OPEN", source="MACHINE", found_at=timezone.now() + timedelta(minutes=1))
        dispositions.hold_unit(sn=sn, reason="late", by="ann")
    assert_done(decide(supervisor, "release", "SN-2"))
    with connection.cursor() as cursor:
        cursor.execute(settle)
    assert rows("status", "settled_reason") == [("OPEN", ""), ("ACCEPTED", "a reason")]


# --- machines' codes ---------------------------------------------------------------------------------------


def test_an_alias_made_later_relabels_what_was_reported_so(plant: Plant, operator: Any, monkeypatch: Any) -> None:
    client, unit, run = api_client(Role.ENGINEER), plant.units[0], plant.run
    monkeypatch.setattr(services, "BATCH", 2)

    def make(system: str, reported: str, status: str = "OPEN") -> None:
        said = {"code": reported, "reported_code": reported, "source_system": system, "status": status}
        Defect.objects.create(unit=unit, run=run, step_no=10, source="MACHINE", found_at=timezone.now(), **said)

    for system in ("aoi-1", "aoi-1", "aoi-1", "aoi-2"):
        make(system, "D7", "NO_FAULT_FOUND" if system == "aoi-2" else "OPEN")
    make("aoi-1", "d7")
    Defect.objects.create(unit=unit, run=run, step_no=10, code="OPEN", found_at=timezone.now())
    assert len(assert_done(client.get("/api/defects?unmapped=true"))["items"]) == 5

    def alias(**body: Any) -> str:
        answer = client.post("/api/defect-aliases", {"reported": "D7", **body})
        pk: str = assert_done(answer, 201)["id"]
        services.relabel_waiting()  # what the commit begins, and the task ends
        return pk

    of_one = alias(sourceSystem="aoi-1", code="BRIDGE")
    assert rows("code") == [("BRIDGE",)] * 3 + [("D7",), ("d7",), ("OPEN",)]
    alias(code="SKEWED")
    assert rows("code") == [("BRIDGE",)] * 3 + [("SKEWED",), ("d7",), ("OPEN",)]
    assert_done(client.patch(f"/api/defect-aliases/{of_one}", {"code": "TOMBSTONE"}))
    services.relabel_waiting()
    assert rows("code") == [("TOMBSTONE",)] * 3 + [("SKEWED",), ("d7",), ("OPEN",)]
    with nothing_written():
        assert_refused(client.delete(f"/api/defect-aliases/{of_one}"), "IN_USE", 409)
        assert_refused(client.delete("/api/defect-codes/TOMBSTONE"), "IN_USE", 409)
        again = client.post("/api/defect-aliases", {"sourceSystem": "aoi-1", "reported": "D7", "code": "OPEN"})
        assert again.status_code == 400
    [left] = assert_done(client.get("/api/defects?unmapped=true"))["items"]
    assert (left["code"], left["reportedCode"], left["isUnmapped"]) == ("d7", "d7", True)
    assert [entry.name for entry in engineer_work.find().entries] == ["d7"]
    assert load().resolve("D7", "aoi-1") == "TOMBSTONE"
    assert (load().resolve("D7", "new"), load().resolve("bridge", "new")) == ("SKEWED", "bridge")
