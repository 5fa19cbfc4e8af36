"""What must be right before a run of the demo line may start. How people put it right, `demo.preparing` knows.

The line asks for a stencil and solder paste (`demo.set_up`), for its feeders to be compared by a person, for the placer
to report the right program, and for a first article that another person signs. It does not ask for the clocks: boards
that nobody repairs would stop the demo after hours.
"""

from typing import Any

from demo.client import Client

CHECKS = ("ROUTE", "EQUIPMENT", "STENCIL", "SOLDER_PASTE")
PLACER, PLACING, PROGRAM = "PLC-A1", "PLACE", "Program Name"
FEEDERS = "PREP_FEEDERS"
TEMPLATE = "FAI-CTRL-100"
HEIGHT = {"stepNo": 10, "lsl": 85, "usl": 155, "unit": "µm"}  # measured once the board is printed
ITEMS: tuple[tuple[str, str, str | float], ...] = (
    ("Paste height", "120 µm ± 35 µm", 118.0),
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
        items = [
            {"itemName": name, "itemSpec": spec, **(HEIGHT if isinstance(seen, float) else {})}
            for name, spec, seen in ITEMS
        ]
        body = {"code": TEMPLATE, "name": "First article of the controller board", "items": items}
        client.post("fai-templates", body=body)
    config = {"scope": "STEP", "stepNo": first_step, "requiresFAI": True}
    client.post("routes", route, "execution-config", body=config)
    client.patch("routes", route, body={"faiTemplateCode": TEMPLATE})  # last: what was cut off before is done again
    return True
