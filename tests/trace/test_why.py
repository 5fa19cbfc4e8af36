"""Why units of a run failed, what a carrier measured of a unit, and which route a run in preparation keeps."""

from datetime import timedelta

import pytest

from execution.models import CarrierTrack, DataValue, Track
from mes.platform.accounts.roles import Role
from mes.routing.compilation import compile_route
from tests.factories import api_client, make_plant
from tests.ingest.support import make_ingest_plant, printed, push, reflowed


def fail_at_the_test(client, sn: str, volts: float) -> None:
    for station in ("SMT-01", "REF-01"):
        client.post(f"/api/stations/{station}/track-in", {"runNo": "RUN-1", "sn": sn})
        client.post(f"/api/stations/{station}/track-out", {"runNo": "RUN-1", "sn": sn, "result": "PASS"})
    client.post("/api/stations/TST-01/track-in", {"runNo": "RUN-1", "sn": sn})
    data = [{"specName": "Supply Voltage", "valueNumber": volts}]
    client.post("/api/stations/TST-01/track-out", {"runNo": "RUN-1", "sn": sn, "result": "PASS", "data": data})


def test_the_column_why_names_failing_values_with_their_limits(admin_client):
    make_plant()
    client = api_client()
    fail_at_the_test(client, "SN-1", 3.05)
    page = admin_client.get("/trace/runs/RUN-1/").content.decode()
    assert "Supply Voltage 3.05 V (3.2 – 3.4)" in page


def test_what_was_measured_again_and_is_right_is_no_reason(admin_client):
    make_plant()
    client = api_client()
    fail_at_the_test(client, "SN-1", 3.05)
    value = DataValue.objects.get(name="Supply Voltage")
    value.pk, value.value_number, value.judge = None, 3.3, "PASS"
    value.collected_at += timedelta(seconds=5)
    value.save(force_insert=True)
    assert "Supply Voltage 3.05" not in admin_client.get("/trace/runs/RUN-1/").content.decode()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"value_number": 3.3, "judge": "PASS"}, id="a better one of the same instant"),
        pytest.param({"value_number": 3.1, "judge": "", "later": 5}, id="a later one that was not judged"),
        pytest.param({"spec_id": 0, "judge": "PASS", "later": 5}, id="a later one of another spec of this name"),
    ],
)
def test_why_is_the_value_that_the_verdict_goes_by(admin_client, other):
    make_plant()
    fail_at_the_test(api_client(), "SN-1", 3.05)
    value = DataValue.objects.get(name="Supply Voltage")
    value.pk, value.collected_at = None, value.collected_at + timedelta(seconds=other.get("later", 0))
    for name in other.keys() - {"later"}:
        setattr(value, name, other[name])
    value.save(force_insert=True)
    assert "Supply Voltage 3.05 V (3.2" in admin_client.get("/trace/runs/RUN-1/").content.decode()


def test_what_the_carrier_measured_before_the_board_was_measured_right_is_no_reason(admin_client):
    sn, _other = pass_the_oven(api_client(Role.INTEGRATION), 252.0)
    value = DataValue.objects.get(name="Peak Temperature")
    track = Track.objects.get(unit__sn=sn, step_no=30)
    value.pk, value.carrier_track_id, value.track_id, value.unit_id = None, None, track.pk, track.unit_id
    value.value_number, value.judge = 240.0, "PASS"
    value.collected_at += timedelta(seconds=5)
    value.save(force_insert=True)
    assert admin_client.get("/trace/runs/RUN-1/").content.decode().count("Peak Temperature 252") == 1


def pass_the_oven(client, peak: float) -> list[str]:
    plant = make_ingest_plant(units=2)
    for sn in plant.sns:
        push(client, printed(sn))
    plant.run.units.update(current_step_no=30)
    values = [{"name": "Peak Temperature", "value": peak}]
    push(client, reflowed("PANEL-1", plant.sns, values=values))
    return plant.sns


def test_the_pass_of_a_board_on_a_carrier_shows_the_carriers_values(admin_client):
    sn, _other = pass_the_oven(api_client(Role.INTEGRATION), 252.0)
    assert CarrierTrack.objects.count() == 1
    page = admin_client.get(f"/trace/units/{sn}/").content.decode()
    inside = page.partition('class="pass-in"')[2].partition("</details>\n")[0]
    assert "Collected on carrier PANEL-1" in inside and "Peak Temperature" in inside and "235 – 250" in inside
    assert "1 value failed" in page.partition("Passes")[2]
    assert "1 value outside its limits" in page


def test_the_column_why_names_what_a_carrier_measured(admin_client):
    sns = pass_the_oven(api_client(Role.INTEGRATION), 252.0)
    page = admin_client.get("/trace/runs/RUN-1/").content.decode()
    assert page.count("Peak Temperature 252 °C (235 – 250") == len(sns)


def test_a_run_that_has_not_begun_tells_of_a_newer_version_of_its_route(admin_client):
    plant = make_plant(authorize=False)
    page = "/trace/runs/RUN-1/"
    assert "The route has version" not in admin_client.get(page).content.decode()
    plant.routing.sn_masks = ["SN-#"]
    plant.routing.save()
    compile_route(code=plant.routing.code)
    told = "The route has version 2 by now. This run has version 1"
    assert told in admin_client.get(page).content.decode()
    assert "Version 2 is newer: one difference" in admin_client.get("/readiness/runs/RUN-1/").content.decode()
    plant.run.status = "IN_PROGRESS"
    plant.run.save()
    assert "The route has version" not in admin_client.get(page).content.decode()
