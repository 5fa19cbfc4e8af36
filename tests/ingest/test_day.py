"""A day of one line: a clock an hour behind, ids that begin again, a reader that reads nothing, counters of 16 bits."""

from typing import Any

from rest_framework.test import APIClient

from execution.models import Track
from ingest.models import OpenIngestEvent
from mes.platform.inbound.models import Source
from mes.production.models import Unit
from mes.production_counts.models import HourlyCount
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, inspected, printed
from tests.integration.helpers import EVENTS, moment


def said(body: dict[str, Any], system: str, key: object, **ago: float) -> dict[str, Any]:
    return {**body, "sourceSystem": system, "dedupeKey": str(key), "occurredAt": moment(**ago)}


def steps_of(sn: str) -> list[tuple[int, bool]]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", "is_time_doubtful"))


def test_a_day_of_one_line(plant: IngestPlant, send: Send, client: APIClient, committed: Any) -> None:
    Source.objects.create(code="PRINTER", clock_correction_seconds=-3600)
    for number, sn in enumerate(plant.sns):
        send(said(printed(sn), "PRINTER", number, hours=1, minutes=30 - number), 201)
        is_repeat = number > 0  # it was started again after each board, and counts from one
        for key, phase in enumerate(("start", "end"), start=1):
            body = said(inspected(sn, phase), "AOI", key, minutes=20 - number, seconds=-key)
            answer = send(body, 409 if is_repeat else 201)
            assert answer.get("code") == ("DEDUPE_KEY_CONFLICT" if is_repeat else None)
            send(body, 409 if is_repeat else 200)  # sent again, it counts up
    noread = send(said(printed("NOREAD"), "PRINTER", "noread", hours=1), 422)
    assert noread["code"] == "SN_UNREADABLE"

    # Nothing is lost: what could not be applied is a list of work, and the conflicts are taken for what they are.
    kept = OpenIngestEvent.objects.order_by("id")
    assert [(event.status, event.error_code, event.count) for event in kept] == [
        *[("CONFLICT", "DEDUPE_KEY_CONFLICT", 2)] * 4,
        ("REJECTED", "SN_UNREADABLE", 1),
    ]
    for event in kept.filter(status="CONFLICT").order_by("occurred_at"):
        with committed():
            answer = client.post(f"/api/ingest/events/{event.pk}/replay", {"asNew": True, "reason": "ids began again"})
        assert answer.json()["data"]["status"] == "APPLIED", answer.json()
    assert [steps_of(sn) for sn in plant.sns] == [[(10, False), (20, False)]] * 3
    assert set(Unit.objects.values_list("current_step_no", flat=True)) == {30}
    assert not Unit.objects.filter(sn="NOREAD").exists()

    # The printer counts its strokes in 16 bits, from where it stood: a window without length says so.
    start = moment(minutes=80)
    for number, (boards, strokes) in enumerate(((0, 65_000), (1, 65_500), (2, 464), (3, 964))):
        end = moment(minutes=80 - 5 * number) if number else start
        window = {"windowStart": start, "windowEnd": end, "mode": "CUMULATIVE"}
        production = {**window, "boardsOut": boards, "picked": strokes, "moduli": {"picked": 65_536}}
        names = {"runNo": "RUN-1", "stationCode": "PRN-1", "sourceSystem": "PRINTER", "source": "AUTO"}
        body = {"eventId": str(number), "eventTime": end, **names, "production": production}
        assert client.post(EVENTS, body).status_code == 201
        start = end
    hours = HourlyCount.objects.all()
    assert (sum(hour.boards_out or 0 for hour in hours), sum(hour.picked or 0 for hour in hours)) == (3, 1500)
    assert not any(hour.doubts for hour in hours)
