"""A false call at the same time as the rework of its unit: in either order the rework stands."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Defect, Track
from execution.quality import reviews
from mes.production.models import Unit
from tests.execution.support import assert_done, track_in, track_out
from tests.factories import make_plant
from tests.integration.helpers import another, at_once

UNITS = 6
REWORKED, WENT_ON = (1, 10, "QUEUED"), (0, 20, "QUEUED")


def cross(person: APIClient) -> None:
    """Have boards that failed called good and sent back at once."""
    for sn in make_plant(units=UNITS).sns:
        assert_done(track_in(person, sn=sn), 201)
        assert_done(track_out(person, sn=sn, result="FAIL", defectCode="BRIDGE"))
        defect = Defect.objects.get(unit__sn=sn)
        answers = at_once(settle(person, defect), send_back(person, sn))
        assert set(answers) <= {200, 409}


def settle(person: APIClient, defect: Defect) -> Callable[[], Any]:
    body = {"type": "FALSE_CALL", "reason": "flux residue"}
    return lambda: another(person).post(f"/api/defects/{defect.pk}/disposition", body).status_code


def send_back(person: APIClient, sn: str) -> Callable[[], Any]:
    body = {"reason": "again", "toStepNo": 10}
    return lambda: another(person).post(f"/api/units/{sn}/rework", body).status_code


def lost() -> list[tuple[int, int | None, str]]:
    """Return where units stand that were sent back and went on all the same."""
    assert set(Track.objects.values_list("result", flat=True)) == {"PASS"}
    states = Unit.objects.values_list("rework_no", "current_step_no", "status")
    return [state for state in states if state not in (REWORKED, WENT_ON)]


def test_a_false_call_and_a_rework_in_either_order_lose_neither(person: APIClient) -> None:
    cross(person)
    assert lost() == []


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_a_rework_is_lost(person: APIClient, slow: Callable[..., None]) -> None:
    slow(reviews, "_send_on", before=0.3)
    slow(dispositions, "_record", after=0.2)
    cross(person)
    assert lost() != []
