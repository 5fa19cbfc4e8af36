"""The page of a line: what it says, what it lets whom do, and how quiet its live part is."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution import tracking
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.platform.signatures.queries import is_unchanged
from mes.production import line_acts
from mes.production.decision_models import RunActivation
from mes.production.hold_models import Hold
from mes.production.models import Run, RunKind
from tests.factories import Plant, make_line, make_plant, make_run, make_user
from trace.line_now import SHOWN_RUNS

pytestmark = pytest.mark.django_db

PAGE = "/lines/SMT-A/"
QUERIES = 16  # three of them for session, user and what the user may do, seven for what its stations do now
LIVE = {"HX-Request": "true"}


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=2)


def sign_in(role: Role | None = Role.OPERATOR, name: str = "") -> Client:
    client = Client()
    client.force_login(make_user(role, username=name or None))
    return client


def read(client: Client, page: str = PAGE) -> str:
    answer = client.get(page)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, action: str, name: str = "", **form: str) -> str:
    """Return the page after an act."""
    answer = client.post(f"{PAGE}{action}/" + (f"?act={name}" if name else ""), form)
    assert answer.status_code == 302, answer.status_code
    assert answer["Location"].partition("#")[0] == PAGE
    return read(client)


def make_active(run_no: str = "RUN-1", station: str | None = None) -> None:
    line_acts.set_active_run(line_code="SMT-A", run_no=run_no, station_code=station, by="anna")


def test_a_line_without_a_run_says_what_comes_next() -> None:
    make_line()
    page = read(sign_in())
    assert "No run is active on this line." in page and "Nor is one planned for it." in page
    assert "No other run waits for this line." in page
    assert sign_in().get("/lines/SMT-X/").status_code == 404


def test_the_active_run_stands_large_with_how_far_it_is(plant: Plant) -> None:
    make_active()
    make_run(plant.version, plant.line, run_no="RUN-2", authorize=False)
    Run.objects.filter(run_no="RUN-2").update(kind=RunKind.REWORK)
    page = read(sign_in())
    assert '<a class="active-no is-code" href="/trace/runs/RUN-1/">RUN-1</a>' in page
    assert "<b>0</b> of 100 done" in page and "anna" in page
    after = page.partition('id="next"')[2]
    assert "RUN-2" in after and "RUN-1" not in after and "Rework" in after and "/readiness/runs/RUN-2/" in after


def test_a_run_is_scanned_to_make_it_active(plant: Plant) -> None:
    client = sign_in(name="op")
    page = act(client, "active-run", "activate", runNo="RUN-1", stationCode="")
    assert "RUN-1 is the active run now." in page
    assert RunActivation.objects.get().set_by == "op"
    page = act(client, "active-run", "activate", runNo="RUN-1", stationCode="SMT-01")
    assert "Stations with a run of their own" in page
    station = plant.stations["SMT-01"].pk
    page = act(client, "active-run", f"deactivate-{station}", stationCode="SMT-01")
    assert "Stations with a run of their own" not in page
    page = act(client, "active-run", "deactivate")
    assert "No run is active on this line." in page


@pytest.mark.parametrize(
    ("run_no", "says"), [("RUN-9", "There is no run"), ("", "field is required"), ("  ", "field is required")]
)
def test_what_cannot_be_active_is_said_beside_the_field_with_what_was_typed(
    plant: Plant, run_no: str, says: str
) -> None:
    page = act(sign_in(), "active-run", "activate", runNo=run_no, stationCode="SMT-01")
    form = page.partition('id="act-activate"')[2].partition("</form>")[0]
    assert says in form and f'value="{run_no.strip()}"' in form and '<option value="SMT-01" selected>' in form
    assert not RunActivation.objects.exists()


def test_a_refusal_stands_beside_the_button_of_its_run(plant: Plant) -> None:
    other = make_line("SMT-B")
    run = make_run(plant.version, other, run_no="RUN-2")
    client = sign_in()
    Run.objects.filter(pk=run.pk).update(line=plant.line)
    read(client)
    Run.objects.filter(pk=run.pk).update(line=other)  # it went to another line meanwhile
    page = act(client, "active-run", f"activate-{run.pk}", runNo="RUN-2")
    assert 'role="alert"' in page and not RunActivation.objects.exists()


def test_an_operator_stops_the_line_and_a_supervisor_lets_it_go_on(plant: Plant) -> None:
    operator, supervisor = sign_in(name="op"), sign_in(Role.SUPERVISOR, "sue")
    page = act(operator, "hold", reason=" ")
    assert 'id="act-hold" name="decide" open' in page and "field-problem" in page
    answer = operator.post(f"{PAGE}hold/", {"reason": ["", "Machine fault"]})  # a usual reason is a button
    assert answer.status_code == 302
    page = read(operator)
    assert "The line is stopped: Machine fault" in page.replace("\n", " ") and "op, since" in page
    assert f"{PAGE}resume/" not in page and f"{PAGE}hold/" not in page
    assert operator.post(f"{PAGE}resume/").status_code == 403
    assert f"{PAGE}resume/" in read(supervisor)
    assert "field-problem" in act(supervisor, "resume", reason="")  # without a signature
    signed = {"signature.username": "sue", "signature.meaning": "Released", "signature.password": "secret"}
    assert "The line goes on." in act(supervisor, "resume", **signed)
    assert Signature.objects.get().signer == "sue"
    assert Hold.objects.get().status == "RELEASED"
    assert "is stopped" not in read(operator)
    assert 'role="alert"' in act(supervisor, "resume", **signed)  # it runs already


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.QUALITY, Role.INTEGRATION])
def test_who_may_not_is_neither_offered_it_nor_let(plant: Plant, role: Role) -> None:
    client = sign_in(role)
    page = read(client)
    assert f"{PAGE}hold/" not in page and f"{PAGE}active-run/" not in page
    for action in ("hold", "active-run"):
        assert client.post(f"{PAGE}{action}/", {"reason": "x", "runNo": "RUN-1"}).status_code == 403
    assert not Hold.objects.exists() and not RunActivation.objects.exists()


def test_no_line_of_that_name_is_said(plant: Plant) -> None:
    client = sign_in()
    for action in ("hold", "active-run"):
        assert client.post(f"/lines/SMT-X/{action}/", {"reason": "x", "runNo": "RUN-1"}).status_code in (302, 404)
    assert client.post(f"{PAGE}active-run/?act=<b>", {"runNo": "RUN-9"}).status_code == 302


def test_the_page_takes_as_many_statements_for_one_run_as_for_many(plant: Plant) -> None:
    make_active()
    make_active(station="SMT-01")
    client = sign_in()
    read(client)
    with CaptureQueriesContext(connection) as queries:
        read(client)
    assert len(queries) == QUERIES, [query["sql"] for query in queries]
    for number in range(SHOWN_RUNS + 3):
        make_run(plant.version, plant.line, run_no=f"NEXT-{number}", sns=[f"N-{number}"])
    with CaptureQueriesContext(connection) as queries:
        page = read(client)
    assert len(queries) == QUERIES
    assert page.count("Make active</button>") == SHOWN_RUNS and "4 more runs are open on this line." in page


def test_the_live_part_is_told_of_what_it_shows_and_quiet_else(plant: Plant) -> None:
    client = sign_in()

    def address() -> str:
        part = client.get(PAGE, headers=LIVE).content.decode()
        return part.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")

    changes = [
        make_active,
        lambda: tracking.track_in(run_no="RUN-1", sn=plant.units[0].sn, station_code="SMT-01"),
        lambda: line_acts.hold(line_code="SMT-A", reason="x", by="op"),
        lambda: line_acts.resume(line_code="SMT-A", by="sue"),
        lambda: make_run(plant.version, plant.line, run_no="RUN-2"),
        lambda: make_active("RUN-2", "SMT-01"),
    ]
    for change in changes:
        seen = address()
        assert client.get(seen, headers=LIVE).status_code == 204
        change()
        assert client.get(seen, headers=LIVE).status_code == 200


def test_an_order_that_is_due_says_when(plant: Plant) -> None:
    day = timezone.localdate() + timedelta(days=3)
    type(plant.order).objects.update(due_date=day)
    assert f"due {day.day} {day:%b}" in read(sign_in())


def test_a_station_is_stopped_and_goes_on_signed(plant: Plant) -> None:
    operator, supervisor = sign_in(), sign_in(Role.SUPERVISOR, "sue")
    stopped = operator.post(f"{PAGE}stop-station/", {"stationCode": "SMT-01", "reason": "Smell of smoke"})
    assert stopped.status_code == 302
    hold = Hold.objects.get(station__code="SMT-01")
    text = read(operator)
    assert "Stopped stations" in text
    assert "Smell of smoke" in text
    assert "Let the station go on" not in text  # an operator stops and does not release
    assert "Let the station go on" in read(supervisor)
    name = f"go-on-{hold.pk}"
    form = {"stationCode": "SMT-01", "source": "PERSON", "reason": "Aired", "signature.meaning": "Released"}
    form |= {"signature.username": "sue", "signature.password": "wrong"}
    address = f"{PAGE}go-on-station/?act={name}"
    supervisor.post(address, form)
    assert Hold.objects.get(pk=hold.pk).status == "OPEN"
    assert operator.post(address, form).status_code == 403
    supervisor.post(address, {**form, "signature.password": "secret"})
    assert Hold.objects.get(pk=hold.pk).status == "RELEASED"
    signature = Signature.objects.get()
    assert (signature.record_type, signature.signer, is_unchanged(signature)) == ("HOLD", "sue", True)
    assert '"holdNo":"' + hold.hold_no in signature.document
    assert "Stopped stations" not in read(supervisor)
    Hold.objects.create(scope="STATION", station=hold.station, source="MATERIAL", reason="Wrong reel", opened_by="erp")
    text = read(supervisor)  # what else stops it ends where it began
    assert "Wrong reel" in text and "Let the station go on" not in text
