"""Lots at the same time: blocking misses nothing that is split off meanwhile, and no more is taken than there is."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup.lots import services
from mes.line_setup.lots.services import Who
from mes.line_setup.models import MaterialLot
from mes.line_setup.reports import report_lot_event
from mes.plant.models import Material
from mes.status_reports.history import Report
from tests.integration.helpers import another, at_once

WHO = Who("sue")


@pytest.fixture
def family(transactional_db: None) -> None:
    """A lot, and one that was split from it."""
    material = Material.objects.create(code="R-10K", name="Resistor")
    services.register("R-1", {"material": material, "quantity": Decimal(10)})
    services.split("R-1", new_lot_id="R-2", quantity=Decimal(5), who=WHO)


def block_while_it_is_split() -> set[str]:
    """Block a lot while somebody has split what came of it, but has not committed; return the states of all."""

    def block() -> None:
        try:
            services.block("R-1", reason="Recall", who=WHO)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.split("R-2", new_lot_id="R-3", quantity=Decimal(1), who=WHO)
            blocking = pool.submit(block)
            with pytest.raises(TimeoutError):
                blocking.result(timeout=0.5)  # it waits
        blocking.result(timeout=30)
    return set(MaterialLot.objects.values_list("status", flat=True))


def test_what_is_split_off_meanwhile_is_blocked_too(family):
    assert block_while_it_is_split() == {"BLOCKED"}


def test_control_without_the_lock_of_the_family_it_is_missed(family, monkeypatch):
    monkeypatch.setattr(services, "_lock_family", lambda code, whole: services.lock_lot(code))
    assert block_while_it_is_split() == {"BLOCKED", "AVAILABLE"}


@pytest.fixture
def adopted(transactional_db: None) -> None:
    """A lot that was known before the one that it turned out to be split from, with a part of its own."""
    for lot in ("PART", "WHOLE"):
        services.register(lot, {"material": None, "quantity": Decimal(10)})
    services.split("WHOLE", new_lot_id="PART", quantity=Decimal(5), who=WHO, may_be_known=True)
    services.split("PART", new_lot_id="LAST", quantity=Decimal(2), who=WHO)


def block_the_whole() -> None:
    services.block("WHOLE", reason="Recall", who=WHO)


@transaction.atomic
def report_a_split() -> None:
    said = Report(
        event_id="e-1", event_time=timezone.now(), source="AUTO", operator_id="", content={}, recorded_by="sue"
    )
    report_lot_event(said, lot_id="LAST", kind="SPLIT", quantity=Decimal(1), new_lot_id="NEW")


# What is done, which lot somebody holds meanwhile, and which of a higher key must not be held while that is waited for.
ORDERS = [(block_the_whole, "PART", "WHOLE"), (report_a_split, "WHOLE", "LAST")]


def is_free_while_it_waits(act: Callable[[], None], held: str, wanted: str) -> bool:
    """Do something while somebody holds a lot; return whether that one may lock another."""

    def work() -> None:
        try:
            act()
        finally:
            connection.close()

    rows = MaterialLot.objects.select_for_update(no_key=True, skip_locked=True)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert rows.filter(lot_id=held).exists()
            working = pool.submit(work)
            with pytest.raises(TimeoutError):
                working.result(timeout=0.5)  # it waits
            is_free = rows.filter(lot_id=wanted).exists()
        working.result(timeout=30)
    return is_free


@pytest.mark.parametrize(("act", "held", "wanted"), ORDERS)
def test_a_family_is_locked_in_the_order_of_its_keys(act, held, wanted, adopted):
    assert is_free_while_it_waits(act, held, wanted)


@pytest.mark.parametrize(("act", "held", "wanted"), ORDERS)
def test_control_where_one_is_locked_before_its_family_it_is_held(act, held, wanted, adopted, monkeypatch):
    lock_family = services._lock_family

    def lock_itself_first(code: str, whole: str) -> MaterialLot:
        services.lock_lot(code)
        return lock_family(code, whole)

    monkeypatch.setattr(services, "_lock_family", lock_itself_first)
    assert not is_free_while_it_waits(act, held, wanted)


def split_at_once(client: APIClient) -> Counter[int]:
    def split(number: int) -> Any:
        body = {"newLotId": f"R-1-{number}", "quantity": 4}
        return lambda: another(client).post("/api/material-lots/R-1/split", body).status_code

    return Counter(at_once(*(split(number) for number in range(4))))


def test_parts_that_are_taken_at_once_fit_into_the_lot(person, family):
    assert split_at_once(person) == {201: 1, 409: 3}


def test_control_without_locks_more_is_taken_than_there_is(person, family, without_locks, slow):
    slow(services, "rest_of", after=0.5)
    assert split_at_once(person)[201] > 1
