"""A unit gets another label: the old one finds it for ever, and what is live goes on under the new."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from execution import labels
from execution.models import CarrierLoad, Track
from integration.models import DeviceDataRecord
from mes import errors
from mes.platform.accounts.roles import Role
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Run, Unit
from mes.routing.compilation import compile_route
from mes.routing.models import Routing
from mes.time_rules.models import TimeRuleInstance, TimeRuleMark
from tests.factories import api_client, make_plant
from tests.integration.helpers import EVENTS, into_oven, make_event
from tests.time_rules.support import at, end, handle, make_rule, start, statuses

WHY = {"reason": "Label burnt in reflow"}


def relabel(sn: str = "SN-1", new_sn: str = "NEW-1") -> labels.Relabelling:
    return labels.relabel(sn=sn, new_sn=new_sn, reason="Burnt", by="quality")


def post(path: str, body: dict, role: Role = Role.ADMIN):
    return api_client(role).post(f"/api/{path}", body)


@pytest.fixture
def plant(db):
    return make_plant(units=2)


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.QUALITY])
def test_supervisors_and_quality_relabel(plant, role):
    answer = post("units/SN-1/relabel", {"newSn": "NEW-1", **WHY}, role)
    assert answer.status_code == 200, answer.json()
    assert answer.json()["data"] == {"sn": "NEW-1", "earlierSn": "SN-1", "status": "QUEUED", "currentStepNo": 10}
    alias = UnitAlias.objects.get()
    assert (alias.sn, alias.unit.sn, alias.reason) == ("SN-1", "NEW-1", WHY["reason"])


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ENGINEER, Role.INTEGRATION])
def test_others_do_not(plant, role):
    assert post("units/SN-1/relabel", {"newSn": "NEW-1", **WHY}, role).status_code == 403
    assert Unit.objects.filter(sn="SN-1").exists()


@pytest.mark.parametrize(
    ("new_sn", "code"),
    [
        ("SN-1", "SN_TAKEN"),
        ("SN-2", "SN_TAKEN"),
        ("OLD-2", "SN_TAKEN"),
        ("GOLD", "SN_TAKEN"),
        ("NOREAD", "SN_UNREADABLE"),
    ],
)
def test_what_it_may_not_be_called(plant, new_sn, code):
    unit = Unit.objects.get(sn="SN-2")
    UnitAlias.objects.create(sn="OLD-2", unit=unit, reason="?", relabelled_by="x")
    ReferenceUnit.objects.create(sn="GOLD", kind="GOLDEN")
    answer = post("units/SN-1/relabel", {"newSn": new_sn, **WHY})
    assert answer.json()["error"]["code"] == code
    assert sorted(Unit.objects.values_list("sn", flat=True)) == ["SN-1", "SN-2"]
    assert UnitAlias.objects.count() == 1


def test_the_masks_of_its_route_hold_for_the_new_one(db):
    plant = make_plant(units=1)
    Routing.objects.update(sn_masks=["SN-#"])
    version, _changed = compile_route(code=plant.routing.code)
    Run.objects.update(route_version=version)
    with pytest.raises(errors.SnMaskMismatch):
        relabel()
    assert relabel(new_sn="SN-7").unit.sn == "SN-7"


def test_it_may_be_called_again_as_it_was(plant):
    relabel()
    UnitAlias.objects.update(relabelled_at=datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
    with timezone.override("Europe/Berlin"):
        labels.relabel(sn="NEW-1", new_sn="SN-1", reason="The old one is found", by="boss")
    assert Unit.objects.filter(sn="SN-1").exists()
    alias = UnitAlias.objects.get()
    assert (alias.sn, alias.relabelled_by) == ("NEW-1", "boss")
    assert alias.reason.startswith("The old one is found · SN-1 was replaced by quality at 2 Jan 2026 00:30: ")
    assert alias.reason.endswith(": Burnt")


def test_every_earlier_one_finds_it(plant):
    relabel()
    relabel("SN-1", "NEW-2")  # by its first one
    unit = Unit.objects.get(sn="NEW-2")
    assert sorted(unit.aliases.values_list("sn", flat=True)) == ["NEW-1", "SN-1"]
    for sn in ("SN-1", "NEW-1"):
        answer = api_client().get(f"/api/stations/resolve-unit/{sn}")
        assert answer.json()["data"]["sn"] == "NEW-2"


# --- the old one finds it ---------------------------------------------------------------------------------


def test_scans_by_the_old_one(plant):
    relabel()
    entered = post("stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    assert (entered.status_code, entered.json()["data"]["sn"]) == (201, "NEW-1")
    assert post("stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}).status_code == 200  # a repeat
    assert api_client().get("/api/stations/SMT-01/unit/SN-1/data-specs").status_code == 200
    left = post("stations/SMT-01/track-out", {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"})
    assert (left.status_code, left.json()["data"]["sn"]) == (200, "NEW-1")
    assert Track.objects.get().unit.sn == "NEW-1"


def test_decisions_by_the_old_one(plant):
    relabel()
    for act in ("hold", "release"):
        assert post(f"units/SN-1/{act}", WHY).json()["data"]["sn"] == "NEW-1"
    post("stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "NEW-1"})
    post("stations/SMT-01/track-out", {"runNo": "RUN-1", "sn": "NEW-1", "result": "PASS"})
    Unit.objects.filter(sn="NEW-1").update(status="OUT_FAILED")
    assert post("units/SN-1/rework", WHY).json()["data"]["sn"] == "NEW-1"
    assert post("units/SN-1/scrap", WHY).json()["data"]["status"] == "SCRAPPED"


def test_transfers_by_the_old_one(plant):
    relabel()
    taken_back = post("runs/RUN-1/units/move", {"sns": ["SN-1"], "toRunNo": None, **WHY})
    assert taken_back.status_code == 200, taken_back.json()
    assert Unit.objects.get(sn="NEW-1").run is None
    assert post("runs/RUN-1/units", {"sns": ["SN-1"]}).status_code == 201
    post("units/SN-1/scrap", WHY)
    assert post("units/SN-1/unscrap", WHY, Role.SUPERVISOR).status_code == 202


def test_carriers_by_the_old_one(plant):
    relabel()
    assert post("carriers/C-1/load", {"units": [{"sn": "SN-1", "position": "1"}]}).status_code == 200
    assert CarrierLoad.objects.get().unit.sn == "NEW-1"
    named_twice = post("carriers/C-1/load", {"units": [{"sn": "SN-1"}, {"sn": "NEW-1"}]})
    assert named_twice.json()["error"]["code"] == "VALIDATION_ERROR"
    assert post("carriers/C-1/unload", {"sns": ["SN-1"]}).status_code == 200
    assert CarrierLoad.objects.get().unloaded_at is not None


def test_readings_by_the_old_one(plant):
    person = api_client()
    track_id = into_oven(person)
    event = make_event("E-1")
    assert person.post(EVENTS, event).status_code == 201
    relabel()
    assert person.post(EVENTS, event).json()["data"]["isDuplicate"] is True  # a repeat is one still
    late = person.post(EVENTS, make_event("E-2"))
    assert (late.status_code, late.json()["data"]["trackId"]) == (201, track_id)
    named_both = person.post(EVENTS, make_event("E-3", trackId=track_id))
    assert named_both.status_code == 201, named_both.json()
    assert {record.unit.sn for record in DeviceDataRecord.objects.select_related("unit")} == {"NEW-1"}


def test_registering_the_old_one_again_changes_nothing(plant):
    relabel()
    answer = post("runs/RUN-1/units", {"sns": ["SN-1", "SN-2"]})
    assert (answer.status_code, answer.json()["data"]["registered"]) == (200, [])
    assert Unit.objects.count() == 2


def test_the_trace_by_the_old_one(plant, client, django_user_model):
    relabel()
    data = api_client().get("/api/trace/units/SN-1").json()["data"]
    assert data["unit"]["sn"] == "NEW-1"
    assert [(alias["sn"], alias["reason"]) for alias in data["aliases"]] == [("SN-1", "Burnt")]
    client.force_login(django_user_model.objects.create_superuser("boss"))
    page = client.get("/trace/units/SN-1/")
    assert (page.status_code, page["Location"]) == (302, "/trace/units/NEW-1/")
    assert "SN-1" in client.get("/trace/units/NEW-1/").content.decode()
    assert client.get("/trace/?q=SN-1")["Location"] == "/trace/units/NEW-1/"


# --- clocks -----------------------------------------------------------------------------------------------


def test_its_clocks_go_on_under_the_new_one(plant):
    make_rule()
    handle(start(at(0), sn="SN-1"))
    relabel()
    assert statuses("NEW-1") == ["ACTIVE"]
    handle(end(at(10), sn="NEW-1"))
    assert statuses("NEW-1") == ["COMPLETED"]


def test_an_event_of_the_old_one_that_is_handled_late_ends_its_clock(plant):
    make_rule()
    handle(start(at(0), sn="SN-1"))
    relabel()
    handle(end(at(10), sn="SN-1"))  # was in the outbox when it was relabelled
    assert statuses("NEW-1") == ["COMPLETED"]
    assert not TimeRuleInstance.objects.filter(entity_id="SN-1").exists()
    assert not TimeRuleMark.objects.filter(entity_id="SN-1").exists()
