"""The Pareto of defects: what is counted under what, what is not, and its pages."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from rest_framework.test import APIClient

from execution.models import Defect, DefectCode, Track
from mes.platform.accounts.roles import Role
from mes.production.models import Run, RunKind, Unit
from tests.execution.support import assert_done, assert_refused, make_run
from tests.factories import Plant, api_client, make_plant
from tests.trace.test_report_pages import count_queries, sign_in, text_of

REPORT, PAGE, LIST = "/api/reports/defects", "/reports/defects/", "/reports/defects/list/"
PERIOD = {"from": "2026-03-09", "to": "2026-03-11"}


def found(run: Run, sn: str, code: str, day: int, hour: int = 12, **fields: Any) -> Defect:
    unit = Unit.objects.get(sn=sn)
    at = datetime(2026, 3, day, hour, tzinfo=UTC)
    return Defect.objects.create(**{"unit": unit, "run": run, "step_no": 10, "code": code, "found_at": at, **fields})


@pytest.fixture
def plant(db: None) -> Iterator[Plant]:
    """Four units of one run, one of an engineering run; what counts, and one of each that does not."""
    made = make_plant(units=4)
    run = made.run
    other = make_run(made, run_no="RUN-E", sns=["E-1"])
    Run.objects.filter(pk=other.pk).update(kind=RunKind.ENGINEERING)
    DefectCode.objects.create(
        code="BRIDGE_QFN", name="Bridge under a QFN", parent=DefectCode.objects.get(code="BRIDGE")
    )
    station = made.stations["SMT-01"]
    track = {"unit_id": Unit.objects.get(sn="SN-1").pk, "run": run, "station": station, "source": "MANUAL"}
    good = Track.objects.create(**track, step_no=10, operation_code="PRINT", in_at=datetime(2026, 3, 9, tzinfo=UTC))
    Track.objects.filter(pk=good.pk).update(out_at=datetime(2026, 3, 9, 1, tzinfo=UTC), result="FAIL")
    trial = Track.objects.create(
        **track, step_no=20, operation_code="REFLOW", in_at=datetime(2026, 3, 9, tzinfo=UTC), is_trial=True
    )
    found(run, "SN-1", "BRIDGE", 9, quantity=3, location="U1", track=good, station=station)
    found(run, "SN-1", "BRIDGE_QFN", 9, location="U1")
    found(run, "SN-2", "BRIDGE", 11, location="U2", step_no=20, status="REPAIRED")
    found(run, "SN-3", "m<7>", 11, hour=23, reported_code="m<7>")  # 12 March in Shanghai
    found(run, "SN-1", "SOLDER_BALL", 9)  # a process indicator
    found(run, "SN-2", "OPEN", 9, status="FALSE_CALL")
    found(run, "SN-2", "OPEN", 9, status="WITHDRAWN")
    found(run, "SN-1", "OPEN", 9, step_no=20, track=trial)
    found(run, "SN-1", "OPEN", 9, source="FAI")
    found(run, "SN-4", "OPEN", 13)
    found(other, "E-1", "OPEN", 9)
    yield made


@pytest.fixture
def client(plant: Plant) -> APIClient:
    return api_client(Role.OPERATOR)


def counted(client: APIClient, **asked: str) -> list[tuple[Any, ...]]:
    data = assert_done(client.get(REPORT, {**PERIOD, **asked}))
    assert data["total"]["defects"] == sum(item["defects"] for item in data["items"])
    return [(item["key"], item["defects"], item["units"]) for item in data["items"]]


def test_what_is_counted_by_what(client: APIClient) -> None:
    for by, bars in {
        "code": [("BRIDGE", 4, 2), ("BRIDGE_QFN", 1, 1), ("m<7>", 1, 1)],
        "category": [("TERMINATION", 5, 2), ("", 1, 1)],
        "location": [("U1", 4, 1), ("", 1, 1), ("U2", 1, 1)],
        "product": [("BOARD-1", 6, 3)],
        "step": [("10", 5, 2), ("20", 1, 1)],
        "day": [("2026-03-09", 4, 1), ("2026-03-10", 0, 0), ("2026-03-11", 2, 2)],
    }.items():
        assert counted(client, by=by) == bars, by
        for key, defects, units in bars:  # each bar opens what it counts
            assert counted(client, by=by, key=key) == ([(key, defects, units)] if defects else []), (by, key)
    data = assert_done(client.get(REPORT, PERIOD))
    assert data["total"] == {"defects": 6, "units": 3}
    assert [(it["name"], it["share"], it["cumulativeShare"]) for it in data["items"]] == [
        ("Solder bridge", 0.6667, 0.6667),
        ("Bridge under a QFN", 0.1667, 0.8333),
        (None, 0.1667, 1.0),
    ]
    for asked, defects in (
        ({"processIndicators": "true"}, 7),
        ({"code": "BRIDGE"}, 5),
        ({"stepNo": "20"}, 1),
        ({"stationCode": "SMT-01"}, 3),
        ({"lineCode": "SMT-A"}, 6),
        ({"productCode": "BOARD-2"}, 0),
        ({"runKind": "ENGINEERING"}, 1),
        ({"runNo": "RUN-E"}, 1),
        ({"runNo": "RUN-1", "from": "", "to": ""}, 7),
        ({"to": "", "from": "2026-03-13"}, 1),
        ({"to": "2026-03-15", "from": ""}, 7),
        ({"from": "2026-03-09T12:00:00Z", "to": "2026-03-11T12:00:00Z"}, 4),
    ):
        assert sum(bar[1] for bar in counted(client, **asked)) == defects, asked
    with override_settings(TIME_ZONE="Asia/Shanghai"):
        days = counted(client, by="day", to="2026-03-12")
    assert [day[1] for day in days] == [4, 0, 1, 1]


def test_the_rest_is_told_together_in_the_same_statement(client: APIClient, plant: Plant) -> None:
    unit = Unit.objects.get(sn="SN-4")
    at = datetime(2026, 3, 10, tzinfo=UTC)
    Defect.objects.bulk_create(
        Defect(unit=unit, run=plant.run, step_no=10, code=f"X{number:02}", found_at=at) for number in range(60)
    )
    with CaptureQueriesContext(connection) as queries:
        bars = counted(client)
    assert sum("execution_defect" in query["sql"] for query in queries) == 1
    assert len(bars) == 51 and bars[0] == ("BRIDGE", 4, 2)
    assert bars[-1] == (None, 66 - 4 - 49, 2)  # rarer ones, of two units together
    assert "defect_by_found_at" in connection.introspection.get_constraints(connection.cursor(), Defect._meta.db_table)
    page = sign_in().get(PAGE, PERIOD).content.decode()
    others = f"{LIST}?{urlencode({**PERIOD, 'others': 'true'})}".replace("&", "&amp;")
    assert "Others 13 2" in text_of(page) and page.count(f'"{others}"') == 2  # in the picture and in the table
    assert "13 defects on 2 units" in text_of(
        sign_in(Role.OPERATOR).get(LIST, {**PERIOD, "others": "true"}).content.decode()
    )


def test_parameters_that_make_no_sense_are_refused(client: APIClient) -> None:
    page = sign_in()
    for asked, code, status in (
        ({"by": "colour"}, "VALIDATION_ERROR", 400),
        ({"from": "yesterday"}, "VALIDATION_ERROR", 400),
        ({"from": "2026-03-12", "to": "2026-03-11"}, "VALIDATION_ERROR", 400),
        ({"from": "2024-01-01", "to": "2026-03-11"}, "VALIDATION_ERROR", 400),
        ({"stepNo": "ten"}, "VALIDATION_ERROR", 400),
        ({"processIndicators": "maybe"}, "VALIDATION_ERROR", 400),
        ({"runKind": "HOBBY"}, "VALIDATION_ERROR", 400),
        ({"format": "pdf"}, "VALIDATION_ERROR", 400),
        ({"lineCode": "NONE"}, "LINE_NOT_FOUND", 404),
        ({"stationCode": "NONE"}, "STATION_NOT_FOUND", 404),
    ):
        assert_refused(client.get(REPORT, {**PERIOD, **asked}), code, status)
        if "format" not in asked:
            assert page.get(PAGE, {**PERIOD, **asked}).status_code == status, asked
            assert page.get(LIST, {**PERIOD, **asked}).status_code == status, asked


def test_the_page_and_what_its_bars_open(client: APIClient) -> None:
    page = sign_in()
    html = page.get(PAGE, PERIOD).content.decode()
    text = text_of(html)
    for said in ("BRIDGE Solder bridge", "66.7 %", "6 defects on 3 units", "m&lt;7&gt;"):
        assert said in text, said
    bar = f"{LIST}?{urlencode({**PERIOD, 'key': 'BRIDGE'})}"
    assert html.count(bar.replace("&", "&amp;") + '"') == 2  # in the picture and in the table
    listed = page.get(bar).content.decode()
    assert "4 defects on 2 units" in text_of(listed)
    assert '/trace/units/SN-1/"' in listed and '/trace/units/SN-2/"' in listed and "/SN-3/" not in listed
    assert [len(assert_file(page, f"{address}&format=csv")) for address in (bar, f"{REPORT}?{urlencode(PERIOD)}")] == [
        3,
        4,
    ]
    assert "Nothing was found" in text_of(page.get(PAGE, {"from": "2026-01-01", "to": "2026-01-02"}).content.decode())
    run_page = page.get("/trace/runs/RUN-1/").content.decode()
    assert f"{PAGE}?runNo=RUN-1" in run_page
    assert "7 defects on 4 units" in text_of(page.get(PAGE, {"runNo": "RUN-1"}).content.decode())
    assert (
        count_queries(lambda: page.get(PAGE, PERIOD)) <= 6
    )  # three of them for session, user and what the user may do
    assert count_queries(lambda: page.get(bar)) <= 8


def assert_file(page: Any, address: str) -> list[str]:
    answer = page.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return b"".join(answer.streaming_content).decode().splitlines()
