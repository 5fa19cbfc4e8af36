"""The demo line: no run starts unready, and somebody can start the one that waits."""

from datetime import UTC, datetime
from typing import Any

import pytest

from demo import plant, preparing, set_up
from demo.client import Client, Refused
from demo.simulator import TRY_PREFIX
from tests.demo.conftest import make_signer
from tests.demo.test_simulator import counts_of, simulator


@pytest.fixture
def signer(client: Client) -> Client:
    return make_signer(client)


def make_run(client: Client) -> list[str]:
    """Make a run R with two boards."""
    sns = ["B-1", "B-2"]
    client.post("integration", "work-orders", body={"woNo": "W", "productCode": plant.PRODUCT, "plannedQty": 2})
    client.post("work-orders", "W", "release", body={"lineCode": plant.LINE})
    client.post("work-orders", "W", "runs", body={"lineCode": plant.LINE, "planQty": 2, "runNo": "R"})
    client.post("runs", "R", "units", body={"sns": sns})
    return sns


def missing(client: Client) -> set[str]:
    """Return what keeps R from being authorized."""
    with pytest.raises(Refused) as refused:
        client.post("runs", "R", "authorize", body={"action": "AUTHORIZE"})
    return {item["code"] for item in refused.value.details["items"]}


def test_a_run_starts_when_stencil_paste_program_and_first_article_are_right(
    client: Client,
    signer: Client,
) -> None:
    sns = make_run(client)
    left = {
        "STENCIL_NOT_BOUND",
        "SOLDER_PASTE_NOT_BOUND",
        "PREP_VALUE_STALE",
        "PREP_NOT_CONFIRMED",
        "FAI_NOT_PASSED",
    }
    assert missing(client) == left
    stencil, bind_stencil, paste, bind_paste, _use = set_up.steps(client, "R")
    program, feeders, first_article = preparing.steps(client, signer, run_no="R", sn=sns[0])
    for step, settles in (
        (stencil, set()),
        (bind_stencil, {"STENCIL_NOT_BOUND"}),
        (paste, set()),
        (bind_paste, {"SOLDER_PASTE_NOT_BOUND"}),
        (feeders, {"PREP_NOT_CONFIRMED"}),
        (program, {"PREP_VALUE_STALE"}),
    ):
        step()
        left -= settles
        assert missing(client) == left
    with pytest.raises(Refused) as refused:
        client.post("runs", "R", "authorize", body={"action": "AUTHORIZE"})
    assert refused.value.code == "FAI_NOT_PASSED"
    first_article()
    assert client.post("runs", "R", "authorize", body={"action": "AUTHORIZE"})["status"] == "AUTHORIZED"


def test_another_program_keeps_the_run_from_starting(client: Client) -> None:
    make_run(client)
    preparing.report_program(client, "p", datetime.now(UTC).isoformat(), "OTHER-200")
    assert "PREP_VALUE_WRONG" in missing(client)


def test_a_run_waits_for_somebody_and_is_made_when_it_is_authorized(
    client: Client,
    signer: Client,
) -> None:
    simulator(client, boards=1, offers_runs=True).run()
    (waiting,) = client.items("runs", query={"status": "PREP"})
    run_no = waiting["runNo"]
    assert run_no.startswith(TRY_PREFIX)
    check: dict[str, Any] = client.post("runs", run_no, "readiness", "precheck")
    failed = {item["code"] for item in check["items"] if item["status"] == "FAILED"}
    assert failed == {"PREP_NOT_CONFIRMED", "FAI_NOT_PASSED"}  # the line is set up already
    sn = run_no.replace(TRY_PREFIX, "TB-") + "-01"
    for step in preparing.steps(client, signer, run_no=run_no, sn=sn):
        step()
    client.post("runs", run_no, "authorize", body={"action": "AUTHORIZE"})
    simulator(client, boards=1, offers_runs=True).run()
    assert counts_of(client, run_no) == {"DONE": 10}
    assert len(list(client.items("runs", query={"status": "PREP"}))) == 1  # and the next one waits


def test_a_line_of_an_earlier_release_is_left_as_it_is(client: Client, signer: Client) -> None:
    client.patch("lines", plant.LINE, body={"readinessChecks": ["ROUTE", "EQUIPMENT"]})
    for policy in client.items("prep-policies"):
        client._call("DELETE", f"/api/prep-policies/{policy['id']}")
    assert plant.make(client) is False
    assert list(client.items("prep-policies")) == []
    assert preparing.steps(client, signer, run_no="R", sn="X") == []
