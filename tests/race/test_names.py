"""One serial number given at once to a unit and to a reference unit, or to two units; an event by the old label."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from execution import labels
from mes.production import names, runs
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Unit
from mes.time_rules import services
from tests.factories import make_plant
from tests.integration.helpers import at_once
from tests.time_rules.support import at, end, handle, make_rule, start, statuses

ROUNDS = 5
TABLES = ("mes_unit", "mes_unitalias", "mes_referenceunit")


@contextmanager
def without_triggers() -> Iterator[None]:
    """For controls: nothing in the database tells the three tables apart."""
    change_triggers("DISABLE")
    try:
        yield
    finally:
        change_triggers("ENABLE")


def change_triggers(how: str) -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            for name in ("sn_lock", "sn_once", "sn_once_changed"):
                cursor.execute(f"ALTER TABLE {table} {how} TRIGGER {name}")


def register(sn: str) -> Callable[[], str]:
    def call() -> str:
        try:
            runs.register_units(run_no="RUN-1", sns=[sn])
        except Exception as error:
            return type(error).__name__
        return "unit"

    return call


def make_reference(sn: str) -> Callable[[], str]:
    """Return a call that makes a reference unit, in a transaction that goes on for a while."""

    def call() -> str:
        try:
            with transaction.atomic():
                ReferenceUnit.objects.create(sn=sn, kind="GOLDEN")
                sleep(0.1)
        except IntegrityError:
            return "refused"
        return "reference"

    return call


def race_for_a_name() -> list[set[str]]:
    return [set(at_once(register(f"X-{number}"), make_reference(f"X-{number}"))) for number in range(ROUNDS)]


def holders(number: int) -> int:
    sn = f"X-{number}"
    return Unit.objects.filter(sn=sn).count() + ReferenceUnit.objects.filter(sn=sn).count()


def test_one_of_a_unit_and_a_reference_unit_gets_it(transactional_db: None) -> None:
    make_plant(units=0)
    for outcome in race_for_a_name():
        assert outcome in ({"unit", "refused"}, {"SnIsReference", "reference"})
    assert [holders(number) for number in range(ROUNDS)] == [1] * ROUNDS


def test_control_without_the_rule_both_get_it(transactional_db: None) -> None:
    make_plant(units=0)
    with without_triggers():
        race_for_a_name()
    assert 2 in [holders(number) for number in range(ROUNDS)]


def relabel(sn: str, new_sn: str) -> Callable[[], str]:
    def call() -> str:
        try:
            labels.relabel(sn=sn, new_sn=new_sn, reason="?", by="x")
        except Exception as error:
            return type(error).__name__
        return "relabelled"

    return call


def test_two_units_at_once_to_one_label(transactional_db: None) -> None:
    make_plant(units=2 * ROUNDS)
    for number in range(1, ROUNDS + 1):
        outcome = at_once(relabel(f"SN-{number}", f"X-{number}"), relabel(f"SN-{number + ROUNDS}", f"X-{number}"))
        assert sorted(outcome) == ["SnTaken", "relabelled"]


def test_one_unit_at_once_to_two_labels_has_both(transactional_db: None) -> None:
    make_plant(units=ROUNDS)
    for number in range(1, ROUNDS + 1):
        assert at_once(relabel(f"SN-{number}", f"X-{number}"), relabel(f"SN-{number}", f"Y-{number}")) == [
            "relabelled",
            "relabelled",
        ]
    for unit in Unit.objects.all():
        assert unit.aliases.count() == 2
    assert UnitAlias.objects.count() == 2 * ROUNDS


# --- an event by the old label ------------------------------------------------------------------------------


@pytest.fixture
def slow_clocks(slow: Callable[..., None]) -> None:
    """Let time pass between the look for earlier labels and the reading of clocks, and before clocks are relabelled."""
    slow(services, "_follow_relabelled", after=0.1)
    slow(labels, "relabel_clocks", before=0.03, after=0.05)


def race_relabel_and_end() -> list[str]:
    make_plant(units=ROUNDS)
    make_rule()
    found: list[str] = []
    for number in range(1, ROUNDS + 1):
        handle(start(at(0), sn=f"SN-{number}"))
        ending = end(at(100), sn=f"SN-{number}")
        at_once(relabel(f"SN-{number}", f"X-{number}"), lambda ending=ending: handle(ending))
        found += statuses(f"X-{number}")
    return found


def test_a_clock_ends_though_its_unit_is_relabelled_at_that_moment(transactional_db: None, slow_clocks: None) -> None:
    assert race_relabel_and_end() == ["COMPLETED"] * ROUNDS


def test_control_without_the_lock_it_runs_for_ever(
    transactional_db: None, slow_clocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "lock_entities", lambda entities: None)
    with suppress(IntegrityError):  # where the end makes a second clock of the start
        assert race_relabel_and_end() != ["COMPLETED"] * ROUNDS


def enter(client: APIClient, sn: str) -> Callable[[], Any]:
    def call() -> int:
        answer = client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": sn})
        return int(answer.status_code)

    return call


def test_a_scan_of_the_old_label_while_it_changes(person: APIClient, slow: Callable[..., None]) -> None:
    make_plant(units=ROUNDS)
    slow(labels, "relabel_clocks", after=0.05)
    for number in range(1, ROUNDS + 1):
        outcome = at_once(relabel(f"SN-{number}", f"X-{number}"), enter(person, f"SN-{number}"))
        assert outcome == ["relabelled", 201]


def test_control_without_the_names_it_is_not_found(
    person: APIClient, slow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(units=ROUNDS)
    monkeypatch.setattr(names.Names, "check_present", lambda self: None)
    labels.relabel(sn="SN-1", new_sn="X-1", reason="?", by="x")
    assert enter(person, "SN-1")() != 201
