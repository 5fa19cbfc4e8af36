"""What devices and other systems reported: readings, counts, statuses; applied, repeated, refused."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from ..clock import Clock
from .calls import Interface
from .hand import VOLTS, enter, go_through, leave, make_run

DATA = "integration/device-data"
_numbers = count(1)


def moment(**ago: float) -> str:
    return (timezone.now() - timedelta(**ago)).isoformat()


def reading(value: Any, name: str = "Peak Temperature", field: str = "valueNumber", **more: Any) -> dict[str, Any]:
    return {"specName": name, field: value, **more}


def measured(sn: str, *readings: dict[str, Any], run_no: str = "READINGS", **fields: Any) -> dict[str, Any]:
    """Return the body of an event of a unit in the oven."""
    body = {
        "eventId": f"evt-{next(_numbers)}",
        "eventTime": moment(),
        "source": "AUTO",
        "runNo": run_no,
        "unitSn": sn,
        "stationCode": "H-REF-1",
        "stepNo": 20,
        "data": list(readings),
    } | fields
    return {name: value for name, value in body.items() if value is not None}


def report(name: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Return address and body of a status."""
    body = {"eventId": f"{name}-{next(_numbers)}", "eventTime": moment(seconds=1), "source": "AUTO", **fields}
    return f"integration/{name}", body


def make_readings(admin: Interface, devices: Interface, clock: Clock) -> None:
    """Readings of each kind, those that hold a unit last."""
    names = ("GOOD", "ALARM", "LATE", "FAIL", "REVIEWED", "OPEN")
    make_run(admin, "READINGS", "BOARD", [f"R-{name}" for name in names])
    tracks = {}
    for name in names:
        go_through(admin, "H-PRN-1", f"R-{name}", "READINGS")
        tracks[name] = enter(admin, "H-REF-1", f"R-{name}", "READINGS")
    profile = reading({"zones": [150, 180.5, 245]}, "Profile", "valueJson", collectedAt=moment(seconds=5))
    good = measured("R-GOOD", reading(245.1, judge="PASS"), reading(60, "Conveyor Speed"), profile, meta={"fw": "2.1"})
    devices.send(DATA, good)
    devices.post(DATA, good)
    changed = {**good, "data": [reading(246)]}
    devices.post(DATA, changed, code="EVENT_ID_CONFLICT")
    devices.send(DATA, measured("R-ALARM", reading(260.5), reading(1200, "O2")))
    devices.send(DATA, measured("R-FAIL", reading(253)))
    names_track = {"runNo": None, "unitSn": None, "stationCode": None, "stepNo": None}
    devices.send(DATA, measured("", reading(244), **names_track, trackId=tracks["GOOD"]))
    manual = {"source": "MANUAL", "operatorId": "op-7"}
    devices.send(DATA, measured("R-OPEN", reading(0.5, "O2"), **manual))
    clock.forward(minutes=4)
    for name in ("GOOD", "LATE", "FAIL"):
        leave(admin, "H-REF-1", f"R-{name}", "READINGS")
    clock.forward(minutes=1)
    devices.send(DATA, measured("R-LATE", reading(236.5, collectedAt=moment(minutes=3))))  # holds it
    _make_pass_of_a_carrier(devices, admin)
    _make_batch(devices)


def _make_pass_of_a_carrier(devices: Interface, admin: Interface) -> None:
    passes = admin.get("trace/carriers/PALLET-1")["carrierTracks"]
    body = {"eventId": "evt-carrier", "eventTime": moment(), "source": "AUTO", "operationCode": "M-REFLOW"}
    [oven] = [track for track in passes if track["operationCode"] == "M-REFLOW"]
    devices.send(DATA, {**body, "carrierTrackId": oven["id"], "data": [reading(244.0)]})


def _make_batch(devices: Interface) -> None:
    first = measured("R-OPEN", reading(245))
    foreign = measured("R-OPEN", reading(1, "Nobody Knows"))
    answer = devices.post(f"{DATA}/batch", {"events": [first, first, foreign, {"eventId": "half"}]})
    assert (answer["created"], answer["duplicates"], answer["rejected"]) == (1, 1, 2), answer


def make_failed_readings(admin: Interface, devices: Interface) -> None:
    """Readings that were refused: two that are open, one that was sent again, one replayed, one dismissed."""
    misnamed = measured("R-OPEN", reading(244, "Peak Temprature"))
    for _time in range(3):
        devices.send(DATA, misnamed, code="DATA_SPEC_NOT_FOUND")
    devices.send(DATA, measured("R-NOBODY", reading(244)), code="UNIT_NOT_FOUND")
    devices.send(DATA, measured("R-ALARM", reading(244), stepNo=30, stationCode="H-WSH-1"), code="TRACK_NOT_FOUND")
    devices.send(DATA, measured("R-OPEN", reading("245", field="valueText")), code="DATA_TYPE_MISMATCH")
    corrected = measured("R-OPEN", reading(1, "Wrong"))
    devices.post(DATA, corrected, code="DATA_SPEC_NOT_FOUND")
    devices.send(DATA, {**corrected, "data": [reading(1, "O2")]})
    replayed = measured("R-OPEN", reading(2, "O 2"))
    devices.post(DATA, replayed, code="DATA_SPEC_NOT_FOUND")
    devices.sent.append({"address": DATA, "body": replayed, "code": ""})
    admin.post(f"{_message(admin, replayed)}/replay", {"specNames": {"O 2": "O2"}})
    dismissed = measured("R-OPEN", reading(2, "Trial"))
    devices.post(DATA, dismissed, code="DATA_SPEC_NOT_FOUND")
    admin.post(f"{_message(admin, dismissed)}/dismiss", {"reason": "a trial"})
    devices.send_raw(DATA, b'{"eventId": "evt-torn", "eve')
    devices.send_raw(DATA, b'{"eventId": "evt-empty"}')


def _message(admin: Interface, body: dict[str, Any]) -> str:
    failed, key = admin.get("integration/messages", status="FAILED")["items"], body["eventId"]
    return "integration/messages/" + next(message["id"] for message in failed if message["businessKey"] == key)


def make_counts(devices: Interface, clock: Clock) -> None:
    """Counts as deltas and as counters, in and across shifts, and one that could not be placed."""

    def counted(
        mode: str, minutes: int, station: str = "MRK-1", run_no: str = "PANEL-1", **counts: int
    ) -> dict[str, Any]:
        window = {"windowStart": moment(minutes=minutes), "windowEnd": moment(), "mode": mode, **counts}
        body = {"eventId": f"count-{next(_numbers)}", "eventTime": moment(), "source": "AUTO", "equipmentId": "C1"}
        return {**body, "runNo": "PANEL-1", "stationCode": station, "production": window}

    devices.send(DATA, counted("CUMULATIVE", 0, boardsIn=100, boardsOut=98))
    for number in range(1, 5):
        clock.forward(minutes=50)
        shown = {
            "boardsIn": 100 + 30 * number,
            "boardsOut": 98 + 30 * number,
            "scrapped": number,
            "picked": 9000 * number,
        }
        devices.send(DATA, counted("CUMULATIVE", 50, **shown))
        devices.send(DATA, counted("DELTA", 30, "OVN-1", boardsIn=30, boardsOut=29))
    devices.send(DATA, counted("DELTA", 600, "OVN-1", boardsIn=4))
    devices.send(DATA, counted("DELTA", 5, "MRK-9", boardsIn=3), code="STATION_NOT_FOUND")


def make_statuses(admin: Interface, systems: Interface, clock: Clock) -> None:
    """Each kind of status: applied, overtaken, repeated, in conflict."""
    send, ago = systems.send, moment
    clean = {
        "stencilId": "ST-1",
        "status": "READY",
        "version": "A",
        "tensionValue": 36.5,
        "lastCleanedAt": ago(hours=1),
    }
    usage = {"lotId": "LOT-1", "lineCode": "SMT-1", "issuedAt": ago(minutes=30), "receivedAt": ago(days=9)}
    task = {"equipmentCode": "EQ-OVN-1", "taskNo": "T-77", "status": "OPEN", "title": "Clean", "isBlocking": False}
    sent = [
        report("stencil-status", **clean),
        report("stencil-status", **{**clean, "status": "NOT_READY"}, eventTime=ago(hours=2)),
        report("stencil-status", stencilId="ST-2", status="MAINTENANCE", source="MANUAL", operatorId="op-1"),
        report(
            "solder-paste-status", lotId="LOT-1", status="COMPLIANT", expiresAt=ago(days=-30), thawedAt=ago(hours=4)
        ),
        report("solder-paste-status", lotId="LOT-2", status="NON_COMPLIANT"),
        report("solder-paste-usage", **usage),
        report("solder-paste-usage", lotId="LOT-2", lineCode="SMT-2", issuedAt=ago(hours=30)),
        report("solder-paste-usage", lotId="LOT-2", returnedAt=ago(hours=5)),
        report("equipment-status", equipmentCode="EQ-OVN-1", status="normal"),
        report("equipment-status", equipmentCode="EQ-R-PRN-2", status="down"),
        report("maintenance-task", **task),
        report("maintenance-task", **{**task, "taskNo": "T-78", "dueAt": ago(days=-3), "isBlocking": True}),
        report("maintenance-task", **{**task, "taskNo": "T-78", "status": "CLOSED"}, eventTime=ago(seconds=-1)),
        report("station-data", stationCode="R-PRN-2", operationCode="H-PRINT", data=[program("BOARD-2")]),
    ]
    for address, body in sent:
        send(address, body)
    admin.post("stencils", {"stencilId": "ST-3", "tensionMin": 30, "maxUses": 1000, "maxHoursSinceCleaning": 24})
    for kind, thing in (("stencil", {"stencilId": "ST-1"}), ("solder-paste", {"lotId": "LOT-1"})):
        admin.post(f"integration/lines/SMT-1/{kind}/bind", thing)
    admin.post("integration/lines/SMT-2/stencil/bind", {"stencilId": "ST-2"})
    admin.post("integration/lines/SMT-2/stencil/unbind", {"stencilId": "ST-2"})
    address, body = sent[0]
    systems.post(address, body)
    for address, body in dict(sent).items():
        systems.post(address, {**body, "eventTime": ago(seconds=9)}, code="EVENT_ID_CONFLICT")


def program(name: str) -> dict[str, Any]:
    return {"specName": "Program Name", "valueText": name}


def make_inspections(admin: Interface, systems: Interface) -> None:
    """Results that fail a track, that a review lifts, and one that came after its track was closed."""

    def result(sn: str, verdict: str, kind: str = "SPI", **more: Any) -> None:
        place = {"runNo": "INSPECTED", "stationCode": "H-PRN-1", "unitSn": sn, "stepNo": 10, "inspectionType": kind}
        address, body = report("inspection-result", **place, result=verdict, **more)
        systems.send(address, body)

    make_run(admin, "INSPECTED", "BOARD", ["I-FAIL", "I-REVIEW", "I-LATE"])
    for sn in ("I-FAIL", "I-REVIEW", "I-LATE"):
        enter(admin, "H-PRN-1", sn, "INSPECTED")
    bridge = [{"code": "BRIDGE", "location": "U1.3", "remark": "between 3 and 4"}, {"code": "SHIFT"}]
    result("I-FAIL", "FAIL", defects=bridge)
    result("I-REVIEW", "FAIL", "AOI", defects=bridge[:1], eventTime=moment(seconds=9))
    result("I-REVIEW", "PASS", "AOI")
    for sn in ("I-FAIL", "I-REVIEW", "I-LATE"):
        leave(admin, "H-PRN-1", sn, "INSPECTED")
    result("I-LATE", "FAIL", defects=bridge[1:])


def make_failed_statuses(systems: Interface) -> None:
    """One of each kind that could not be applied; what its replay needs comes with the new code."""
    refused: list[tuple[str, str, dict[str, Any]]] = [
        (
            "EVENT_TIME_IN_FUTURE",
            "stencil-status",
            {"stencilId": "ST-9", "status": "READY", "eventTime": moment(hours=-1)},
        ),
        (
            "EVENT_TIME_IN_FUTURE",
            "solder-paste-status",
            {"lotId": "LOT-9", "status": "EXPIRED", "eventTime": moment(hours=-1)},
        ),
        ("LINE_NOT_FOUND", "solder-paste-usage", {"lotId": "LOT-9", "lineCode": "SMT-9", "issuedAt": moment(hours=1)}),
        ("EQUIPMENT_NOT_FOUND", "equipment-status", {"equipmentCode": "EQ-NEW", "status": "normal"}),
        ("EQUIPMENT_NOT_FOUND", "maintenance-task", {"equipmentCode": "EQ-NEW", "taskNo": "T-9", "status": "OPEN"}),
        (
            "TRACK_NOT_FOUND",
            "inspection-result",
            {"runNo": "BOARD-1", "stationCode": "H-PRN-1", "unitSn": "B-UNTOUCHED", "stepNo": 10}
            | {"inspectionType": "SPI", "result": "PASS"},
        ),
        (
            "DATA_SPEC_NOT_FOUND",
            "station-data",
            {"stationCode": "H-PRN-1", "operationCode": "H-PRINT", "data": [{"specName": "Speed", "valueNumber": 40}]},
        ),
    ]
    for code, name, fields in refused:
        address, body = report(name, **fields)
        systems.send(address, body, code=code)
        systems.post(address, body, code=code)
        systems.send_raw(address, b'{"eventId": ')


def make_used_paste(admin: Interface, work_off: Any) -> None:
    """Prints that wear a stencil, and a lot whose time runs."""
    make_run(admin, "PRINTS", "BOARD", [])
    for number in range(3):
        go_through(admin, "H-PRN-1", f"PRINT-{number}", "PRINTS")
    work_off()
    for station in ("H-REF-1", "H-WSH-1"):
        go_through(admin, station, "PRINT-0", "PRINTS")
    go_through(admin, "H-TST-1", "PRINT-0", "PRINTS", data=VOLTS)
