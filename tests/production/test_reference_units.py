"""Reference units: registered over HTTP, their passes by hand, and who is told of what should not be."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.notifications.services import follow
from mes.production.identity_models import ReferencePass, ReferenceUnit, UnitAlias
from mes.production.models import Unit
from tests.factories import api_client, make_line, make_plant, make_user

UNITS = "/api/reference-units"
GOLD = {"sn": "GOLD-1", "kind": "GOLDEN", "expectedResult": "PASS"}


@pytest.fixture
def plant(db):
    return make_plant(units=1)


def make(**fields) -> ReferenceUnit:
    return ReferenceUnit.objects.create(**{"sn": "GOLD-1", "kind": "GOLDEN", "expected_result": "PASS", **fields})


def passes(result: str = "PASS", sn: str = "GOLD-1", role: Role = Role.OPERATOR):
    return api_client(role).post("/api/stations/SMT-01/reference-pass", {"sn": sn, "result": result})


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.QUALITY])
def test_engineers_and_quality_keep_them(plant, role):
    client = api_client(role)
    made = client.post(UNITS, GOLD)
    assert made.status_code == 201, made.json()
    assert made.json()["data"] | {"id": ""} == {**GOLD, "id": "", "expiresAt": None, "isActive": True}
    changed = client.patch(f"{UNITS}/GOLD-1", {"isActive": False, "expectedResult": None, "changeReason": "Worn"})
    assert changed.json()["data"]["isActive"] is False
    assert client.get(UNITS).json()["data"]["items"][0]["expectedResult"] is None
    assert client.delete(f"{UNITS}/GOLD-1?changeReason=Gone").status_code == 200
    assert not ReferenceUnit.objects.exists()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.INTEGRATION])
def test_others_look(plant, role):
    assert api_client(role).post(UNITS, GOLD).status_code == 403
    assert api_client(role).get(UNITS).status_code == 200


def test_its_number_is_no_unit_s(plant):
    unit = Unit.objects.get()
    UnitAlias.objects.create(sn="OLD-1", unit=unit, reason="?", relabelled_by="x")
    for sn in ("SN-1", "OLD-1"):
        answer = api_client().post(UNITS, {**GOLD, "sn": sn})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SN_TAKEN")
    assert not ReferenceUnit.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**GOLD, "sn": "NOREAD"}, 422),
        ({**GOLD, "kind": "SILVER"}, 400),
        ({**GOLD, "expectedResult": "MAYBE"}, 400),
        ({**GOLD, "expiresAt": "tomorrow"}, 400),
        ({"kind": "GOLDEN"}, 400),
        ({**GOLD, "sn": " GOLD"}, 400),
    ],
)
def test_what_is_refused(plant, body, status):
    assert api_client().post(UNITS, body).status_code == status


def test_its_number_stays(plant):
    make()
    assert api_client().patch(f"{UNITS}/GOLD-1", {"sn": "GOLD-2"}).status_code == 400


# --- passes -------------------------------------------------------------------------------------------------


def test_a_pass_by_hand_is_kept_and_listed(plant):
    make()
    answer = passes()
    assert answer.status_code == 201, answer.json()
    kept = ReferencePass.objects.get()
    assert (kept.station.code, kept.result, kept.event_id) == ("SMT-01", "PASS", None)
    listed = api_client().get(f"{UNITS}/GOLD-1/passes").json()["data"]["items"]
    assert [(item["stationCode"], item["result"]) for item in listed] == [("SMT-01", "PASS")]
    assert api_client().delete(f"{UNITS}/GOLD-1?changeReason=Worn out").json()["error"]["code"] == "IN_USE"


@pytest.mark.parametrize(
    ("address", "body", "code"),
    [
        ("SMT-01", {"sn": "SN-1", "result": "PASS"}, "REFERENCE_UNIT_NOT_FOUND"),
        ("NONE", {"sn": "GOLD-1", "result": "PASS"}, "STATION_NOT_FOUND"),
        ("SMT-01", {"sn": "GOLD-1", "result": "MAYBE"}, "VALIDATION_ERROR"),
        ("SMT-01", {"sn": "GOLD-1"}, "VALIDATION_ERROR"),
    ],
)
def test_passes_that_are_refused(plant, address, body, code):
    make()
    answer = api_client().post(f"/api/stations/{address}/reference-pass", body)
    assert answer.json()["error"]["code"] == code
    assert not ReferencePass.objects.exists()


@pytest.mark.parametrize(
    ("fields", "result", "told"),
    [
        ({}, "PASS", False),
        ({}, "FAIL", True),
        ({"expected_result": "FAIL"}, "PASS", True),
        ({"expected_result": ""}, "FAIL", False),
        ({"is_active": False}, "PASS", True),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "PASS", True),
        ({"expires_at": timezone.now() + timedelta(days=1)}, "PASS", False),
    ],
)
def test_the_followers_of_the_line_are_told_of_what_should_not_be(plant, fields, result, told):
    here, elsewhere = make_user(Role.QUALITY), make_user(Role.QUALITY)
    follow(here, line_codes=[plant.line.code])
    follow(elsewhere, line_codes=[make_line("OTHER").code])
    make(**fields)
    assert passes(result).status_code == 201
    notified = list(Notification.objects.values_list("recipient_id", flat=True))
    assert notified == ([here.pk] if told else [])


def test_the_administration_registers_one(plant, admin_client):
    address = "/admin/mes/referenceunit/add/"
    body = {"sn": "GOLD-1", "kind": "GOLDEN", "expected_result": "PASS", "is_active": "on"}
    refused = admin_client.post(address, {**body, "sn": "SN-1"})
    assert refused.status_code == 200 and "taken" in refused.content.decode()
    assert admin_client.post(address, body).status_code == 302
    assert ReferenceUnit.objects.get().sn == "GOLD-1"
