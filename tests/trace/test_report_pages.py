"""The pages of reports: the form, its remarks and signatures, the picture, and what numbers are made of."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.production_counts import records
from mes.production_counts.models import RecordRemark, RecordSignature
from tests.factories import Plant, make_line, make_plant, make_user
from tests.trace.test_reports import DAY, EVIL, SHIFTS, hour_of, keep, machine, make_run

RECORD, IN_OUT, PICTURE = "/reports/record/", "/reports/in-out/", "/reports/picture/"
ON = {"line": "SMT-A", "date": "2026-03-10"}
PINNED = {RECORD: 14, IN_OUT: 12, PICTURE: 12}  # three of them for session, user and what the user may do


@pytest.fixture
def made(db: None) -> Plant:
    """A placer that counts parts in two runs, a tester that counts boards; one hour crosses shifts."""
    plant = make_plant()
    Line.objects.update(shifts=SHIFTS)
    other = make_run(plant, run_no="RUN-2", sns=[])
    keep(machine(plant.run, plant, equipment="P<1>"), [hour_of(DAY, 7, 10, 10, 0, 1000, 990)])
    keep(machine(plant.run, plant, 30), [hour_of(DAY, 7.5, 9, 8)])
    keep(machine(other, plant), [hour_of(DAY, 17.5, 5, 5, 1, 500, 500)])
    return plant


def sign_in(role: Role = Role.SUPERVISOR) -> Client:
    client = Client()
    client.force_login(make_user(role, username=f"a-{role.lower()}"))
    return client


def read(client: Client, path: str, **asked: str) -> str:
    answer = client.get(f"{path}?{urlencode(asked or ON)}")
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def count_queries(call: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        call()
    return len(queries)


def test_the_record_shows_what_the_form_did(made: Plant) -> None:
    text = text_of(read(sign_in(), RECORD))
    for said in (
        "Production data record",
        "SMT-A",
        "Tue 10 Mar 2026",
        "BOARD-1",
        "RUN-1",
        "WO-RUN-1",
        "1,000",
        "10,000",
    ):
        assert said in text
    assert "made 8" in text and "P&lt;1&gt;" in text


@pytest.mark.parametrize("page", [RECORD, IN_OUT, PICTURE])
def test_each_page_takes_few_queries(made: Plant, page: str) -> None:
    client = sign_in()
    read(client, page)
    assert count_queries(lambda: read(client, page)) <= PINNED[page]
    keep(machine(make_run(made, run_no="RUN-3", sns=[]), made), [hour_of(DAY, 9, 1, 1, 0, 10, 10)])
    assert count_queries(lambda: read(client, page)) <= PINNED[page]


@pytest.mark.parametrize("page", [RECORD, IN_OUT, PICTURE, "/reports/"])
def test_without_counts_or_lines_the_pages_say_so(db: None, page: str) -> None:
    client = sign_in()
    assert "There is no line yet" in client.get(page).content.decode()
    make_line("SMT-B")
    assert client.get(page).status_code == 200


def test_an_empty_day_says_what_to_do(made: Plant) -> None:
    html = read(sign_in(), RECORD, line="SMT-A", date="2026-01-01")
    assert "No machine reported counts for this day" in html
    assert "2025-12-31" in html and "2026-01-02" in html  # the days before and after


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"line": "NONE"}, 404),
        ({"date": "2026-02-31"}, 200),
        ({"date": "9999-12-31"}, 200),
        ({"date": "0001-01-01"}, 200),
        ({"shift": "<b>" * 50}, 200),
    ],
)
@pytest.mark.parametrize("page", [RECORD, IN_OUT, PICTURE])
def test_addresses_that_make_no_sense(made: Plant, page: str, asked: dict[str, str], status: int) -> None:
    answer = sign_in().get(page, asked)
    assert answer.status_code == status
    assert b"<b><b>" not in answer.content


def test_a_shift_only(made: Plant) -> None:
    text = text_of(read(sign_in(), RECORD, **ON, shift="NIGHT"))
    assert "RUN-2" in text and "RUN-1" not in text
    assert "divided" in text


def test_who_is_not_signed_in_signs_in_first(made: Plant) -> None:
    assert Client().get(RECORD).status_code == 302


# --- remarks ------------------------------------------------------------------------------------------------


def remark(client: Client, **fields: str) -> Any:
    return client.post("/reports/remark/", {**ON, "back": f"{RECORD}?line=SMT-A", **fields}, follow=True)


def test_a_remark_is_kept_with_name_and_time_and_corrections_keep_the_earlier_text(made: Plant) -> None:
    client = sign_in()
    remark(client, text="Feeder 12 jammed", run="RUN-1")
    [first] = RecordRemark.objects.all()
    assert (first.text, first.written_by, first.run) == ("Feeder 12 jammed", "a-supervisor", made.run)
    remark(client, text="Feeder 21 jammed", replaces=str(first.pk))
    second = RecordRemark.objects.get(replaces=first)
    assert (second.text, second.run, second.date) == ("Feeder 21 jammed", made.run, DAY)
    html = read(client, RECORD)
    assert "Feeder 21 jammed" in html and "<s>Feeder 12 jammed</s>" in html and "a-supervisor" in html
    assert "Feeder 12" not in str(records.RecordRemark.objects.filter(replaced_by=None))


def test_what_somebody_corrected_meanwhile_is_not_corrected_again(made: Plant) -> None:
    client = sign_in()
    first = records.add_remark(line_code="SMT-A", day=DAY, text="one", by="sue")
    records.correct_remark(remark_id=first.pk, text="two", by="sue")
    answer = remark(client, text="three", replaces=str(first.pk))
    assert "Somebody else has corrected this remark" in answer.content.decode()
    assert RecordRemark.objects.count() == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"text": ""},
        {"text": "   "},
        {"text": "x" * 501},
        {"text": "a\x07b"},
        {"text": "x", "line": "NONE"},
        {"text": "x", "run": "NONE"},
        {"text": "x", "station": "NONE"},
        {"text": "x", "hour": "never"},
        {"text": "x", "replaces": "999999"},
    ],
)
def test_a_remark_that_cannot_be_kept_is_refused(made: Plant, fields: dict[str, str]) -> None:
    answer = remark(sign_in(), **fields)
    assert answer.status_code in (200, 400)
    assert not RecordRemark.objects.exists()
    assert 'role="alert"' in answer.content.decode() or answer.status_code == 400


def test_a_remark_is_text_and_nothing_else(made: Plant) -> None:
    client = sign_in()
    remark(client, text=f"<script>alert(1)</script> {EVIL}", run="RUN-1")
    html = read(client, RECORD)
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.ENGINEER, Role.INTEGRATION])
def test_only_supervisors_write_into_the_record(made: Plant, role: Role) -> None:
    client = sign_in(role)
    assert client.post("/reports/remark/", {**ON, "text": "x"}).status_code == 403
    assert client.post("/reports/sign/", {**ON, "mark": "8-1-1500-1490"}).status_code == 403
    assert "Add a remark" not in read(client, RECORD)
    assert not RecordRemark.objects.exists() and not RecordSignature.objects.exists()


def test_one_comes_back_to_where_one_was_and_nowhere_else(made: Plant) -> None:
    client = sign_in()
    answer = client.post("/reports/remark/", {**ON, "text": "x", "back": f"{IN_OUT}?line=SMT-A"})
    assert answer["Location"] == f"{IN_OUT}?line=SMT-A"
    answer = client.post("/reports/remark/", {**ON, "text": "x", "back": "https://evil.example/"})
    assert answer["Location"] == RECORD


# --- signatures ---------------------------------------------------------------------------------------------


def mark_on(html: str) -> str:
    found = re.search(r'name="mark" value="([^"]+)"', html)
    assert found
    return found[1]


def test_a_supervisor_checks_the_record_and_is_told_when_figures_change(made: Plant) -> None:
    client = sign_in()
    mark = mark_on(read(client, RECORD))
    client.post("/reports/sign/", {**ON, "mark": mark})
    assert RecordSignature.objects.get().figures == {"made": 13, "scrapped": 1, "picked": 1500, "placed": 1490}
    html = read(client, RECORD)
    assert "a-supervisor" in html and "I checked this record" not in html and "Figures changed" not in html
    keep(machine(made.run, made, equipment="P<1>"), [hour_of(DAY, 8, 10, 10, 0, 1000, 1000)])  # late
    html = read(client, RECORD)
    assert "Figures changed since then" in html and "I checked this record" in html


def test_what_changed_while_one_looked_is_not_signed(made: Plant) -> None:
    client = sign_in()
    mark = mark_on(read(client, RECORD))
    keep(machine(made.run, made, equipment="P<1>"), [hour_of(DAY, 8, 10, 10, 0, 1000, 1000)])
    answer = client.post("/reports/sign/", {**ON, "mark": mark}, follow=True)
    assert "The figures changed while you looked" in answer.content.decode()
    assert not RecordSignature.objects.exists()


def test_hours_are_signed_one_by_one(made: Plant) -> None:
    client = sign_in()
    html = read(client, IN_OUT)
    hour = re.search(r'name="hour" value="([^"]+)"', html)
    assert hour
    client.post("/reports/sign/", {**ON, "hour": hour[1], "mark": mark_on(html)})
    signature = RecordSignature.objects.get()
    assert (signature.hour, signature.figures) == (datetime(2026, 3, 10, 7, tzinfo=UTC), {"in": 10, "out": 4})
    assert "a-supervisor" in read(client, IN_OUT)


@pytest.mark.parametrize(
    "fields", [{"hour": "nonsense"}, {"hour": "2026-03-10T03:00:00Z"}, {"mark": ""}, {"line": "NONE"}]
)
def test_nothing_is_signed_that_is_not_there(made: Plant, fields: dict[str, str]) -> None:
    answer = sign_in().post("/reports/sign/", {**ON, "mark": "8-1-1500-1490", **fields})
    assert answer.status_code in (302, 404)
    assert not RecordSignature.objects.exists()


# --- the picture and what numbers are made of ----------------------------------------------------------------


def test_the_picture_shows_hours_plan_and_losses(made: Plant) -> None:
    html = read(sign_in(), PICTURE)
    text = text_of(html)
    assert "To make today 200" in text  # of two runs of a hundred
    assert html.count('class="chart-bar') >= 3
    assert "10,000" in text and html.count('class="trend"') == 2
    assert "07:00: 4" in html


def test_the_plan_of_a_day_is_what_was_left_when_it_began(made: Plant) -> None:
    day = DAY + timedelta(days=1)
    keep(machine(made.run, made, 30), [hour_of(day, 9, 5, 5)])
    text = text_of(read(sign_in(), PICTURE, line="SMT-A", date=day.isoformat()))
    assert "To make today 92" in text


def test_a_number_opens_the_reports_it_is_made_of(made: Plant) -> None:
    client = sign_in()
    address = re.search(r'class="figure" href="([^"]+)"', read(client, RECORD))
    assert address
    text = text_of(client.get(address[1].replace("&amp;", "&")).content.decode())
    assert "07:00:00 – 08:00:00" in text and "difference" in text and "1,000" in text
    hour = {"line": "SMT-A", "from": "2026-03-10T07:00:00Z", "to": "2026-03-10T08:00:00Z"}
    text = text_of(read(client, "/reports/made-of/", **hour))
    assert "SMT-01" in text and "TST-01" in text and "Reports" in text


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"line": "NONE", "from": "2026-03-10", "to": "2026-03-11"},
        {"line": "SMT-A", "from": "2026-03-10", "to": "2026-03-10"},
        {"line": "SMT-A", "from": "1990-03-10", "to": "2026-03-10"},
        {"line": "SMT-A", "from": "x", "to": "2026-03-10"},
    ],
)
def test_what_asks_for_nothing_is_not_found(made: Plant, asked: dict[str, str]) -> None:
    assert sign_in().get("/reports/made-of/", asked).status_code == 404


def test_what_a_run_counted_is_on_its_page(made: Plant) -> None:
    text = text_of(sign_in().get("/trace/runs/RUN-1/").content.decode())
    assert "What machines counted" in text and "990" in text


@pytest.mark.parametrize("page", [RECORD, IN_OUT, PICTURE])
def test_a_live_page_is_quiet_until_something_changes(made: Plant, page: str) -> None:
    client = sign_in()
    today = timezone.localdate()
    keep(machine(made.run, made, equipment="P<1>"), [hour_of(today, 12, 10, 10)])
    html = read(client, page, line="SMT-A", date=today.isoformat())
    assert page == PICTURE or "csrfmiddlewaretoken" in html.partition('id="live"')[2]
    address = re.search(r'hx-get="([^"]+)"', html.partition('id="live"')[2])
    if address is None:  # between midnight and six it is still yesterday's day of production
        return
    live = address[1].replace("&amp;", "&")
    assert client.get(live, headers={"HX-Request": "true"}).status_code == 204
    keep(machine(made.run, made, equipment="P<1>"), [hour_of(today, 13, 7, 7)])
    assert client.get(live, headers={"HX-Request": "true"}).status_code == 200
