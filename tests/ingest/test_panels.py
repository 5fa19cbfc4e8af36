"""Panels: each board by itself, the good ones at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from execution import carriers, dispositions
from execution.carriers import Placing
from ingest.models import IngestEvent, OpenIngestEvent
from ingest.processing import catch_up
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.factories import make_user
from tests.ingest.conftest import Send
from tests.ingest.support import RESULT, IngestPlant, event, inspected, make_ingest_plant

pytestmark = pytest.mark.django_db
PANEL = {
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "stationCodePath": "payload.station",
    "result": {**RESULT, "path": "result"},
    "batchPolicy": "PARTIAL",
    "waitSeconds": 60,
}


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """Return a plant whose inspection reports boards one by one, and whose oven reports panels of three, which wait."""
    plant = make_ingest_plant(reflow=PANEL)
    Unit.objects.update(current_step_no=20)
    return plant


def panel(sns: list[str], *results: str) -> dict[str, Any]:
    """An oven report with a result for each board."""
    boards = [{"sn": sn, "result": result} for sn, result in zip(sns, results, strict=True)]
    return event("BATCH", {"station": "OVN-1", "boards": boards})


def inspect(send: Send, sns: list[str], *results: str) -> None:
    for sn, result in zip(sns, results, strict=True):
        send(inspected(sn, "end", result=result), 201)


def states(plant: IngestPlant) -> list[tuple[str, int | None]]:
    return list(Unit.objects.filter(sn__in=plant.sns).order_by("id").values_list("status", "current_step_no"))


@pytest.mark.parametrize("decided", ["nothing", "held", "scrapped"])
def test_a_panel_good_bad_good_goes_on_with_the_good_ones_at_once(plant: IngestPlant, send: Send, decided: str) -> None:
    inspect(send, plant.sns, "OK", "NG", "OK")
    assert states(plant) == [("QUEUED", 30), ("OUT_FAILED", 20), ("QUEUED", 30)]
    if decided == "held":
        dispositions.hold_unit(sn=plant.sns[1], reason="look", by="quality")
    if decided == "scrapped":
        dispositions.scrap_unit(sn=plant.sns[1], reason="look", by="quality")
    answer = send(panel(plant.sns, "OK", "OK", "OK"), 201)
    assert [item["sn"] for item in answer["skipped"]] == [plant.sns[1]]
    assert [state for state in states(plant) if state[0] == "QUEUED"] == [("QUEUED", 40)] * 2


@pytest.mark.parametrize("ends", ["it fails", "it is held", "it is scrapped", "the wait is over", "it comes"])
def test_a_board_that_is_behind_is_waited_for(plant: IngestPlant, send: Send, committed: Any, ends: str) -> None:
    """And for no longer than it may still come; a failing report holds one that did not."""
    first, second, third = plant.sns
    inspect(send, [first, third], "OK", "OK")
    send(panel(plant.sns, "OK", "NG", "OK"), 202)
    assert states(plant) == [("QUEUED", 30), ("QUEUED", 20), ("QUEUED", 30)]
    with committed():
        if ends == "it is held":
            dispositions.hold_unit(sn=second, reason="look", by="quality")
        elif ends == "it is scrapped":
            dispositions.scrap_unit(sn=second, reason="look", by="quality")
        elif ends == "the wait is over":
            OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
            assert catch_up() == 1
        else:
            inspect(send, [second], "NG" if ends == "it fails" else "OK")
    behind = {
        "it fails": ("ON_HOLD", 20),  # what the oven said of it is no silence
        "it is held": ("ON_HOLD", 20),
        "it is scrapped": ("SCRAPPED", 20),
        "the wait is over": ("ON_HOLD", 20),
        "it comes": ("OUT_FAILED", 30),
    }
    assert states(plant) == [("QUEUED", 40), behind[ends], ("QUEUED", 40)]
    assert not OpenIngestEvent.objects.exists()
    skipped = IngestEvent.objects.get(step_no=30).skipped
    assert [item["sn"] for item in skipped] == ([] if ends == "it comes" else [second])


def test_what_a_dead_process_left_is_caught_up(plant: IngestPlant, send: Send) -> None:
    inspect(send, plant.sns[:2], "OK", "OK")
    send(panel(plant.sns, "OK", "OK", "OK"), 202)
    Unit.objects.filter(sn=plant.sns[2]).update(status="SCRAPPED")
    assert catch_up() == 1
    assert states(plant) == [("QUEUED", 40), ("QUEUED", 40), ("SCRAPPED", 20)]


def test_boards_that_are_all_behind_wait_as_one(plant: IngestPlant, send: Send) -> None:
    send(panel(plant.sns, "OK", "OK", "OK"), 202)
    inspect(send, plant.sns[:2], "OK", "OK")
    assert states(plant) == [("QUEUED", 30), ("QUEUED", 30), ("QUEUED", 20)]
    inspect(send, plant.sns[2:], "OK")
    assert states(plant) == [("QUEUED", 40)] * 3


def test_a_board_that_was_reworked_meanwhile_is_not_moved_by_a_panel_of_before(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    """When the wait for another board is over, what was reported before the rework passes nothing that came after."""
    first, second, third = plant.sns
    inspect(send, [first, third], "OK", "OK")
    send(panel(plant.sns, "OK", "OK", "OK"), 202)
    with committed():
        dispositions.hold_unit(sn=first, reason="look", by="quality")
        dispositions.rework_unit(sn=first, reason="solder again", by="quality", to_step_no=20)
    inspect(send, [first], "OK")
    assert states(plant) == [("QUEUED", 30), ("QUEUED", 20), ("QUEUED", 30)]
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    with committed():
        assert catch_up() == 1
    assert states(plant) == [("QUEUED", 30), ("QUEUED", 20), ("QUEUED", 40)]
    skipped = IngestEvent.objects.get(step_no=30).skipped
    assert [(item["sn"], item["code"]) for item in skipped] == [(first, "STEP_MISMATCH"), (second, "STEP_MISMATCH")]


# --- by position -------------------------------------------------------------------------------------------


@pytest.fixture(params=["PARTIAL", "ALL_OR_NOTHING"])
def pallet(db: None, request: Any) -> IngestPlant:
    """Return a plant whose oven reports by position; its units are at the oven, on PALLET-1 at 1, 2 and 3."""
    by_position = {**PANEL, "carrierCodePath": "payload.carrier", "positionPath": "position"}
    plant = make_ingest_plant(reflow={**by_position, "batchPolicy": request.param, "waitSeconds": 0})
    Unit.objects.update(current_step_no=30)
    carriers.load(carrier_no="PALLET-1", placings=[Placing(sn, str(at)) for at, sn in enumerate(plant.sns, start=1)])
    return plant


def pallet_report(**results: str) -> dict[str, Any]:
    boards = [{"position": name.removeprefix("at"), "result": result} for name, result in results.items()]
    return event("BATCH", {"carrier": "PALLET-1", "station": "OVN-1", "boards": boards})


def test_a_report_by_position_that_counts_from_zero_is_refused(pallet: IngestPlant, refuse: Send) -> None:
    """Under any policy: else each board gets its neighbour's result."""
    error = refuse(pallet_report(at0="OK", at1="OK", at2="OK"), "INGEST_PAYLOAD_INVALID")
    assert error["details"]["problems"] == ["positionPath: says nothing of the units at 3"]
    refuse(pallet_report(at1="OK", at3="OK"), "INGEST_PAYLOAD_INVALID")


def test_where_positions_cannot_be_trusted_a_bad_board_holds_all_of_its_carrier(
    pallet: IngestPlant, send: Send
) -> None:
    error = send(pallet_report(at0="OK", at1="NG", at2="OK"), 422)
    assert error["details"]["held"] == pallet.sns
    assert states(pallet) == [("ON_HOLD", 30)] * 3


def test_a_report_that_names_every_loaded_position_is_taken(pallet: IngestPlant, send: Send) -> None:
    """A position of no unit says nothing; a unit that was scrapped is loaded no more."""
    dispositions.scrap_unit(sn=pallet.sns[1], reason="broken", by="quality")
    send(pallet_report(at1="OK", at2="NG", at3="NG", at4="NG"), 201)
    assert states(pallet) == [("QUEUED", 40), ("SCRAPPED", 30), ("OUT_FAILED", 30)]


# --- items that name no unit -------------------------------------------------------------------------------


def boards(*items: tuple[str | None, str]) -> dict[str, Any]:
    """An oven report of what the reader read, with a result for each."""
    return event("BATCH", {"station": "OVN-1", "boards": [{"sn": sn, "result": result} for sn, result in items]})


@pytest.mark.parametrize("read", [None, "", "NOREAD", "???"])
def test_an_item_that_names_no_unit_is_told(
    plant: IngestPlant, send: Send, client: APIClient, read: str | None
) -> None:
    Unit.objects.update(current_step_no=30)
    first, second, _third = plant.sns
    answer = send(boards((first, "OK"), (read, "NG"), (second, "OK"), (read, "OK")), 201)
    told = [(item["item"], item["code"], item["failing"]) for item in answer["skipped"]]
    assert told == [(1, "SN_UNREADABLE", True), (3, "SN_UNREADABLE", False)]
    assert states(plant) == [("QUEUED", 40), ("QUEUED", 40), ("QUEUED", 30)]
    again = client.post(f"/api/ingest/events/{answer['eventId']}/replay")
    assert again.json()["error"]["code"] == "SN_UNREADABLE"
    assert "item 1 (SN_UNREADABLE, FAIL)" in page_of(first)


@pytest.mark.parametrize("read", [None, "", "NOREAD"])
def test_neither_does_a_position_where_no_carrier_has_a_unit(db: None, send: Send, read: str | None) -> None:
    """What is said at a loaded position is said of its unit; without a carrier a position names nobody."""
    plant = make_ingest_plant(reflow={**PANEL, "positionPath": "position"})
    Unit.objects.update(current_step_no=30)
    read_items = [(plant.sns[0], "OK"), (read, "NG"), (plant.sns[1], "OK")]
    items = [{"sn": sn, "position": str(at), "result": result} for at, (sn, result) in enumerate(read_items, start=1)]
    answer = send(event("BATCH", {"station": "OVN-1", "boards": items}), 201)
    told = [(item["item"], item["code"], item["failing"]) for item in answer["skipped"]]
    assert told == [(1, "SN_UNREADABLE", True)]
    assert states(plant) == [("QUEUED", 40), ("QUEUED", 40), ("QUEUED", 30)]


def test_nor_does_one_where_the_carrier_has_none(pallet: IngestPlant, send: Send) -> None:
    carriers.unload(carrier_no="PALLET-1", sns=[pallet.sns[2]])
    items = [{"sn": None if at < 3 else "NOREAD", "position": str(at), "result": "OK"} for at in (1, 2, 3)]
    answer = send(event("BATCH", {"carrier": "PALLET-1", "station": "OVN-1", "boards": items}), None)
    if "skipped" in answer:
        assert [(item["item"], item["code"]) for item in answer["skipped"]] == [(2, "SN_UNREADABLE")]
    else:  # all or nothing
        assert answer["code"] == "SN_UNREADABLE"


def page_of(sn: str) -> str:
    browser = Client()
    browser.force_login(make_user(Role.ADMIN))
    return browser.get(f"/trace/units/{sn}/").content.decode()


def test_replaying_the_rest_keeps_what_names_no_unit(plant: IngestPlant, send: Send, client: APIClient) -> None:
    Unit.objects.update(current_step_no=30)
    first, second, _third = plant.sns
    Unit.objects.filter(sn=second).update(status="OUT_FAILED")
    answer = send(boards((first, "OK"), ("NOREAD", "NG"), (second, "OK")), 201)
    Unit.objects.filter(sn=second).update(status="QUEUED")
    rest = client.post(f"/api/ingest/events/{answer['eventId']}/replay").json()["data"]
    assert [item.get("item") for item in rest["skipped"]] == [1]
    assert IngestEvent.objects.get().sns == [first, second]


def test_all_or_nothing_refuses_it(db: None, refuse: Send) -> None:
    plant = make_ingest_plant(reflow={**PANEL, "batchPolicy": "ALL_OR_NOTHING"})
    Unit.objects.update(current_step_no=30)
    refuse(boards((plant.sns[0], "OK"), ("NOREAD", "OK")), "SN_UNREADABLE")


def test_an_event_of_which_nothing_can_be_read_is_refused(plant: IngestPlant, refuse: Send) -> None:
    refuse(boards(("NOREAD", "NG"), ("", "OK")), "SN_UNREADABLE")


def test_what_cannot_be_read_is_not_said_of_all_that_a_carrier_has(db: None, refuse: Send) -> None:
    by_position = {**PANEL, "carrierCodePath": "payload.carrier", "positionPath": "position"}
    del by_position["result"]  # leaving is passing
    plant = make_ingest_plant(reflow=by_position)
    Unit.objects.update(current_step_no=30)
    carriers.load(carrier_no="PALLET-1", placings=[Placing(plant.sns[0], "1")])
    items = [{"sn": "NOREAD"}, {"sn": None}]
    refuse(event("BATCH", {"carrier": "PALLET-1", "station": "OVN-1", "boards": items}), "SN_UNREADABLE")


def test_the_position_of_a_board_that_could_not_be_read_names_it(pallet: IngestPlant, send: Send) -> None:
    items = [{"sn": "NOREAD", "position": str(at), "result": "OK"} for at in (1, 2, 3)]
    send(event("BATCH", {"carrier": "PALLET-1", "station": "OVN-1", "boards": items}), 201)
    assert states(pallet) == [("QUEUED", 40)] * 3
