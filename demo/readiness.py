"""What must be right before a run of the demo line may start, and how the people of the demo put it right.

The line asks for a stencil and solder paste (`demo.set_up`), for its feeders to be compared by a person, for the placer
to report the right program, and for a first article that another person signs. It does not ask for the clocks: boards
that nobody repairs would stop the demo after hours.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from demo.client import Client

CHECKS = ("ROUTE", "EQUIPMENT", "STENCIL", "SOLDER_PASTE")
PLACER, PLACING, PROGRAM = "PLC-A1", "PLACE", "Program Name"
FEEDERS = "PREP_FEEDERS"
TEMPLATE = "FAI-CTRL-100"
ITEMS = (
    ("Paste height", "120 µm ± 35 µm", "118 µm"),
    ("Polarity of D1 and D2", "as on drawing CTRL-100-A", "as drawn"),
    ("Solder joints of U1", "class 2, no bridges", "good"),
)
DAY = 1440  # minutes


# --- what the engineers set up ------------------------------------------------------------------------------


def make(client: Client, *, line: str, route: str, product: str, first_step: int) -> bool:
    """Create what is missing of the policies, the program's spec and the first article; return whether anything was.

    A line of an earlier release, which asks for no stencil, is left as it is.
    """
    if "STENCIL" not in client.get("lines", line)["readinessChecks"]:
        return False
    return any(
        [
            _make_program(client, route=route, product=product),
            _make_feeders(client, line=line),
            _make_first_article(client, route=route, first_step=first_step),
        ]
    )


def _make_program(client: Client, *, route: str, product: str) -> bool:
    known = [spec["name"] for spec in client.items("data-collection-specs", query={"operationCode": PLACING})]
    if PROGRAM not in known:
        spec = {"operationCode": PLACING, "name": PROGRAM, "itemType": "OBSERVATION", "dataType": "TEXT"}
        client.post("data-collection-specs", body={**spec, "method": "AUTO", "triggerType": "EVENT"})
    policy = {
        "code": "PREP_PROGRAM",
        "name": "Placement program",
        "instruction": f"Load the program {product} on the placer; it reports it by itself.",
        "routeCode": route,
        "gate": "HARD",
        "confirmMode": "AUTO",
        "dataSource": "DEVICE",
        "deviceSpec": {"operationCode": PLACING, "specName": PROGRAM},
        "expectedText": product,
        "maxAgeMinutes": DAY,
    }
    return _ensure_policy(client, policy) or PROGRAM not in known


def _make_feeders(client: Client, *, line: str) -> bool:
    instruction = "Compare the feeders with the set-up list of the product."
    return _ensure_policy(
        client, {"code": FEEDERS, "name": "Feeders", "instruction": instruction, "lineCode": line, "gate": "SOFT"}
    )


def _ensure_policy(client: Client, policy: dict[str, Any]) -> bool:
    if any(client.items("prep-policies", query={"code": policy["code"]})):
        return False
    client.post("prep-policies", body=policy)
    return True


def _make_first_article(client: Client, *, route: str, first_step: int) -> bool:
    """Bind a template to the route, and ask for a first article at its first step."""
    if client.get("routes", route)["faiTemplateCode"] is not None:
        return False
    if not any(one["code"] == TEMPLATE for one in client.items("fai-templates")):
        items = [{"itemName": name, "itemSpec": spec} for name, spec, _seen in ITEMS]
        body = {"code": TEMPLATE, "name": "First article of the controller board", "items": items}
        client.post("fai-templates", body=body)
    config = {"scope": "STEP", "stepNo": first_step, "requiresFAI": True}
    client.post("routes", route, "execution-config", body=config)
    client.patch("routes", route, body={"faiTemplateCode": TEMPLATE})  # last: what was cut off before is done again
    return True


# --- what people do before a run ----------------------------------------------------------------------------


def steps(client: Client, signer: Client, *, line: str, run_no: str, sn: str) -> list[Callable[[], object]]:
    """Return what is to be done before a run is authorized, in order; each may be tried again.

    `sn` is the sample unit; `signer` acts for the person who signs, another one than the inspector.
    """
    if "STENCIL" not in client.get("lines", line)["readinessChecks"]:
        return []  # a line of an earlier release
    said_at = datetime.now(UTC).isoformat()
    return [
        lambda: report_program(client, f"{run_no}-program", said_at),
        lambda: client.post("runs", run_no, "readiness", "preparations", FEEDERS, "confirm"),
        lambda: inspect(client, signer, run_no, sn),
    ]


def report_program(client: Client, event_id: str, said_at: str, program: str = "CTRL-100") -> None:
    """Have the placer report the program it has loaded."""
    body = {"eventId": event_id, "eventTime": said_at, "source": "AUTO", "stationCode": PLACER}
    data = [{"specName": PROGRAM, "valueText": program}]
    client.post("integration", "station-data", body={**body, "operationCode": PLACING, "data": data})


def inspect(
    client: Client, signer: Client, run_no: str, sn: str, *, items: Sequence[tuple[str, str, str]] = ITEMS
) -> None:
    """Inspect the first article of a run and have it signed, from wherever it stands."""
    found = next(iter(client.items("fai", query={"runNo": run_no})), None)
    if found is None or found["status"] == "FAILED":
        found = client.post("fai", "run", run_no, body={"sampleQty": 1})
    if found["status"] == "CREATED":
        found = client.post("fai", found["id"], "start")
    if found["status"] == "INSPECTING":
        for name, _spec, seen in items:
            item = {"unitSn": sn, "itemName": name, "actualValue": seen, "result": "PASS"}
            client.post("fai", found["id"], "items", body=item)
        found = client.post("fai", found["id"], "complete", body={"decision": "PASS"})
    if not found["isSigned"]:
        signer.post("fai", found["id"], "sign", body={})
