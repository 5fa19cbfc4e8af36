"""What Quality has set up for the demo line: what machines' words mean, what stops a station, how lots are sampled."""

from typing import Any

from demo.client import Client

OPTICAL = "AOI-A1"
WORDS = (("E17", "BRIDGE"), ("E23", "TOMBSTONE"), ("E05", "MISSING"))  # of the optical inspection; it knows more
HOLD_RULE = "AOI-3-IN-A-ROW"
SAMPLING = "CTRL-100-OUT"
LOOKED_AT: tuple[dict[str, Any], ...] = (
    {"itemName": "Solder joints", "itemSpec": "IPC-A-610, class 2"},
    {"itemName": "Warp", "itemSpec": "0.75 % at most", "usl": 0.75, "unit": "%"},
    {"itemName": "Label", "itemSpec": "readable, on its place"},
)


def make(client: Client, *, product: str) -> bool:
    """Create what is missing; return whether anything was."""
    aliases = [_make_alias(client, *words) for words in WORDS]
    return any([*aliases, _make_hold_rule(client), _make_sampling(client, product)])


def _make_alias(client: Client, reported: str, code: str) -> bool:
    if any(client.items("defect-aliases", query={"sourceSystem": OPTICAL, "reported": reported})):
        return False
    client.post("defect-aliases", body={"sourceSystem": OPTICAL, "reported": reported, "code": code})
    return True


def _make_hold_rule(client: Client) -> bool:
    if any(one["code"] == HOLD_RULE for one in client.items("hold-rules", query={"stationCode": OPTICAL})):
        return False
    rule = {
        "code": HOLD_RULE,
        "name": "Three boards in a row that the optical inspection failed",
        "kind": "CONSECUTIVE_FAIL",
        "n": 3,
        "stationCode": OPTICAL,
        "action": "STOP_STATION",
    }
    client.post("hold-rules", body=rule)
    return True


def _make_sampling(client: Client, product: str) -> bool:
    if any(client.items("oqc", "sampling-rules", query={"code": SAMPLING})):
        return False
    rule = {
        "code": SAMPLING,
        "name": "Controller boards before they leave",
        "productCode": product,
        "scheme": "ISO2859",
        "level": "I",
        "aql": "1.0",
        "items": list(LOOKED_AT),
    }
    client.post("oqc", "sampling-rules", body=rule)
    return True
