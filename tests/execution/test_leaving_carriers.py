"""A unit that is scrapped or done leaves its carrier: it would be meant by the carrier's next report, and refuse it."""

import importlib
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierLoad
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, track_in, track_out
from tests.factories import api_client, make_plant, make_spec
from tests.ingest.support import REFLOWING, IngestPlant, make_ingest_plant, push, reflowed
from tests.integration.helpers import another, at_once

pytestmark = pytest.mark.django_db
PARTIAL = {**REFLOWING, "batchPolicy": "PARTIAL"}


@pytest.fixture
def client(db: None) -> APIClient:
    return api_client()


def make_loaded(client: APIClient, *, step: int = 30, **plant: Any) -> list[str]:
    """Make units that wait for a step, on carrier P at the positions 1, 2, …; return their serial numbers."""
    sns = make_ingest_plant(**plant).sns
    Unit.objects.update(current_step_no=step)
    load(client, "P", *((sn, str(number)) for number, sn in enumerate(sns, 1)))
    return sns


def load(client: APIClient, carrier: str, *placings: tuple[str, str], status: int = 200) -> dict[str, Any]:
    units = [{"sn": sn, "position": position} for sn, position in placings]
    answer = client.post(f"/api/carriers/{carrier}/load", {"units": units})
    assert answer.status_code == status, answer.content
    return answer.json().get("data") or answer.json()["error"]


def scrap(client: APIClient, sn: str) -> None:
    assert_done(decide(client, "scrap", sn=sn))


def carried(carrier: str = "P") -> list[str]:
    loads = CarrierLoad.objects.filter(carrier__carrier_no=carrier, unloaded_at=None)
    return sorted(loads.values_list("unit__sn", flat=True))


def steps(sns: list[str]) -> list[tuple[str, int | None]]:
    return [Unit.objects.values_list("status", "current_step_no").get(sn=sn) for sn in sns]


# --- scrapped ---------------------------------------------------------------------------------------------


def test_a_scrapped_unit_leaves_its_carrier_and_the_next_report_means_the_others(client: APIClient) -> None:
    one, two, three = make_loaded(client)
    before = timezone.now()
    scrap(client, two)
    assert carried() == [one, three], "the carrier's next report would be refused with UNIT_SCRAPPED"
    left = CarrierLoad.objects.get(unit__sn=two)
    assert left.unloaded_at is not None and left.unloaded_at >= max(before, left.loaded_at)
    answer = push(client, reflowed("P"), 201)
    assert len(answer["trackIds"]) == 2
    assert steps([one, two, three]) == [("QUEUED", 40), ("SCRAPPED", 30), ("QUEUED", 40)]


def test_its_position_is_free_at_once(client: APIClient) -> None:
    one, two, three = make_loaded(client)
    load(client, "Q", (one, "1"))
    assert "position" in str(load(client, "P", (three, "2"), status=400))
    scrap(client, two)
    load(client, "P", (one, "2"))
    assert carried() == [one, three]


def test_a_report_from_before_the_scrapping_puts_it_on_no_carrier_again(client: APIClient) -> None:
    one, two, three = make_loaded(client, reflow=PARTIAL)
    late = reflowed("P", [one, two, three])
    scrap(client, two)
    answer = push(client, late, 201)
    assert answer["skipped"] == [{"sn": two, "code": "UNIT_SCRAPPED"}]
    assert carried() == [one, three]


def test_a_machine_that_names_it_puts_it_on_no_carrier_again(client: APIClient) -> None:
    one, two, three = make_loaded(client, reflow=PARTIAL)
    scrap(client, two)
    assert push(client, reflowed("P", [one, two, three]), 201)["skipped"] == [{"sn": two, "code": "UNIT_SCRAPPED"}]
    assert carried() == [one, three]


def test_a_scrapped_unit_cannot_be_loaded(client: APIClient) -> None:
    one, two, three = make_loaded(client)
    scrap(client, two)
    with nothing_written():
        assert_refused(client.post("/api/carriers/P/load", {"units": [{"sn": two}]}), "UNIT_SCRAPPED")
    assert carried() == [one, three]


def test_a_report_that_waits_goes_on_without_a_unit_that_was_scrapped_meanwhile(client: APIClient) -> None:
    """It remembers what its carrier carried when it came; when its wait ends, it no longer means the scrapped unit."""
    one, two, three = make_loaded(client, step=20, reflow={**REFLOWING, "waitSeconds": 60})
    Unit.objects.filter(sn__in=[one, three]).update(current_step_no=30)
    assert push(client, reflowed("P"), 202)["status"] == "WAITING"
    scrap(client, two)
    OpenIngestEvent.objects.update(wait_until=timezone.now())
    catch_up()
    assert steps([one, two, three]) == [("QUEUED", 40), ("SCRAPPED", 20), ("QUEUED", 40)]


def test_a_unit_without_a_carrier_is_scrapped_as_ever(client: APIClient) -> None:
    make_plant(units=1)
    scrap(client, "SN-1")
    assert not Carrier.objects.exists()


# --- done -------------------------------------------------------------------------------------------------


def test_a_unit_that_is_done_leaves_its_carrier_so_that_the_next_ones_may_come(client: APIClient) -> None:
    sns = make_loaded(client, only=30)
    push(client, reflowed("P"), 201)
    assert {status for status, _step in steps(sns)} == {"DONE"}
    assert carried() == []
    fresh = make_ingest_plant(run_no="RUN-2", only=30).sns
    load(client, "P", *((sn, str(number)) for number, sn in enumerate(fresh, 1)))  # nobody unloaded the first
    assert len(push(client, reflowed("P"), 201)["trackIds"]) == 3


def test_a_unit_that_is_done_by_hand_leaves_its_carrier(client: APIClient) -> None:
    make_plant(units=2)
    Unit.objects.update(current_step_no=30)
    load(client, "P", ("SN-1", "1"), ("SN-2", "2"))
    assert_done(track_in(client, "TST-01"), 201)
    assert carried() == ["SN-1", "SN-2"]
    assert_done(track_out(client, "TST-01", data=[{"specName": "Supply Voltage", "valueNumber": 3.3}]))
    assert carried() == ["SN-2"]


def test_one_that_is_done_and_held_by_the_same_report_leaves_it_too(client: APIClient) -> None:
    """Released, it is done."""
    make_spec(
        "REFLOW", "Oxygen", item_type="OBSERVATION", trigger_type="EACH_CARRIER", alarm_max=100, alarm_action="HOLD"
    )
    sns = make_loaded(client, only=30)
    push(client, reflowed("P", values=[{"name": "Oxygen", "value": 500}]), 201)
    assert set(Unit.objects.filter(sn__in=sns).values_list("status", "held_from")) == {("ON_HOLD", "DONE")}
    assert carried() == []


def test_what_waits_failed_or_is_held_stays_on_its_carrier(client: APIClient) -> None:
    one, two, three = make_loaded(client)
    assert_done(decide(client, "hold", sn=one))
    Unit.objects.filter(sn=two).update(status="OUT_FAILED")
    assert carried() == [one, two, three]
    assert push(client, reflowed("P"), 409)["code"] in ("UNIT_ON_HOLD", "UNIT_OUT_FAILED")


# --- what was so before -----------------------------------------------------------------------------------


def test_units_that_were_scrapped_or_done_before_the_upgrade_leave_their_carriers(client: APIClient) -> None:
    sns = make_loaded(client, units=6)
    statuses = ["SCRAPPED", "DONE", "ON_HOLD", "QUEUED", "OUT_FAILED", "ON_HOLD"]
    for sn, status in zip(sns, statuses, strict=True):
        Unit.objects.filter(sn=sn).update(status=status, held_from="QUEUED" if status == "ON_HOLD" else "")
    Unit.objects.filter(sn=sns[5]).update(held_from="DONE")
    at = timezone.now() - timedelta(days=3)
    Unit.objects.filter(sn=sns[0]).update(updated_at=timezone.now())
    Unit.objects.filter(sn=sns[1]).update(updated_at=at)  # the clock of who loaded it went ahead, say
    migration = importlib.import_module("execution.migrations.0008_loads_of_finished_units")
    with connection.cursor() as cursor:
        for _time in range(2):
            cursor.execute(migration.UNLOAD)
    assert carried() == sns[2:5]
    for load_ in CarrierLoad.objects.exclude(unloaded_at=None):
        assert load_.unloaded_at is not None and load_.unloaded_at >= load_.loaded_at


# --- at the same time -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_scrapping_and_the_carrier_s_report_at_once(transactional_db: None) -> None:
    """One is first; either way the carrier is left without the unit, and nothing deadlocks."""
    person = api_client()
    make_ingest_plant(units=0)
    for turn in range(6):
        plant: IngestPlant = make_ingest_plant(run_no=f"R-{turn}", units=3)
        Unit.objects.filter(sn__in=plant.sns).update(current_step_no=30)
        load(person, f"P-{turn}", *((sn, str(n)) for n, sn in enumerate(plant.sns)))

        def report(carrier: str = f"P-{turn}") -> int:
            return another(person).post("/api/ingest/events", reflowed(carrier)).status_code

        def scrap_one(sn: str = plant.sns[1]) -> int:
            return another(person).post(f"/api/units/{sn}/scrap", {"reason": "burnt"}).status_code

        def load_one(carrier: str = f"P-{turn}", sn: str = plant.sns[1]) -> int:
            return another(person).post(f"/api/carriers/{carrier}/load", {"units": [{"sn": sn}]}).status_code

        reported, scrapped, loaded = at_once(report, scrap_one, load_one)
        assert (reported, scrapped) == (201, 200)
        assert loaded in (200, 409)
        assert carried(f"P-{turn}") == [plant.sns[0], plant.sns[2]]
