"""The pages of holds: what stands still, a new hold from its preview on, one hold up to its end; and who is told."""

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from execution.models import Carrier, CarrierLoad
from execution.quality.holds import services
from execution.quality.holds.condition import Condition
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.production import line_acts, run_acts, station_acts
from mes.production.hold_models import HeldUnit, Hold, HoldStatus
from mes.production.models import Unit
from tests.factories import Plant, make_plant, make_user

pytestmark = pytest.mark.django_db
REASON = {"reason": "X-ray found nothing"}
SIGNED = {"signature.username": "quality", "signature.meaning": "Released", "signature.password": "secret"}


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=4)


@pytest.fixture
def quality() -> Client:
    return sign_in(Role.QUALITY)


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role, username=role.lower()))
    return client


def read(response: Any) -> str:
    """Return what a page shows beside its head."""
    assert response.status_code == 200
    return unescape(response.content.decode().partition("<main")[2])


def hold(*sns: str, reason: str = "Hot oven") -> Hold:
    return services.hold_units(condition=Condition(sns=sns), reason=reason, by="quality", catches=False).hold


def held() -> list[str]:
    return sorted(Unit.objects.filter(status="ON_HOLD").values_list("sn", flat=True))


def fields_of(page: str) -> Iterator[tuple[str, str]]:
    for name in ("seen", "expectedCount"):
        yield name, page.partition(f'name="{name}" value="')[2].partition('"')[0]


def test_units_are_held_from_their_preview_and_not_if_others_fit_by_then(plant: Plant, quality: Client) -> None:
    page = read(quality.get("/holds/"))
    assert "Nothing stands still" in page and "/holds/new/" in page
    typed = {"condition.runNo": "RUN-1", "condition.statuses": "QUEUED"}
    page = read(quality.post("/holds/new/", {**typed, "do": "preview"}))
    assert "4 units fit" in page and "Hold 4 units" in page and 'value="QUEUED" checked' in page
    assert 'name="catches" type="checkbox" value="1" checked' in page
    by_address = read(quality.get("/holds/new/?runNo=RUN-1&statuses=QUEUED"))
    for beyond in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00%2B14:00"):  # of what a zone can say
        assert quality.get(f"/holds/new/?from={beyond}").status_code == 200
    assert dict(fields_of(by_address)) == dict(fields_of(page))
    given = {**typed, **dict(fields_of(page)), "scope": "UNITS", "do": "hold"}

    # Without a reason, of another condition than the one that was seen, of another count: nothing is held.
    assert "This field is required." in read(quality.post("/holds/new/", given))
    other = read(quality.post("/holds/new/", {**given, **REASON, "condition.statuses": ["QUEUED", "OUT_FAILED"]}))
    assert "The condition was changed" in other
    Unit.objects.filter(sn="SN-4").update(status="DONE")
    page = read(quality.post("/holds/new/", {**given, **REASON}))
    assert "3 units fit" in page and "Hold 3 units" in page and REASON["reason"] in page and 'role="alert"' in page
    assert 'value="1" checked' not in page.partition('name="catches"')[2].partition("</label>")[0]  # as it was left
    assert not Hold.objects.exists() and not held()

    answer = quality.post("/holds/new/", {**given, **REASON, **dict(fields_of(page)), "owner": "quinn"})
    made = Hold.objects.get()
    assert answer["Location"] == f"/holds/{made.hold_no}/" and held() == ["SN-1", "SN-2", "SN-3"]
    assert (made.owner, made.catches, made.opened_by) == ("quinn", False, "quality")
    # What is not known, and nothing at all, is told at its field.
    by_value = "/holds/new/?specName=Peak&valueMin=1&stepNo=10&from=2026-03-02T06:00:00Z"
    assert "There is no “Peak”." in read(quality.get(by_value))
    assert "There is no “NOWHERE”." in read(quality.get("/holds/new/?stationCode=NOWHERE"))
    assert "Say which units are meant" in read(quality.post("/holds/new/", {"do": "preview"}))
    assert "Must be a number." in read(quality.post("/holds/new/", {"do": "preview", "condition.valueMin": "x"}))


def test_units_of_a_hold_are_decided_about_signed_and_all_or_none(plant: Plant, quality: Client) -> None:
    no = hold(*plant.sns).hold_no
    page = read(quality.get(f"/holds/{no}/"))
    assert "4 units are held" in page and "Serial numbers" in page and "Release all (4)" in page
    chosen = read(quality.get(f"/holds/{no}/?sn=SN-1&sn=SN-2"))
    assert "Scrap (2)" in chosen and "SN-1\nSN-2</textarea>" in chosen
    assert "Scrap (4)" in read(quality.get(f"/holds/{no}/?all"))

    def decide(name: str, **given: str) -> str:
        answer = quality.post(f"/holds/{no}/{name}/", {**REASON, **given})
        assert answer["Location"].startswith(f"/holds/{no}/")
        return read(quality.get(f"/holds/{no}/"))

    assert "This field is required." in decide("release")
    wrong = {**SIGNED, "signature.password": "guess"}
    assert "The name or the password is wrong" in decide("release-some", sns="SN-1", **wrong)
    refused = decide("release-some", sns="SN-1\nSN-99", **SIGNED)
    assert (
        f"{no} does not hold these (any more): SN-99" in refused
        and "SN-1\nSN-99</textarea>" in refused
        and "secret" not in refused
    )
    assert held() == plant.sns and not Signature.objects.exists()
    quality.post(f"/holds/{no}/release-some/", {**REASON, **SIGNED, "sns": "SN-99"})
    kept = str(dict(quality.session.items()))  # until the page tells why
    assert "SN-99" in kept and "secret" not in kept
    page = decide("release-some", sns="SN-1", **SIGNED)
    assert held() == plant.sns[1:] and "Released" in page
    assert f"/signatures/{Signature.objects.get().pk}/" in page
    decide("rework", sns="SN-2", type="REWORK", toStepNo="10", **SIGNED)
    refused = decide("scrap", sns="SN-3", type="SCRAP", **SIGNED)
    assert "Tick this first" in refused and held() == ["SN-3", "SN-4"]
    decide("scrap", sns="SN-3", type="SCRAP", confirm="1", **SIGNED)
    assert "Not any more" in page and "Scrapped" in read(quality.get(f"/holds/{no}/?show=ended"))
    page = decide("release", **SIGNED)
    assert not held() and Hold.objects.get().status == HoldStatus.RELEASED and "Release all" not in page
    assert Signature.objects.count() == 4
    assert quality.get(f"/signatures/{Signature.objects.first().pk}/").status_code == 200  # type: ignore[union-attr]
    assert f'href="/holds/{no}/"' in quality.get("/holds/?status=RELEASED").content.decode()
    assert quality.get("/holds/H-0/").status_code == 404


def test_whoever_may_not_decide_sees_no_buttons_and_is_refused(plant: Plant) -> None:
    no, viewer = hold("SN-1").hold_no, sign_in(Role.OPERATOR)
    pages = read(viewer.get("/holds/")) + read(viewer.get(f"/holds/{no}/"))
    assert "/holds/new/" not in pages and "<form" not in pages.replace('<form class="fields order-filter"', "")
    assert viewer.get("/holds/new/").status_code == 403
    for name in ("release", "release-some", "rework", "scrap"):
        assert viewer.post(f"/holds/{no}/{name}/", REASON).status_code == 403
    assert held() == ["SN-1"] and viewer.post(f"/holds/{no}/eat/").status_code == 404


def test_each_page_of_what_is_held_names_its_cases_and_leads_to_more_like_it(plant: Plant, quality: Client) -> None:
    line_acts.hold(line_code="SMT-A", reason="Fire alarm", by="supervisor")
    run_acts.hold(run_no="RUN-1", reason="Wrong reel", by="supervisor")
    station_acts.stop(station_code="SMT-01", reason="Smoke", by="operator")
    of_units = hold("SN-1", "SN-2").hold_no
    single = hold("SN-1", reason="Scratch").hold_no
    numbers = {each.scope: each.hold_no for each in Hold.objects.exclude(scope="UNITS")}
    tray = Carrier.objects.create(carrier_no="TRAY-1")
    CarrierLoad.objects.create(carrier=tray, unit=Unit.objects.get(sn="SN-1"))
    told = {
        "/trace/units/SN-1/": (of_units, single),
        "/trace/runs/RUN-1/": (numbers["RUN"],),
        "/lines/SMT-A/": tuple(numbers.values()),
        "/trace/carriers/TRAY-1/": (of_units, single),
        "/trace/?q=SN-": (of_units, single),
        "/holds/": (of_units, single, *numbers.values()),
        "/": tuple(numbers.values()),
    }
    for address, expected in told.items():
        page = read(quality.get(address))
        assert [no for no in expected if f"/holds/{no}/" not in page] == [], address
        assert "/holds/new/" in page or address == "/", address
    assert quality.get(f"/trace/?q={single.lower()}")["Location"] == f"/holds/{single}/"
    assert quality.get(f"/holds/?q={of_units}")["Location"] == f"/holds/{of_units}/"
    found = {"q=SN-2": 1, "scope=LINE": 1, "line=SMT-A": 5, "owner=operator": 1, "source=OQC": 0, "sort=oldest": 5}
    for query, count in found.items():
        assert read(quality.get(f"/holds/?{query}")).count('<a class="sn tap" href="/holds/H-') == count, query
    assert single in quality.get("/lists/holds/").content.decode()

    # What the outgoing inspection holds ends by its review alone.
    of_lot = Hold.objects.create(scope="RUN", run=plant.run, source="OQC", reason="Lot failed", opened_by="quinn")
    for each, is_offered in ((numbers["RUN"], True), (of_lot.hold_no, False)):
        assert (f"/holds/{each}/release/" in read(quality.get(f"/holds/{each}/"))) == is_offered

    # A place goes on, signed; a unit of several by a signature, which ends all that holds it.
    quality.post(f"/holds/{numbers['STATION']}/release/", {**REASON, **SIGNED})
    assert Hold.objects.get(scope="STATION").status == HoldStatus.RELEASED
    page = read(quality.get("/trace/units/SN-1/"))
    assert "Release, signed" in page and "decide-release" in page
    quality.post("/trace/unit-acts/release-signed/SN-1/", {**REASON, **SIGNED})
    assert held() == ["SN-2"] and Signature.objects.count() == 2
    assert "decide-release" not in read(quality.get("/trace/units/SN-2/"))  # only by a signature


def test_their_queries_do_not_grow_with_what_is_held(plant: Plant, quality: Client) -> None:
    def count(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            read(quality.get(address))
        return len(queries)

    first = hold("SN-1", "SN-2")
    services.release(hold_no=first.hold_no, reason="fine", by="quality", sns=["SN-2"])
    counted = [count(address) for address in ("/holds/", f"/holds/{first.hold_no}/")]
    many = hold(*plant.sns)
    for number in range(3):
        hold(*plant.sns, reason=f"Reason {number}")
    services.release(hold_no=many.hold_no, reason="fine", by="quality", sns=["SN-2"])
    assert [count(address) for address in ("/holds/", f"/holds/{many.hold_no}/")] == counted
    assert counted == [7, 11]  # files of the hold among them
    assert HeldUnit.objects.count() == 18
