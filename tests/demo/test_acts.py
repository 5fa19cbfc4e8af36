"""What is done with orders and runs while the demo line runs."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from random import Random

import pytest
from django.core.management import call_command

from demo import acts, bench, plant
from demo.client import Client, Stopped
from demo.machines import Instrument
from demo.simulator import Simulator
from tests.demo.conftest import make_signer
from tests.factories import make_token

RATE = 1e6


def play(
    client: Client, *names: str, boards: int = 12, orders: int = 1, say: Callable[[str], None] = lambda text: None
) -> Simulator:
    """Have the line make an order and play these acts."""
    line = Simulator(
        client,
        rate=RATE,
        boards=boards,
        orders=orders,
        burst=0,
        instrument=Instrument(Random(boards), faults=()),  # another's keys are others
        signer=make_signer(client),
        has_technician=True,
        acts=[names],
        say=say,
    )
    line.run()
    assert not line.tally.unexpected
    for batch in line.batches:
        made_again = f"{batch.run_no}-R1" in {one.run_no for one in line.batches}
        assert client.get("runs", batch.run_no)["status"] == ("CLOSED_REWORK" if made_again else "COMPLETED")
    call_command("check_integrity")
    return line


def test_all_acts_are_played_in_an_hour(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "STOP_TAKTS", 5e3)
    line = play(client, *acts.ALL)
    first = line.batches[0].run_no
    stamp = first.removeprefix("RUN-CTRL-")
    made = {batch.run_no.removeprefix(first): (batch.done, batch.size) for batch in line.batches}
    rest = {"-2": (1, 1), "-2-R1": (1, 1), "-B": (2, 2), "-E": (3, 3), "-P": (3, 3), "-R": (1, 1)}
    assert made == {"": (9, 10), **rest}
    # split
    assert client.get("runs", f"{first}-B")["woNo"] == f"WO-CTRL-{stamp}"
    assert client.get("work-orders", f"WO-CTRL-{stamp}")["made"] == 11
    # stopped
    assert line.tally.on_purpose["line stopped"] > 0
    assert [one["act"] for one in client.items("lines", plant.LINE, "history")].count("hold") == 1
    assert list(client.items("ingest", "events", query={"status": "REJECTED"})) == []
    # come back
    assert client.get("runs", f"{first}-R")["kind"] == "REWORK"
    [returned] = client.items("runs", f"{first}-R", "units")
    trace = client.get("trace", "units", returned["sn"])
    assert [(move["act"], move["countedAs"]) for move in trace["moves"]] == [("RETURN", "DONE")]
    # engineers, a panel
    assert client.get("runs", f"{first}-E")["kind"] == "ENGINEERING"
    for position in (1, 2, 4):
        trace = client.get("trace", "units", f"PB-{stamp}-{position}")
        assert [alias["sn"] for alias in trace["aliases"]] == [f"PANEL-{stamp}:{position}"]
    check_quality(client, first)
    # golden board
    [passed] = client.items("reference-units", acts.GOLDEN, "passes")
    assert (passed["stationCode"], passed["result"]) == (acts.GOLDEN_STATION, "PASS")


def check_quality(client: Client, run_no: str) -> None:
    """Defects were found and decided about, boards held and released, and one lot was rejected and made again."""
    found = {one["reportedCode"]: one for one in client.items("defects", query={"runNo": run_no})}
    assert {reported: (one["code"], one["location"], one["status"]) for reported, one in found.items()} == {
        "E17": ("BRIDGE", "U3", "REPAIRED"),
        "E23": ("TOMBSTONE", "R17", "SCRAPPED"),
        "E99": ("E99", "U1", "FALSE_CALL"),
    }
    [repair] = client.get("trace", "units", found["E17"]["unitSn"])["repairs"]
    assert (repair["action"], repair["replaced"][0]["materialCode"]) == ("REPLACED", bench.PART)
    tracks = client.get("trace", "units", found["E99"]["unitSn"])["tracks"]
    assert [track["resultOverride"] for track in tracks if track["stepNo"] == 50] == ["REVIEW"]
    [hold] = client.items("holds", query={"scope": "UNITS", "source": "PERSON"})
    assert (hold["status"], hold["condition"]["stationCode"], hold["endReason"]) == (
        "RELEASED",
        acts.HELD_STATION,
        acts.RELEASE_REASON,
    )
    lots = {one["runNo"].removeprefix(run_no): one["status"] for one in client.items("oqc")}
    assert lots.pop("-2") == "FAILED" and set(lots.values()) == {"PASSED"}
    [first] = client.items("fai", query={"runNo": run_no})
    [height] = [one for one in client.get("fai", first["id"])["items"] if one["itemName"] == "Paste height"]
    assert (height["actualNumber"], height["result"]) == (118, "PASS")


@pytest.mark.parametrize(
    ("now", "began"),
    [("2026-03-02T05:59:00", "2026-03-01T22:00:00"), ("2026-03-02T06:00:00", "2026-03-02T06:00:00"),
     ("2026-03-02T23:30:00", "2026-03-02T22:00:00")],
)  # fmt: skip
def test_a_shift_began_before_now(now: str, began: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert acts.shift_began(moment) == datetime.fromisoformat(began).replace(tzinfo=UTC)


@pytest.mark.long
def test_what_another_simulator_left_stopped_or_prepared_goes_on(client: Client) -> None:
    stop = threading.Event()

    def stop_then(text: str) -> None:
        if "is stopped" in text:
            stop.set()

    with closing(Client(client.url, make_token(), stop=stop)) as other, pytest.raises(Stopped):
        play(other, "order", "stop", say=stop_then)
    assert client.get("lines", plant.LINE, "status")["hold"] is None
    client.post("lines", plant.LINE, "hold", body={"reason": acts.STOPS[0]})  # as if it had been killed
    line = play(client, boards=1, orders=0)
    assert sorted((batch.done, batch.size) for batch in line.batches) == [(1, 1), (12, 12)]
    assert client.get("lines", plant.LINE, "status")["hold"] is None
