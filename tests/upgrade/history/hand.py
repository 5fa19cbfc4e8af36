"""What people did: orders, runs and units in every state, holds, rework, scrap, first articles."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from ..clock import Clock
from . import plant
from .calls import Interface


def make_run(
    admin: Interface,
    run_no: str,
    route: str,
    sns: list[str],
    *,
    line: str = "SMT-1",
    authorize: bool = True,
    plan_qty: int = 20,
    **more: Any,
) -> None:
    """Make a work order with one run; with serial numbers, they are registered beforehand."""
    wo_no, product = f"WO-{run_no}", admin.get(f"routes/{route}")["productCode"]
    order = {"woNo": wo_no, "productCode": product, "plannedQty": plan_qty, "routingCode": route}
    admin.post("integration/work-orders", {**order, "dueDate": timezone.now().date().isoformat()})
    admin.post(f"work-orders/{wo_no}/release", {"lineCode": line})
    admin.post(f"work-orders/{wo_no}/runs", {"lineCode": line, "planQty": plan_qty, "runNo": run_no, **more})
    if sns:
        admin.post(f"runs/{run_no}/units", {"sns": sns})
    if authorize:
        admin.post(f"runs/{run_no}/authorize", {"action": "AUTHORIZE"})


def enter(admin: Interface, station: str, sn: str, run_no: str, **more: Any) -> str:
    """Track in; return the track's id."""
    return str(admin.post(f"stations/{station}/track-in", {"runNo": run_no, "sn": sn, **more})["trackId"])


def leave(admin: Interface, station: str, sn: str, run_no: str, result: str = "PASS", **more: Any) -> Any:
    body = {"runNo": run_no, "sn": sn, "result": result, "operatorId": "op-7", **more}
    return admin.post(f"stations/{station}/track-out", body)


def go_through(admin: Interface, station: str, sn: str, run_no: str, **more: Any) -> str:
    """Track in and out; return the track's id."""
    track = enter(admin, station, sn, run_no)
    leave(admin, station, sn, run_no, **more)
    return track


VOLTS = [{"specName": "Supply Voltage", "valueNumber": 3.3}]


def make_board_runs(admin: Interface, devices: Interface, clock: Clock) -> None:
    """A run of the first version of BOARD, long closed, with readings."""
    make_run(admin, "BOARD-OLD", "BOARD", ["B-OLD-1", "B-OLD-2", "B-OLD-3"], shiftCode="EARLY")
    for sn in ("B-OLD-1", "B-OLD-2"):
        go_through(admin, "H-PRN-1", sn, "BOARD-OLD")
        enter(admin, "H-REF-1", sn, "BOARD-OLD")
        clock.forward(minutes=5)
        reading = {"eventId": f"old-{sn}", "eventTime": timezone.now().isoformat(), "source": "AUTO"}
        place = {"runNo": "BOARD-OLD", "unitSn": sn, "stationCode": "H-REF-1", "stepNo": 20}
        body = {**reading, **place, "data": [{"specName": "Peak Temperature", "valueNumber": 244.5}]}
        devices.send("integration/device-data", body)
        devices.post("integration/device-data", body)
        leave(admin, "H-REF-1", sn, "BOARD-OLD")
        go_through(admin, "H-WSH-1", sn, "BOARD-OLD")
        go_through(admin, "H-TST-1", sn, "BOARD-OLD", data=VOLTS)
    admin.post("runs/BOARD-OLD/close", {"reason": "the third was never made"})


def make_every_state(admin: Interface, clock: Clock) -> None:
    """A run whose units are queued, in a station, done, failed, held from each of them, reworked and scrapped."""
    names = (
        "QUEUED",
        "IN",
        "DONE",
        "FAILED",
        "HELD-QUEUED",
        "HELD-IN",
        "HELD-DONE",
        "REWORKED",
        "SCRAPPED",
        "SCRAP-IN",
    )
    run, sns = "BOARD-1", {name: f"B-{name}" for name in names}
    make_run(admin, run, "BOARD", [*sns.values(), "B-UNTOUCHED"])
    for sn in sns.values():
        go_through(admin, "H-PRN-1", sn, run)
        clock.forward(minutes=1)
    enter(admin, "H-REF-1", sns["IN"], run)
    enter(admin, "H-REF-1", sns["HELD-IN"], run)
    enter(admin, "H-REF-1", sns["SCRAP-IN"], run)
    for name in ("DONE", "FAILED", "HELD-DONE", "REWORKED", "SCRAPPED"):
        go_through(admin, "H-REF-1", sns[name], run)
        go_through(admin, "H-WSH-1", sns[name], run)
    clock.forward(minutes=10)
    go_through(admin, "H-TST-1", sns["DONE"], run, data=VOLTS)
    go_through(admin, "H-TST-1", sns["HELD-DONE"], run, data=VOLTS)
    for _attempt in range(2):  # the retest is used up
        defect = {"defectCode": "NO_VOLTAGE", "defectLocation": "U1", "defectRemark": "cold joint"}
        go_through(admin, "H-TST-1", sns["FAILED"], run, result="FAIL", data=VOLTS, **defect)
    for name in ("HELD-QUEUED", "HELD-IN", "HELD-DONE"):
        admin.post(f"units/{sns[name]}/hold", {"reason": f"look at {name}"})
    admin.post(f"units/{sns['QUEUED']}/hold", {"reason": "look"})
    admin.post(f"units/{sns['QUEUED']}/release", {"reason": "looked"})
    admin.post(f"units/{sns['REWORKED']}/hold", {"reason": "wash it again"})
    admin.post(f"units/{sns['REWORKED']}/rework", {"reason": "washed badly", "toStepNo": 30})
    admin.post(f"units/{sns['SCRAPPED']}/scrap", {"reason": "dropped"})
    admin.post(f"units/{sns['SCRAP-IN']}/scrap", {"reason": "burnt in the oven"})


def make_every_run(admin: Interface) -> None:
    """Runs in every state, on several versions of BOARD."""
    limits = {"lsl": 238, "usl": 252, "target": 245, "unit": "°C"}
    admin.patch(f"data-collection-specs/{_spec(admin, 'Peak Temperature')}", {"limits": limits})
    plant.compile_route(admin, "BOARD")
    make_run(admin, "BOARD-2", "BOARD", [])  # its first track makes the unit
    enter(admin, "H-PRN-1", "B-FLY-1", "BOARD-2")
    plant.configure(admin, "BOARD", 30, allowedStationCodes=[])
    plant.configure(admin, "BOARD", 20, dataSpecNames=["Profile", "O2"])
    profile = {"isActive": False}
    admin.patch(f"data-collection-specs/{_spec(admin, 'Profile')}", profile)
    plant.compile_route(admin, "BOARD", "INVALID")
    plant.configure(admin, "BOARD", 30, allowedStationCodes=["H-WSH-1"])
    plant.configure(admin, "BOARD", 20, dataSpecNames=["Peak Temperature", "O2"])
    plant.compile_route(admin, "BOARD")
    admin.patch("lines/SMT-1", {"name": "SMT line one"})
    make_run(admin, "BOARD-PREP", "BOARD", ["B-PREP-1"], authorize=False)
    make_run(admin, "BOARD-AUTHORIZED", "BOARD", ["B-AUTH-1", "B-AUTH-2"])
    make_run(admin, "BOARD-REVOKED", "BOARD", [])
    admin.post("runs/BOARD-REVOKED/authorize", {"action": "REVOKE", "reason": "not today"})
    make_run(admin, "ERP-1", "ERP-4711", ["ERP-SN-1", "ERP-SN-2"])
    go_through(admin, "H-PRN-1", "ERP-SN-1", "ERP-1")
    order = {"woNo": "WO-RECEIVED", "productCode": "BOARD", "plannedQty": 5}
    admin.post("integration/work-orders", order)
    order["woNo"] = "WO-RELEASED"
    admin.post("integration/work-orders", order)
    admin.post("work-orders/WO-RELEASED/release", {"lineCode": "DIP 1+ü"})
    _make_decided_runs(admin)


def _spec(admin: Interface, name: str) -> str:
    specs = admin.get("data-collection-specs", operationCode="H-REFLOW")["items"]
    return next(spec["id"] for spec in specs if spec["name"] == name)


def _make_decided_runs(admin: Interface) -> None:
    """Runs that the review of material would have decided: no interface leads there in this version."""
    for status in ("ON_HOLD", "CLOSED_REWORK", "SCRAPPED"):
        run_no, sn = f"BOARD-{status}", f"B-{status}-1"
        make_run(admin, run_no, "BOARD", [sn])
        go_through(admin, "H-PRN-1", sn, run_no)
        fields: dict[str, Any] = {"status": status, "status_by": "quality", "status_reason": "OQC failed"}
        if status != "ON_HOLD":
            fields["ended_at"] = timezone.now()
        apps.get_model("mes", "Run").objects.filter(run_no=run_no).update(**fields)


def make_first_articles(admin: Interface, signer: Interface, clock: Clock) -> None:
    """First articles at every point: created, inspecting with a sample on its way, failed, passed, signed."""
    for name in ("CREATED", "INSPECTING", "FAILED", "PASSED", "SIGNED"):
        run_no = f"FAI-{name}"
        sns = [f"F-{name}-1", f"F-{name}-2"]
        make_run(admin, run_no, "READY", sns, authorize=False)
        fai = f"fai/{admin.post(f'fai/run/{run_no}', {'sampleQty': 1, 'remark': 'first of the day'})['id']}"
        if name == "CREATED":
            continue
        admin.post(f"{fai}/start")
        go_through(admin, "H-PRN-1", sns[0], run_no)  # makes it the sample
        clock.forward(minutes=2)
        if name == "INSPECTING":
            enter(admin, "H-TST-1", sns[0], run_no)
        result = "FAIL" if name == "FAILED" else "PASS"
        for item in ("Paste height", "Polarity of D1"):
            seen = {"unitSn": sns[0], "itemName": item, "actualValue": "118 µm", "result": result}
            admin.post(f"{fai}/items", seen)
        if name != "INSPECTING":
            admin.post(f"{fai}/complete", {"decision": result, "remark": name.lower()})
        if name == "SIGNED":
            signer.post(f"{fai}/sign", {"remark": "seen"})
            admin.post(f"runs/{run_no}/authorize", {"action": "AUTHORIZE"})


def close_for_the_erp(admin: Interface, run_no: str, sn: str) -> None:
    """A run that ends, which the ERP is told."""
    make_run(admin, run_no, "BOARD", [sn], plan_qty=1)
    for station in ("H-PRN-1", "H-REF-1", "H-WSH-1"):
        go_through(admin, station, sn, run_no)
    go_through(admin, "H-TST-1", sn, run_no, data=VOLTS)
    admin.post(f"runs/{run_no}/close")


def make_clocks(admin: Interface, clock: Clock, work_off: Any, sweep: Any) -> None:
    """Clocks of units in every state, those that are due and not swept last."""
    names = ("IN-TIME", "LATE", "EXPIRED", "ACKNOWLEDGED", "WAIVED", "CANCELLED", "WARNED", "OVERDUE", "RUNNING")
    make_run(admin, "CLOCKS", "BOARD", [f"C-{name}" for name in names])
    began = timezone.now()

    def start(*chosen: str) -> None:
        for name in chosen:
            go_through(admin, "H-PRN-1", f"C-{name}", "CLOCKS")
        work_off()

    def decide(name: str, action: str) -> None:
        [instance] = [
            clock
            for clock in admin.get("time-rules/instances", entityId=f"C-{name}")["items"]
            if clock["definitionCode"] == "REFLOW_SOON"
        ]
        admin.post(f"time-rules/instances/{instance['id']}/{action}", {"reason": f"{action} it"})

    start("IN-TIME", "LATE", "EXPIRED", "ACKNOWLEDGED", "WAIVED", "CANCELLED")
    enter(admin, "H-REF-1", "C-IN-TIME", "CLOCKS")
    decide("WAIVED", "waive")
    admin.post("units/C-CANCELLED/scrap", {"reason": "broken"})
    work_off()
    clock.set(began + timedelta(minutes=70))
    sweep()
    enter(admin, "H-REF-1", "C-LATE", "CLOCKS")
    decide("ACKNOWLEDGED", "acknowledge")
    work_off()
    clock.set(began + timedelta(minutes=80))
    start("WARNED", "OVERDUE")
    clock.set(began + timedelta(minutes=125))
    sweep()  # warns of both
    clock.set(began + timedelta(minutes=150))  # both are over now, and no sweep saw it
    start("RUNNING")
