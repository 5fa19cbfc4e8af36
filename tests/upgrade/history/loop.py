"""A small installation of the version before the quality loop, for the test that takes over what it held and found.

Lines and runs that are held, units that are held for each reason and for two at once, defects as that version kept
them: in three fields of a pass, and of inspections. Its plant and its first runs are those of `first`.
"""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from ..answers import api_client, of_api, write_answers
from ..cases import EVENTS
from ..clock import Clock
from ..installation import LOOP_DUMP, LOOP_RECORD
from . import first
from .calls import Interface, make_token, scheduled
from .dumping import write_dump
from .hand import VOLTS, enter, go_through, leave, make_run
from .reports import DATA, measured, moment, reading, report

FAILED = ("F-OPEN", "F-RETESTED", "F-REWORKED", "F-SCRAPPED", "F-BARE", "F-NAMED")
INSPECTED = ("F-INSPECTED", "F-REVIEWED", "F-LATE")
HELD = ("H-PERSON", "H-VALUE", "H-UNSCRAPPED", "H-RELEASED")
REPORTED = ("A-REPORTED", "A-TWICE")
RUNS = ("FAILED", "HELD", "REPORTED", "ON-HOLD", "RESUMED", "LOT")
COLD = {"defectCode": "COLD", "defectLocation": "r22", "defectRemark": "cold joint"}


def make() -> None:
    """Make the database, dump it, and write down what it answers."""
    with Clock().in_use() as clock:
        clock.set(timezone.now() - timedelta(hours=8))
        call_command("migrate", verbosity=0)
        admin, other = Interface(make_token("Admin", "ADMIN")), Interface(make_token("Other", "ADMIN"))
        sent: list[dict[str, Any]] = []
        first.make_plant(admin)
        oven = Interface(make_token("Oven", "INTEGRATION", "H-REF-1"), sent)
        line = Interface(make_token("Line", "INTEGRATION"), sent)
        first.make_done(admin, oven, clock)
        first.make_open(admin, oven, clock)
        first.make_machine_events(admin, line)
        scheduled("tick")()
        _make_failed(admin, line, clock)
        _make_held(admin, other, oven, clock)
        _make_reported(admin, line)
        _make_runs(admin)
        scheduled("tick")()
        admin.post("lines/SMT-1/hold", {"reason": "smoke"})
        clock.stop(timezone.now())
        write_dump(LOOP_DUMP)
        tokens = {"admin": admin.token, "oven": oven.token, "line": line.token}
        client = api_client(admin.token)
        asked = {address: of_api(client.get(address)) for address in _questions()}
        assert {answer["status"] for answer in asked.values()} == {200}, asked
        write_answers({"at": clock.now().isoformat(), "tokens": tokens, "sent": sent, "asked": asked}, LOOP_RECORD)


def _questions() -> list[str]:
    runs, sns = (*RUNS, "DONE", "OPEN", "AUTO"), (*FAILED, *INSPECTED, *HELD, *REPORTED, *first.UNITS)
    questions = [f"/api/{collection}?pageSize=200" for collection in ("runs", "work-orders", EVENTS)]
    questions += [f"/api/runs/{run_no}" for run_no in runs]
    questions += [f"/api/runs/{run_no}/history?pageSize=200" for run_no in runs]
    questions += [f"/api/trace/units/{sn}" for sn in sns if sn != "FLY-1"]
    questions += [f"/api/routes/{route}/versions/1" for route in ("BOARD", "ERP-BOARD", "INVALID", "AUTO")]
    return [*questions, "/api/lines/SMT-1/status", "/api/lines/SMT-1/history?pageSize=200"]


def _make_failed(admin: Interface, line: Interface, clock: Clock) -> None:
    """Units that failed, and what became of them."""
    run = "FAILED"
    make_run(admin, run, "BOARD", [*FAILED, *INSPECTED])
    for sn in (*FAILED, *INSPECTED):
        go_through(admin, "PRN-1", sn, run)
        enter(admin, "H-REF-1", sn, run)
    clock.forward(minutes=4)
    _inspect(line, "F-INSPECTED")
    for sn in (*FAILED, *INSPECTED):
        leave(admin, "H-REF-1", sn, run)
    for sn in ("F-REVIEWED", "F-LATE"):  # it had left: each is held
        _inspect(line, sn)
    admin.post("units/F-REVIEWED/release", {"reason": "only flux"})
    for sn in FAILED:
        said = {} if sn == "F-BARE" else COLD
        go_through(admin, "TST-1", sn, run, result="PASS" if sn == "F-NAMED" else "FAIL", data=VOLTS, **said)
    go_through(admin, "TST-1", "F-RETESTED", run, data=VOLTS)
    go_through(admin, "TST-1", "F-REWORKED", run, result="FAIL", data=VOLTS, defectCode="SHIFT")  # no retest is left
    admin.post("units/F-REWORKED/rework", {"reason": "solder it again", "toStepNo": 20})
    admin.post("units/F-SCRAPPED/scrap", {"reason": "lifted pad"})


def _inspect(line: Interface, sn: str) -> None:
    place = {"runNo": "FAILED", "stationCode": "H-REF-1", "unitSn": sn, "stepNo": 20, "inspectionType": "AOI"}
    defects = [{"code": "BRIDGE", "location": "U1.3", "remark": "between 3 and 4"}, {"code": "SHIFT"}]
    address, body = report("inspection-result", **place, result="FAIL", defects=defects)
    line.send(address, body)


def _make_held(admin: Interface, other: Interface, oven: Interface, clock: Clock) -> None:
    """Units that people held, that a value held, whose scrap was undone, and one that was held and is free."""
    run = "HELD"
    make_run(admin, run, "BOARD", list(HELD))
    for sn in HELD:
        go_through(admin, "PRN-1", sn, run)
    enter(admin, "H-REF-1", "H-VALUE", run)
    clock.forward(minutes=4)
    leave(admin, "H-REF-1", "H-VALUE", run)
    clock.forward(minutes=1)
    oven.send(DATA, measured("H-VALUE", reading(251.5, collectedAt=moment(minutes=3)), run_no=run))
    admin.post("units/H-PERSON/hold", {"reason": "a scratch"})
    admin.post("units/H-RELEASED/hold", {"reason": "a hair"})
    admin.post("units/H-RELEASED/release", {"reason": "wiped"})
    admin.post("units/H-UNSCRAPPED/scrap", {"reason": "lost"})
    asked = admin.post("units/H-UNSCRAPPED/unscrap", {"reason": "found again"})
    other.post(f"approvals/{asked['approvalId']}/approve", {"reason": "it is this one"})


def _make_reported(admin: Interface, line: Interface) -> None:
    """Units that a refused report says failed; one is held by somebody as well."""
    make_run(admin, "REPORTED", "AUTO", list(REPORTED))
    for sn in REPORTED:
        passed = first.event(f"mark-{sn}", sn, "MARK-1")
        line.send(EVENTS, passed)
        if sn == "A-TWICE":
            admin.post(f"units/{sn}/hold", {"reason": "bent"})
        failed = {**passed, "payload": {**passed["payload"], "result": "NG"}}
        line.send(EVENTS, failed, code="DEDUPE_KEY_CONFLICT")


def _make_runs(admin: Interface) -> None:
    """A run that is held, one that was, and one whose lot an inspection elsewhere did not let go."""
    for run_no in ("ON-HOLD", "RESUMED", "LOT"):
        make_run(admin, run_no, "BOARD", [f"{run_no}-1"])
        go_through(admin, "PRN-1", f"{run_no}-1", run_no)
    for run_no in ("ON-HOLD", "RESUMED"):
        admin.post(f"runs/{run_no}/hold", {"reason": "wrong paste"})
    admin.post("runs/RESUMED/resume", {"reason": "right after all"})
    runs, holds = apps.get_model("mes", "Run").objects, apps.get_model("mes", "Hold").objects
    # No interface leads there in this version.
    lot = runs.get(run_no="LOT")
    holds.create(scope="RUN", run=lot, source="OQC", reason="OQC failed", opened_by="quality")
    told = {"status_by": "quality", "status_reason": "OQC failed"}
    runs.filter(pk=lot.pk).update(status="ON_HOLD", held_from="IN_PROGRESS", **told)
