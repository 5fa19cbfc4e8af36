"""The plant and the simulator against a live server."""

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from demo import line as demo_line
from demo import oven, plant, preparing, readiness, set_up
from demo.client import Client, Stopped
from demo.machines import Fault, Instrument
from demo.mail import Letter, Mail
from demo.mischief import REFUSALS, Chances, Mischief
from demo.simulator import Simulator
from tests.demo.conftest import make_signer
from tests.factories import make_token

RATE = 1e6  # boards per minute: as fast as the server answers
OVERHEATED = Fault("REFLOW", "Zone 3 Top Temperature", 264.0, 1.0)
LOW_PASTE = Fault("SPI", "Paste Volume", 54.0, 1.0)
BRIDGED = Fault("AOI", "Defect Count", 2.0, 1.0)
LOW_VOLTAGE = Fault("FCT", "3V3 Rail", 3.195, 1.0)


def simulator(
    client: Client, *, boards: int, orders: int = 1, faults: Sequence[Fault] = (), **options: Any
) -> Simulator:
    """A simulator that is quick and quiet."""
    instrument = Instrument(Random(5), faults=faults)
    signer = make_signer(client)
    options = {"say": lambda text: None, "signer": signer, **options}
    return Simulator(client, rate=RATE, boards=boards, orders=orders, burst=0, instrument=instrument, **options)


def counts_of(client: Client, run_no: str) -> dict[str, int]:
    """The units of a run by status, those that there are."""
    counts: dict[str, int] = client.get("runs", run_no)["unitCounts"]
    return {status: count for status, count in counts.items() if count}


def test_the_plant_is_made_once(client: Client) -> None:
    before = {name: list(client.items(name)) for name in ("lines", "stations", "equipment", "data-collection-specs")}
    assert plant.make(client) is False
    assert {name: list(client.items(name)) for name in before} == before
    (version,) = client.items("routes", plant.ROUTE, "versions")
    assert (version["versionNo"], version["status"], version["drift"]) == (1, "READY", False)


def test_what_somebody_changed_in_the_plant_stays(client: Client) -> None:
    (spec,) = (spec for spec in client.items("data-collection-specs") if spec["name"] == "Paste Volume")
    body = {"limits": {"lsl": 70, "usl": 130, "unit": "%"}, "alarm": None}
    client.patch("data-collection-specs", spec["id"], body=body)
    assert plant.make(client) is False
    assert client.get("data-collection-specs", spec["id"])["limits"]["lsl"] == 70
    assert len(list(client.items("routes", plant.ROUTE, "versions"))) == 1


def test_a_run_goes_through_the_line(client: Client) -> None:
    line = simulator(client, boards=3)
    line.run()
    (batch,) = line.batches
    assert counts_of(client, batch.run_no) == {"DONE": 3}
    assert client.get("runs", batch.run_no)["status"] == "COMPLETED"
    run = client.get("runs", batch.run_no)
    assert client.get("work-orders", run["woNo"])["status"] == "COMPLETED"
    for number in range(1, 4):
        sn = batch.run_no.replace("RUN-CTRL", "CB") + f"-{number:03}"
        check_trace(client.get("trace", "units", sn))


def test_the_printer_is_set_up_before_a_run(client: Client) -> None:
    simulator(client, boards=1, orders=2).run()
    bound = client.get("integration", "lines", plant.LINE, "set-up")
    assert bound["stencil"]["stencilId"] == set_up.STENCIL and bound["solderPaste"]["lotId"]
    [usage] = client.items("solder-paste-usages")
    assert (usage["lotId"], usage["returnedAt"]) == (bound["solderPaste"]["lotId"], None)
    [stencil] = client.items("stencils")
    assert stencil["status"] == "READY"
    assert list(client.items("integration", "messages", query={"status": "FAILED"})) == []


def check_trace(trace: dict[str, Any]) -> None:
    """Every step was passed once, with every value its specs ask for, judged by their limits."""
    assert [(track["stepNo"], track["source"], track["result"]) for track in trace["tracks"]] == [
        (step.step_no, step.station_type, "PASS") for step in plant.STEPS
    ]
    found = trace["dataValues"] + trace["carrierDataValues"]
    values = {(value["stepNo"], value["name"]): value for value in found}
    wanted = {
        (step.step_no, measurement.name): measurement for step in plant.STEPS for measurement in step.measurements
    }
    assert values.keys() == wanted.keys()
    assert len(values) == len(found)
    for key, measurement in wanted.items():
        has_limits = measurement.lsl is not None or measurement.usl is not None
        assert values[key]["judge"] == ("PASS" if has_limits else None), key
        assert values[key]["limits"]["usl"] == measurement.usl
        assert values[key]["source"] == ("MANUAL" if measurement.is_by_hand else "AUTO")


@pytest.mark.parametrize(
    ("fault", "status", "step_no"),
    [
        pytest.param(OVERHEATED, "ON_HOLD", 40, marks=pytest.mark.long),
        (BRIDGED, "OUT_FAILED", 50),
        pytest.param(LOW_VOLTAGE, "OUT_FAILED", 60, marks=pytest.mark.long),
    ],
)
def test_what_fails_or_is_held_is_left_to_people(client: Client, fault: Fault, status: str, step_no: int) -> None:
    line = simulator(client, boards=2, orders=2, faults=(fault,))
    line.run()
    assert [(batch.stuck, batch.done) for batch in line.batches] == [(2, 0)] * 2
    for batch in line.batches:
        assert counts_of(client, batch.run_no) == {status: 2}
        assert client.get("runs", batch.run_no)["status"] == "IN_PROGRESS"
    unit = client.get("stations", "resolve-unit", line.batches[0].run_no.replace("RUN-CTRL", "CB") + "-001")
    assert unit["currentStepNo"] == step_no
    again = simulator(client, boards=2, orders=0)
    again.run()
    assert again.batches == []


def test_whatever_goes_wrong_on_purpose_nothing_else_is_rejected(client: Client) -> None:
    often = Chances().times(10)
    line = simulator(client, boards=40, mischief=Mischief(Random(4), often), has_technician=True)
    line.run()
    (batch,) = line.batches
    tally = line.tally
    assert counts_of(client, batch.run_no).get("DONE", 0) == batch.done >= 30
    assert batch.done + batch.scrapped == 40
    assert client.get("runs", batch.run_no)["status"] == "COMPLETED"
    assert not tally.unexpected
    expected = {code: tally.on_purpose[kind] for kind, code in REFUSALS.items()}
    assert tally.rejected == expected
    assert min(tally.on_purpose[kind] for kind in (*REFUSALS, "duplicate", "late", "machine cut off")) > 0
    assert tally.answers["DUPLICATE"] == tally.on_purpose["duplicate"]
    assert tally.answers["WAITING"] > 0
    open_events = [event for event in client.items("ingest", "events") if event["status"] != "APPLIED"]
    assert {event["error"]["code"] for event in open_events} == {"UNIT_NOT_FOUND"}
    assert len(open_events) == tally.on_purpose["unknown unit"]


def test_boards_go_through_the_oven_on_carriers(client: Client) -> None:
    line = simulator(client, boards=9)
    line.run()
    stamp = line.batches[0].run_no.removeprefix("RUN-CTRL-")
    traces = [client.get("trace", "units", f"CB-{stamp}-{number:03}") for number in range(1, 10)]
    sizes = [len(one["carrierTracks"]) for one in traces]
    assert sizes == [1] * 9
    carriers = {one["carrierTracks"][0]["carrierNo"] for one in traces}
    assert 3 <= len(carriers) <= 5


def send_late(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """Let the clean events of a machine arrive late."""
    send = Mail.send

    def send_or_delay(mail: Mail, letter: Letter, *, takt: float, is_clean: bool) -> bool:
        if letter.step.operation != operation or not is_clean:
            return send(mail, letter, takt=takt, is_clean=is_clean)
        mail._later(letter, 0.15)
        return False

    monkeypatch.setattr(Mail, "send", send_or_delay)


@pytest.mark.long
def test_late_events_of_the_oven_leave_nothing_on_carriers_that_are_used_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_line, "CARRIERS", ("PALLET-01", "PALLET-02", "PALLET-03"))
    send_late(monkeypatch, "REFLOW")
    line = simulator(client, boards=15, orders=2)
    line.run()
    assert not line.tally.unexpected
    assert [counts_of(client, batch.run_no) for batch in line.batches] == [{"DONE": 15}] * 2


def test_a_board_that_a_machine_failed_goes_no_further_though_its_event_waits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_late(monkeypatch, "PRINT")
    line = simulator(client, boards=3, faults=[LOW_PASTE])
    line.run()
    assert counts_of(client, line.batches[0].run_no) == {"OUT_FAILED": 3}
    assert {event["status"] for event in client.items("ingest", "events")} == {"APPLIED"}


def test_a_failed_board_is_tested_twice(client: Client) -> None:
    line = simulator(client, boards=1, faults=(LOW_VOLTAGE,))
    line.run()
    sn = line.batches[0].run_no.replace("RUN-CTRL", "CB") + "-001"
    tracks = client.get("trace", "units", sn)["tracks"]
    assert [(track["attempt"], track["result"]) for track in tracks if track["stepNo"] == 60] == [
        (1, "FAIL"),
        (2, "FAIL"),
    ]


def test_a_technician_repairs_or_scraps_so_that_the_run_closes(client: Client) -> None:
    line = simulator(client, boards=4, faults=(BRIDGED,), has_technician=True)
    line.run()
    (batch,) = line.batches
    assert (batch.done, batch.scrapped) == (0, 4)
    assert client.get("runs", batch.run_no)["status"] == "COMPLETED"


@pytest.mark.long
def test_a_plant_of_the_earlier_release_is_given_to_the_machines(client: Client) -> None:
    make_plant_by_hand(client)
    sns = put_boards_into_the_oven(client)
    assert plant.make(client) is True
    assert plant.make(client) is False
    newest = max(version["versionNo"] for version in client.items("routes", plant.ROUTE, "versions"))
    assert plant.is_ours(client, newest)
    specs = {spec["name"]: spec for spec in client.items("data-collection-specs", query={"operationCode": "REFLOW"})}
    assert specs["Peak Temperature"]["triggerType"] == "EACH_CARRIER"
    line = simulator(client, boards=3)
    line.run()
    assert counts_of(client, line.batches[0].run_no) == {"DONE": 3}
    assert client.get("stations", "resolve-unit", sns[0])["status"] == "IN_STATION"


def make_plant_by_hand(client: Client) -> None:
    """Take the plant back to what the earlier release made: six steps, all worked by hand."""
    earlier = [step for step in plant.STEPS if step.operation not in ("WASH", "FINAL")]
    for step in earlier:
        body = {**step.config, "stationType": "MANUAL", "ingestMapping": None}
        client.post("routes", plant.ROUTE, "execution-config", body=body)
        client.patch("stations", step.station, body={"stationType": "MANUAL"})
    for config in client.items("routes", plant.ROUTE, "execution-config"):
        if config["stepNo"] in (55, 70):
            client._call("DELETE", f"/api/execution-configs/{config['id']}")
    steps = [{"stepNo": step.step_no, "operationCode": step.operation} for step in earlier]
    client.patch("routes", plant.ROUTE, body={"steps": steps})
    for spec in client.items("data-collection-specs", query={"operationCode": "REFLOW"}):
        client.patch("data-collection-specs", spec["id"], body={"triggerType": "EACH_UNIT"})
    items = [{"itemName": name, "itemSpec": spec} for name, spec, _seen in readiness.ITEMS]
    client.patch("fai-templates", readiness.TEMPLATE, body={"items": items})
    for measurement in plant.FINAL_CHECK:
        client.post("data-collection-specs", body=measurement.body("FCT"))
    assert client.post("routes", plant.ROUTE, "compile")["status"] == "READY"


@pytest.mark.parametrize(
    "moment", ["2 of 4 done", *(pytest.param(when, marks=pytest.mark.long) for when in ("begins", "4 of 4 done"))]
)
def test_a_simulator_goes_on_where_another_stopped(client: Client, moment: str) -> None:
    stop = threading.Event()

    def stop_then(text: str) -> None:
        if moment in text:
            stop.set()

    with closing(Client(client.url, make_token(), stop=stop)) as other:
        first = simulator(other, boards=4, orders=2, say=stop_then)
        with pytest.raises(Stopped):
            first.run()
    simulator(client, boards=4, orders=0).run()
    for batch in first.batches:
        assert counts_of(client, batch.run_no) == {"DONE": 4}
        assert client.get("runs", batch.run_no)["status"] == "COMPLETED"
    for step in plant.STEPS:
        queue = client.get("stations", step.station, "queue")
        assert (queue["inStation"], queue["waiting"]) == ([], [])


def test_a_line_waits_for_a_machine_that_breaks_during_a_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.line.RETRY_SECONDS", 0.2)
    said: list[str] = []

    def set_status(status: str) -> None:
        other.patch("equipment", "EQ-PLC-A1", body={"status": status})

    def break_and_mend(text: str) -> None:
        said.append(text)
        if " begins: " in text:
            set_status("maintenance")
        if " waits: " in text:
            threading.Timer(0.5, lambda: set_status("normal")).start()

    with closing(Client(client.url, make_token())) as other:
        line = simulator(client, boards=2, say=break_and_mend)
        line.run()
    assert line.batches[0].done == 2
    assert sum("waits" in text for text in said) == 1


@pytest.mark.long
def test_a_file_of_the_oven_becomes_values_of_the_boards_in_it(
    client: Client, live_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    token, sample = make_token(), Path(oven.__file__).parent / "samples" / "units_processed.json"
    arguments = [str(sample), "--station", "REF-A1", "--url", live_server.url, "--token", token]
    sns = put_boards_into_the_oven(client)
    assert oven.main(arguments) == 0
    assert "22 values sent for 2 of the 2 units in REF-A1; 38 measurements" in capsys.readouterr().out
    values = client.get("trace", "units", sns[0])["dataValues"]
    assert {value["name"]: value["value"] for value in values if value["stepNo"] == 40}["O2"] == 512
    assert oven.main([*arguments, "--at", "2020-01-01T00:00:00Z"]) == 0
    assert "0 of the 2 units in REF-A1, 2 of which came in after" in capsys.readouterr().out
    assert oven.main([*arguments[:2], "NONE", *arguments[3:]]) == 1
    assert "STATION_NOT_FOUND" in capsys.readouterr().err


def put_boards_into_the_oven(client: Client) -> list[str]:
    """Open a run, pass two boards by hand through the first steps and track them into the oven."""
    sns = ["B.1", "B:2 #ü"]
    client.post("integration", "work-orders", body={"woNo": "W", "productCode": plant.PRODUCT, "plannedQty": 2})
    client.post("work-orders", "W", "release", body={"lineCode": plant.LINE})
    client.post("work-orders", "W", "runs", body={"lineCode": plant.LINE, "planQty": 2, "runNo": "R"})
    client.post("runs", "R", "units", body={"sns": sns})
    signer = make_signer(client)
    for step in (*set_up.steps(client, "R"), *preparing.steps(client, signer, run_no="R", sn=sns[0])):
        step()
    client.post("runs", "R", "authorize", body={"action": "AUTHORIZE"})
    for step in plant.STEPS[:4]:
        for sn in sns:
            if client.get("stations", "resolve-unit", sn)["currentStepNo"] != step.step_no:
                continue  # as the first article it was printed already
            client.post("stations", step.station, "track-in", body={"runNo": "R", "sn": sn})
            if step.kind == "REFLOW":
                continue
            data = [{"specName": each.name, "valueNumber": each.target} for each in step.measurements]
            body = {"runNo": "R", "sn": sn, "result": "PASS", "data": data}
            client.post("stations", step.station, "track-out", body=body)
    return sns
