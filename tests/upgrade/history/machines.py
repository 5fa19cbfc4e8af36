"""What machines reported of moves: applied, waiting, rejected, partial, malformed."""

from itertools import count
from typing import Any

from django.utils import timezone

from ..clock import Clock
from .calls import Interface
from .hand import enter, go_through, leave, make_run

EVENTS = "ingest/events"
_numbers = count(1)


def event(kind: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body of an event with a fresh key."""
    return {
        "dedupeKey": f"line-{next(_numbers)}",
        "sourceSystem": "LINE",
        "eventType": kind,
        "occurredAt": timezone.now().isoformat(),
        "payload": payload,
        **fields,
    }


def marked(sn: str, **payload: Any) -> dict[str, Any]:
    values = [{"name": "Tiefe", "value": 0.04, "unit": "mm", "judge": "OK"}, {"name": "Lamp", "value": 7}]
    body = {"board": sn, "machine": "MRK-1", "line": "SMT-1", "result": "OK", "values": values, **payload}
    return event("AUTO", body)


def inspected(phase: Any, *sns: str, verdict: str = "GOOD", defects: int = 0) -> dict[str, Any]:
    images = [{"sn": sn, "values": [{"name": "Defects", "value": defects}]} for sn in sns]
    return event("AUTO", {"machine": "AOI-1", "phase": phase, "verdict": verdict, "images": images})


def reflowed(carrier: str, *sns: str, peak: float = 245.5, **payload: Any) -> dict[str, Any]:
    values = [{"name": "Peak Temperature", "value": peak}, {"name": "Board Temperature", "value": 244}]
    body = {"carrier": carrier, "machine": "OVN-1", "result": "OK", "values": values, **payload}
    return event("BATCH", body | ({"boards": list(sns)} if sns else {}))


def washed(phase: str, transaction: str, *sns: str) -> dict[str, Any]:
    body = {"machine": "WSH-1", "phase": phase, "transaction": transaction}
    return event("AUTO", body | ({"board": sns[0]} if sns else {}))


def probed(carrier: str, *boards: dict[str, Any]) -> dict[str, Any]:
    values = [{"name": "Resistance R1", "value": 10.02, "unit": "kOhm"}]
    items = [{"result": "OK", "values": values, **board} for board in boards]
    return event("BATCH", {"carrier": carrier, "machine": "ICT-1", "boards": items})


def tested(sn: str, test_id: str, volts: Any = 3.3, result: str = "OK") -> dict[str, Any]:
    values = [{"name": "Supply Voltage", "value": volts, "unit": "V"}]
    return event("TEST", {"board": sn, "machine": "FCT-1", "testId": test_id, "result": result, "values": values})


def bring_to(machines: Interface, step_no: int, *sns: str) -> None:
    """Let the machines move units up to a step."""
    for sn in sns:
        if step_no > 10:
            machines.send(EVENTS, marked(sn))
        if step_no > 20:
            machines.send(EVENTS, inspected("start", sn))
            machines.send(EVENTS, inspected(2, sn))
        if step_no > 30:
            machines.send(EVENTS, reflowed(f"PALLET-{sn}", sn))
        if step_no > 40:
            machines.send(EVENTS, washed("start", f"wash-{sn}", sn))
            machines.send(EVENTS, washed("end", f"wash-{sn}"))
        if step_no > 50:
            machines.send(EVENTS, probed(f"RACK-{sn}", {"sn": sn}))


def make_panels(admin: Interface, machines: Interface, clock: Clock) -> None:
    """A run whose units went all the way, with repeats, a failed test that was repeated, and alarms."""
    sns = [f"P-{number}" for number in range(1, 7)]
    make_run(admin, "PANEL-1", "PANEL", sns)
    bring_to(machines, 30, *sns[:4])
    clock.forward(minutes=3)
    admin.post("carriers/PALLET-1/load", {"units": [{"sn": sn, "position": str(i)} for i, sn in enumerate(sns[:4])]})
    machines.send(EVENTS, reflowed("PALLET-1", runNo="PANEL-1"))
    for sn in sns[:4]:
        machines.send(EVENTS, washed("start", f"wash-{sn}", sn))
        machines.send(EVENTS, washed("end", f"wash-{sn}"))
    boards = [{"pos": "0"}, {"pos": "1"}, {"pos": "2", "result": "NG"}, {"pos": "3"}, {"pos": "9"}]
    machines.send(EVENTS, probed("PALLET-1", *boards))
    failing = tested(sns[0], "test-1", volts=3.9)
    machines.send(EVENTS, failing)
    clock.forward(minutes=1)
    machines.send(EVENTS, tested(sns[0], "test-2"))
    machines.send(EVENTS, {**failing, "dedupeKey": "the same test result under another key"})
    machines.send(EVENTS, {**failing, "payload": {**failing["payload"], "result": "NG"}}, code="DEDUPE_KEY_CONFLICT")
    label = [{"specName": "Label Checked", "valueBoolean": True}, {"specName": "Packer", "valueText": "Zoë"}]
    photos = [{"specName": "Photos", "valueJson": {"front": [1, 2.5], "back": None}}]
    go_through(admin, "PCK-1", sns[0], "PANEL-1", data=label + photos)
    machines.send(EVENTS, tested(sns[1], "test-3", result="NG"))
    machines.send(EVENTS, tested(sns[1], "test-4", result="NG"))
    bring_to(machines, 30, sns[4])
    machines.send(EVENTS, reflowed("PALLET-5", sns[4], peak=258.0))  # an alarm that holds it
    first = marked(sns[5])
    batch = {"events": [first, first, {**first, "occurredAt": "2020-01-01T00:00:00Z"}, {"dedupeKey": "half"}]}
    machines.post("ingest/events/batch", batch)


def make_open_events(admin: Interface, machines: Interface, clock: Clock) -> None:
    """Events that wait, some past their time, that were rejected for each reason, and a batch that was applied in part.

    Called two hours before the end, so that what waits an hour waited too long; no task looked at them since.
    """
    names = ("TOO-LONG", "SOON", "ORDER", "MAPPING", "MACHINE", "TWICE", "HELD", "TRANSACTION", "PASSED")
    sns = {name: f"O-{name}" for name in names}
    make_run(admin, "OPEN", "PANEL", [*sns.values(), *(f"O-PART-{number}" for number in range(1, 5)), "O-NEXT"])
    machines.send(EVENTS, inspected("start", sns["TOO-LONG"]))
    bring_to(machines, 40, sns["TRANSACTION"])
    machines.send(EVENTS, washed("end", "wash-nobody-named"))
    machines.send(EVENTS, reflowed("PALLET-TOO-LONG", sns["TOO-LONG"]))
    order = probed("RACK-ORDER", {"sn": sns["ORDER"]})
    machines.send(EVENTS, order, code="STEP_MISMATCH")
    machines.send(EVENTS, marked(sns["MAPPING"], result="maybe"), code="INGEST_PAYLOAD_INVALID")
    admin.patch("equipment/EQ-MRK-1", {"status": "down"})
    machines.send(EVENTS, marked(sns["MACHINE"]), code="EQUIPMENT_UNAVAILABLE")
    admin.patch("equipment/EQ-MRK-1", {"status": "normal"})
    once = marked("O-NOBODY-KNOWS")
    machines.send(EVENTS, once, code="UNIT_NOT_FOUND")
    machines.send(EVENTS, {**once, "payload": {**once["payload"], "board": "O-NOBODY-EITHER"}}, code="UNIT_NOT_FOUND")
    twice = marked(sns["TWICE"], result="what?")
    machines.send(EVENTS, twice, code="INGEST_PAYLOAD_INVALID")
    machines.send(EVENTS, {**twice, "payload": {**twice["payload"], "result": "OK"}})
    machines.send(EVENTS, marked("P-NOT-THERE", line="SMT-9"), code="UNIT_NOT_FOUND")
    machines.send_raw(EVENTS, b'{"dedupeKey": "cut o')
    machines.send_raw(EVENTS, b'{"dedupeKey": "cut o')
    machines.send_raw(EVENTS, b'{"sourceSystem": "LINE"}')
    _make_held(admin, machines, sns["HELD"])
    _make_partial(admin, machines)
    _make_carrier_with_a_scrapped_unit(admin, machines)
    _make_turning(admin, machines)
    clock.forward(minutes=1)


def make_late_events(machines: Interface) -> None:
    """Events that wait and whose time is not over at the end."""
    machines.send(EVENTS, inspected("start", "O-SOON"))
    machines.send(EVENTS, inspected("end", "O-SOON"))
    machines.send(EVENTS, reflowed("PALLET-SOON", "O-SOON"))
    machines.send(EVENTS, washed("end", "wash-not-yet"))


def _make_held(admin: Interface, machines: Interface, sn: str) -> None:
    machines.send(EVENTS, marked(sn))
    machines.send(EVENTS, inspected("start", sn))
    admin.post(f"units/{sn}/hold", {"reason": "a scratch"})
    machines.send(EVENTS, inspected("end", sn))  # leaving is a fact
    machines.send(EVENTS, reflowed("PALLET-HELD", sn), code="UNIT_ON_HOLD")


def _make_partial(admin: Interface, machines: Interface) -> None:
    """Of four boards, two were held when the oven reported them: they were left out."""
    sns = [f"O-PART-{number}" for number in range(1, 5)]
    bring_to(machines, 30, *sns)
    for sn in sns[2:]:
        admin.post(f"units/{sn}/hold", {"reason": "solder paste smeared"})
    answer = machines.send(EVENTS, reflowed("PALLET-PART", *sns))
    assert [unit["sn"] for unit in answer["skipped"]] == sns[2:], answer


def _make_carrier_with_a_scrapped_unit(admin: Interface, machines: Interface) -> None:
    """A unit is scrapped while it is on its carrier; the version before refuses the carrier's next event for that."""
    sns = [f"S-{number}" for number in range(1, 4)]
    make_run(admin, "SCRAP", "BAKING", sns)
    for sn in sns:
        go_through(admin, "H-PRN-1", sn, "SCRAP")
    admin.post("carriers/TRAY-1/load", {"units": [{"sn": sn, "position": sn[-1]} for sn in sns]})
    admin.post(f"units/{sns[1]}/scrap", {"reason": "broken corner"})
    baked = event("BATCH", {"tray": "TRAY-1"}, stationCode="BAK-1", runNo="SCRAP")
    machines.send(EVENTS, baked, code="UNIT_SCRAPPED")
    admin.post("carriers/PALLET-IDLE/load", {"units": [{"sn": "P-6", "position": "A"}]})
    admin.post("carriers/PALLET-IDLE/unload", {"sns": ["P-6"]})


def _make_turning(admin: Interface, machines: Interface) -> None:
    """An event that waits, and whose unit is sent back before a step that lets nothing wait; and strange mappings."""
    make_run(admin, "TURNING", "TURNING", ["T-1"])
    go_through(admin, "H-PRN-1", "T-1", "TURNING")
    machines.send(EVENTS, event("AUTO", {"board": "T-1"}, stationCode="ODD-1"))
    answer = machines.send(EVENTS, event("AUTO", {"board": "T-1"}))
    assert answer["status"] == "WAITING", answer
    admin.post("units/T-1/hold", {"reason": "printed badly"})
    admin.post("units/T-1/rework", {"reason": "print it again", "toStepNo": 5})
    make_run(admin, "STRANGE", "STRANGE", ["X-1", "X-2"])
    go_through(admin, "H-PRN-1", "X-1", "STRANGE")
    body = {"board": "X-1", "machine": "ODD-1"}
    machines.send(EVENTS, event("AUTO", body, runNo="STRANGE"), code="INGEST_PAYLOAD_INVALID")
    enter(admin, "ODD-1", "X-1", "STRANGE")
    leave(admin, "ODD-1", "X-1", "STRANGE")
