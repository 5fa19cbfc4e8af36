"""Two at once end what holds units: one of them does, and a case ends with its last unit."""

from functools import partial

import pytest
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Disposition
from execution.quality.holds import cases
from mes.production import locking
from mes.production.hold_models import HeldUnit, Hold, HoldSource, HoldStatus
from mes.production.models import Unit
from tests.execution.support import decide
from tests.factories import make_plant
from tests.integration.helpers import another, at_once

ROUNDS = 4


def hold_two_of_each(sns: list[str]) -> list[Hold]:
    """Hold units in pairs, each pair by a case of its own."""
    made = []
    for pair in zip(sns[::2], sns[1::2], strict=True):
        case = Hold(source=HoldSource.PERSON, reason="Look", opened_by="ann")
        made.append(case)
        units = Unit.objects.filter(sn__in=pair).order_by("pk")
        held = [dispositions.put_on_hold(unit, reason="Look", source=HoldSource.PERSON, hold=case) for unit in units]
        dispositions.save_holds([each for each in held if each is not None])
    return made


@locking.atomically
def end_for(sn: str, case: Hold) -> None:
    cases.end_cases(locking.lock_units(Unit.objects.filter(sn=sn)), hold=case, reason="Looked", by="bob")


def end_pairs() -> int:
    """End each case for both of its units at once; return how many cases hold nothing and are open still."""
    sns = make_plant(units=2 * ROUNDS).sns
    for case, first, second in zip(hold_two_of_each(sns), sns[::2], sns[1::2], strict=True):
        at_once(partial(end_for, first, case), partial(end_for, second, case))
    assert not HeldUnit.objects.filter(ended_at=None).exists()
    assert set(Unit.objects.values_list("status", flat=True)) == {"QUEUED"}
    return Hold.objects.filter(status=HoldStatus.OPEN).count()


def test_a_case_ends_with_its_last_unit(person, slow):
    slow(cases, "_end_empty", before=0.05)
    assert end_pairs() == 0


def test_control_without_the_lock_of_the_case_it_stays_open(person, slow, monkeypatch):
    monkeypatch.setattr(cases, "_lock_cases", lambda hold_ids: None)
    slow(cases, "_end_empty", before=0.2)
    assert end_pairs() > 0


def release_twice(person: APIClient) -> list[list[int]]:
    answers = []
    for sn in make_plant(units=ROUNDS).sns:
        decide(person, "hold", sn)
        answers.append(sorted(at_once(lambda sn=sn: decide(another(person), "release", sn).status_code, times=2)))
    return answers


def released() -> int:
    return Disposition.objects.filter(action="RELEASE").count()


def test_of_two_releases_one_is_refused(person):
    assert release_twice(person) == [[200, 409]] * ROUNDS
    assert (released(), HeldUnit.objects.filter(ended_at=None).count()) == (ROUNDS, 0)


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_both_release(person, slow):
    slow(cases, "list_open_cases", after=0.3)
    release_twice(person)
    assert released() > ROUNDS
