"""The readiness board, the board of the next runs, and the page of a first article, as people use them."""

from typing import Any

import pytest
from django.contrib.auth import get_user
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from execution.quality.first_article.models import FirstArticle
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.platform.accounts.roles import Role
from mes.production.models import Run
from mes.readiness.models import ReadinessCheck, ReadinessWaiver
from tests.execution.support import assert_done, make_run, track_in
from tests.execution.test_first_article import make_fai_plant
from tests.factories import api_client, make_line, make_user
from tests.readiness.support import add_policy, bind_lot, bind_stencil, check, enable, make_unready_plant

BOARD = "/readiness/runs/RUN-1/"
FAI = "/first-articles/RUN-2/"


def signed_in(role: Role | str) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def post(client: Client, address: str, **body: Any) -> str:
    """Post a form and return the page it leads to."""
    return text_of(client.post(address, body, follow=True))


def signature_of(client: Client) -> dict[str, str]:
    """Return what somebody who is signed in fills in to sign."""
    name = get_user(client).get_username()
    return {"signature.username": name, "signature.password": "secret", "signature.meaning": "Approved"}


@pytest.fixture
def supervisor(db: None) -> Client:
    return signed_in(Role.SUPERVISOR)


# --- the board of a run -------------------------------------------------------------------------------------


def test_a_line_leader_works_through_the_board(supervisor):
    """From nothing to an authorized run, by what the page offers."""
    make_unready_plant("ROUTE", "STENCIL", "SOLDER_PASTE")
    add_policy(api_client(), instruction="Compare the feeders.")
    page = text_of(supervisor.get(BOARD))
    assert "3 things are not right yet" in page
    for said in ("No stencil is bound", "Scan the stencil", "No solder paste", "Compare the feeders."):
        assert said in page
    assert "disabled" in page
    bind = "/lines/SMT-A/set-up/{}/bind/"
    page = post(supervisor, bind.format("stencil"), code="ST-1", run="RUN-1")
    assert "Nobody reported whether stencil" in page  # and we are back on the board
    page = post(supervisor, bind.format("solder-paste"), code="LOT-1", run="RUN-1")
    page = post(supervisor, f"{BOARD}confirm/", code="PREP_FEEDERS")
    assert "Confirmed." in page and "2 things are not right yet" in page
    page = post(supervisor, f"{BOARD}authorize/")
    assert "Not authorized: 2 items are not right." in page
    for binding in Load.objects.all():
        if binding.tool:
            Tool.objects.update(status="READY")
        else:
            MaterialLot.objects.update(paste_status="NON_COMPLIANT")
    waiver = {"item_type": "SOLDER_PASTE", "item_key": "LOT-1", "code": "SOLDER_PASTE_NOT_COMPLIANT"}
    page = post(supervisor, f"{BOARD}waive/", reason="tested by hand", **waiver)
    assert "Waived for this run" in page and "tested by hand" in page and "One failure is waived" in page
    page = post(supervisor, f"{BOARD}authorize/")
    assert "The run is authorized" in page
    assert Run.objects.get().status == "AUTHORIZED"
    page = post(supervisor, f"{BOARD}revoke/", reason="wrong product")
    assert Run.objects.get().status == "PREP"


def test_a_scan_that_stands_in_the_way_asks_on_the_set_up_page(supervisor):
    make_unready_plant("STENCIL")
    bind_stencil()
    page = post(supervisor, "/lines/SMT-A/set-up/stencil/bind/", code="ST-2", run="RUN-1")
    assert "Take it off and bind" in page


def test_the_board_keeps_itself_up_to_date(supervisor):
    make_unready_plant("STENCIL")
    page = text_of(supervisor.get(BOARD))
    address = page.split('id="live" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert supervisor.get(address, headers={"HX-Request": "true"}).status_code == 204
    bind_stencil()
    live = supervisor.get(address, headers={"HX-Request": "true"})
    assert "Everything is right" in text_of(live)


def test_the_board_writes_nothing_until_asked(supervisor):
    make_unready_plant("STENCIL")
    supervisor.get(BOARD)
    assert ReadinessCheck.objects.count() == 0
    assert "Checked and kept" in post(supervisor, f"{BOARD}precheck/")
    assert ReadinessCheck.objects.get().kind == "PRECHECK"


def test_what_one_may_not_do_is_not_offered(db):
    make_unready_plant("STENCIL")
    engineer = signed_in(Role.ENGINEER)
    page = text_of(engineer.get(BOARD))
    for action in ("authorize", "waive", "precheck"):
        assert f"{BOARD}{action}/" not in page
        assert engineer.post(f"{BOARD}{action}/", {"reason": "x"}).status_code == 403
    operator = signed_in(Role.OPERATOR)
    page = text_of(operator.get(BOARD))
    assert "Scan a stencil" in page and f"{BOARD}waive/" not in page


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\u0007b"])
def test_a_waiver_without_a_good_reason_is_refused(supervisor, reason):
    make_unready_plant("STENCIL")
    post(supervisor, f"{BOARD}waive/", item_type="STENCIL", item_key="SMT-A", code="STENCIL_NOT_BOUND", reason=reason)
    assert ReadinessWaiver.objects.count() == 0


def test_what_does_not_fail_is_not_waived(supervisor):
    make_unready_plant("STENCIL")
    for body in ({}, {"item_type": "STENCIL", "item_key": "x", "code": "x" * 900}):
        post(supervisor, f"{BOARD}waive/", reason="because", **body)
        post(supervisor, f"{BOARD}confirm/", code="x")
    assert ReadinessWaiver.objects.count() == 0


def test_a_form_with_a_nul_is_refused(supervisor):
    make_unready_plant("STENCIL")
    failed = {"item_type": "STENCIL", "item_key": "SMT-A", "code": "STENCIL_NOT_BOUND"}
    assert supervisor.post(f"{BOARD}waive/", {**failed, "reason": "a\u0000b"}).status_code == 400
    assert ReadinessWaiver.objects.count() == 0


def test_pages_of_nothing(supervisor):
    make_unready_plant()
    assert "asks for nothing" in text_of(supervisor.get(BOARD))
    assert supervisor.get("/readiness/runs/NO/").status_code == 404
    assert supervisor.post(f"{BOARD}explode/").status_code == 405
    assert supervisor.get("/first-articles/NO/").status_code == 404
    assert supervisor.post("/first-articles/RUN-1/explode/").status_code == 405
    Run.objects.update(status="COMPLETED")
    assert supervisor.get(BOARD).status_code == 302


def test_strangers_are_sent_to_sign_in(db, client):
    make_unready_plant()
    for address in (BOARD, "/readiness/", "/first-articles/RUN-1/"):
        assert client.get(address).status_code == 302


# --- the next runs ------------------------------------------------------------------------------------------


def test_the_next_runs_of_every_line(supervisor):
    plant = make_unready_plant("STENCIL")
    make_line("SMT-B")
    page = text_of(supervisor.get("/readiness/"))
    assert "RUN-1" in page and "not checked yet" in page and "No run waits for this line" in page
    page = post(supervisor, "/readiness/check/")
    assert "1 thing not right" in page and "No stencil is bound" in page
    enable()
    make_run(plant, run_no="RUN-2", sns=[], authorize=True)
    page = text_of(supervisor.get("/readiness/"))
    assert "waits for its first unit" in page


def test_the_next_runs_take_a_fixed_number_of_queries(supervisor):
    plant = make_unready_plant("STENCIL", "SOLDER_PASTE")
    check(api_client())
    supervisor.get("/readiness/")
    with CaptureQueriesContext(connection) as few:
        supervisor.get("/readiness/")
    for number in range(2, 7):
        make_run(plant, run_no=f"RUN-{number}", sns=[], authorize=False)
        check(api_client(), run_no=f"RUN-{number}")
    with CaptureQueriesContext(connection) as many:
        text_of(supervisor.get("/readiness/"))
    assert len(few) == len(many) <= 12


# --- the first article --------------------------------------------------------------------------------------


def test_a_first_article_is_inspected_by_the_page(supervisor):
    make_fai_plant(template=True)
    inspector, signer = signed_in(Role.QUALITY), signed_in(Role.QUALITY)
    assert "Open the first article" in text_of(supervisor.get("/readiness/runs/RUN-2/"))
    page = text_of(inspector.get(FAI))
    assert "No first article inspection yet" in page and "2 items to look at" in page
    page = post(inspector, f"{FAI}create/", sample_qty="1", start="1")
    assert "One more sample unit may run" in page and "No sample unit has run yet" in page
    assert_done(track_in(api_client(), sn="A", run_no="RUN-2"), 201)
    page = text_of(inspector.get(FAI))
    assert "Paste height" in page and "not inspected yet" in page
    record = {"unit_sn": "A", "actual_value": "118 µm", "result": "PASS"}
    page = post(inspector, f"{FAI}record/", item_name="Paste height", **record)
    assert "118 µm" in page
    assert "so it cannot pass yet" in page
    post(inspector, f"{FAI}record/", item_name="Polarity of D1", **record)
    post(inspector, f"{FAI}record/", item_name="", **record)
    post(inspector, f"{FAI}record/", item_name="Polarity of D1", **{**record, "unit_sn": "NOBODY"})
    assert FirstArticle.objects.get().items.count() == 2
    page = post(inspector, f"{FAI}complete/", decision="PASS", remark="fine")
    assert "Passed, and not signed" in page
    assert "took part in this inspection" in post(inspector, f"{FAI}sign/", **signature_of(inspector))
    assert "Passed and signed" in post(signer, f"{FAI}sign/", **signature_of(signer))
    assert "Everything is right" in text_of(supervisor.get("/readiness/runs/RUN-2/"))


def test_a_failed_first_article_offers_another(supervisor):
    make_fai_plant()
    inspector = signed_in(Role.QUALITY)
    post(inspector, f"{FAI}create/", sample_qty="no number")
    assert FirstArticle.objects.get().sample_qty == 1
    assert "Created, and not started" in text_of(inspector.get(FAI))
    post(inspector, f"{FAI}start/")
    page = post(inspector, f"{FAI}complete/", decision="FAIL", remark="paste too high")
    assert "Another inspection" in page
    page = post(inspector, f"{FAI}create/", sample_qty="2", start="1")
    assert "paste too high" in page
    assert "more sample units may run" in page
    assert supervisor.post(f"{FAI}create/", {"sample_qty": "1"}).status_code == 403


def test_the_live_part_of_a_first_article(supervisor):
    make_fai_plant()
    inspector = signed_in(Role.QUALITY)
    post(inspector, f"{FAI}create/", sample_qty="1", start="1")
    page = text_of(inspector.get(FAI))
    address = page.split('id="live" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert inspector.get(address, headers={"HX-Request": "true"}).status_code == 204
    assert_done(track_in(api_client(), sn="A", run_no="RUN-2"), 201)
    assert "A" in text_of(inspector.get(address, headers={"HX-Request": "true"}))


def test_a_lot_bound_twice_is_told(supervisor):
    make_unready_plant("SOLDER_PASTE")
    bind_lot()
    assert "was bound already" in post(supervisor, "/lines/SMT-A/set-up/solder-paste/bind/", code="LOT-1", run="RUN-1")


def test_a_sample_is_named_by_scanning_it(supervisor):
    make_fai_plant()
    inspector = signed_in(Role.QUALITY)
    post(inspector, f"{FAI}create/", sample_qty="1", start="1")
    assert "Scan a sample unit" in text_of(inspector.get(FAI))
    assert "role Quality" in text_of(supervisor.get(FAI))
    assert "There is no unit" in post(inspector, f"{FAI}sample/", unit_sn="NOBODY")
    assert "B is a sample unit" in post(inspector, f"{FAI}sample/", unit_sn="B")
    assert "B is a sample unit" in post(inspector, f"{FAI}sample/", unit_sn="B")
    assert "already has its 1 sample unit(s)" in post(inspector, f"{FAI}sample/", unit_sn="A")
    assert track_in(api_client(), sn="A", run_no="RUN-2").status_code == 409
    assert_done(track_in(api_client(), sn="B", run_no="RUN-2"), 201)
