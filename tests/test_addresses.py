"""Names with slashes in every address, as `/` and as `%2F`: each address means one thing."""

import re
from collections.abc import Iterator
from time import perf_counter
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, resolve, reverse

from mes.platform.http.addresses import FIRST_NAME, NAME
from mes.platform.validators import INTERFACE_WORDS, validate_code
from tests.factories import api_client, make_plant

NAMED = re.compile(rf"<name:(\w+)>|\(\?P<(\w+)>(?:{re.escape(NAME)}|{re.escape(FIRST_NAME)})\)")
OTHER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>([^)]*)\)")
WITH_SLASHES = ["A/B", "WO 7/2026/1", "ß/ü#?%2F", "hold/1", "A/B+C:d"]


def list_addresses() -> list[tuple[str, URLPattern]]:
    """Return every address that has a name, in the order in which they are tried."""

    def walk(resolver: object, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
        for pattern in resolver.url_patterns:  # type: ignore[attr-defined]
            address = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$")
            if isinstance(pattern, URLPattern):
                yield address, pattern
            else:
                yield from walk(pattern, address)

    return [(address, pattern) for address, pattern in walk(get_resolver()) if NAMED.search(address)]


def fill(address: str, name: str, *, word: str = "") -> tuple[str, dict[str, str]]:
    """Return an address with this name in each place of one, and what its view must get."""
    kwargs: dict[str, str] = {}

    def put_name(match: re.Match[str]) -> str:
        kwargs[match[1] or match[2]] = name
        return name

    def put_other(match: re.Match[str]) -> str:
        kwargs[match[1] or match[2]] = (match[3] or "").split("|")[0] if "|" in (match[3] or "") else "7"
        return kwargs[match[1] or match[2]]

    return OTHER.sub(put_other, NAMED.sub(put_name, address)), kwargs


ADDRESSES = list_addresses()


def test_there_are_addresses_with_names():
    assert len(ADDRESSES) > 40
    left = [
        address
        for address in (str(pattern.pattern) for pattern in get_resolver().url_patterns)
        if re.search(r"<str:(sn|code|run_no|carrier_no)>", address)
    ]
    assert left == []


def test_the_words_of_the_interface_are_those_that_follow_a_name():
    words = set()
    for address, _pattern in ADDRESSES:
        for rest in NAMED.split(address)[3::3]:
            following = re.match(r"/(?:\(\?P<\w+>([^)]+)\)|([^/(<]+))", rest)
            if following:
                words |= set((following[1] or following[2]).split("|"))
    assert words - {""} == INTERFACE_WORDS


@pytest.mark.parametrize("name", WITH_SLASHES)
@pytest.mark.parametrize(("address", "pattern"), ADDRESSES, ids=[address for address, _pattern in ADDRESSES])
def test_every_address_takes_a_name_with_slashes(address, pattern, name):
    validate_code(name)
    path, kwargs = fill(address, name)
    match = resolve(f"/{path}")
    assert (match.func, {key: match.kwargs[key] for key in kwargs}) == (pattern.callback, kwargs)


@pytest.mark.parametrize(
    "again", ["/api/stations/{}data-specs!", "/api/runs/{}confirm!"], ids=["two names", "readiness of a run"]
)
def test_an_address_that_repeats_what_parts_its_names_takes_no_time(client, again):
    """Each word between two names may be the one that parts them; strangers send such addresses, too."""
    start = perf_counter()
    assert client.get(again.format("a/unit/readiness/preparations/" * 2000)).status_code == 400
    assert perf_counter() - start < 1


@pytest.mark.parametrize("slash", ["/", "%2F"])
def test_the_interfaces_own_last_part_wins(db, slash):
    make_plant(units=0)
    client = api_client()
    sn, quoted = "P#1/2?%", quote("P#1/2?%", safe="").replace("%2F", slash)
    assert client.post("/api/runs/RUN-1/units", {"sns": [sn]}).status_code == 201
    held = client.post(f"/api/units/{quoted}/hold", {"reason": "look"})
    assert (held.status_code, held.json()["data"]["sn"]) == (200, sn)
    assert client.get(f"/api/trace/units/{quoted}").json()["data"]["unit"]["status"] == "ON_HOLD"
    assert client.get(f"/api/stations/resolve-unit/{quoted}").json()["data"]["sn"] == sn
    assert client.get(f"/api/stations/SMT-01/unit/{quoted}/data-specs").status_code == 200
    assert client.get("/api/trace/units/P%231").status_code == 404


def test_links_of_pages_lead_to_names_with_slashes(admin_client: Client, db):
    make_plant(units=0)
    sn = "P#1/2?%+ü"
    api_client().post("/api/runs/RUN-1/units", {"sns": [sn]})
    page = admin_client.get(reverse("run", args=["RUN-1"])).content.decode()
    address = reverse("unit", args=[sn])
    assert address == "/trace/units/P%231/2%3F%25+%C3%BC/"
    assert f'href="{address}"' in page
    assert admin_client.get(address).status_code == 200
    found = admin_client.get("/trace/", {"q": sn})
    assert (found.status_code, found["Location"]) == (302, address)


def test_things_of_every_kind_have_names_with_slashes(db, admin_client):
    """Lines, stations, materials, routes, orders, runs, carriers, stencils and lots, from making to deleting."""
    make_plant(units=0)
    client = api_client()
    bodies = {
        "lines": {"code": "L/1", "name": "x", "processType": "SMT", "readinessChecks": []},
        "stations": {"code": "L/1/S", "name": "x", "stationType": "MANUAL"},
        "materials": {"code": "M/1", "name": "x"},
        "equipment": {"code": "E/1", "name": "x", "status": "normal"},
        "routes": {"code": "R/1", "name": "x", "productCode": "P/1"},
    }
    for kind, body in bodies.items():
        assert client.post(f"/api/{kind}", body).status_code == 201, kind
        for slash in ("/", "%2F"):
            address = f"/api/{kind}/{body['code'].replace('/', slash)}"
            assert client.get(address).json()["data"]["code"] == body["code"]
            assert client.patch(address, {"name": "y", "code": body["code"]}).status_code == 200
    order = {"woNo": "WO/7", "productCode": "PROD-1", "plannedQty": 2, "routingCode": "ROUTE-1"}
    assert client.post("/api/integration/work-orders", order).status_code == 201
    assert client.post("/api/work-orders/WO/7/release", {"lineCode": "SMT-A"}).status_code == 200
    run = client.post("/api/work-orders/WO%2F7/runs", {"lineCode": "SMT-A", "planQty": 2})
    assert run.json()["data"]["runNo"] == "WO/7-01"
    assert client.post("/api/runs/WO%2F7-01/units", {"sns": ["S/1"]}).status_code == 201
    assert client.post("/api/carriers/C/1/load", {"units": [{"sn": "S/1", "position": "1"}]}).status_code == 200
    assert client.get("/api/trace/carriers/C%2F1").json()["data"]["carrier"]["carrierNo"] == "C/1"
    lot = client.post("/api/integration/lines/SMT-A/solder-paste/bind", {"lotId": "LOT/1"})
    assert lot.status_code in (200, 201)
    for page in ("/trace/runs/WO/7-01/", "/trace/units/S/1/", "/trace/carriers/C/1/", "/lines/L/1/set-up/"):
        assert admin_client.get(page).status_code == 200, page
    assert admin_client.get("/readiness/runs/WO/7-01/").status_code == 200
    assert admin_client.get("/first-articles/WO%2F7-01/").status_code == 200
    assert client.delete("/api/materials/M/1").status_code == 200
