"""The pages: what they say, who may decide on them, and how many queries they need."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from execution import dispositions, tracking
from execution.api import UnitDecisionViewSet
from execution.models import DataValue, Disposition, Track, TrackSource
from mes.platform.accounts.roles import Role
from mes.production import line_acts, runs, station_acts
from mes.production.models import Unit, UnitStatus
from mes.routing.judging import Reading
from tests.factories import Plant, make_line, make_plant, make_user
from trace.pages import DECISIONS
from trace.unit_act_pages import NEEDED

pytestmark = pytest.mark.django_db

HOME_QUERIES = 10  # session, user, what the user may do; followed lines, late orders, holds; runs, units, lines, moves
SEARCH_QUERIES = 12
RUN_QUERIES = 14  # deviations among them
UNIT_QUERIES = 5
GROUPS_QUERIES = 1  # what a person may do, where the state allows a decision


def sign_in(role: Role | None = Role.SUPERVISOR, **fields: object) -> Client:
    client = Client()
    client.force_login(make_user(role, **fields))
    return client


def unit_url(sn: str) -> str:
    return f"/trace/units/{quote(sn, safe='')}/"


def read(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def count_queries(call: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        call()
    return len(queries)


def pass_step(plant: Plant, sn: str, station: str, result: str = "PASS", **fields: object) -> Track:
    tracking.track_in(run_no=plant.run.run_no, sn=sn, station_code=station, operator="op")
    return tracking.track_out(
        run_no=plant.run.run_no, sn=sn, station_code=station, result=result, operator="op", **fields
    ).track


def add_passes(plant: Plant, unit: Unit, *, tracks: int, values: int) -> None:
    now = timezone.now()
    made = Track.objects.bulk_create(
        Track(
            unit=unit,
            run=plant.run,
            step_no=20,
            operation_code="REFLOW",
            station=plant.stations["REF-01"],
            source=TrackSource.AUTO,
            attempt=number + 1,
            in_at=now + timedelta(seconds=2 * number),
            out_at=now + timedelta(seconds=2 * number + 1),
            result="FAIL" if number % 7 == 3 else "PASS",
        )
        for number in range(tracks)
    )
    DataValue.objects.bulk_create(
        DataValue(
            received_at=timezone.now(),
            unit=unit,
            run=plant.run,
            track=made[number % tracks],
            spec=plant.peak,
            step_no=20,
            operation_code="REFLOW",
            name=f"Value {number % 10}",
            item_type="KEY",
            value_number=225 + number % 40,
            lsl=235,
            usl=250,
            target=245,
            alarm_min=230,
            alarm_max=255,
            judge="PASS" if 235 <= 225 + number % 40 <= 250 else "FAIL",
            source="AUTO",
            collected_at=now,
        )
        for number in range(values)
    )


# --- signing in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["/", "/trace/", "/trace/units/SN-1/", "/trace/runs/RUN-1/"])
def test_pages_ask_to_sign_in_and_remember_where_one_went(client: Client, url: str) -> None:
    response = client.get(url)
    assert (response.status_code, response["Location"]) == (302, f"/sign-in/?next={url}")


def test_signing_in_leads_to_where_one_went(client: Client) -> None:
    make_user(username="ann")
    page = client.get("/sign-in/?next=/trace/").content.decode()
    assert 'name="next" value="/trace/"' in page
    response = client.post("/sign-in/", {"username": "ann", "password": "secret", "next": "/trace/"})
    assert (response.status_code, response["Location"]) == (302, "/trace/")


def test_a_wrong_password_is_said_kindly(client: Client) -> None:
    response = client.post("/sign-in/", {"username": "ann", "password": "wrong"})
    assert "do not belong together" in response.content.decode()


def test_signing_out_takes_a_post() -> None:
    client = sign_in()
    assert client.get("/sign-out/")["Location"] == "/"
    assert client.get("/").status_code == 200
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_live_part_whose_session_ended_reloads_its_page(client: Client) -> None:
    response = client.get("/", headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Refresh"]) == (204, "true")


# --- start page ---------------------------------------------------------------------------------------------


def test_an_empty_system_says_what_to_do_next() -> None:
    page = read(sign_in(), "/")
    assert "No line yet" in page
    assert reverse("admin:index") in page
    assert reverse("admin:index") not in read(sign_in(Role.OPERATOR), "/?lines=all")


def test_a_line_shows_its_run_and_where_the_units_are() -> None:
    plant = make_plant(units=3)
    pass_step(plant, "SN-1", "SMT-01", "FAIL")
    tracking.track_in(run_no="RUN-1", sn="SN-2", station_code="SMT-01")
    dispositions.hold_unit(sn="SN-3", reason="Dropped", by="ann")
    page = read(sign_in(), "/")
    assert "2 units need a decision" in page
    assert "<b>1</b> in work" in page
    assert "1 on hold" in page
    assert "1 failed" in page
    assert unit_url("SN-2") in page


def test_a_line_that_is_stopped_or_has_a_stopped_station_says_so_and_is_not_called_well() -> None:
    plant, client, well = make_plant(units=1), sign_in(), "Nothing waits for a decision"
    page = read(client, "/")
    assert well in page and "stopped" not in page
    line_acts.hold(line_code=plant.line.code, reason="smoke", by="ann")
    station_acts.stop(station_code="SMT-01", reason="squeegee", by="ann")
    page = read(client, "/")
    assert "The line is stopped: smoke" in page and "Stopped stations: SMT-01" in page and well not in page


def test_a_line_without_a_run_and_a_run_in_preparation() -> None:
    make_plant(authorize=False)
    page = read(sign_in(), "/")
    assert "No run is authorized on this line." in page
    assert "No unit has entered a station yet." in page


def test_the_start_page_needs_the_same_queries_however_much_there_is() -> None:
    client, plant = sign_in(), make_plant(units=1)
    client.get("/")
    assert count_queries(lambda: client.get("/")) == HOME_QUERIES
    runs.register_units(run_no="RUN-1", sns=[f"X{number}" for number in range(20)])
    for number in range(8):
        pass_step(plant, f"X{number}", "SMT-01", "FAIL" if number % 2 else "PASS")
        make_line(f"L{number}")
    assert count_queries(lambda: client.get("/")) == HOME_QUERIES


def test_only_the_newest_runs_of_a_line_are_shown() -> None:
    plant = make_plant(units=0)
    for number in range(2, 6):
        runs.create(wo_no="WO-RUN-1", line_code=plant.line.code, plan_qty=5, run_no=f"RUN-{number}")
        runs.set_authorization(run_no=f"RUN-{number}", action="AUTHORIZE", by="ann")
    page = read(sign_in(), "/")
    assert "RUN-5" in page
    assert "/trace/runs/RUN-2/" not in page
    assert "2 older runs of this line" in page


# --- search -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("SN-1", "/trace/units/SN-1/"),
        (" sn-1 ", "/trace/units/SN-1/"),
        ("RUN-1", "/trace/runs/RUN-1/"),
        ("WO-RUN-1", "/orders/WO-RUN-1/"),
        ("wo-run-1", "/orders/WO-RUN-1/"),
    ],
)
def test_what_is_called_exactly_so_is_shown_at_once(text: str, target: str) -> None:
    make_plant()
    response = sign_in().get("/trace/", {"q": text})
    assert (response.status_code, response["Location"]) == (302, target)


def test_a_beginning_lists_what_begins_so_and_says_when_there_is_more() -> None:
    make_plant(units=30)
    page = read(sign_in(), "/trace/?q=SN-")
    assert unit_url("SN-10") in page
    assert "There are more than these 20." in page
    assert "There are more" not in read(sign_in(), "/trace/?q=RUN")


def test_the_beginning_of_an_order_lists_it_with_its_runs() -> None:
    plant = make_plant(units=0)
    runs.create(wo_no="WO-RUN-1", line_code=plant.line.code, plan_qty=5, run_no="RUN-2")
    page = read(sign_in(), "/trace/?q=WO-RUN")
    assert 'href="/orders/WO-RUN-1/"' in page
    assert "/trace/runs/RUN-1/" in page
    assert "/trace/runs/RUN-2/" in page


def test_no_match_says_what_to_do_and_escapes_what_was_typed() -> None:
    page = read(sign_in(), "/trace/?q=" + quote("<script>x</script>"))
    assert "Nothing begins with" in page
    assert "<script>x" not in page


def test_wildcards_are_characters_like_others() -> None:
    make_plant()
    for text in ("%", "_N-1", "\\"):
        assert "Nothing begins with" in read(sign_in(), "/trace/?q=" + quote(text))


def test_the_search_needs_the_same_queries_however_much_matches() -> None:
    client, plant = sign_in(), make_plant(units=1)
    client.get("/trace/?q=R")
    assert count_queries(lambda: client.get("/trace/?q=R")) == SEARCH_QUERIES
    runs.register_units(run_no="RUN-1", sns=[f"RX{number}" for number in range(40)])
    for number in range(2, 30):
        runs.create(wo_no="WO-RUN-1", line_code=plant.line.code, plan_qty=5, run_no=f"RUN-{number}")
    assert count_queries(lambda: client.get("/trace/?q=R")) == SEARCH_QUERIES


# --- a unit -------------------------------------------------------------------------------------------------


def test_an_unknown_unit_offers_the_search_filled_in() -> None:
    response = sign_in().get("/trace/units/SN-404/")
    assert response.status_code == 404
    assert 'value="SN-404"' in response.content.decode()


def test_the_verdict_of_each_state() -> None:
    plant, client = make_plant(units=6), sign_in()
    assert "Not started – waits for step 10 Print" in read(client, unit_url("SN-1"))
    pass_step(plant, "SN-1", "SMT-01")
    assert "Waits for step 20 Reflow" in read(client, unit_url("SN-1"))
    tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="REF-01")
    assert "In work at step 20 Reflow, station REF-01" in read(client, unit_url("SN-1"))
    pass_step(plant, "SN-2", "SMT-01", "FAIL", defects=[tracking.ReportedDefect("BRIDGE", "U7")])
    page = read(client, unit_url("SN-2"))
    assert "Failed at step 10 Print – waits for a decision" in page
    assert "BRIDGE · U7" in page
    dispositions.rework_unit(sn="SN-2", reason="Wash and print again", by="ann")
    assert "Waits for rework at step 10 Print" in read(client, unit_url("SN-2"))
    dispositions.hold_unit(sn="SN-3", reason="Dropped", by="ann")
    assert "On hold – Dropped" in read(client, unit_url("SN-3"))
    dispositions.scrap_unit(sn="SN-4", reason="Broken", by="ann")
    assert "Scrapped – Broken" in read(client, unit_url("SN-4"))
    for station in ("SMT-01", "REF-01"):
        pass_step(plant, "SN-5", station)
    pass_step(plant, "SN-5", "TST-01", readings=[Reading(spec_name="Supply Voltage", value_number=3.3)])
    page = read(client, unit_url("SN-5"))
    assert "Done – all steps passed" in page
    assert "data-live" not in page


def test_values_show_limits_judge_and_what_the_device_said() -> None:
    plant = make_plant()
    pass_step(plant, "SN-1", "SMT-01")
    readings = [Reading(spec_name="Peak Temperature", value_number=258.4, judge="PASS")]
    pass_step(plant, "SN-1", "REF-01", readings=readings)
    page = read(sign_in(), unit_url("SN-1"))
    assert "On hold – Alarm: Peak Temperature outside the alarm band" in page
    assert "235 – 250 · target 245 · alarm outside 230 – 255" in page
    assert "device said PASS" in page
    assert "Claimed Pass, forced to Fail by a key value." in page
    assert 'class="bar"' in page


def test_values_of_every_type_are_shown() -> None:
    plant = make_plant(units=1)
    unit, owner = plant.units[0], {"spec": plant.peak, "step_no": 20, "operation_code": "REFLOW", "source": "AUTO"}
    fields = [{"value_text": "<b>P7</b>"}, {"value_boolean": False}, {"value_json": {"zones": [1, 2]}}]
    for number, field in enumerate([*fields, {"value_number": -0.5}]):
        now = timezone.now()
        DataValue.objects.create(
            received_at=now, collected_at=now, unit=unit, name=f"V{number}", item_type="KEY", **owner, **field
        )
    page = read(sign_in(), unit_url("SN-1"))
    for text in ("&lt;b&gt;P7&lt;/b&gt;", ">No", "{&quot;zones&quot;: [1, 2]}", "-0.5"):
        assert text in page


def test_names_are_escaped() -> None:
    plant, evil = make_plant(units=0), "<img src=x onerror=alert(1)>"
    runs.register_units(run_no="RUN-1", sns=[evil])
    plant.line.name = plant.stations["SMT-01"].name = evil
    plant.line.save()
    dispositions.hold_unit(sn=evil, reason=evil, by=evil)
    client = sign_in()
    for url in (unit_url(evil), "/", "/trace/runs/RUN-1/", "/trace/?q=%3C"):
        assert "<img src=x" not in client.get(url, follow=True).content.decode()


@pytest.mark.parametrize("sn", ["A.B+C:1", "a#b?c&d=e", "Ä ö 漢字", "100%25", "x;y,z", "quote'\"<"])
def test_serial_numbers_may_hold_any_character(sn: str) -> None:
    make_plant(units=0)
    runs.register_units(run_no="RUN-1", sns=[sn])
    client = sign_in()
    found = client.get("/trace/", {"q": sn})
    assert found.status_code == 302
    assert "Not started" in read(client, found["Location"])
    client.post(f"{unit_url(sn)}hold/", {"reason": "Look"})
    assert Unit.objects.get(sn=sn).status == UnitStatus.ON_HOLD


def test_what_a_reader_sends_that_could_read_nothing_is_no_unit() -> None:
    make_plant()
    page = sign_in().get(unit_url("NOREAD"))
    assert page.status_code == 404
    assert "is no serial number" in page.content.decode()


def test_a_unit_with_a_hundred_passes_needs_the_queries_of_an_empty_one() -> None:
    plant, client = make_plant(units=2), sign_in()
    client.get(unit_url("SN-1"))
    assert count_queries(lambda: client.get(unit_url("SN-1"))) == UNIT_QUERIES + GROUPS_QUERIES
    add_passes(plant, plant.units[1], tracks=100, values=1000)
    assert count_queries(lambda: client.get(unit_url("SN-2"))) == UNIT_QUERIES + GROUPS_QUERIES
    page = read(client, unit_url("SN-2"))
    assert page.count('class="card pass"') == 100
    assert page.count('hx-get="?pass=') == 97
    assert len(page) < 400_000


def test_an_older_pass_is_loaded_when_it_is_unfolded() -> None:
    plant, client = make_plant(units=1), sign_in()
    add_passes(plant, plant.units[0], tracks=10, values=10)
    oldest = Track.objects.order_by("id")[0]
    address = f"{unit_url('SN-1')}?pass={oldest.pk}"
    assert "Value 0" in read(client, address, **{"HX-Request": "true"})
    assert f'id="pass-{oldest.pk}" open' in read(client, address)
    for unknown in (10**17, "x"):
        assert client.get(f"{unit_url('SN-1')}?pass={unknown}").status_code == 200
    assert client.get(f"{unit_url('SN-1')}?pass=1{oldest.pk}", headers={"HX-Request": "true"}).status_code == 404


def test_an_unchanged_unit_is_answered_with_nothing() -> None:
    plant, client = make_plant(), sign_in()
    page = read(client, unit_url("SN-1"))
    address = page.split('id="live" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    pass_step(plant, "SN-1", "SMT-01")
    part = read(client, address, **{"HX-Request": "true"})
    assert "Waits for step 20 Reflow" in part
    assert "<html" not in part


# --- a run --------------------------------------------------------------------------------------------------


def test_a_run_shows_counts_yield_and_its_units() -> None:
    plant = make_plant(units=4)
    pass_step(plant, "SN-1", "SMT-01")
    pass_step(plant, "SN-2", "SMT-01", "FAIL", defects=[tracking.ReportedDefect("BRIDGE")])
    page = read(sign_in(), "/trace/runs/RUN-1/")
    assert "1 / 2" in page
    assert "50.0\u00a0%" in page
    assert "BRIDGE" in page
    rows = page.split("<tbody>")[-1]
    assert rows.index("SN-2") < rows.index("SN-4")
    assert unit_url("SN-3") in page
    filtered = read(sign_in(), "/trace/runs/RUN-1/?status=OUT_FAILED&step=10").split("<tbody>")[-1]
    assert unit_url("SN-2") in filtered
    assert unit_url("SN-3") not in filtered


def test_units_of_a_run_come_in_pages() -> None:
    make_plant(units=60)
    client = sign_in()
    first, second = read(client, "/trace/runs/RUN-1/"), read(client, "/trace/runs/RUN-1/?page=2&order=newest")
    assert first.count('role="rowheader"') == 50
    assert second.count('role="rowheader"') == 10
    assert unit_url("SN-1") in second
    for junk in ("page=99999999999999999999", "page=-1", "page=x", "step=99999999999", "status=NONE", "page=²"):
        assert client.get(f"/trace/runs/RUN-1/?{junk}").status_code == 200


def test_a_run_needs_the_same_queries_however_many_units_it_has() -> None:
    plant, client = make_plant(units=1), sign_in()
    client.get("/trace/runs/RUN-1/")
    # Until it begins, whether there is a newer version of its route.
    assert count_queries(lambda: client.get("/trace/runs/RUN-1/")) == RUN_QUERIES + 1
    runs.register_units(run_no="RUN-1", sns=[f"X{number}" for number in range(60)])
    for number in range(5):
        pass_step(plant, f"X{number}", "SMT-01")
    assert count_queries(lambda: client.get("/trace/runs/RUN-1/")) == RUN_QUERIES


def test_a_run_without_units_and_an_unknown_run() -> None:
    make_plant(units=0)
    client = sign_in()
    assert "The run has no unit yet." in read(client, "/trace/runs/RUN-1/")
    response = client.get("/trace/runs/RUN-9/")
    assert (response.status_code, 'value="RUN-9"' in response.content.decode()) == (404, True)


# --- decisions ----------------------------------------------------------------------------------------------


def test_the_pages_ask_for_the_same_capabilities_as_the_interface() -> None:
    asked = {name: frozenset(needed) for name, (_service, needed) in DECISIONS.items()}
    asked["relabel"] = frozenset(NEEDED["relabel"])
    asked["rework"] |= frozenset(NEEDED["rework-beyond"])  # one address, on the page two acts
    assert asked == {name: frozenset(needed) for name, needed in UnitDecisionViewSet.capabilities.items()}


def test_a_supervisor_holds_releases_reworks_and_scraps() -> None:
    plant, client = make_plant(), sign_in(username="ann")
    pass_step(plant, "SN-1", "SMT-01")

    def decide(action: str, **fields: str) -> Unit:
        response = client.post(f"{unit_url('SN-1')}{action}/", {"reason": "Because", **fields})
        assert (response.status_code, response["Location"]) == (302, unit_url("SN-1"))
        return Unit.objects.get(sn="SN-1")

    assert decide("hold").status == UnitStatus.ON_HOLD
    assert decide("release").status == UnitStatus.QUEUED
    decide("hold")
    assert decide("rework", to_step_no="10").current_step_no == 10
    assert decide("scrap", confirm_sn="SN-2").status == UnitStatus.QUEUED
    assert decide("scrap", confirm_sn="SN-1").status == UnitStatus.SCRAPPED
    assert set(Disposition.objects.values_list("decided_by", flat=True)) == {"ann"}


def test_a_decision_needs_a_reason() -> None:
    make_plant()
    client = sign_in()
    for reason in ("", "   ", "x" * 501):
        response = client.post(f"{unit_url('SN-1')}hold/", {"reason": reason}, follow=True)
        assert "reason" in response.content.decode()
    assert Unit.objects.get(sn="SN-1").status == UnitStatus.QUEUED


def test_a_refusal_is_shown_on_the_page() -> None:
    make_plant()
    response = sign_in().post(f"{unit_url('SN-1')}release/", {"reason": "Why not"}, follow=True)
    assert 'role="alert"' in response.content.decode()


@pytest.mark.parametrize("action", ["hold", "release", "rework", "scrap"])
def test_an_operator_may_not_decide(action: str) -> None:
    make_plant()
    client = sign_in(Role.OPERATOR)
    assert "decide-" not in read(client, unit_url("SN-1"))
    response = client.post(f"{unit_url('SN-1')}{action}/", {"reason": "Because", "confirm_sn": "SN-1"})
    assert response.status_code == 403
    assert not Disposition.objects.exists()


def test_quality_may_hold_but_not_scrap() -> None:
    make_plant()
    page = read(sign_in(Role.QUALITY), unit_url("SN-1"))
    assert "decide-hold" in page
    assert "decide-scrap" not in page


def test_decisions_are_posts_with_a_token() -> None:
    make_plant()
    assert sign_in().get(f"{unit_url('SN-1')}hold/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user(Role.SUPERVISOR))
    assert strict.post(f"{unit_url('SN-1')}hold/", {"reason": "Because"}).status_code == 403
    assert sign_in().post(f"{unit_url('SN-1')}explode/", {"reason": "Because"}).status_code == 405
