"""Four weeks of engineers' work, so that histories, drift, newer versions and refused messages have something to show.

`python -m demo.engineers weeks` makes the plant, changes it over four weeks as several people would, and leaves what an
engineer finds on a Monday: a route that differs from its latest version and a run in preparation for which a newer
version is published. `python -m demo.engineers messages` sends dozens of messages that misspell one spec.

It is a client of the HTTP interface like any other. Each request says when it is meant to have been made
(`X-Demo-Moment`). No server heeds that; only `manage.py prepare_demo` does, in a database that nobody has used.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from demo import plant, preparing
from demo.client import Client, Refused, SignInRefused, Unreachable, as_person
from demo.signing import Signers

MOMENT = "X-Demo-Moment"
PATIENCE = 10.0  # seconds to wait for the server
LINE, ROUTE, PRODUCT = "SMT-B", "SMT-B-PWR", "PWR-200"
TEMPLATE, RECIPE, COAT_RULE = "FAI-PWR-200", "PREP_COATER_RECIPE", "COAT_8H"
UNDER_WAY, IN_PREPARATION = "RUN-PWR-0001", "RUN-PWR-0002"
BOARDS, MESSAGES = 8, 47
SENT, MEANT = "Coating Thicknes", "Coating Thickness"
ITEMS = (
    ("Coating thickness", "20 µm to 80 µm", "52 µm"),
    ("Keep-out areas", "free of coating", "free"),
)
STATIONS = (
    (10, "SELECT", "WAVE", "Selective soldering", "SEL-B1", "Selective soldering B1"),
    (20, "COAT", "OTHER", "Conformal coating", "COT-B1", "Coater B1"),
    (30, "XRAY", "XRAY", "X-ray inspection", "XRY-B1", "X-ray B1"),
)
SPECS = (
    ("SELECT", "Preheat Temperature", {"lsl": 95, "usl": 125, "target": 110, "unit": "°C"}),
    ("COAT", MEANT, {"lsl": 20, "usl": 80, "target": 50, "unit": "µm"}),
    ("XRAY", "Solder Voids", {"lsl": None, "usl": 2, "target": 1, "unit": "%"}),
)

# days ago, time, who, spec, what becomes of it (limits and alarm in part), why
E, L = "engineer", "lena"
SPEC_CHANGES: tuple[tuple[int, str, str, str, Mapping[str, Any], str], ...] = (
    (26, "07:42", E, "Peak Temperature", {"limits": {"usl": 260}}, "the new paste SAC305-T5 needs more heat"),
    (25, "09:10", L, "Paste Volume", {"limits": {"usl": 150}}, "stencil B wears at the corners, a new one is ordered"),
    (25, "09:12", L, "Paste Height", {"limits": {"usl": 160}}, "stencil B wears at the corners, a new one is ordered"),
    (24, "13:20", E, "Conveyor Speed", {"limits": {"usl": 78}}, "oven 2 drifts, the service comes on Thursday"),
    (23, "10:05", L, "Solder Voids", {"limits": {"usl": 3}}, "customer agreed to 3 % voids"),
    (22, "08:31", L, "Placement Offset", {"limits": {"usl": 55}}, "the new camera of the placer reads 4 µm more"),
    (21, "15:47", E, "O2", {"alarm": {"max": 1200}}, "nitrogen comes from another supplier, purity is watched by hand"),
    (20, "11:15", L, "Rinse Conductivity", {"limits": {"usl": 9}}, "ionic residues on a returned board"),
    (18, "06:55", L, "Paste Volume", {"limits": {"usl": 140}}, "the new stencil is in use"),
    (18, "06:56", L, "Paste Height", {"limits": {"usl": 155}}, "the new stencil is in use"),
    (17, "14:03", E, "Peak Temperature", {"limits": {"usl": 252}}, "oven 2 drifts, U7 stands 255 °C at most"),
    (16, "16:20", E, "Conveyor Speed", {"limits": {"usl": 77}}, "oven 2 is mended"),
    (15, "09:40", L, "Inspection Time", {"isActive": False}, "nobody reads it"),
    (14, "10:22", E, "Nozzle Vacuum", {"isRequired": True}, "two boards without a value last week"),
    (13, "08:05", L, "Inspection Time", {"isActive": True}, "the shift lead does read it"),
    (12, "13:48", L, "CAN Response Time", {"itemType": "KEY"}, "customer wants it on the certificate"),
    (11, "07:30", E, "Nozzle Vacuum", {"isRequired": False}, "the placer does not report it while a nozzle is changed"),
    (10, "09:58", E, "Peak Temperature", {"limits": {"usl": 256}}, "oven 2 is mended, five thermocouples agree"),
    (9, "15:12", E, "O2", {"alarm": {"max": 1000}}, "purity has been steady for ten days"),
    (8, "10:44", L, "Placement Offset", {"limits": {"usl": 50}}, "the camera is calibrated"),
    (7, "13:05", L, MEANT, {"limits": {"lsl": 25}}, "drawing C of the customer"),
    (6, "13:09", L, MEANT, {"limits": {"usl": 75}}, "drawing C of the customer"),
    (5, "11:36", E, "Earth Resistance", {"limits": {"usl": 90}}, "new standard of the customer"),
    (4, "06:48", L, "Water Temperature", {"limits": {"lsl": 57}}, "cold mornings: the washer starts too early"),
    (3, "14:27", E, "Supply Current", {"limits": {"usl": 230}}, "finds the fault of firmware 2.4.0 sooner"),
    (2, "09:15", E, "Solder Voids", {"limits": {"usl": 2.5}}, "the new flux leaves fewer voids"),
)


Act = Callable[[Client], object]


class Weeks:
    """The four weeks before `now`, by those who made them: people by name, and the tokens `line` and `erp`."""

    def __init__(self, now: datetime, clients: Mapping[str, Client], signers: Signers) -> None:
        """Nothing is sent yet."""
        self._signers = signers
        self._now = now
        self._clients = clients
        self._specs: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Make all of it, in the order in which it was."""
        plant.make(self._meant_for(28, "06:05", "line"))
        self._make_second_line()
        self._specs = {spec["name"]: spec for spec in self._clients["line"].items("data-collection-specs")}
        specs = [
            (days, clock, who, self._change_spec(name, change, reason))
            for days, clock, who, name, change, reason in SPEC_CHANGES
        ]
        for days, clock, who, act in sorted([*specs, *self._others()], key=lambda each: (-each[0], each[1])):
            act(self._meant_for(days, clock, who))

    def _meant_for(self, days: int, clock: str, who: str) -> Client:
        """Have what somebody sends from now on be meant for then; return who it is."""
        client = self._clients[who]
        day = self._now.date() - timedelta(days=days)
        client.headers[MOMENT] = datetime.combine(day, time.fromisoformat(clock), UTC).isoformat()
        return client

    # --- the second line ----------------------------------------------------------------------------------

    def _make_second_line(self) -> None:
        """A line of its own, which people work by hand: nothing of it is in the way of the one that runs."""
        admin = self._meant_for(27, "08:00", "admin")
        line = {"code": LINE, "name": "SMT line B", "processType": "SMT", "readinessChecks": ["ROUTE"]}
        admin.post(
            "lines",
            body={**line, "shifts": list(plant.SHIFTS[:2]), "changeReason": "line B starts with one shift more"},
        )
        lena = self._meant_for(27, "08:20", "lena")
        lena.post("materials", body={"code": PRODUCT, "name": "Power board PWR-200", "unit": "pcs"})
        for _number, operation, kind, name, station, station_name in STATIONS:
            lena.post(
                "operations", body={"code": operation, "name": name, "kind": kind, "defaultStationType": "MANUAL"}
            )
            lena.post(
                "stations", body={"code": station, "name": station_name, "lineCode": LINE, "stationType": "MANUAL"}
            )
        for operation, name, limits in SPECS:
            body = plant.Measurement(name, 0.0, is_key=name != SPECS[0][1]).body(operation)
            lena.post("data-collection-specs", body={**body, "limits": limits})
        items = [{"itemName": name, "itemSpec": spec} for name, spec, _seen in ITEMS]
        lena.post("fai-templates", body={"code": TEMPLATE, "name": "First article of the power board", "items": items})
        steps = [{"stepNo": number, "operationCode": operation} for number, operation, *_ in STATIONS[:2]]
        route = {"code": ROUTE, "name": "Power board", "sourceSystem": "MES", "productCode": PRODUCT, "isActive": True}
        lena.post("routes", body={**route, "faiTemplateCode": TEMPLATE, "steps": steps})
        for number, _operation, _kind, _name, station, _station_name in STATIONS:
            config = {"scope": "STEP", "stepNo": number, "allowedStationCodes": [station], "requiresFAI": number == 10}
            if number < 30:
                lena.post("routes", ROUTE, "execution-config", body=config)
        lena.post(
            "prep-policies",
            body={
                "code": RECIPE,
                "name": "Recipe of the coater",
                "instruction": "Load the recipe PWR200 on the coater.",
                "routeCode": ROUTE,
                "gate": "SOFT",
            },
        )
        compile_route(ROUTE, "first version")(lena)

    # --- week by week -------------------------------------------------------------------------------------

    def _change_spec(self, name: str, change: Mapping[str, Any], reason: str) -> Act:
        """Change parts of the limits or the alarm, or fields, of a spec."""

        def act(client: Client) -> None:
            spec = self._specs[name]
            whole = {part: {**spec[part], **value} for part, value in change.items() if isinstance(value, dict)}
            body = {**change, **whole, "changeReason": reason}
            self._specs[name] = client.patch("data-collection-specs", spec["id"], body=body)

        return act

    def _others(self) -> list[tuple[int, str, str, Act]]:
        """What else than specs changed: days ago, time, who, what."""
        line = plant.ROUTE
        with_xray = [{"stepNo": number, "operationCode": operation} for number, operation, *_ in STATIONS]
        xray = {"scope": "STEP", "stepNo": 30, "allowedStationCodes": [STATIONS[2][4]]}
        return [
            (26, "07:50", E, compile_route(line, "profile of the paste SAC305-T5")),
            (25, "09:20", L, compile_route(line, "stencil B wears")),
            (24, "09:00", L, change_steps(ROUTE, with_xray, "customer wants an X-ray of each board")),
            (24, "09:05", L, add_config(ROUTE, xray, "there is one X-ray machine")),
            (24, "13:30", E, compile_route(line, "oven 2 drifts")),
            (23, "10:10", L, compile_route(ROUTE, "with X-ray, 3 % voids")),
            (22, "08:40", E, change_rule("WASH_4H", {"durationMinutes": 180}, "the flux of SAC305-T5 hardens sooner")),
            (21, "16:02", E, change_config(line, 20, wait(300), "paste inspection reports late since its update")),
            (20, "10:30", L, change_policy(RECIPE, recipe("PU-200"), "recipe renamed by supplier")),
            (20, "10:32", L, change_policy(RECIPE, {"gate": "HARD"}, "a lot was coated with the wrong recipe")),
            (19, "14:55", L, change_config(line, 60, {"retestLimit": 2}, "contacts of the fixture are worn")),
            (19, "15:10", E, compile_route(line, "worn fixture, late paste inspection")),
            (18, "11:11", "admin", change("lines", LINE, {"name": "SMT line B, power"}, "named as on the shop floor")),
            (17, "14:10", E, compile_route(line, "252 °C until oven 2 is mended")),
            (16, "08:25", E, change_rule("SOLDER_PASTE_24H", {"warningMinutes": 180}, "the store needs three hours")),
            (15, "04:00", "erp", receive_order("WO-PWR-0001", 12)),
            (13, "04:00", "erp", receive_order("WO-PWR-0001", BOARDS)),
            (13, "11:20", E, change_rule("WASH_4H", {"durationMinutes": 240}, "data sheet of the flux: 4 h hold")),
            (12, "09:02", L, change_config(line, 20, wait(plant.WAIT_SECONDS), "update rolled back by its supplier")),
            (12, "09:30", L, add_rule("boards took up moisture over the weekend")),
            (11, "13:15", L, change_config(line, 60, {"retestLimit": 1}, "the fixture has new contacts")),
            (11, "13:20", L, compile_route(line, "fixture and paste inspection as before")),
            (10, "10:05", E, compile_route(line, "oven 2 is mended")),
            (9, "06:30", "admin", open_run("WO-PWR-0001", UNDER_WAY)),
            (9, "08:10", "quality", lambda quality: self._inspect(quality)),
            (8, "11:00", L, change_rule(COAT_RULE, {"durationMinutes": 720}, "the oven of the store dries them")),
            (8, "06:15", "admin", authorize(UNDER_WAY)),
            (8, "15:30", "erp", receive_order("WO-PWR-0002", 20)),
            (7, "06:45", "admin", open_run("WO-PWR-0002", IN_PREPARATION)),
            (6, "13:15", L, compile_route(ROUTE, "coating as on drawing C")),
            (5, "08:00", L, change("materials", PRODUCT, {"name": "Power board PWR-200 rev. C"}, "drawing C")),
            (
                4,
                "10:12",
                E,
                change("fai-templates", TEMPLATE, {"name": "First article of the power board, rev. C"}, "drawing C"),
            ),
            (3, "14:40", E, compile_route(line, "supply current, earth resistance, water, certificate")),
        ]

    def _inspect(self, quality: Client) -> None:
        """Quality inspects the first article; another one signs."""
        admin = self._meant_for(9, "08:40", "admin")
        sample = serial_number(1)
        preparing.inspect(quality, admin, UNDER_WAY, sample, items=ITEMS, signers=self._signers, who="admin")


# --- what is changed ----------------------------------------------------------------------------------------


def change(collection: str, code: str, fields: Mapping[str, Any], reason: str) -> Act:
    """Change fields of one thing."""
    return lambda client: client.patch(collection, code, body={**fields, "changeReason": reason})


def change_by_code(collection: str, code: str, fields: Mapping[str, Any], reason: str) -> Act:
    """Change fields of the one thing of a collection that has this code, where addresses take ids."""

    def act(client: Client) -> None:
        (found,) = client.items(collection, query={"code": code})
        client.patch(collection, found["id"], body={**fields, "changeReason": reason})

    return act


def change_rule(code: str, fields: Mapping[str, Any], reason: str) -> Act:
    """Change a time rule."""
    return change_by_code("time-rules", code, fields, reason)


def change_policy(code: str, fields: Mapping[str, Any], reason: str) -> Act:
    """Change a preparation policy."""
    return change_by_code("prep-policies", code, fields, reason)


def recipe(name: str) -> dict[str, Any]:
    """Return what the coater's policy says of a recipe."""
    return {"instruction": f"Load the recipe {name} on the coater."}


def change_steps(route: str, steps: list[dict[str, Any]], reason: str) -> Act:
    """Give a route these steps."""
    return change("routes", route, {"steps": steps}, reason)


def add_config(route: str, config: Mapping[str, Any], reason: str) -> Act:
    """Say how a step runs."""
    return lambda client: client.post("routes", route, "execution-config", body={**config, "changeReason": reason})


def change_config(route: str, step_no: int, fields: Mapping[str, Any], reason: str) -> Act:
    """Change how a step runs; of its mapping, the keys that are named."""

    def act(client: Client) -> None:
        (config,) = (one for one in client.items("routes", route, "execution-config") if one["stepNo"] == step_no)
        mapping = {**(config["ingestMapping"] or {}), **fields.get("ingestMapping", {})} or None
        body = {**fields, "ingestMapping": mapping, "changeReason": reason}
        client.patch("execution-configs", config["id"], body=body)

    return act


def wait(seconds: int) -> dict[str, Any]:
    """Return how long events wait for one that they overtook, as a part of a mapping."""
    return {"ingestMapping": {"waitSeconds": seconds}}


def compile_route(route: str, reason: str) -> Act:
    """Publish a route. Raises RuntimeError where it cannot be compiled."""

    def act(client: Client) -> None:
        version = client.post("routes", route, "compile", body={"changeReason": reason})
        if version["status"] != "READY":
            raise RuntimeError(f"Route {route} cannot be compiled: {version['errors']}")

    return act


def add_rule(reason: str) -> Act:
    """Boards must be coated soon after soldering."""
    rule = {
        "code": COAT_RULE,
        "name": "Coat within hours after soldering",
        "durationMinutes": 480,
        "warningMinutes": 60,
        "startEvent": "TRACK_OUT",
        "startCondition": {"operationCode": ["SELECT"], "result": ["PASS"]},
        "endEvent": "TRACK_IN",
        "endCondition": {"operationCode": ["COAT"]},
        "scope": "ROUTING",
        "scopeValue": ROUTE,
    }
    return lambda client: client.post("time-rules", body={**rule, "changeReason": reason})


# --- orders and runs ----------------------------------------------------------------------------------------


def receive_order(order: str, quantity: int) -> Act:
    """The ERP orders boards, or changes how many."""
    body = {"woNo": order, "productCode": PRODUCT, "plannedQty": quantity}
    return lambda client: client.post("integration", "work-orders", body=body)


def open_run(order: str, run: str) -> Act:
    """Release an order and open its run, with the latest version of the route."""

    def act(client: Client) -> None:
        client.post("work-orders", order, "release", body={"lineCode": LINE})
        client.post("work-orders", order, "runs", body={"lineCode": LINE, "planQty": BOARDS, "runNo": run})
        sns = [serial_number(number, run=run) for number in range(1, BOARDS + 1)]
        client.post("runs", run, "units", body={"sns": sns})

    return act


def authorize(run: str) -> Act:
    """Confirm the recipe and start a run."""

    def act(client: Client) -> None:
        client.post("runs", run, "readiness", "preparations", RECIPE, "confirm")
        client.post("runs", run, "authorize", body={"action": "AUTHORIZE", "reason": "the line is free"})

    return act


def serial_number(number: int, *, run: str = UNDER_WAY) -> str:
    """Return the serial number of a board of a run."""
    return f"PB-{run[-4:]}-{number:02}"


def send_misspelt(client: Client) -> None:
    """Bring boards to the coater, whose new recipe then misspells the one spec in all that it measures."""
    sns = [serial_number(number) for number in range(1, BOARDS + 1)]
    for sn in sns:
        unit = {"runNo": UNDER_WAY, "sn": sn}
        client.post("stations", STATIONS[0][4], "track-in", body=unit)
        client.post("stations", STATIONS[0][4], "track-out", body={**unit, "result": "PASS"})
        client.post("stations", STATIONS[1][4], "track-in", body=unit)
    events = [misspelt(number, sns[number % BOARDS], datetime.now(UTC)) for number in range(MESSAGES)]
    client.post("integration", "device-data", "batch", body={"events": events})


def misspelt(number: int, sn: str, at: datetime) -> dict[str, Any]:
    """Return a reading of the coater under a name that no spec has."""
    value = 48 + number * 7 % 11 * 0.5
    return {
        "eventId": f"coater-{number + 1:03}",
        "eventTime": at.isoformat(),
        "source": "AUTO",
        "stationCode": STATIONS[1][4],
        "stepNo": STATIONS[1][0],
        "runNo": UNDER_WAY,
        "unitSn": sn,
        "data": [{"specName": SENT, "valueNumber": value, "unit": "µm"}],
    }


def main(arguments: Sequence[str]) -> int:
    """Write the `weeks`, or send the `messages`; 0 when all of it is there."""
    url = os.environ["LINEKEEPER_URL"]
    try:
        sessions: dict[str, str] = json.loads(os.environ["LINEKEEPER_SESSIONS"])
        tokens = {"line": os.environ["LINEKEEPER_TOKEN"], "erp": os.environ["LINEKEEPER_ERP_TOKEN"]}
        clients = {name: Client(url, token, patience=PATIENCE) for name, token in tokens.items()}
        clients |= {name: as_person(url, session, patience=PATIENCE) for name, session in sessions.items()}
        if "messages" in arguments:
            send_misspelt(clients["line"])
        else:
            Weeks(datetime.now(UTC), clients, Signers.of_environment()).write()
    except (Refused, SignInRefused, Unreachable, RuntimeError) as error:
        print(f"{error} {getattr(error, 'details', '') or ''}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
