"""What holds units: a unit is held exactly while a case holds it, and each case ends by itself."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db.models import Exists, OuterRef
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Disposition
from execution.quality.holds import cases
from mes.errors import UnitOnHold
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.platform.signatures.queries import is_unchanged
from mes.production import locking
from mes.production.hold_models import HeldUnit, Hold, HoldSource, HoldStatus
from mes.production.models import Unit, UnitStatus
from tests.execution.support import assert_done, assert_refused, decide
from tests.factories import Plant, api_client, make_plant, make_user
from tests.trace.test_pages import sign_in


@pytest.fixture
def plant(db: None) -> Plant:
    """A run under way with ten units."""
    return make_plant(units=10)


def hold(*sns: str, reason: str = "Look", source: str = "PERSON", **given: Any) -> list[Disposition]:
    """Hold units for a reason, all at once, as services do."""
    made = [
        dispositions.put_on_hold(unit, reason=reason, source=HoldSource(source), by="ann", **given)
        for unit in lock(sns)
    ]
    decisions = [decision for decision in made if decision is not None]
    dispositions.save_holds(decisions)
    return decisions


def lock(sns: Sequence[str]) -> list[Unit]:
    return locking.lock_units(Unit.objects.filter(sn__in=sns))


def end(*sns: str, hold: Hold | None = None) -> cases.Ended:
    return cases.end_cases(lock(sns), hold=hold, reason="Looked", by="bob")


def standing(sn: str = "SN-1") -> tuple[str, str, str]:
    """The unit's status, what it is held from and why, after everything that must hold was looked at."""
    held = Exists(HeldUnit.objects.filter(unit=OuterRef("pk"), ended_at=None))
    assert not Unit.objects.filter(held).exclude(status=UnitStatus.ON_HOLD).exists()
    assert not Unit.objects.exclude(held).filter(status=UnitStatus.ON_HOLD).exists()
    assert not HeldUnit.objects.filter(ended_at=None, hold__status=HoldStatus.RELEASED).exists()
    assert not Hold.objects.filter(status=HoldStatus.OPEN, scope="UNITS", catches=False, to_apply=None).exclude(
        Exists(HeldUnit.objects.filter(hold=OuterRef("pk"), ended_at=None))
    )
    unit = Unit.objects.get(sn=sn)
    return unit.status, unit.held_from, unit.hold_reason


def test_each_reason_is_a_case_and_the_last_one_to_end_frees(plant):
    [first] = hold("SN-1", reason="scratched")
    assert standing() == ("ON_HOLD", "QUEUED", "scratched")
    [second] = hold("SN-1", reason="alarm", source="ALARM")
    assert standing() == ("ON_HOLD", "QUEUED", "scratched · alarm")
    assert (first.hold.source, second.hold.source) == ("PERSON", "ALARM")
    assert hold("SN-1", reason="alarm", source="ALARM") == []
    assert Hold.objects.count() == 2

    assert end("SN-1", hold=first.hold).freed == []
    assert standing() == ("ON_HOLD", "QUEUED", "alarm")
    assert end("SN-1", hold=first.hold).units == []  # it does not hold it any more
    [freed] = end("SN-1", hold=second.hold).freed
    assert (freed.sn, standing()) == ("SN-1", ("QUEUED", "", ""))
    told = list(Disposition.objects.order_by("id").values_list("action", "from_status", "to_status", "hold"))
    assert told == [
        ("HOLD", "QUEUED", "ON_HOLD", first.hold.pk),
        ("HOLD", "ON_HOLD", "ON_HOLD", second.hold.pk),
        ("RELEASE", "ON_HOLD", "ON_HOLD", first.hold.pk),
        ("RELEASE", "ON_HOLD", "QUEUED", second.hold.pk),
    ]
    ended = Hold.objects.get(pk=second.hold.pk)
    assert (ended.status, ended.ended_by, ended.end_reason) == ("RELEASED", "bob", "Looked")
    row = HeldUnit.objects.get(hold=ended)
    assert (row.held_by, row.end, row.ended_by, row.end_reason) == ("ann", "RELEASED", "bob", "Looked")


def test_a_panel_is_one_case_and_a_report_of_the_same_belongs_to_it(plant, django_assert_num_queries):
    panel = [f"SN-{no}" for no in range(1, 9)]
    hold("SN-2", reason="scratched")
    with django_assert_num_queries(2):
        decisions = hold(*panel, reason="AOI said so", source="REPORT", is_of_report=True)
    [case] = {decision.hold for decision in decisions}
    assert standing("SN-2") == ("ON_HOLD", "QUEUED", "scratched · AOI said so")
    assert (HeldUnit.objects.filter(hold=case).count(), Hold.objects.count()) == (8, 2)
    again = hold("SN-2", "SN-9", reason="AOI said so", source="REPORT", is_of_report=True)
    assert again[0].hold_id == case.pk != again[1].hold_id  # a case that is told is not widened by it
    assert HeldUnit.objects.filter(unit__sn="SN-2").count() == 2
    end(*panel, "SN-9")
    assert standing() == ("QUEUED", "", "")
    assert not Hold.objects.filter(status=HoldStatus.OPEN).exists()


def test_a_case_may_be_named_and_one_that_ended_holds_nothing(plant):
    case = Hold(source=HoldSource.FAI, reason="The first article failed", opened_by="ann")
    hold("SN-1", "SN-2", reason="The first article failed", source="FAI", hold=case)
    hold("SN-2", "SN-3", reason="The first article failed", source="FAI", hold=case)  # saved by now
    assert sorted(case.held_units.values_list("unit__sn", flat=True)) == ["SN-1", "SN-2", "SN-3"]
    assert Disposition.objects.filter(unit__sn="SN-2").count() == 1
    end("SN-1", "SN-2", "SN-3", hold=case)
    standing()
    with pytest.raises(locking.Outdated):
        hold("SN-1", reason="again", source="FAI", hold=case)


def test_what_waits_for_more_units_stays_open_without_any(plant):
    catching = Hold(source=HoldSource.PERSON, reason="lot 7", opened_by="ann", catches=True, condition={"lot": "7"})
    hold("SN-1", reason="lot 7", hold=catching)
    end("SN-1", hold=catching)
    stored = Hold.objects.get()
    assert (stored.status, stored.condition, standing()) == ("OPEN", {"lot": "7"}, ("QUEUED", "", ""))


def test_release_ends_what_needs_no_signature(plant):
    [single] = hold("SN-1", reason="scratched")
    [panel, _other] = hold("SN-1", "SN-2", reason="alarm", source="ALARM")
    dispositions.release_unit(sn="SN-1", reason="fine", by="bob")
    assert standing() == ("ON_HOLD", "QUEUED", "alarm")
    with pytest.raises(UnitOnHold) as refused:
        dispositions.release_unit(sn="SN-1", reason="fine", by="bob")
    assert refused.value.details["holds"] == [panel.hold.hold_no]
    assert f"{panel.hold.hold_no} alarm" in str(refused.value)
    dispositions.release_unit(sn="SN-1", reason="fine", by="bob", may_end_all=True)
    assert standing()[0] == "QUEUED"
    assert standing("SN-2")[0] == "ON_HOLD"
    with pytest.raises(UnitOnHold):  # it was of two units
        dispositions.release_unit(sn="SN-2", reason="fine", by="bob")
    assert single.hold.pk != panel.hold.pk


@pytest.mark.parametrize("act", [dispositions.rework_unit, dispositions.scrap_unit])
def test_rework_answers_what_failed_and_scrap_everything(plant, act):
    hold("SN-1", reason="alarm", source="ALARM")
    hold("SN-1", reason="report", source="REPORT")
    hold("SN-1", reason="scratched")
    act(sn="SN-1", reason="do it", by="bob")
    assert standing()[0] in ("QUEUED", "SCRAPPED")
    assert set(HeldUnit.objects.values_list("end", flat=True)) == {
        "REWORK" if act == dispositions.rework_unit else "SCRAP"
    }

    hold("SN-2", reason="alarm", source="ALARM")
    [first], [second] = hold("SN-2", reason="scratched"), hold("SN-2", reason="lot", source="MATERIAL")
    if act == dispositions.scrap_unit:
        act(sn="SN-2", reason="do it", by="bob")
    else:
        with pytest.raises(UnitOnHold) as refused:
            act(sn="SN-2", reason="do it", by="bob")
        assert refused.value.details["holds"] == [first.hold.hold_no, second.hold.hold_no]
    assert standing("SN-2")[0] == ("ON_HOLD" if act == dispositions.rework_unit else "SCRAPPED")


def test_thousands_are_freed_in_as_many_statements_as_one(plant, django_assert_num_queries):
    case = Hold(source=HoldSource.PERSON, reason="lot 7", opened_by="ann")
    sns = [f"SN-{no}" for no in range(1, 11)]
    hold(*sns, reason="lot 7", hold=case)
    hold("SN-3", reason="scratched")
    units = lock(sns)
    with django_assert_num_queries(6):
        ended = cases.end_cases(units, hold=case, reason="Looked", by="bob")
    assert (len(ended.units), len(ended.freed)) == (10, 9)
    assert standing("SN-3") == ("ON_HOLD", "QUEUED", "scratched")


def test_a_person_ends_a_shared_case_of_a_unit_with_a_signature_and_a_token_without(plant):
    hold("SN-1", "SN-2", reason="alarm", source="ALARM")
    user = make_user(Role.QUALITY)
    person = APIClient()
    person.force_login(user)  # not `force_authenticate`: who signs must be the one who is signed in
    signature = {"username": user.username, "password": "secret", "meaning": "Looked at"}
    details = assert_refused(decide(person, "release"), "UNIT_ON_HOLD")
    assert details["holds"] == [Hold.objects.get().hold_no]
    assert_refused(decide(person, "release", signature={**signature, "password": "no"}), "SIGNATURE_REFUSED", 403)
    assert standing()[0] == "ON_HOLD"
    assert assert_done(decide(person, "release", signature=signature))["status"] == "QUEUED"
    [signed] = Signature.objects.all()
    assert (signed.record_type, signed.signer, is_unchanged(signed)) == ("UNIT_RELEASE", user.username, True)
    assert f'"holdNo":"{details["holds"][0]}"' in signed.document
    assert assert_done(decide(api_client(), "release", "SN-2"))["status"] == "QUEUED"
    assert Hold.objects.get().status == "RELEASED"


def test_the_trace_and_the_page_name_what_holds(plant):
    hold("SN-1", reason="scratched")
    end("SN-1")
    hold("SN-1", reason="alarm", source="ALARM")
    client = api_client()
    ended, present = assert_done(client.get("/api/trace/units/SN-1"))["unit"]["holds"]
    assert (ended["reason"], ended["end"], ended["endedBy"]) == ("scratched", "RELEASED", "bob")
    case = Hold.objects.get(source="ALARM")
    told = {"holdNo": case.hold_no, "source": "ALARM", "reason": "alarm", "scope": "UNITS", "owner": None}
    assert told.items() <= present.items() and (present["endedAt"], present["heldBy"]) == (None, "ann")
    page = sign_in(Role.QUALITY).get("/trace/units/SN-1/").content.decode()
    assert f">{case.hold_no}</a>" in page and page.count(">H-") == 1
