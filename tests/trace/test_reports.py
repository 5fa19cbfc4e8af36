"""Reports: rows and totals that agree, by every group; in three formats; and what is beside them."""

import csv
import re
from datetime import UTC, date, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pytest
from django.test import Client, override_settings
from rest_framework.test import APIClient

from execution.models import Track
from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.production.models import Run
from mes.production_counts import records
from mes.production_counts.reports import Machine
from mes.production_counts.windows import Report
from tests.execution.support import make_run
from tests.factories import Plant, api_client, make_line, make_plant, make_user
from tests.production_counts.support import keep
from trace.reports.production import get_report
from trace.reports.query import Group, Question

PRODUCTION, IN_OUT = "/api/reports/production", "/api/reports/in-out"
DAY = date(2026, 3, 10)
SHIFTS = [
    {"code": "DAY", "start": "06:00", "end": "18:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "NIGHT", "start": "18:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
]


@pytest.fixture
def plant(db: None) -> Plant:
    made = make_plant(plan_qty=100)
    Line.objects.update(shifts=SHIFTS)
    return made


@pytest.fixture
def client(plant: Plant) -> APIClient:
    return api_client(Role.OPERATOR)


def machine(run: Run, plant: Plant, step_no: int = 10, equipment: str = "") -> Machine:
    operation = {10: "PRINT", 20: "REFLOW", 30: "TEST"}[step_no]
    station = plant.stations[{10: "SMT-01", 20: "REF-01", 30: "TST-01"}[step_no]]
    return Machine(run.pk, station.pk, step_no, equipment, run.line_id, operation)


def hour_of(day: date, hour: float, *counts: int | None) -> Report:
    """A report of a whole hour: boards in, out, scrapped, picked, placed."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
    return Report(0, start, start + timedelta(hours=1), False, (*counts, *[None] * (5 - len(counts))))


@pytest.fixture
def made(plant: Plant) -> Plant:
    """Two runs over two days; the printer places parts, the tester counts what comes out."""
    other = make_run(plant, run_no="RUN-2", sns=[], plan_qty=50)
    keep(machine(plant.run, plant), [hour_of(DAY, 7, 10, 10, 0, 1000, 990), hour_of(DAY, 8, 12, 11, 1, 1100, 1100)])
    keep(machine(plant.run, plant, 30), [hour_of(DAY, 8, 10, 9), hour_of(DAY, 19, 8, 8)])
    keep(machine(other, plant), [hour_of(DAY, 20, 5, 5, 0, 500, 500), hour_of(DAY, 26, 7, 7, 0, 700, 693)])
    keep(machine(other, plant, 30), [hour_of(DAY, 33, 12, 12)])
    return plant


def get(client: APIClient, path: str, **asked: str) -> dict[str, Any]:
    answer = client.get(path, {"from": "2026-03-10", "to": "2026-03-11", "lineCode": "SMT-A", **asked})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_the_record_by_day_and_shift(client: APIClient, made: Plant) -> None:
    data = get(client, PRODUCTION)
    rows = [(r["date"], r["shift"], r["runNo"], r["quantity"]["made"]) for r in data["rows"]]
    assert rows == [
        ("2026-03-10", "DAY", "RUN-1", 9),
        ("2026-03-10", "NIGHT", "RUN-1", 8),
        ("2026-03-10", "NIGHT", "RUN-2", None),
        ("2026-03-11", "DAY", "RUN-2", 12),
    ]
    first = data["rows"][0]
    assert (first["lineCode"], first["productCode"], first["woNo"]) == ("SMT-A", "BOARD-1", "WO-RUN-1")
    assert first["quantity"] == {"planned": 100, "made": 9, "madeByTracks": 0}
    assert (first["startedAt"], first["endedAt"]) == ("2026-03-10T07:00:00Z", "2026-03-10T09:00:00Z")
    assert first["machines"] == [
        {
            "stationCode": "SMT-01", "stepNo": 10, "equipmentId": None, "boardsIn": 22, "boardsOut": 21, "scrapped": 1,
            "picked": 2100, "placed": 2090, "loss": 10, "lossPpm": 4762, "doubtful": False, "doubts": [],
        },
        {
            "stationCode": "TST-01", "stepNo": 30, "equipmentId": None, "boardsIn": 10, "boardsOut": 9,
            "scrapped": None, "picked": None, "placed": None, "loss": None, "lossPpm": None,
            "doubtful": True, "doubts": ["GAP"],  # what it counted between nine and seven nobody knows
        },
    ]  # fmt: skip
    assert (first["checkedBy"], first["remarks"]) == (None, [])


@pytest.mark.parametrize("group", ["shift", "day", "week", "product", "run"])
def test_totals_are_the_same_however_it_is_put_together(client: APIClient, made: Plant, group: str) -> None:
    data = get(client, PRODUCTION, groupBy=group)
    totals = data["totals"]
    assert (totals["made"], totals["picked"], totals["placed"]) == (29, 3300, 3283)
    assert (totals["loss"], totals["lossPpm"], totals["scrapped"]) == (17, 5152, 1)
    for name in ("picked", "placed", "scrapped", "boardsIn", "boardsOut"):
        of_rows = [m[name] for row in data["rows"] for m in row["machines"] if m[name] is not None]
        assert sum(of_rows) == sum(m[name] or 0 for m in totals["machines"])
    assert sum(row["quantity"]["made"] or 0 for row in data["rows"]) == 29


def test_by_product_the_plans_of_the_runs_add_up(client: APIClient, made: Plant) -> None:
    [row] = get(client, PRODUCTION, groupBy="product")["rows"]
    assert (row["productCode"], row["runNo"], row["date"], row["quantity"]["planned"]) == ("BOARD-1", None, None, 150)


def test_by_week_the_row_has_the_monday(client: APIClient, made: Plant) -> None:
    rows = get(client, PRODUCTION, groupBy="week")["rows"]
    assert [(row["date"], row["runNo"]) for row in rows] == [("2026-03-09", "RUN-1"), ("2026-03-09", "RUN-2")]


def test_one_shift_run_or_product_can_be_asked_for(client: APIClient, made: Plant) -> None:
    assert get(client, PRODUCTION, shift="NIGHT")["totals"]["made"] == 8
    assert get(client, PRODUCTION, runNo="RUN-2")["totals"]["picked"] == 1200
    assert get(client, PRODUCTION, productCode="BOARD-9")["rows"] == []


def test_a_night_shift_belongs_to_the_day_it_began(client: APIClient, made: Plant) -> None:
    """The printer's hour at two in the morning."""
    data = get(client, PRODUCTION, to="2026-03-10", groupBy="day")
    assert data["totals"]["picked"] == 3300
    data = get(client, PRODUCTION, **{"from": "2026-03-11"}, groupBy="day")
    assert data["totals"]["picked"] is None


def test_times_may_be_asked_for_instead_of_days(client: APIClient, made: Plant) -> None:
    asked = {"from": "2026-03-10T08:00:00Z", "to": "2026-03-10T19:00:00Z"}
    assert get(client, PRODUCTION, **asked)["totals"]["picked"] == 1100


def test_what_is_doubtful_depends_on_where_it_is_cut(client: APIClient, plant: Plant) -> None:
    """An hour that reaches from one shift into the next, on the same day."""
    keep(machine(plant.run, plant), [hour_of(DAY, 17.5, 4, 4, 0, 100, 100)])
    shifts = get(client, PRODUCTION)
    assert [row["machines"][0]["doubts"] for row in shifts["rows"]] == [["DIVIDED"], ["DIVIDED"]]
    assert not shifts["totals"]["doubtful"]
    [row] = get(client, PRODUCTION, groupBy="day")["rows"]
    assert (row["machines"][0]["picked"], row["machines"][0]["doubtful"]) == (100, False)
    assert get(client, PRODUCTION, shift="DAY", groupBy="run")["totals"]["doubtful"]
    hours = get(client, IN_OUT)
    assert [(row["in"], row["doubtful"]) for row in hours["rows"]] == [(2, True), (2, True)]
    assert hours["totals"] == {"in": 4, "out": 4, "doubtful": False}


def test_a_window_over_the_end_of_the_period_makes_its_total_doubtful(client: APIClient, plant: Plant) -> None:
    keep(machine(plant.run, plant), [hour_of(DAY, 29.5, 4, 4)])
    assert not get(client, PRODUCTION, groupBy="run")["totals"]["doubtful"]
    assert get(client, PRODUCTION, groupBy="run", to="2026-03-10")["totals"]["doubtful"]
    [row] = get(client, PRODUCTION, groupBy="run", **{"from": "2026-03-11"})["rows"]
    assert (row["machines"][0]["boardsOut"], row["machines"][0]["doubts"]) == (2, ["DIVIDED"])


def test_the_in_out_record_adds_up_over_the_day(client: APIClient, made: Plant) -> None:
    data = get(client, IN_OUT)
    shown = [(r["time"], r["shift"], r["in"], r["cumulativeIn"], r["out"], r["cumulativeOut"]) for r in data["rows"]]
    silent = [row for row in data["rows"] if not row["in"] and not row["out"]]
    assert {row["doubtful"] for row in silent} == {True}  # nobody said that nothing was made
    assert [row for row in shown if row[2] or row[4]] == [
        ("2026-03-10T07:00:00Z", "DAY", 10, 10, 0, 0),
        ("2026-03-10T08:00:00Z", "DAY", 12, 22, 9, 9),
        ("2026-03-10T19:00:00Z", "NIGHT", 0, 22, 8, 17),
        ("2026-03-10T20:00:00Z", "NIGHT", 5, 27, 0, 17),
        ("2026-03-11T02:00:00Z", "NIGHT", 7, 34, 0, 17),
        ("2026-03-11T09:00:00Z", "DAY", 0, 0, 12, 12),
    ]
    assert data["totals"]["in"] == 34 and data["totals"]["out"] == 29


@pytest.mark.parametrize("group", ["hour", "shift", "day", "week", "product", "run"])
def test_in_and_out_add_up_however_they_are_put_together(client: APIClient, made: Plant, group: str) -> None:
    data = get(client, IN_OUT, groupBy=group)
    assert (sum(r["in"] for r in data["rows"]), sum(r["out"] for r in data["rows"])) == (34, 29)
    if group not in ("hour", "shift"):
        assert (data["rows"][-1]["cumulativeIn"], data["rows"][-1]["cumulativeOut"]) == (34, 29)


def test_boards_by_tracks_stand_beside_those_of_machines(client: APIClient, made: Plant) -> None:
    for number, unit in enumerate(made.units):
        at = datetime(2026, 3, 10, 8, number, tzinfo=UTC)
        for step_no, operation, code in ((10, "PRINT", "SMT-01"), (30, "TEST", "TST-01")):
            Track.objects.create(
                unit=unit, run=made.run, step_no=step_no, operation_code=operation, station=made.stations[code],
                source="MANUAL", in_at=at, out_at=at, result="PASS",
            )  # fmt: skip
    first = get(client, PRODUCTION)["rows"][0]
    assert first["boardsByTracks"] == [
        {"stationCode": "SMT-01", "stepNo": 10, "tracked": 2, "counted": 21, "difference": 19},
        {"stationCode": "TST-01", "stepNo": 30, "tracked": 2, "counted": 9, "difference": 7},
    ]
    assert first["quantity"]["madeByTracks"] == 2
    for group in ("day", "week", "product", "run"):
        rows = get(client, PRODUCTION, groupBy=group)["rows"]
        assert sum(row["quantity"]["madeByTracks"] for row in rows) == 2
    year = get(client, PRODUCTION, to="2026-12-31", groupBy="run")["rows"]
    assert {row["quantity"]["madeByTracks"] for row in year} == {None}


def test_remarks_and_who_checked(client: APIClient, made: Plant) -> None:
    wrong = records.add_remark(
        line_code="SMT-A", day=DAY, text="nozle 3", by="sue", run_no="RUN-1", station_code="SMT-01"
    )
    records.correct_remark(remark_id=wrong.pk, text="nozzle 3", by="sue")
    records.add_remark(line_code="SMT-A", day=DAY, text="of nobody's run", by="sue")
    records.sign(line_code="SMT-A", day=DAY, by="sue", figures={})
    rows = get(client, PRODUCTION)["rows"]
    assert [row["checkedBy"] for row in rows] == ["sue", "sue", "sue", None]
    [remark] = rows[0]["remarks"]
    assert (remark["text"], remark["by"], remark["stationCode"]) == ("nozzle 3", "sue", "SMT-01")
    assert [earlier["text"] for earlier in remark["earlier"]] == ["nozle 3"]
    assert rows[2]["remarks"] == []


def test_hours_are_signed_and_remarked(client: APIClient, made: Plant) -> None:
    hour = datetime(2026, 3, 10, 8, tzinfo=UTC)
    records.sign(line_code="SMT-A", day=DAY, by="sue", figures={}, hour=hour)
    records.add_remark(line_code="SMT-A", day=DAY, text="late start", by="sue", hour=hour)
    rows = get(client, IN_OUT)["rows"]
    assert [row["signedBy"] for row in rows[:3]] == [None, "sue", None]
    assert [remark["text"] for remark in rows[1]["remarks"]] == ["late start"]
    assert get(client, PRODUCTION)["rows"][0]["checkedBy"] is None


@pytest.mark.parametrize(
    ("asked", "status", "place"),
    [
        ({"lineCode": "SMT-Z"}, 404, None),
        ({"from": "yesterday"}, 400, "from"),
        ({"from": "2026-03-10T07:00:00"}, 400, "from"),
        ({"from": "2026-03-12"}, 400, "to"),
        ({"to": "2027-03-20"}, 400, "to"),
        ({"groupBy": "month"}, 400, "groupBy"),
        ({"groupBy": "hour"}, 400, "groupBy"),
        ({"format": "pdf"}, 400, "format"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: APIClient, asked: dict[str, str], status: int, place: str | None
) -> None:
    answer = client.get(PRODUCTION, {"from": "2026-03-10", "to": "2026-03-11", "lineCode": "SMT-A", **asked})
    assert answer.status_code == status
    assert place is None or list(answer.json()["error"]["details"]) == [place]


def test_one_needs_to_be_signed_in(db: None) -> None:
    assert APIClient().get(PRODUCTION).status_code == 401


def test_nothing_counted_is_an_empty_report(client: APIClient, plant: Plant) -> None:
    data = client.get(PRODUCTION).json()["data"]
    assert data["rows"] == []
    assert (data["totals"]["made"], data["totals"]["picked"], data["totals"]["lossPpm"]) == (None, None, None)
    assert client.get(IN_OUT).json()["data"] == {"rows": [], "totals": {"in": 0, "out": 0, "doubtful": False}}


def test_all_lines_are_reported_when_none_is_named(client: APIClient, made: Plant) -> None:
    make_line("SMT-B")
    answer = client.get(PRODUCTION, {"from": "2026-03-10", "to": "2026-03-11"})
    assert {row["lineCode"] for row in answer.json()["data"]["rows"]} == {"SMT-A"}


@pytest.mark.parametrize(("path", "most"), [(PRODUCTION, 11), (IN_OUT, 9)])
def test_a_report_takes_few_queries(
    client: APIClient, made: Plant, django_assert_max_num_queries: Any, path: str, most: int
) -> None:
    get(client, path)
    with django_assert_max_num_queries(most):
        get(client, path)


# --- files --------------------------------------------------------------------------------------------------

EVIL = '=HYPERLINK("http://evil","x")'


@pytest.fixture
def evil(made: Plant) -> Plant:
    """Texts that a spreadsheet would run, and others that are hard to write."""
    keep(machine(made.run, made, equipment="@SUM(1+1)"), [hour_of(DAY, 9, 1, 1)])
    records.add_remark(line_code="SMT-A", day=DAY, text=EVIL, by="sue", run_no="RUN-1", station_code="SMT-01")
    records.add_remark(line_code="SMT-A", day=DAY, text='零件 "größer", 5 µm; ü', by="sue", run_no="RUN-2")
    return made


def read_csv(client: APIClient, path: str) -> list[list[str]]:
    answer = client.get(path, {"from": "2026-03-10", "to": "2026-03-11", "lineCode": "SMT-A", "format": "csv"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].endswith('-SMT-A-2026-03-10-2026-03-11.csv"')
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.reader(StringIO(text)))


def test_csv_holds_every_machine_and_no_formula(client: APIClient, evil: Plant) -> None:
    heads, *lines = read_csv(client, PRODUCTION)
    assert heads[:6] == ["Date", "Line", "Shift", "Product", "Run", "Order"]
    by_head = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [line["Machine"] for line in by_head if line["Machine"]] == ["'@SUM(1+1)"]
    assert by_head[0]["Remarks"] == f"'{EVIL}"
    assert {line["Remarks"] for line in by_head if line["Run"] == "RUN-2"} >= {'零件 "größer", 5 µm; ü'}
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "@", "+"))]
    assert (by_head[0]["Date"], by_head[0]["Start"]) == ("2026-03-10", "2026-03-10T07:00:00+00:00")
    assert (by_head[0]["Picked"], by_head[0]["Loss ppm"]) == ("2100", "4762")


def test_in_out_as_csv(client: APIClient, made: Plant) -> None:
    heads, *lines = read_csv(client, IN_OUT)
    assert heads[5:11] == ["Time", "Until", "In", "Cumulative in", "Out", "Cumulative out"]
    assert lines[1][5:11] == ["2026-03-10T08:00:00+00:00", "2026-03-10T09:00:00+00:00", "12", "22", "9", "9"]


@override_settings(TIME_ZONE="Europe/Berlin")
def test_xlsx_has_types_text_and_totals(client: APIClient, evil: Plant) -> None:
    answer = client.get(PRODUCTION, {"from": "2026-03-10", "to": "2026-03-11", "format": "xlsx"})
    assert answer["Content-Type"].endswith("spreadsheetml.sheet")
    book = openpyxl.load_workbook(BytesIO(answer.content))
    record, totals = book.worksheets
    heads = [cell.value for cell in record[1]]
    cells = dict(zip(heads, record[2], strict=True))
    assert (cells["Date"].value, cells["Date"].is_date) == (datetime.fromisoformat("2026-03-10"), True)
    assert (cells["Start"].value, cells["Picked"].value) == (datetime.fromisoformat("2026-03-10T08:00"), 2100)
    assert (cells["Picked"].data_type, cells["Remarks"].data_type) == ("n", "s")
    assert cells["Remarks"].value == EVIL
    assert not [c for sheet in book for line in sheet for c in line if c.data_type == "f"]
    picked = [heads.index("Picked") + 1, [cell.value for cell in totals[1]].index("Picked") + 1]
    sums = [
        sum(sheet.cell(row, column).value or 0 for row in range(2, sheet.max_row + 1))
        for sheet, column in zip((record, totals), picked, strict=True)
    ]
    assert sums == [3300, 3300]


def test_remarks_on_a_day_as_a_whole_are_beside_the_rows(client: APIClient, made: Plant) -> None:
    asked = {"from": "2026-03-10", "to": "2026-03-11"}
    records.add_remark(line_code="SMT-A", day=DAY, text="=1+1", by="sue", run_no="RUN-1")
    records.add_remark(line_code="SMT-A", day=DAY, text="=2+2", by="sue", station_code="SMT-01")
    report = client.get(PRODUCTION, asked).json()["data"]
    assert {remark["text"] for row in report["rows"] for remark in row["remarks"]} == {"=1+1"}
    (remark,) = report["remarks"]
    assert (remark["date"], remark["lineCode"], remark["stationCode"]) == ("2026-03-10", "SMT-A", "SMT-01")
    book = openpyxl.load_workbook(BytesIO(client.get(PRODUCTION, asked | {"format": "xlsx"}).content))
    assert [(cell.value, cell.data_type) for cell in book["Remarks"][2]][1:5] == [
        ("SMT-A", "s"), ("SMT-01", "s"), ("=2+2", "s"), ("sue", "s")
    ]  # fmt: skip


def test_xlsx_shows_every_cell_whole(client: APIClient, made: Plant) -> None:
    records.add_remark(line_code="SMT-A", day=DAY, text="The feeder was changed. " * 10, by="sue", run_no="RUN-1")
    records.add_remark(line_code="SMT-A", day=DAY, text="零件" * 15, by="sue", run_no="RUN-2")
    answer = client.get(PRODUCTION, {"from": "2026-03-10", "to": "2026-03-11", "format": "xlsx"})
    record = openpyxl.load_workbook(BytesIO(answer.content)).worksheets[0]
    width = {cell.value: record.column_dimensions[cell.column_letter].width for cell in record[1]}
    assert width["Start"] > len("2026-03-10 08:00")
    assert width["Run"] > len("RUN-1")
    assert 40 < width["Remarks"] < 45
    assert width["Loss ppm"] < width["Made by tracks"] < 20
    heights = {str(record.cell(row, 24).value)[:2]: record.row_dimensions[row].height for row in (2, 3, 4, 5)}
    assert (heights["Th"], heights["零件"]) == (90, 30)


def test_in_out_as_xlsx(client: APIClient, made: Plant) -> None:
    answer = client.get(IN_OUT, {"from": "2026-03-10", "to": "2026-03-11", "format": "xlsx"})
    [sheet] = openpyxl.load_workbook(BytesIO(answer.content)).worksheets
    assert [cell.value for cell in sheet[3]][7:11] == [12, 22, 9, 9]


def test_made_counts_good_units_and_failed_ones_stand_beside(admin_client: Client, made: Plant) -> None:
    at = datetime(DAY.year, DAY.month, DAY.day, 8, 30, tzinfo=UTC)
    station = made.stations["TST-01"]
    for unit, results in zip(made.units, (["FAIL", "PASS"], ["FAIL"]), strict=True):
        for attempt, result in enumerate(results, start=1):
            Track.objects.create(
                unit=unit,
                run=made.run,
                station=station,
                step_no=30,
                operation_code="TEST",
                source="MANUAL",
                attempt=attempt,
                in_at=at,
                out_at=at,
                claimed_result=result,
                result=result,
            )
    report = get_report(Question(Group.DAY, line=made.line, first=DAY, last=DAY))
    (row,) = [row for row in report.rows if row.run == made.run]
    assert (row.good, row.tracked.failed, row.made) == (1, 1, 17)
    page = admin_client.get(f"/reports/record/?line=SMT-A&date={DAY}").content.decode()
    words = re.sub(r"<[^>]+>|\s+", " ", page)
    assert re.search(r"made\s+1\s+failed\s+1\s+counted\s+17", words)


# --- what runs are made for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["REWORK", "ENGINEERING"])
def test_what_is_no_production_is_in_no_sum_of_it_and_is_shown_when_asked_for(
    client: APIClient, made: Plant, kind: str
) -> None:
    Run.objects.filter(run_no="RUN-2").update(kind=kind)
    record, in_out = get(client, PRODUCTION, groupBy="run"), get(client, IN_OUT, groupBy="run")
    assert [(row["runNo"], row["runKind"]) for row in record["rows"]] == [("RUN-1", "PRODUCTION")]
    assert (record["totals"]["made"], record["totals"]["picked"]) == (17, 2100)
    assert (len(in_out["rows"]), in_out["totals"]["out"]) == (1, 17)
    record = get(client, PRODUCTION, groupBy="run", runKind=kind)
    in_out = get(client, IN_OUT, groupBy="run", runKind=kind)
    assert [(row["runNo"], row["runKind"]) for row in record["rows"]] == [("RUN-2", kind)]
    assert (record["totals"]["made"], record["totals"]["picked"]) == (12, 1200)
    assert [(row["runNo"], row["runKind"]) for row in in_out["rows"]] == [("RUN-2", kind)]
    by_run = get(client, PRODUCTION, runNo="RUN-2")
    assert {row["runKind"] for row in by_run["rows"]} == {kind}
    assert get(client, PRODUCTION, runNo="RUN-2", runKind="PRODUCTION")["rows"] == []


def test_an_unknown_kind_is_refused(client: APIClient, made: Plant) -> None:
    assert client.get(PRODUCTION, {"runKind": "ALL"}).status_code == 400


def test_files_say_the_kind_and_the_pages_show_it(client: APIClient, made: Plant) -> None:
    Run.objects.filter(run_no="RUN-2").update(kind="REWORK")
    for path in (PRODUCTION, IN_OUT):
        heads, *lines = read_csv(client, path)
        assert {dict(zip(heads, line, strict=True))["Kind"] for line in lines} == {"PRODUCTION"}
    page = Client()
    page.force_login(make_user(Role.ADMIN))
    asked = {"line": "SMT-A", "date": "2026-03-10"}
    shown = {kind: page.get("/reports/record/", {**asked, "kind": kind}).content.decode() for kind in ("", "REWORK")}
    assert ["/trace/runs/RUN-1/" in text for text in shown.values()] == [True, False]
    assert ["/trace/runs/RUN-2/" in text for text in shown.values()] == [False, True]
    assert ["I checked this record" in text for text in shown.values()] == [True, False]
    assert "runKind=REWORK" in shown["REWORK"]
