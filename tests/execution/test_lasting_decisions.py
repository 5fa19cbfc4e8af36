"""What was decided about a unit lasts: closing a run, registering again or a second reason do not undo it."""

import pytest
from django.db import connection

from execution import dispositions
from execution.models import Disposition, Track
from mes.platform.database import partitions
from mes.production import run_acts
from mes.production.hold_models import HoldSource
from mes.production.models import Unit
from tests.execution.support import make_run, track_in
from tests.factories import api_client, make_plant

pytestmark = pytest.mark.django_db


def close_with_unmade(plant, decide):
    """Close RUN-1 with its first unit done and its second never made; `decide` about the second before."""
    call = {"run_no": "RUN-1", "sn": plant.sns[0]}
    client = api_client()
    for station, data in (
        ("SMT-01", []),
        ("REF-01", []),
        ("TST-01", [{"specName": "Supply Voltage", "valueNumber": 3.3}]),
    ):
        body = {"runNo": call["run_no"], "sn": call["sn"]}
        assert client.post(f"/api/stations/{station}/track-in", body).status_code == 201
        answer = client.post(f"/api/stations/{station}/track-out", {**body, "result": "PASS", "data": data})
        assert answer.status_code == 200, answer.content
    decide()
    run_acts.close(run_no="RUN-1", by="test", reason="done")
    return plant.sns[1]


def register_elsewhere(plant, sn):
    make_run(plant, run_no="RUN-2", sns=["OTHER"])
    return api_client().post("/api/runs/RUN-2/units", {"sns": [sn]})


def test_a_unit_never_made_may_be_registered_elsewhere():
    plant = make_plant()
    sn = close_with_unmade(plant, lambda: None)
    assert register_elsewhere(plant, sn).status_code == 201
    assert Unit.objects.get(sn=sn).run.run_no == "RUN-2"


def test_a_scrapped_unit_that_was_never_made_stays_scrapped():
    plant = make_plant()
    sn = close_with_unmade(plant, lambda: None)
    dispositions.scrap_unit(sn=sn, reason="bent", by="test")
    answer = register_elsewhere(plant, sn)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "UNIT_SCRAPPED")
    assert Unit.objects.get(sn=sn).status == "SCRAPPED"


def test_closing_a_run_does_not_lift_a_hold():
    plant = make_plant()
    sn = close_with_unmade(plant, lambda: dispositions.hold_unit(sn=plant.sns[1], reason="label", by="quality"))
    unit = Unit.objects.get(sn=sn)
    assert (unit.run_id, unit.status, unit.hold_reason) == (None, "ON_HOLD", "label")
    assert register_elsewhere(plant, sn).json()["error"]["code"] == "UNIT_ON_HOLD"


def test_a_second_reason_to_hold_is_kept():
    plant = make_plant()
    unit = Unit.objects.get(sn=plant.sns[0])
    assert dispositions.hold(unit, reason="count the boards", by="supervisor", source=HoldSource.PERSON)
    assert not dispositions.hold(unit, reason="late failure", source=HoldSource.DATA)
    assert Unit.objects.get(pk=unit.pk).hold_reason == "count the boards · late failure"
    assert list(Disposition.objects.order_by("id").values_list("reason", flat=True)) == [
        "count the boards",
        "late failure",
    ]


def test_rework_after_a_late_failure_goes_to_the_step_that_failed():
    plant = make_plant()
    client = api_client()
    body = {"runNo": "RUN-1", "sn": plant.sns[0]}
    for station in ("SMT-01", "REF-01"):
        client.post(f"/api/stations/{station}/track-in", body)
        client.post(f"/api/stations/{station}/track-out", {**body, "result": "PASS"})
    late = {
        "eventId": "late",
        "eventTime": Track.objects.get(step_no=20).out_at.isoformat(),
        "source": "AUTO",
        "runNo": "RUN-1",
        "unitSn": plant.sns[0],
        "stationCode": "REF-01",
        "stepNo": 20,
        "data": [{"specName": "Peak Temperature", "valueNumber": 252}],
    }
    assert client.post("/api/integration/device-data", late).json()["data"]["judge"] == "FAIL"
    answer = client.post(f"/api/units/{plant.sns[0]}/rework", {"reason": "again"})
    assert answer.json()["data"] == {"sn": plant.sns[0], "status": "QUEUED", "currentStepNo": 20}


def test_a_token_of_one_station_may_not_decide_about_units():
    plant = make_plant()
    track_in(api_client())
    client = api_client("ADMIN", stations=["REF-01"])
    answer = client.post(f"/api/units/{plant.sns[0]}/scrap", {"reason": "no"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert client.get("/api/stations/SMT-01/queue").status_code == 403


def test_rows_of_a_month_that_was_made_too_late_move_into_it():
    table = "execution_datavalue"
    [month] = [name for name in partitions.make_months([table], ahead=6)][-1:]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {month}")
        year, number = month[-7:].split("_")
        cursor.execute(
            f"INSERT INTO {table} (received_at, spec_id, operation_code, name, item_type, value_number, measure, "
            "judge, reported_judge, alarmed, source, operator, collected_at) "
            f"VALUES ('{year}-{number}-15', 1, 'X', 'x', 'KEY', 1, '', '', '', false, 'AUTO', '', now())"
        )
        cursor.execute(f"SELECT count(*) FROM {table}_default")
        assert cursor.fetchone()[0] == 1
        assert partitions.make_months([table], ahead=6) == [month]
        cursor.execute(f"SELECT (SELECT count(*) FROM {table}_default), (SELECT count(*) FROM {month})")
        assert cursor.fetchone() == (0, 1)
