"""The pages: what the clocks say, who may decide there, one's own notifications, and how many queries they take."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine, Notification
from mes.time_rules import sweep
from mes.time_rules.display import in_words, look_at
from mes.time_rules.models import TimeRuleInstance
from tests.factories import api_client, make_line, make_plant, make_user
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import (
    at,
    end,
    handle,
    make_rule,
    start,
    the_clock,
    usage_event,
)

pytestmark = pytest.mark.django_db

CLOCKS_QUERIES = 7  # session, user, what the user may do; lines, rules, clocks, units


def sign_in(role: Role | None = Role.SUPERVISOR) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_an_empty_page_says_what_would_be_here() -> None:
    page = read(sign_in(), "/clocks/")
    assert "No clock runs" in page and "A clock starts by itself" in page


def test_the_most_urgent_comes_first_with_text_and_bar(wall: SetTime) -> None:
    plant = make_plant(units=4)
    make_rule()
    handle(*(start(at(-minutes), sn=f"SN-{n}", run=plant.run) for n, minutes in enumerate((10, 220, 300, 250), 1)))
    handle(end(at(-20), sn="SN-3"))
    handle(usage_event("SOLDER_PASTE_USAGE_CREATE", at(-60), lineId=plant.line.pk, lineCode="SMT-A"))
    sweep.sweep()
    page = read(sign_in(), "/clocks/")
    places = [page.index(f">{name}</") for name in ("SN-3", "SN-4", "SN-2", "SN-1", "LOT-1")]
    assert places == sorted(places)
    for words in (
        "Ended too late",
        "40 min too late",
        "10 min over",
        "Runs out soon",
        "20 min left",
        "3 h 50 min left",
    ):
        assert words in page, words
    assert "width: 95.8%" in page and page.count("data-countdown") == 3


def test_the_page_is_filtered_by_line_and_rule(wall: SetTime) -> None:
    plant = make_plant()
    make_line("SMT-B")
    make_rule()
    handle(start(at(0), run=plant.run), usage_event("SOLDER_PASTE_USAGE_CREATE", at(0)))
    client = sign_in()
    assert "SN-1" in read(client, "/clocks/?line=SMT-A") and "LOT-1" not in read(client, "/clocks/?line=SMT-A")
    assert "No clock runs here" in read(client, "/clocks/?line=SMT-B")
    page = read(client, "/clocks/?rule=SOLDER_PASTE_24H")
    assert "LOT-1" in page and ">SN-1<" not in page
    assert client.get("/clocks/?line=NO-SUCH").status_code == 404
    assert "No clock runs here" in read(client, "/clocks/?rule=x")


def test_the_page_takes_the_same_queries_however_many_clocks_run(wall: SetTime) -> None:
    plant = make_plant(units=30)
    make_rule()
    handle(*(start(at(0), sn=sn, run=plant.run) for sn in plant.sns))
    client = sign_in()
    read(client, "/clocks/")
    with CaptureQueriesContext(connection) as queries:
        read(client, "/clocks/")
    assert len(queries) == CLOCKS_QUERIES


def test_an_unchanged_page_is_answered_with_nothing_until_something_happens(wall: SetTime) -> None:
    make_rule()
    handle(start(at(-10)))
    client = sign_in()
    address = read(client, "/clocks/").split('id="live" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    handle(end(at(0)))
    assert "No clock runs" in read(client, address, **{"HX-Request": "true"})


def decide(client: Client, action: str, reason: str = "known", **fields: str) -> Any:
    return client.post(f"/clocks/{the_clock().pk}/{action}/", {"reason": reason, **fields}, follow=True)


def test_a_supervisor_waives_from_the_page_and_comes_back_to_the_filter(wall: SetTime) -> None:
    make_plant()
    make_rule()
    handle(start(at(-10)))
    response = decide(sign_in(), "waive", rule="RULE")
    assert response.redirect_chain[-1][0] == "/clocks/?rule=RULE"
    assert "The decision is recorded." in response.content.decode()
    assert (the_clock().status, the_clock().decision_reason) == ("WAIVED", "known")


def test_an_expired_clock_stays_until_it_is_dealt_with(wall: SetTime) -> None:
    make_rule()
    handle(start(at(-300)))
    sweep.sweep()
    client = sign_in(Role.QUALITY)
    assert "Deal with" in read(client, "/clocks/")
    decide(client, "acknowledge", "washed twice")
    assert the_clock().status == "EXPIRED"
    assert "No clock runs" in read(client, "/clocks/")


@pytest.mark.parametrize("reason", ["", "   ", "a\x07b", "x" * 501])
def test_a_decision_without_a_sound_reason_is_refused(wall: SetTime, reason: str) -> None:
    make_rule()
    handle(start(at(-10)))
    response = decide(sign_in(), "waive", reason)
    assert response.status_code in (200, 400)
    assert the_clock().status == "ACTIVE"


def test_who_may_not_waive_sees_no_button_and_is_refused(wall: SetTime) -> None:
    make_rule()
    handle(start(at(-10)))
    client = sign_in(Role.OPERATOR)
    assert "Waive" not in read(client, "/clocks/")
    assert decide(client, "waive").status_code == 403
    assert the_clock().status == "ACTIVE"
    assert sign_in().post("/clocks/99/waive/", {"reason": "x"}, follow=True).status_code == 200
    assert sign_in().post("/clocks/99/burn/", {"reason": "x"}).status_code == 404
    assert Client().get("/clocks/").status_code == 302


def test_each_status_has_its_words(wall: SetTime) -> None:
    make_rule()
    handle(start(at(0)))
    clock: TimeRuleInstance = the_clock()
    looks = {
        ("ACTIVE", 0): ("work", "Running", "4 h 00 min left"),
        ("ACTIVE", 210): ("hold", "Runs out soon", "30 min left"),
        ("ACTIVE", 241): ("bad", "Time is over", "1 min over"),
        ("EXPIRED", 300): ("bad", "Expired", "1 h 00 min over"),
        ("WAIVED", 300): ("wait", "Waived", ""),
        ("CANCELLED", 300): ("scrap", "Cancelled", ""),
        ("COMPLETED", 300): ("good", "In time", ""),
    }
    for (status, minute), expected in looks.items():
        clock.status = status
        look = look_at(clock, now=at(minute))
        assert (look.tone, look.label, look.detail) == expected


def test_spans_are_written_in_two_units() -> None:
    spans = {30: "less than a minute", 60: "1 min", 3599: "59 min", 3900: "1 h 05 min", 90000: "1 d 1 h"}
    assert {seconds: in_words(timedelta(seconds=seconds)) for seconds in spans} == spans


# --- notifications -------------------------------------------------------------------------------------------


def tell(user: Any, number: int, **fields: Any) -> Notification:
    return Notification.objects.create(
        recipient=user, key=f"key-{number}", severity="ALERT", text=f"Something {number}", **fields
    )


def test_the_bell_counts_what_is_unread_and_one_reads_ones_own_only() -> None:
    me, other = make_user(Role.QUALITY), make_user(Role.QUALITY)
    client = Client()
    client.force_login(me)
    mine = [tell(me, number, address="/clocks/?line=SMT-A") for number in range(3)]
    theirs = tell(other, 1)
    assert "3 unread" in read(client, "/notifications/bell/")
    assert "Something 2" in read(client, "/notifications/")
    opened = client.post("/notifications/read/", {"id": mine[0].pk, "open": "1"})
    assert opened.headers["Location"] == "/clocks/?line=SMT-A"
    client.post("/notifications/read/", {"id": theirs.pk})
    assert "2 unread" in read(client, "/notifications/bell/")
    assert "Something 0" not in read(client, "/notifications/?show=unread")
    client.post("/notifications/read/")
    assert "0 unread" in read(client, "/notifications/bell/")
    theirs.refresh_from_db()
    assert theirs.read_at is None


def test_notifications_are_paged_in_a_fixed_number_of_queries() -> None:
    me = make_user(Role.QUALITY)
    client = Client()
    client.force_login(me)
    for number in range(120):
        tell(me, number, line=make_line())
    with CaptureQueriesContext(connection) as queries:
        page = read(client, "/notifications/")
    assert len(queries) <= 8
    assert "99+" in page
    before = page.split("before=")[1].split('"')[0]
    assert "Something 69" in read(client, f"/notifications/?before={before}")
    assert "Something 119" in read(client, "/notifications/?before=nonsense")


def test_one_chooses_the_lines_one_follows() -> None:
    me = make_user(Role.QUALITY)
    client = Client()
    client.force_login(me)
    make_line("SMT-A"), make_line("SMT-B")
    client.post("/notifications/lines/", {"line": ["SMT-B", "NO-SUCH"]})
    assert list(FollowedLine.objects.filter(user=me).values_list("line__code", flat=True)) == ["SMT-B"]
    client.post("/notifications/lines/", {})
    assert not FollowedLine.objects.exists()


# --- in the trace --------------------------------------------------------------------------------------------


def test_the_trace_of_a_unit_tells_its_clocks(wall: SetTime) -> None:
    plant = make_plant()
    make_rule()
    handle(start(at(-500), run=plant.run), end(at(-400), run=plant.run), start(at(-100), run=plant.run))
    said = api_client(Role.OPERATOR).get("/api/trace/units/SN-1").json()["data"]["timeRules"]
    assert [(one["definitionCode"], one["status"], one["runNo"]) for one in said] == [
        ("RULE", "COMPLETED", "RUN-1"),
        ("RULE", "ACTIVE", "RUN-1"),
    ]
    page = read(sign_in(), "/trace/units/SN-1/")
    assert "Time rules" in page and "2 h 20 min left" in page and "/clocks/?line=SMT-A" in page


def test_the_page_of_a_run_warns_when_clocks_of_its_units_run_out(wall: SetTime) -> None:
    plant = make_plant(units=3)
    make_rule()
    client = sign_in()
    handle(start(at(-10), sn="SN-1", run=plant.run))
    assert "run out" not in read(client, "/trace/runs/RUN-1/")
    handle(start(at(-220), sn="SN-2", run=plant.run), start(at(-300), sn="SN-3", run=plant.run))
    page = read(client, "/trace/runs/RUN-1/")
    assert "1 clock ran out" in page and "1 clock runs out soon" in page
