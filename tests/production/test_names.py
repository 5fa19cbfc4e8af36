"""A serial number is that of one unit, of one that had it, or of a reference unit: a rule of the database."""

import pytest
from django.db import IntegrityError, transaction

from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Unit
from mes.production.names import find_names, get_unit, is_taken
from tests.factories import api_client, make_plant


def make_alias(sn: str, of: str = "SN-1") -> UnitAlias:
    return UnitAlias.objects.create(sn=sn, unit=Unit.objects.get(sn=of), reason="?", relabelled_by="x")


def make_reference(sn: str) -> ReferenceUnit:
    return ReferenceUnit.objects.create(sn=sn, kind="GOLDEN")


@pytest.fixture
def names(db):
    """A unit SN-1, an earlier number OLD-1 of it, a reference unit GOLD."""
    plant = make_plant(units=1)
    make_alias("OLD-1")
    make_reference("GOLD")
    return plant


MAKE = {"unit": None, "alias": make_alias, "reference": make_reference}
CHANGE = {"unit": Unit, "alias": UnitAlias, "reference": ReferenceUnit}
OF = {"unit": "SN-1", "alias": "OLD-1", "reference": "GOLD"}
PAIRS = [(what, taken) for what in OF for taken in OF if what != taken]


@pytest.mark.parametrize(("what", "taken"), PAIRS)
def test_no_two_kinds_are_made_with_one(names, what, taken):
    unit = Unit.objects.get()
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        if what == "unit":
            Unit.objects.create(sn=OF[taken], run=unit.run, work_order=unit.work_order)
        else:
            MAKE[what](OF[taken])
    assert is_taken(refused.value)


@pytest.mark.parametrize(("what", "taken"), PAIRS)
def test_nor_changed_to_one(names, what, taken):
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        CHANGE[what].objects.update(sn=OF[taken])
    assert is_taken(refused.value)


def test_what_they_are(names):
    found = find_names(["SN-1", "OLD-1", "GOLD", "nothing"])
    assert (found.present, found.references) == ({"OLD-1": "SN-1"}, {"GOLD"})
    assert get_unit("OLD-1") == get_unit("SN-1")


def test_a_reference_unit_is_not_registered_nor_tracked(names):
    client = api_client()
    for address, body in {
        "/api/runs/RUN-1/units": {"sns": ["SN-5", "GOLD"]},
        "/api/stations/SMT-01/track-in": {"runNo": "RUN-1", "sn": "GOLD"},
        "/api/stations/SMT-01/track-out": {"runNo": "RUN-1", "sn": "GOLD", "result": "PASS"},
        "/api/units/GOLD/hold": {"reason": "?"},
        "/api/units/GOLD/relabel": {"newSn": "X", "reason": "?"},
        "/api/carriers/C-1/load": {"units": [{"sn": "GOLD"}]},
    }.items():
        answer = client.post(address, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SN_IS_REFERENCE"), address
    assert client.get("/api/stations/resolve-unit/GOLD").json()["error"]["code"] == "SN_IS_REFERENCE"
    assert list(Unit.objects.values_list("sn", flat=True)) == ["SN-1"]
