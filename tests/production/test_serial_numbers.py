"""What no reader read makes no unit, at any door; and a route's masks say of what one is made."""

import pytest

from execution.models import Track
from integration.models import FailedMessage
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit
from mes.production.serial_numbers import is_unreadable
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from tests.factories import api_client, make_plant
from tests.forms import state_of
from tests.integration.helpers import make_event

UNREADABLE = ["NOREAD", "noread", "No Read", "no-read", "NO_READ", "n/a", "NA", "None", "null", "Error", "unknown"]
SIGNS = ["?", "???", "*", "#", ".", "_", "-", "?*#._-", "- -", "-/-"]


@pytest.mark.parametrize("sn", [*UNREADABLE, *SIGNS, "", None])
def test_what_is_no_serial_number(sn):
    assert is_unreadable(sn)


@pytest.mark.parametrize("sn", ["SN-1", "NOREAD1", "NAN", "A", "0", "é", "?1", "ERRORS", "U-NA"])
def test_what_is_one(sn):
    assert not is_unreadable(sn)


def test_the_words_are_a_setting(settings):
    settings.MES_UNREADABLE_SNS = ["bad read"]
    assert is_unreadable("BADREAD")
    assert not is_unreadable("NOREAD")


DOORS = {
    "/api/stations/SMT-01/track-in": {"runNo": "RUN-1", "sn": "NOREAD"},
    "/api/stations/SMT-01/track-out": {"runNo": "RUN-1", "sn": "NOREAD", "result": "PASS"},
    "/api/runs/RUN-1/units": {"sns": ["SN-7", "NOREAD"]},
    "/api/units/NOREAD/hold": {"reason": "?"},
    "/api/units/NOREAD/rework": {"reason": "?"},
    "/api/carriers/C-1/load": {"units": [{"sn": "NOREAD"}]},
    "/api/integration/inspection-result": {
        "eventId": "I-1",
        "eventTime": "2026-11-30T08:00:00Z",
        "source": "AUTO",
        "runNo": "RUN-1",
        "stationCode": "SMT-01",
        "unitSn": "NOREAD",
        "stepNo": 10,
        "inspectionType": "AOI",
        "result": "PASS",
    },
}


@pytest.mark.parametrize("address", DOORS)
def test_it_is_refused_at_every_door(db, address):
    make_plant(units=0)
    answer = api_client().post(address, DOORS[address])
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "SN_UNREADABLE")
    assert not Unit.objects.exists()


@pytest.mark.parametrize("address", ["/api/trace/units/NOREAD", "/api/stations/resolve-unit/NOREAD"])
def test_it_names_no_unit_to_look_at(db, address):
    assert api_client().get(address).json()["error"]["code"] == "SN_UNREADABLE"


def test_a_reading_of_it_is_kept_and_refused(db):
    make_plant(units=0)
    answer = api_client().post("/api/integration/device-data", make_event(unitSn="NOREAD"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "SN_UNREADABLE")
    assert FailedMessage.objects.get().error_code == "SN_UNREADABLE"


# --- masks --------------------------------------------------------------------------------------------------


def make_masked_plant(*masks: str) -> Run:
    """Return an authorized run without units, of a route with these masks, frozen by compiling it over HTTP."""
    plant = make_plant(units=0)
    engineer = api_client(Role.ENGINEER)
    assert engineer.patch("/api/routes/ROUTE-1", {"snMasks": list(masks)}).status_code == 200
    assert engineer.post("/api/routes/ROUTE-1/compile").json()["data"]["status"] == "READY"
    version = plant.routing.versions.latest("version_no")
    Run.objects.filter(pk=plant.run.pk).update(route_version=version)
    return Run.objects.get(pk=plant.run.pk)


def test_a_unit_is_made_only_where_its_serial_number_fits(db):
    make_masked_plant("SN-####", "@@@-*")
    client = api_client()
    refused = client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "SN_MASK_MISMATCH")
    assert refused.json()["error"]["details"] == {"sn": "SN-1", "masks": ["SN-####", "@@@-*"]}
    refused = client.post("/api/runs/RUN-1/units", {"sns": ["SN-0001", "SN-1"]})
    assert refused.json()["error"]["code"] == "SN_MASK_MISMATCH"
    assert not Unit.objects.exists() and not Track.objects.exists()
    assert client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-0001"}).status_code == 201
    assert client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "ABC-9"}).status_code == 201


def test_units_that_exist_are_found_whatever_the_masks_say(db):
    run = make_masked_plant("SN-####")
    Unit.objects.create(sn="OLD", run=run, work_order=run.work_order, current_step_no=10)
    answer = api_client().post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "OLD"})
    assert answer.status_code == 201


def test_a_route_without_masks_keeps_its_digest(db):
    plant = make_plant(units=0)
    assert "snMasks" not in plant.version.snapshot["route"]
    assert compile_route(code=plant.routing.code)[1] is False


def test_masks_are_frozen_by_compiling(db):
    run = make_masked_plant("A#")
    version = run.route_version
    assert version.snapshot["route"]["snMasks"] == ["A#"]
    document = snapshots.to_document(snapshots.from_document(version.snapshot))
    assert document == version.snapshot
    assert api_client().patch("/api/routes/ROUTE-1", {"snMasks": []}).json()["data"]["snMasks"] == []
    versions = api_client().get("/api/routes/ROUTE-1/versions").json()["data"]["items"]
    assert versions[0]["drift"] is True


@pytest.mark.parametrize("masks", ["A#", None, [1], [""], ["A\\"], ["A\n"], ["#"] * 21, ["#" * 201], [None]])
def test_masks_that_cannot_be_asked_are_refused_where_they_are_typed(db, masks):
    make_plant(units=0)
    answer = api_client(Role.ENGINEER).patch("/api/routes/ROUTE-1", {"snMasks": masks})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_masks_are_typed_one_a_line_in_the_admin(admin_client):
    plant = make_plant(units=0)
    address = f"/admin/mes/routing/{plant.routing.pk}/change/"
    body = {"name": "x", "sn_masks": "A,#\r\n\r\n@-?\r\n", "is_active": "on", "steps-TOTAL_FORMS": 0}
    body |= {"steps-INITIAL_FORMS": 0, "steps-MIN_NUM_FORMS": 0, "steps-MAX_NUM_FORMS": 0, "product_code": "P"}
    assert admin_client.post(address, body | state_of(plant.routing)).status_code == 302
    plant.routing.refresh_from_db()
    assert plant.routing.sn_masks == ["A,#", "@-?"]
    assert b"A,#\n@-?" in admin_client.get(address).content
    assert b"must be followed" in admin_client.post(address, body | {"sn_masks": "A\\"}).content


# --- words ---------------------------------------------------------------------------------------------------


def test_a_run_of_registered_units_says_so(db):
    make_plant()
    answer = api_client().post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-99"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "UNIT_NOT_FOUND")
    assert "RUN-1” takes only units that were registered for it beforehand" in error["message"]
