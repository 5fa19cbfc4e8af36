"""Deviations on the page of a run: asked for by a form, marked while in force, approved elsewhere, ended."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from execution.deviations import services
from execution.deviations.models import Deviation, DeviationStatus
from mes.platform.accounts.roles import Role
from mes.production import approvals
from tests.factories import Plant, make_plant
from tests.trace.test_run_acts import act, read, refused, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=3)


def form(**changes: Any) -> dict[str, Any]:
    until = timezone.localtime() + timedelta(hours=8)
    asked = {"type": "SKIP", "stepNo": "20", "expiresAt": f"{until:%Y-%m-%dT%H:%M}", "reason": "The oven is down"}
    return asked | changes


def approve(deviation: Deviation) -> None:
    approvals.approve(approval_id=deviation.approval_id, by="quinn")


def test_one_is_asked_for_approved_and_ended_on_pages(plant: Plant) -> None:
    page = act(sign_in(name="sue"), "deviation", **form(sns="SN-1\nSN-2"))
    deviation = Deviation.objects.get()
    assert f"{deviation.deviation_no} is asked for" in page and "waits for approval" in page
    assert "#deviations" not in page and "/end/" not in page
    quinn = sign_in(Role.QUALITY, "quinn")
    waiting = read(quinn, "/approvals/")
    assert "Skip step 20 of run RUN-1 until" in waiting and "SN-1, SN-2" in waiting and "The oven is down" in waiting
    quinn.post(f"/approvals/{deviation.approval_id}/approve/")
    page = read(quinn)
    assert 'href="#deviations">Deviation' in page and "Step 20 REFLOW is skipped" in page
    assert "Asked by sue" in page and "approved by quinn" in page and "/trace/units/SN-1/" in page
    ending = f"/trace/deviations/{deviation.deviation_no}/end/"
    answer = quinn.post(ending, {"reason": " "})
    assert "field-problem" in refused(read(quinn, answer["Location"].partition("#")[0]), f"end-{deviation}")
    quinn.post(ending, {"reason": "Mended"})
    page = read(quinn)
    assert f"{deviation} has ended." in page and 'id="deviations"' not in page
    deviation.refresh_from_db()
    assert (deviation.status, deviation.ended_by, deviation.end_reason) == (DeviationStatus.ENDED, "quinn", "Mended")
    quinn.post(ending, {"reason": "Again"})
    assert "Mended" in read(quinn) and "ended" in read(quinn).lower()


def test_another_station_is_named_with_its_step(plant: Plant) -> None:
    client = sign_in(name="sue")
    page = act(client, "deviation", **form(type="STATION"))
    assert "Name the stations" in refused(page, "deviation")
    page = act(client, "deviation", **form(type="STATION", stationCodes="NO-1"))
    assert "field-problem" in refused(page, "deviation")
    act(client, "deviation", **form(type="STATION", stationCodes="TST-01"))
    approve(Deviation.objects.get())
    assert "Step 20 REFLOW may run at TST-01" in read(client) and "All units of the run." in read(client)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stepNo": "10"}, "The first step cannot be skipped."),
        ({"stepNo": "x"}, "field-problem"),
        ({"sns": "SN-9"}, "field-problem"),
        ({"expiresAt": "2020-01-01T00:00"}, "Must lie ahead"),
        ({"expiresAt": ""}, "This field is required."),
        ({"expiresAt": "soon"}, "field-problem"),
        ({"reason": ""}, "field-problem"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(plant: Plant, changes: dict[str, str], said: str) -> None:
    assert said in refused(act(sign_in(name="sue"), "deviation", **form(**changes)), "deviation")
    assert not Deviation.objects.exists()


def test_who_may_and_what_is_over(plant: Plant) -> None:
    until = timezone.now() + timedelta(hours=1)
    deviation = services.request(run_no="RUN-1", type="SKIP", step_no=20, expires_at=until, reason="x", by="sue")
    approve(deviation)
    operator = sign_in(Role.OPERATOR)
    assert f"{deviation} · " in read(operator) and "/end/" not in read(operator)
    assert operator.post(f"/trace/deviations/{deviation}/end/", {"reason": "x"}).status_code == 403
    assert sign_in(Role.ENGINEER).post("/trace/deviations/DEV-0/end/", {"reason": "x"}).status_code == 404
    Deviation.objects.update(expires_at=timezone.now())
    assert 'id="deviations"' not in read(operator)
