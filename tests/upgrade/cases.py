"""What becomes of an old database: each case goes on from the database as it was dumped, over the HTTP interface and
the tasks that the clock calls.

The old code was led through all of them when the dump was made, and what it answered is kept; the new code must answer
the same. What a case asserts itself holds for both: it says what the case is about.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from django.utils.module_loading import import_string
from django_q.models import Schedule

from .answers import Answer, api_client, of_api
from .clock import Clock

EVENTS, DATA, MESSAGES = "ingest/events", "integration/device-data", "integration/messages"


class Actor:
    """Acts on a database for everybody who has a token; `answers` keeps all that was answered.

    `committing` surrounds each act where nothing is committed, to do what is to be done after a commit.
    """

    def __init__(
        self,
        clock: Clock,
        tokens: dict[str, str],
        sent: list[dict[str, Any]],
        committing: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.clock = clock
        self.sent = sent
        self._committing = committing
        self.answers: list[Answer] = []
        self._clients = {name: api_client(token) for name, token in tokens.items()}

    def post(self, address: str, body: Any = None, *, by: str = "admin", method: str = "post") -> Any:
        """Do something; return the data or the error of the answer."""
        with self._committing():
            response = getattr(self._clients[by], method)(f"/api/{address}", {} if body is None else body)
        answer = of_api(response)
        self.answers.append({"asked": address, **answer})
        content = answer["body"]
        return (content.get("data") or content.get("error")) if isinstance(content, dict) else content

    def patch(self, address: str, body: Any) -> Any:
        """Change something."""
        return self.post(address, body, method="patch")

    def see(self, address: str) -> Any:
        """Look at something, and keep what was answered."""
        return self.post(address, method="get")

    def look(self, address: str) -> Any:
        """Look at something."""
        return of_api(self._clients["admin"].get(f"/api/{address}"))["body"]["data"]

    def call(self, name: str) -> Any:
        """Call what the worker calls by the clock under a name. What it raises is an answer, too."""
        try:
            with self._committing():
                result = import_string(Schedule.objects.get(name=name).func)()
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        self.answers.append({"asked": name, "status": 0, "body": result})
        return result

    def ago(self, **span: float) -> str:
        """Return a time before now, as machines write it."""
        return (self.clock.now() - timedelta(**span)).isoformat()

    def find_sent(self, **payload: Any) -> dict[str, Any]:
        """Return the last event sent whose payload says this."""
        bodies = [message["body"] for message in self.sent if message["address"] == EVENTS]
        return next(body for body in reversed(bodies) if payload.items() <= body["payload"].items())

    def find_event(self, **payload: Any) -> str:
        """Return the address of that event."""
        key = self.find_sent(**payload)["dedupeKey"]
        [event] = [event for event in self.list(f"{EVENTS}?pageSize=200") if event["dedupeKey"] == key]
        return f"{EVENTS}/{event['id']}"

    def list(self, address: str) -> list[dict[str, Any]]:
        """Return all items of a list."""
        found: list[dict[str, Any]] = []
        data = self.look(address)
        while True:
            found += data["items"]
            if not data["next"]:
                return found
            data = self.look(data["next"].split("/api/", 1)[1])

    def status_of(self, sn: str) -> tuple[str, int | None]:
        """Return status and step of a unit."""
        unit = self.look(f"trace/units/{sn}")["unit"]
        return unit["status"], unit["currentStepNo"]


Case = Callable[[Actor], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Have a case acted."""
    CASES[function.__name__] = function
    return function


def _event(act: Actor, key: str, kind: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    at = act.ago()
    event = {"dedupeKey": key, "sourceSystem": "LINE", "eventType": kind, "occurredAt": at, "payload": payload}
    return {**event, **fields}


def _marked(act: Actor, sn: str, at: str = "") -> dict[str, Any]:
    values = [{"name": "Tiefe", "value": 0.041, "unit": "mm"}]
    body = {"board": sn, "machine": "MRK-1", "line": "SMT-1", "result": "OK", "values": values}
    event = _event(act, f"after-mark-{sn}", "AUTO", body)
    return {**event, "occurredAt": at} if at else event


def _before(event: dict[str, Any], minutes: int) -> str:
    """Return a time some minutes before an event occurred."""
    return (datetime.fromisoformat(event["occurredAt"]) - timedelta(minutes=minutes)).isoformat()


# --- what was sent before -----------------------------------------------------------------------------------


@case
def accepted_messages_are_sent_again(act: Actor) -> None:
    for message in act.sent:
        if not message["code"]:
            answer = act.post(message["address"], message["body"], by="line")
            assert answer.get("duplicate", answer.get("isDuplicate")) is True, (message, answer)


@case
def accepted_keys_are_sent_with_other_content(act: Actor) -> None:
    for message in act.sent[::2]:
        if not message["code"]:
            time = "occurredAt" if message["address"] == EVENTS else "eventTime"
            answer = act.post(message["address"], {**message["body"], time: act.ago(days=300)}, by="line")
            assert answer["code"] in ("DEDUPE_KEY_CONFLICT", "EVENT_ID_CONFLICT"), (message, answer)


@case
def refused_messages_are_sent_again(act: Actor) -> None:
    for message in act.sent:
        if message["code"]:
            act.post(message["address"], message["body"], by="line")


@case
def tokens_hold_what_they_held(act: Actor) -> None:
    reading = {"runNo": "BOARD-1", "unitSn": "B-IN", "stationCode": "H-REF-1", "stepNo": 20}
    body = {"eventId": "after-1", "eventTime": act.ago(), "source": "AUTO", **reading}
    body["data"] = [{"specName": "Peak Temperature", "valueNumber": 246.5}]
    assert act.post(DATA, body, by="oven")["judge"] == "PASS"
    foreign = {**body, "eventId": "after-2", "stationCode": "H-PRN-1", "stepNo": 10, "data": body["data"]}
    assert act.post(DATA, foreign, by="oven")["code"] == "PERMISSION_DENIED"
    act.post(DATA, {**body, "eventId": "after-3"}, by="expired")
    assert act.answers[-1]["status"] == 401
    assert act.post("units/B-QUEUED/hold", {"reason": "mine"}, by="line")["code"] == "PERMISSION_DENIED"


# --- open events --------------------------------------------------------------------------------------------


@case
def what_waits_is_applied_when_its_unit_comes(act: Actor) -> None:
    act.post(EVENTS, _marked(act, "O-SOON"), by="line")
    assert act.status_of("O-SOON") == ("QUEUED", 40)
    for waited in (act.find_sent(phase="end", machine="AOI-1"), act.find_sent(carrier="PALLET-SOON")):
        again = act.post(EVENTS, waited, by="line")
        assert (again["status"], again["duplicate"]) == ("APPLIED", True)
    act.see(f"{EVENTS}?sn=O-SOON")


@case
def what_waited_too_long_is_rejected_and_comes_right_later(act: Actor) -> None:
    act.call("ingest waiting")
    open_events = act.see(f"{EVENTS}?sn=O-TOO-LONG")["items"]
    assert [event["status"] for event in open_events] == ["REJECTED", "REJECTED"], open_events
    began = act.find_sent(phase="start", images=[{"sn": "O-TOO-LONG", "values": [{"name": "Defects", "value": 0}]}])
    act.post(EVENTS, _marked(act, "O-TOO-LONG", _before(began, 1)), by="line")
    assert act.status_of("O-TOO-LONG") == ("IN_STATION", 20)
    act.see(f"{EVENTS}?sn=O-TOO-LONG")


@case
def what_waits_for_a_transaction_is_applied_when_that_names_its_unit(act: Actor) -> None:
    begun = {"machine": "WSH-1", "phase": "start", "transaction": "wash-not-yet", "board": "O-TRANSACTION"}
    began = _before(act.find_sent(transaction="wash-not-yet", phase="end"), 1)  # a later entry is of another pass
    act.post(EVENTS, _event(act, "after-wash", "AUTO", begun, occurredAt=began), by="line")
    assert act.status_of("O-TRANSACTION") == ("QUEUED", 50)
    act.see(f"{EVENTS}?sn=O-TRANSACTION")


@case
def rejected_events_replay_when_their_cause_is_mended(act: Actor) -> None:
    assert act.post(f"{act.find_event(board='O-MACHINE')}/replay")["status"] == "APPLIED"
    assert act.status_of("O-MACHINE") == ("QUEUED", 20)
    assert act.post(f"{act.find_event(board='O-MAPPING')}/replay")["code"] == "INGEST_PAYLOAD_INVALID"
    event = act.find_sent(board="O-MAPPING")
    mended = {**event, "payload": {**event["payload"], "result": "NG"}}
    act.post(EVENTS, mended, by="line")
    assert act.status_of("O-MAPPING") == ("OUT_FAILED", 10)
    act.see(act.find_event(board="O-MAPPING"))
    act.post("units/O-HELD/release", {"reason": "only dust"})
    assert act.post(f"{act.find_event(carrier='PALLET-HELD')}/replay")["status"] == "APPLIED"
    malformed = [event for event in act.list(f"{EVENTS}?status=REJECTED") if event["payload"].get("raw")]
    act.post(f"{EVENTS}/{malformed[0]['id']}/replay")
    act.post(f"{EVENTS}/999999/replay")


@case
def an_event_out_of_order_is_applied_after_its_missing_steps(act: Actor) -> None:
    rejected, event = act.find_event(carrier="RACK-ORDER"), act.find_sent(carrier="RACK-ORDER")
    assert act.post(f"{rejected}/replay")["details"]["missingSteps"] == [10, 20, 30, 40]
    act.post(EVENTS, _marked(act, "O-ORDER", _before(event, 9)), by="line")
    data = [[{"specName": "Defects", "valueNumber": 0}], [{"specName": "Peak Temperature", "valueNumber": 245}], []]
    for number, station in enumerate(("AOI-1", "OVN-1", "WSH-1")):
        work = {"runNo": "OPEN", "sn": "O-ORDER", "at": _before(event, 8 - number)}
        act.post(f"stations/{station}/track-in", work)
        act.post(f"stations/{station}/track-out", {**work, "result": "PASS", "data": data[number]})
    assert act.status_of("O-ORDER") == ("QUEUED", 60)
    act.see(rejected)
    act.see("trace/units/O-ORDER")


@case
def the_rest_of_a_partial_batch_is_applied(act: Actor) -> None:
    batch = act.find_event(carrier="PALLET-PART")
    act.post(f"{batch}/replay")  # both are held
    act.post("units/O-PART-3/release", {"reason": "wiped"})
    act.post(f"{batch}/replay")
    act.post("units/O-PART-4/release", {"reason": "wiped"})
    act.post(f"{batch}/replay")
    assert act.post(f"{batch}/replay")["code"] == "INVALID_TRANSITION"
    again = act.post(EVENTS, act.find_sent(carrier="PALLET-PART"), by="line")
    assert (again["duplicate"], len(again["trackIds"])) == (True, 4)
    act.see("trace/carriers/PALLET-PART")


@case
def a_waiting_event_whose_unit_was_sent_back_expires(act: Actor) -> None:
    act.clock.forward(hours=6)
    act.call("ingest waiting")
    act.see(f"{EVENTS}?sn=T-1")
    act.see(f"{EVENTS}?status=WAITING")


@case
def a_carrier_with_a_scrapped_unit_goes_on(act: Actor) -> None:
    refused = act.find_event(tray="TRAY-1")
    act.post(f"{refused}/replay")
    act.see("trace/carriers/TRAY-1")
    act.post("carriers/TRAY-1/unload", {"sns": ["S-2"]})
    act.post(f"{refused}/replay")
    assert (act.status_of("S-1"), act.status_of("S-3")) == (("QUEUED", 30), ("QUEUED", 30))
    act.see("trace/carriers/TRAY-1")


@case
def strange_mappings_hinder_nobody_else(act: Actor) -> None:
    act.post(EVENTS, _event(act, "odd-1", "AUTO", {"board": "X-1", "machine": "ODD-1"}, runNo="STRANGE"), by="line")
    act.post(EVENTS, _event(act, "odd-2", "AUTO", {"board": "X-1", "machine": "ODD-1"}), by="line")
    work = {"runNo": "STRANGE", "sn": "X-1", "at": act.ago()}
    act.post("stations/ODD-1/track-in", work)
    assert act.post("stations/ODD-1/track-out", {**work, "result": "PASS"})["nextStepNo"] == 40
    act.post(EVENTS, _event(act, "odd-3", "TEST", {"board": "X-1"}, sn="X-1", stationCode="ODD-2"), by="line")
    act.post("stations/ODD-2/track-in", work)
    act.post("stations/ODD-2/track-out", {**work, "result": "PASS"})
    act.post(EVENTS, _event(act, "odd-4", "BATCH", {}, sns=["X-1"], stationCode="ODD-3"), by="line")
    act.post(EVENTS, _marked(act, "X-1"), by="line")
    act.see("trace/units/X-1")


@case
def machines_go_on_with_old_routes(act: Actor) -> None:
    """Events that name no run: every open route is asked what they mean, also those with strange mappings."""
    values = [{"name": "Supply Voltage", "value": 3.31, "unit": "V"}]
    test = {"board": "P-4", "machine": "FCT-1", "testId": "after-test", "result": "OK", "values": values}
    act.post("units/P-4/hold", {"reason": "look"})
    act.post("units/P-4/release", {"reason": "looked"})
    act.post(EVENTS, _event(act, "after-test-1", "TEST", test), by="line")
    act.post(EVENTS, _event(act, "after-test-2", "TEST", {**act.find_sent(testId="test-2")["payload"]}), by="line")
    act.post(EVENTS, _event(act, "after-test-3", "TEST", {**test, "testId": "test-2"}), by="line")
    act.post("carriers/PALLET-IDLE/load", {"units": [{"sn": "P-6", "position": "A"}]})
    oven = {"carrier": "PALLET-5", "machine": "OVN-1", "result": "OK", "values": []}
    act.post(EVENTS, _event(act, "after-oven", "BATCH", oven), by="line")
    act.post("routes/PANEL/ingest-preview", {"stepNo": 10, "event": _marked(act, "O-NEXT")})
    act.post(EVENTS, _marked(act, "O-NEXT"), by="line")
    assert act.status_of("O-NEXT") == ("QUEUED", 20)


# --- messages -----------------------------------------------------------------------------------------------


@case
def failed_messages_are_replayed(act: Actor) -> None:
    failed = act.list(f"{MESSAGES}?status=FAILED&pageSize=200")
    assert {message["entityType"] for message in failed} == {
        *("DEVICE_DATA", "RUN_COMPLETION_V1", "STENCIL_STATUS", "SOLDER_PASTE_STATUS", "SOLDER_PASTE_USAGE"),
        *("EQUIPMENT_STATUS", "MAINTENANCE_TASK", "INSPECTION_RESULT", "STATION_DATA"),
    }
    _mend(act)
    for message in failed:
        names = {"specNames": {"Peak Temprature": "Peak Temperature"}} if message["entityType"] == "DEVICE_DATA" else {}
        act.post(f"{MESSAGES}/{message['id']}/replay", names)
    done = {message["entityType"] for message in act.list(f"{MESSAGES}?status=REPLAYED&pageSize=200")}
    assert len(done) == 8, done  # the outbound one is delivered by the worker
    for message in failed:
        act.post(f"{MESSAGES}/{message['id']}/replay")
    act.see(f"{MESSAGES}?pageSize=200")


def _mend(act: Actor) -> None:
    """Make what was missing."""
    act.clock.forward(hours=30)
    act.post("lines", {"code": "SMT-9", "name": "New line", "processType": "SMT"})
    station = {"code": "MRK-9", "name": "New", "stationType": "AUTO", "lineCode": "SMT-1"}
    act.post("stations", {**station, "groupCode": "MARK-GROUP"})
    act.post("equipment", {"code": "EQ-NEW", "name": "New", "stationCode": "MRK-9", "status": "down"})
    spec = {"operationCode": "H-PRINT", "name": "Speed", "itemType": "OBSERVATION", "dataType": "NUMBER"}
    act.post("data-collection-specs", {**spec, "method": "AUTO"})
    act.post("stations/H-PRN-1/track-in", {"runNo": "BOARD-1", "sn": "B-UNTOUCHED"})
    act.post("units/R-ALARM/release", {"reason": "measured again"})
    for station in ("H-REF-1", "H-WSH-1"):
        act.post(f"stations/{station}/track-in", {"runNo": "READINGS", "sn": "R-ALARM"})
        act.post(f"stations/{station}/track-out", {"runNo": "READINGS", "sn": "R-ALARM", "result": "PASS"})


@case
def reports_overtake_each_other_as_before(act: Actor) -> None:
    """Each field remembers which report it came from: an earlier one changes nothing, a later one does."""
    for message in act.sent:
        name = message["address"].removeprefix("integration/")
        if message["code"] or not name.endswith(("-status", "-task", "-result")):
            continue
        changed = {"stencil-status": "NOT_READY", "solder-paste-status": "EXPIRED", "maintenance-task": "CLOSED"}
        body = {**message["body"], "eventId": f"earlier-{message['body']['eventId']}", "eventTime": act.ago(days=300)}
        body |= {"result": "FAIL"} if "result" in body else {"status": changed.get(name, "broken")}
        earlier = act.post(message["address"], body, by="line")
        assert earlier["isCurrent"] is False, earlier
        body |= {"eventId": f"later-{message['body']['eventId']}", "eventTime": act.ago()}
        later = act.post(message["address"], body, by="line")
        assert later["isCurrent"] is True, later
    for collection in ("stencils", "solder-paste-lots", "equipment"):
        act.see(f"{collection}?pageSize=200")


@case
def counters_go_on(act: Actor) -> None:
    counted = next(
        message["body"] for message in reversed(act.sent) if "production" in message["body"] and not message["code"]
    )
    act.clock.forward(minutes=50)
    now = act.ago()
    window = {"windowStart": counted["production"]["windowEnd"], "windowEnd": now, "mode": "CUMULATIVE"}
    body = {**counted, "eventId": "after-count", "eventTime": now, "stationCode": "MRK-1"}
    act.post(DATA, {**body, "production": {**window, "boardsIn": 300, "boardsOut": 290, "scrapped": 5}}, by="line")
    day = act.clock.now().date()
    act.see(f"reports/production?lineCode=SMT-1&from={day.replace(day=1)}&to={day}")


# --- by hand ------------------------------------------------------------------------------------------------


@case
def units_go_on_by_hand(act: Actor) -> None:
    act.post("stations/H-REF-1/track-out", {"runNo": "BOARD-1", "sn": "B-IN", "result": "PASS"})
    assert act.status_of("B-IN") == ("QUEUED", 30)
    for name, status in (("IN", "IN_STATION"), ("QUEUED", "QUEUED"), ("DONE", "DONE")):
        act.post(f"units/B-HELD-{name}/release", {"reason": "fine"})
        assert act.status_of(f"B-HELD-{name}")[0] == status
    act.post("stations/H-REF-1/track-out", {"runNo": "BOARD-1", "sn": "B-HELD-IN", "result": "FAIL"})
    act.post("units/B-FAILED/rework", {"reason": "solder again", "toStepNo": 20})
    act.post("stations/H-WSH-1/track-in", {"runNo": "BOARD-1", "sn": "B-REWORKED"})
    act.post("units/B-SCRAPPED/release", {"reason": "no"})
    act.post("units/B-DONE/scrap", {"reason": "samples"})
    act.post("stations/H-PRN-1/track-in", {"runNo": "BOARD-2", "sn": "B-FLY-2"})
    act.post("stations/H-PRN-1/track-in", {"runNo": "BOARD-ON_HOLD", "sn": "B-ON_HOLD-1"})
    act.post("stations/H-TST-1/track-in", {"runNo": "ERP-1", "sn": "ERP-SN-1"})
    for sn in ("B-IN", "B-HELD-IN", "B-FAILED", "B-REWORKED"):
        act.see(f"trace/units/{sn}")
    act.see("runs/BOARD-1")


@case
def runs_go_on(act: Actor) -> None:
    assert act.post("runs/BOARD-PREP/authorize", {"action": "AUTHORIZE"})["status"] == "AUTHORIZED"
    act.post("runs/BOARD-AUTHORIZED/authorize", {"action": "REVOKE", "reason": "later"})
    act.post("runs/BOARD-1/close", {"reason": "too early"})
    act.post("runs/ERP-TOLD/close")
    for route in ("BOARD", "PANEL", "ERP-4711"):
        product = act.look(f"routes/{route}")["productCode"]
        order = {"woNo": f"WO-AFTER-{route}", "productCode": product, "plannedQty": 3, "routingCode": route}
        act.post("integration/work-orders", order)
        act.post(f"work-orders/WO-AFTER-{route}/release", {"lineCode": "SMT-1"})
        made = {"lineCode": "SMT-1", "planQty": 3, "runNo": f"AFTER-{route}"}
        act.post(f"work-orders/WO-AFTER-{route}/runs", made)


@case
def unchanged_routes_compile_to_their_versions(act: Actor) -> None:
    for route in act.list("routes?pageSize=200"):
        compiled = act.post(f"routes/{route['code']}/compile")
        was_edited = route["code"] in (
            "ERP-4711",
            "TURNING",
        )  # since it was compiled; what is STRANGE may be refused now
        assert compiled["changed"] is was_edited or route["code"] == "STRANGE", (route["code"], compiled)


@case
def first_articles_go_on(act: Actor) -> None:
    inspections = {fai["runNo"]: f"fai/{fai['id']}" for fai in act.list("fai?pageSize=200")}
    act.post("stations/R-TST-2/track-in", {"runNo": "FAI-INSPECTING", "sn": "F-INSPECTING-2"})
    done = {"runNo": "FAI-INSPECTING", "sn": "F-INSPECTING-1", "result": "PASS"}
    done["data"] = [{"specName": "Supply Voltage", "valueNumber": 3.3}]  # type: ignore[assignment]
    act.post("stations/H-TST-1/track-out", done)
    act.post(f"{inspections['FAI-INSPECTING']}/complete", {"decision": "PASS"})
    act.post(f"{inspections['FAI-INSPECTING']}/sign", {}, by="admin")
    act.post(f"{inspections['FAI-INSPECTING']}/sign", {}, by="signer")
    act.post(f"{inspections['FAI-PASSED']}/sign", {}, by="signer")
    act.post(f"{inspections['FAI-CREATED']}/start", {})
    for name in ("INSPECTING", "PASSED", "FAILED", "CREATED"):
        act.post(f"runs/FAI-{name}/authorize", {"action": "AUTHORIZE"})
    act.see("fai?pageSize=200")


@case
def readiness_goes_on(act: Actor) -> None:
    assert act.post("runs/READY-3/authorize", {"action": "AUTHORIZE"})["code"] == "READINESS_CHECK_FAILED"
    act.post("runs/READY-3/readiness/preparations/PREP_FEEDER_LIST/confirm")
    assert act.post("runs/READY-3/authorize", {"action": "AUTHORIZE"})["status"] == "AUTHORIZED"
    act.see("runs/READY-3/readiness/history")


# --- the clock ----------------------------------------------------------------------------------------------


@case
def clocks_are_swept(act: Actor) -> None:
    before = act.see("time-rules/instances?pageSize=200")["items"]
    assert {clock["status"] for clock in before} == {"ACTIVE", "COMPLETED", "EXPIRED", "WAIVED", "CANCELLED"}
    assert act.call("time rules")["expired"] >= 2
    act.post("stations/H-REF-1/track-in", {"runNo": "CLOCKS", "sn": "C-OVERDUE"})
    act.post("stations/H-REF-1/track-in", {"runNo": "CLOCKS", "sn": "C-RUNNING"})
    act.call("tick")
    [expired] = act.look("time-rules/instances?entityId=C-WARNED")["items"]
    act.post(f"time-rules/instances/{expired['id']}/waive", {"reason": "too late for that"})
    act.post(f"time-rules/instances/{expired['id']}/acknowledge", {"reason": "soldered all the same"})
    act.clock.forward(hours=30)
    act.call("time rules")
    act.see("time-rules/instances?pageSize=200")


@case
def the_outbox_works_off_what_is_left(act: Actor) -> None:
    left = act.list("events?pageSize=200&status=PENDING")
    assert left
    act.call("tick")
    assert not act.list("events?pageSize=200&status=PENDING")
    dead = act.list("events?pageSize=200&status=DEAD")
    assert dead
    for event in dead:
        act.post(f"events/{event['id']}/retry")
    act.call("tick")
    act.see("integration/outbound/events?pageSize=200")
    act.see(f"{MESSAGES}?entityType=RUN_COMPLETION_V1&pageSize=200")


@case
def the_nightly_tasks_run(act: Actor) -> None:
    for name in ("partitions", "retention"):
        act.call(name)
    act.see("trace/units/B-OLD-1")
    act.see(f"{EVENTS}?pageSize=200")
