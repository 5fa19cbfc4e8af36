"""The hand station of the demo: boards wait for a person, and no more than that person can see."""

from demo import hand, plant
from demo.client import Client


def counts_of(client: Client, run_no: str) -> dict[str, int]:
    return {status: count for status, count in client.get("runs", run_no)["unitCounts"].items() if count}


def work(client: Client, sn: str, result: str, torque: float) -> None:
    """Do what a person does at the station."""
    client.post("stations", hand.STATION, "track-in", body={"sn": sn})
    data = [{"specName": "Screw Torque", "valueNumber": torque}, {"specName": "Cover Closed", "valueBoolean": True}]
    body = {"sn": sn, "result": result, "data": data}
    client.post("stations", hand.STATION, "track-out", body=body)


def test_boards_wait_for_a_person_and_the_next_come_when_none_waits(client: Client) -> None:
    said: list[str] = []
    work_place = hand.HandWork(client, said.append, shifts=plant.SHIFTS)
    work_place.look()
    work_place.look()
    assert hand.make(client, shifts=plant.SHIFTS) is False
    [first] = client.items("runs", query={"lineCode": hand.LINE})
    run_no = first["runNo"]
    waiting = [unit["sn"] for unit in client.get("stations", hand.STATION, "queue")["waiting"]]
    assert len(waiting) == hand.BOARDS
    for sn in waiting[1:]:
        work(client, sn, "PASS", 1.0)
    work_place.look()
    assert len(list(client.items("runs", query={"lineCode": hand.LINE}))) == 1
    work(client, waiting[0], "FAIL", 1.0)
    work(client, waiting[0], "PASS", 0.5)  # fails for good: people decide
    assert counts_of(client, run_no) == {"DONE": hand.BOARDS - 1, "OUT_FAILED": 1}
    work_place.look()
    work_place.look()
    runs = {run["runNo"]: run["status"] for run in client.items("runs", query={"lineCode": hand.LINE})}
    assert sorted(runs.values()) == ["AUTHORIZED", "IN_PROGRESS"] and runs[run_no] == "IN_PROGRESS"
    hand.HandWork(client, said.append, shifts=plant.SHIFTS).look()  # as after a restart
    assert len(list(client.items("runs", query={"lineCode": hand.LINE}))) == 2
