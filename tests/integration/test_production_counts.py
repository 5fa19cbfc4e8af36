"""Production counts over HTTP: the same keys, conflicts, messages and replays as readings, and no track or value."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from integration.models import DeviceDataRecord, FailedMessage, IntegrationMessage
from mes.plant.models import Station
from mes.platform.accounts.roles import Role
from mes.production import run_acts
from mes.production.models import Run, Unit
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.routing.compilation import compile_route
from tests.execution.support import make_run
from tests.factories import Plant, api_client, make_config, make_line, make_operation, make_station
from tests.integration.helpers import EVENTS, accept, list_messages, moment, nothing_changes, refuse

COUNTERS = ("boardsIn", "boardsOut", "scrapped", "picked", "placed")
PLACER = "SMT-01"  # at step 10
READING = {"mode": "CUMULATIVE"}


def counts(event_id: str = "cnt-1", *, production: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the body of a report of the first station; a field given as ... is left out."""
    body = {
        "eventId": event_id,
        "eventTime": moment(seconds=1),
        "source": "AUTO",
        "runNo": "RUN-1",
        "stationCode": PLACER,
        "production": {
            "windowStart": moment(minutes=10),
            "windowEnd": moment(minutes=5),
            "mode": "DELTA",
            "boardsIn": 6,
            "boardsOut": 5,
            "scrapped": 1,
            "picked": 1010,
            "placed": 1000,
        }
        | (production or {}),
    } | fields
    body["production"] = {name: value for name, value in body["production"].items() if value is not ...}
    return {name: value for name, value in body.items() if value is not ...}


def total(name: str = "boards_out") -> int | None:
    found = [getattr(hour, name) for hour in HourlyCount.objects.all() if getattr(hour, name) is not None]
    return sum(found) if found else None


def test_counts_are_kept_and_no_track_or_value_is_made(device: APIClient, plant: Plant) -> None:
    body = counts(equipmentId="EQ-1", meta={"line": "A"})
    answer = accept(device, body)
    assert {name: answer[name] for name in answer if name not in ("id", "receivedAt")} == {
        "eventId": "cnt-1",
        "trackId": None,
        "carrierTrackId": None,
        "dataValuesCreated": 0,
        "isDuplicate": False,
        "judge": None,
        "alarms": [],
    }
    stream = CountStream.objects.get()
    assert (stream.run, stream.station.code, stream.step_no) == (plant.run, PLACER, 10)
    assert (stream.equipment_id, stream.operation_code, stream.line) == ("EQ-1", "PRINT", plant.line)
    report = CountReport.objects.get()
    assert (str(report.pk), report.boards_in, report.scrapped) == (answer["id"], 6, 1)
    assert (total("boards_in"), total(), total("picked"), total("placed")) == (6, 5, 1010, 1000)
    assert not DataValue.objects.exists() and not Track.objects.exists()
    assert IntegrationMessage.objects.get().payload == body


def test_they_are_listed_with_the_other_device_data(device: APIClient) -> None:
    body = counts()
    accept(device, body)
    [item] = device.get(EVENTS, {"eventId": "cnt-1"}).json()["data"]["items"]
    assert (item["runNo"], item["stationCode"], item["stepNo"]) == ("RUN-1", PLACER, 10)
    assert (item["unitSn"], item["trackId"], item["valuesCount"], item["data"]) == (None, None, 0, [])
    assert item["production"] == body["production"]


def test_the_same_again_is_a_duplicate_and_counts_once(device: APIClient) -> None:
    body = counts()
    first = accept(device, body)
    for again in (body, body | {"meta": {"try": 2}}):
        assert accept(device, again, 200) == first | {"isDuplicate": True}
    assert total() == 5
    assert CountReport.objects.count() == DeviceDataRecord.objects.count() == 1


def test_the_same_instant_written_otherwise_is_the_same(device: APIClient) -> None:
    start, end = "2026-11-01T10:00:00Z", "2026-11-01T10:05:00Z"
    body = counts(production={"windowStart": start, "windowEnd": end}, eventTime=end)
    accept(device, body)
    moved = {"windowStart": "2026-11-01T11:00:00+01:00", "windowEnd": "2026-11-01T10:05:00.000Z", "boardsIn": 6.0}
    assert accept(device, counts(production=moved, eventTime=end), 200)["isDuplicate"]


def test_other_content_under_the_same_id_is_a_conflict(device: APIClient) -> None:
    body = counts()
    accept(device, body)
    answer = device.post(EVENTS, body | {"production": body["production"] | {"boardsOut": 4}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT")
    assert total() == 5
    assert [message["status"] for message in list_messages(device)] == ["CONFLICT", "SUCCESS"]


def test_values_and_counts_share_their_ids(device: APIClient) -> None:
    accept(device, counts("evt-1"))
    from tests.integration.helpers import into_oven, make_event

    into_oven(api_client(Role.ADMIN))
    answer = device.post(EVENTS, make_event("evt-1"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"runNo": "RUN-9"}, 404, "RUN_NOT_FOUND"),
        ({"stationCode": "SMT-99"}, 404, "STATION_NOT_FOUND"),
        ({"stepNo": 15}, 404, "STEP_NOT_FOUND"),
        ({"stepNo": 20}, 409, "STATION_MISMATCH"),
        ({"eventTime": moment(hours=-2)}, 422, "EVENT_TIME_IN_FUTURE"),
        ({"eventTime": moment(days=401)}, 422, "EVENT_TOO_OLD"),
    ],
)
def test_what_cannot_be_applied_is_refused_and_kept(
    device: APIClient, change: dict[str, Any], status: int, code: str
) -> None:
    refuse(device, counts(**change), status, code)
    assert not CountStream.objects.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"windowEnd": moment(hours=-2)}, "EVENT_TIME_IN_FUTURE"),
        ({"windowStart": moment(days=402), "windowEnd": moment(days=401, hours=23)}, "EVENT_TOO_OLD"),
    ],
)
def test_windows_of_the_future_and_of_long_ago_are_refused(
    device: APIClient, change: dict[str, Any], code: str
) -> None:
    refuse(device, counts(production=change), 422, code)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"production": {"windowStart": moment(hours=-2)}}, "production.windowEnd"),
        ({"production": {"windowStart": moment(days=1, minutes=6)}}, "production.windowEnd"),
        ({"production": {"windowEnd": ...}}, "production.windowEnd"),
        ({"production": {"windowStart": "2026-11-01T10:00:00"}}, "production.windowStart"),
        ({"production": {"mode": "TOTAL"}}, "production.mode"),
        ({"production": {"mode": ...}}, "production.mode"),
        ({"production": {"boardsIn": -1}}, "production.boardsIn"),
        ({"production": {"boardsIn": 1.5}}, "production.boardsIn"),
        ({"production": {"picked": "12"}}, "production.picked"),
        ({"production": {"picked": True}}, "production.picked"),
        ({"production": {"placed": 10**16}}, "production.placed"),
        ({"production": dict.fromkeys(COUNTERS)}, "production.boardsIn"),
        *(({"production": READING | {"moduli": {"picked": wrong}}}, "production.moduli.picked")
          for wrong in (0, 1, -1, 1.5, 10**16, "65536", True, [])),
        ({"production": READING | {"moduli": {"picks": 65536}}}, "production.moduli.picks"),
        ({"production": READING | {"moduli": 65536}}, "production.moduli"),
        ({"production": READING | {"moduli": {"picked": 1010}}}, "production.picked"),
        ({"production": {"moduli": {"picked": 65536}}}, "production.moduli"),
        ({"stationCode": None}, "stationCode"),
        ({"unitSn": "SN-1"}, "unitSn"),
        ({"trackId": "1"}, "trackId"),
        ({"carrierTrackId": "1"}, "carrierTrackId"),
        ({"data": [{"specName": "Peak Temperature", "valueNumber": 1}]}, "production"),
        ({"source": "MANUAL"}, "operatorId"),
        ({"equipmentId": " EQ-1"}, "equipmentId"),
        ({"equipmentId": "EQ\t1"}, "equipmentId"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused_by_its_place(device: APIClient, fields: dict[str, Any], place: str) -> None:
    error = refuse(device, counts(**fields), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == [place]


def test_a_delta_of_no_time_is_refused_but_a_reading_sets_the_base(device: APIClient) -> None:
    now = moment(minutes=5)
    refuse(device, counts(production={"windowStart": now, "windowEnd": now}), 400, "VALIDATION_ERROR")
    accept(device, counts("base", production={"windowStart": now, "windowEnd": now, "mode": "CUMULATIVE"}))
    assert total() is None
    accept(device, counts("next", production={"windowStart": now, "windowEnd": moment(minutes=1), "mode": "CUMULATIVE",
                                              "boardsOut": 9}))  # fmt: skip
    assert (total(), total("boards_in"), total("picked")) == (4, 0, 0)


def test_a_counter_of_16_bits_goes_on_counting(device: APIClient, plant: Plant) -> None:
    """Two hundred parts for each board; the counter of parts begins again at the 328th."""
    for number, boards in enumerate((0, 100, 200, 300, 327, 330, 400)):
        window = {"windowStart": moment(minutes=60), "windowEnd": moment(minutes=30 - number), "mode": "CUMULATIVE"}
        shown = {"boardsIn": ..., "boardsOut": boards, "picked": 200 * boards % 65536, "placed": ..., "scrapped": ...}
        accept(device, counts(f"cnt-{number}", production=window | shown | {"moduli": {"picked": 65536}}))
    assert (total(), total("picked")) == (400, 80000)
    assert not any(hour.doubts for hour in HourlyCount.objects.all())
    assert CountReport.objects.latest("id").moduli == {"picked": 65536}


def test_a_modulus_that_is_null_is_none(device: APIClient) -> None:
    accept(device, counts(production=READING | {"moduli": {"picked": None}}))
    assert CountReport.objects.get().moduli is None


def test_neither_values_nor_counts_is_refused(device: APIClient) -> None:
    error = refuse(device, counts(production=None) | {"production": None}, 400, "VALIDATION_ERROR")
    assert "data" in error["details"]


def test_nulls_are_as_if_absent(device: APIClient) -> None:
    body = counts()
    accept(device, body | {"data": None, "unitSn": None, "stepNo": None, "equipmentId": None})
    assert accept(device, body, 200)["isDuplicate"]
    assert DeviceDataRecord.objects.get().production == body["production"]


def test_a_run_in_any_state_takes_counts(device: APIClient, plant: Plant) -> None:
    make_run(plant, run_no="RUN-PREP", sns=["A-1"], authorize=False)
    accept(device, counts("in-prep", runNo="RUN-PREP"))
    Unit.objects.update(status="DONE")
    Run.objects.filter(run_no="RUN-1").update(status="IN_PROGRESS")
    run_acts.close(run_no="RUN-1", by="test", reason="done")
    accept(device, counts("closed"))
    assert total() == 10


def test_a_station_of_another_line_is_refused(device: APIClient, plant: Plant) -> None:
    station = make_station("SMT-02", line=make_line("SMT-B"), group=plant.groups["PRINTERS"])
    refuse(device, counts(stationCode=station.code), 409, "STATION_LINE_MISMATCH")


def test_a_station_that_serves_no_step_is_refused(device: APIClient) -> None:
    make_station("OTHER-1")
    refuse(device, counts(stationCode="OTHER-1"), 409, "STATION_MISMATCH")


def make_two_step_run(plant: Plant) -> Run:
    """A run whose first station does a second step too (both sides of a board)."""
    from mes.routing.models import RoutingStep

    RoutingStep.objects.create(routing=plant.routing, step_no=40, operation=make_operation("PRINT"))
    make_config(plant.routing, step_no=40, station_type="MANUAL", station_group=plant.groups["PRINTERS"])
    compile_route(code=plant.routing.code)
    return make_run(plant, run_no="RUN-2", sns=["B-1"])


def test_a_station_of_several_steps_must_say_which(device: APIClient, plant: Plant) -> None:
    make_two_step_run(plant)
    error = refuse(device, counts(runNo="RUN-2"), 422, "STEP_AMBIGUOUS")
    assert error["details"]["steps"] == [10, 40]
    accept(device, counts("top", runNo="RUN-2", stepNo=10))
    accept(device, counts("bottom", runNo="RUN-2", stepNo=40))
    assert sorted(CountStream.objects.values_list("step_no", flat=True)) == [10, 40]


def test_a_failed_report_is_replayed_once_its_cause_is_mended(device: APIClient, plant: Plant) -> None:
    body = counts(runNo="RUN-2")
    refuse(device, body, 404, "RUN_NOT_FOUND")
    make_run(plant, run_no="RUN-2", sns=["B-1"])
    engineer = api_client(Role.ENGINEER)
    [failed] = list_messages(engineer, status="FAILED")
    answer = engineer.post(f"/api/integration/messages/{failed['id']}/replay", {})
    assert answer.status_code == 200, answer.content
    assert total() == 5
    assert accept(device, body, 200)["isDuplicate"]
    assert not FailedMessage.objects.exists()
    again = engineer.post(f"/api/integration/messages/{failed['id']}/replay", {})
    assert again.json()["error"]["code"] == "INVALID_TRANSITION"
    assert total() == 5


def test_a_batch_of_values_and_counts(device: APIClient, person: APIClient) -> None:
    from tests.integration.helpers import into_oven, make_event, reading

    into_oven(person)
    events = [
        counts("c-1"),
        make_event("v-1"),
        counts("c-2", stationCode="SMT-99"),
        counts("c-1") | {"production": counts()["production"] | {"boardsOut": 7}},
        make_event("v-2", reading(260)),  # alarms and holds the unit
        counts("c-3", production={"windowStart": moment(minutes=5), "windowEnd": moment(minutes=1)}),
        "nonsense",
    ]
    events.append(events[0])
    answer = device.post(f"{EVENTS}/batch", {"events": events}).json()["data"]
    assert [(one["eventId"], one["status"]) for one in answer["results"]] == [
        ("c-1", "CREATED"),
        ("v-1", "CREATED"),
        ("c-2", "REJECTED"),
        ("c-1", "CONFLICT"),
        ("v-2", "CREATED"),
        ("c-3", "CREATED"),
        (None, "REJECTED"),
        ("c-1", "DUPLICATE"),
    ]
    assert total() == 10
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"
    assert DataValue.objects.count() == 2


def test_a_large_batch_takes_few_queries(device: APIClient, django_assert_max_num_queries: Any) -> None:
    """An outage of hours: each machine is worked out once."""
    production = counts()["production"]
    events = [
        counts(f"c-{minute}", production=production | {
            "windowStart": moment(minutes=minute + 1), "windowEnd": moment(minutes=minute), "boardsOut": 1})
        for minute in range(1, 501)
    ]  # fmt: skip
    with django_assert_max_num_queries(30):
        answer = device.post(f"{EVENTS}/batch", {"events": events}).json()["data"]
    assert answer["created"] == 500
    assert total() == 500


@pytest.mark.parametrize("role", [Role.QUALITY, Role.ENGINEER])
def test_who_may_not_send_readings_may_not_send_counts(plant: Plant, role: Role) -> None:
    client = api_client(role)
    with nothing_changes(but=()):
        assert client.post(EVENTS, counts()).status_code == 403


def test_a_token_of_stations_counts_for_these_only(plant: Plant) -> None:
    limited = api_client(Role.INTEGRATION, stations=["REF-01"])
    assert limited.post(EVENTS, counts()).status_code == 403
    accept(api_client(Role.INTEGRATION, stations=[PLACER]), counts())
    assert not FailedMessage.objects.exists()


def test_a_group_gives_the_step_to_a_replaced_machine(device: APIClient, plant: Plant) -> None:
    Station.objects.create(
        code="SMT-1B", name="x", line=plant.line, group=plant.groups["PRINTERS"], station_type="MANUAL"
    )
    accept(device, counts(stationCode="SMT-1B"))
    assert CountStream.objects.get().step_no == 10
