"""A first article is decided FAIL while its sample leaves a station: the sample ends up held."""

from typing import Any

import pytest

from execution import dispositions
from execution.models import Track
from mes.production.models import Unit
from tests.execution.support import assert_done
from tests.execution.test_first_article import act
from tests.factories import make_plant
from tests.integration.helpers import another, at_once
from tests.race.conftest import put_into_oven
from tests.race.test_inspections import leave

ROUNDS = 4


def cross(person: Any) -> None:
    plant = make_plant(units=ROUNDS)
    for sn in plant.sns:  # each before the next first article fails, or it would not enter
        put_into_oven(person, sn)
    for number, sn in enumerate(plant.sns):
        fai = assert_done(person.post("/api/fai/run/RUN-1", {"sampleQty": 1}), 201)
        assert_done(act(person, fai, "start"))
        assert_done(act(person, fai, "samples", unitSn=sn))
        decide = lambda fai=fai: act(another(person), fai, "complete", decision="FAIL").status_code  # noqa: E731
        assert set(at_once(decide, leave(person, sn, after=0.02 * number))) <= {200, 409}


def lost() -> int:
    """Return how many units are not held, or held as if they were in the station that they have left."""
    inside = Track.objects.filter(out_at=None).values("unit")
    return Unit.objects.exclude(status="ON_HOLD").count() + (
        Unit.objects.filter(held_from="IN_STATION").exclude(pk__in=inside).count()
    )


def test_the_sample_is_held_in_either_order(person):
    cross(person)
    assert lost() == 0


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_a_move_is_lost(person, slow):
    slow(dispositions, "put_on_hold", after=0.3)
    cross(person)
    assert lost() > 0
