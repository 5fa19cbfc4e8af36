"""What people do before a run of the demo line may start: feeders, the program, a first article that another one signs.

The first article has a number to be measured, for which its board passes the first step before the run may.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from demo import machines, plant
from demo.client import Client, Refused
from demo.readiness import FEEDERS, ITEMS, PLACER, PLACING
from demo.readiness import PROGRAM as PROGRAM_SPEC
from demo.signing import QUALITY, Signers

Item = tuple[str, str, str | float]


def steps(
    client: Client, signer: Client, *, run_no: str, sn: str, signers: Signers | None = None
) -> list[Callable[[], object]]:
    """Return what is to be done before a run is authorized, in order; each may be tried again.

    `sn` is the sample unit; `signer` acts for the person who signs, another one than the inspector.
    """
    if "STENCIL" not in client.get("lines", plant.LINE)["readinessChecks"]:
        return []  # a line of an earlier release
    said_at = datetime.now(UTC).isoformat()
    return [
        lambda: report_program(client, f"{run_no}-program", said_at),
        lambda: client.post("runs", run_no, "readiness", "preparations", FEEDERS, "confirm"),
        lambda: inspect(client, signer, run_no, sn, signers=signers),
    ]


def report_program(client: Client, event_id: str, said_at: str, program: str = "CTRL-100") -> None:
    """Have the placer report the program it has loaded."""
    body = {"eventId": event_id, "eventTime": said_at, "source": "AUTO", "stationCode": PLACER}
    data = [{"specName": PROGRAM_SPEC, "valueText": program}]
    client.post("integration", "station-data", body={**body, "operationCode": PLACING, "data": data})


def inspect(
    client: Client,
    signer: Client,
    run_no: str,
    sn: str,
    *,
    items: Sequence[Item] = ITEMS,
    signers: Signers | None = None,
    who: str = QUALITY,
) -> None:
    """Inspect the first article of a run and have it signed, from wherever it stands. `who` is it that signs."""
    found = next(iter(client.items("fai", query={"runNo": run_no})), None)
    if found is None or found["status"] == "FAILED":
        found = client.post("fai", "run", run_no, body={"sampleQty": 1})
    if found["status"] == "CREATED":
        found = client.post("fai", found["id"], "start")
    if found["status"] == "INSPECTING":
        for item in items:
            _record(client, found["id"], sn, item)
        found = client.post("fai", found["id"], "complete", body={"decision": "PASS"})
    if not found["isSigned"]:
        address = ("fai", str(found["id"]), "sign")
        (signers or Signers()).post(signer, *address, body={}, who=who, meaning="First article approved")


def _record(client: Client, inspection: str, sn: str, item: Item) -> None:
    """Record an item; where its step was not passed yet, the board passes it first."""
    name, _spec, seen = item
    said = {"actualValue": seen} if isinstance(seen, str) else {"actualNumber": seen}
    body = {"unitSn": sn, "itemName": name, "result": "PASS", **said}
    try:
        client.post("fai", inspection, "items", body=body)
    except Refused as refusal:
        if refusal.code != "FAI_STEP_NOT_PASSED":
            raise
        run_sample(client, sn, refusal.details["stepNo"])
        client.post("fai", inspection, "items", body=body)


def run_sample(client: Client, sn: str, last_step_no: int) -> None:
    """Have the board of a first article pass the machines up to a step, as a trial."""
    for step in plant.STEPS:
        unit = client.get("stations", "resolve-unit", sn)
        if step.step_no > last_step_no or not step.is_by_machine:
            return
        if (unit["status"], unit["currentStepNo"]) == ("QUEUED", step.step_no):
            client.post("ingest", "events", body=machines.good_event(step, sn))


def run_samples(client: Client, prefix: str) -> list[str]:
    """Have the named samples of first articles that somebody else inspects pass the first step; return which did."""
    first = plant.STEPS[0].step_no
    ran = []
    for found in client.items("fai", query={"status": "INSPECTING", "lineCode": plant.LINE}):
        if not found["runNo"].startswith(prefix):
            continue
        for sn in client.get("fai", str(found["id"]))["sampleSns"]:
            unit = client.get("stations", "resolve-unit", sn)
            if (unit["status"], unit["currentStepNo"]) == ("QUEUED", first):
                run_sample(client, sn, first)
                ran.append(sn)
    return ran
