"""A process that is killed between any two statements of an act leaves what `check_integrity` finds nothing in."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase
from django.utils import timezone

from mes.platform.monitoring.integrity import check_integrity
from tests.life import plant
from tests.life.acts import REASON

Act = Callable[[plant.People], Any]


class Killed(BaseException):
    """The process is gone: nobody handles it, and no connection commits what is open."""


class Killer:
    """Kills at the statement of this number."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        self.left -= 1
        if self.left < 0 and not str(sql).startswith(("ROLLBACK", "RELEASE")):
            raise Killed
        return execute(sql, params, many, context)


def _post(client: Any, address: str, body: dict[str, Any] | None = None, status: int | None = None) -> Any:
    reason = {} if address.endswith("/runs") else REASON
    answer = client.post(f"/api/{address}", {**reason, **(body or {})})
    assert status is None or answer.status_code == status, answer.content
    return answer.json()


def _bare(client: Any, address: str, body: dict[str, Any]) -> None:
    answer = client.post(f"/api/{address}", body)
    assert answer.status_code < 300, answer.content


def _work(people: plant.People, sn: str, *operations: str, result: str = "PASS") -> None:
    for operation in operations:
        station = plant.station_of(operation, "LINE-A")
        _bare(people.operator, f"stations/{station}/track-in", {"sn": sn})
        _bare(people.operator, f"stations/{station}/track-out", {"sn": sn, "result": result})


@pytest.fixture
def people(db: None, settings: Any) -> plant.People:
    """An order with run R-1 in progress (one board done, one begun, one scrapped, one not begun) and R-2 beside it, and
    an ended run R-0 of another order with a board that is done.
    """
    settings.MES_ERP_URL = "https://erp.invalid/"
    people = plant.make()
    for wo_no, quantity in (("WO-0", 5), ("WO-1", 20), ("WO-2", 5)):
        body = {"woNo": wo_no, "productCode": plant.BOARD, "plannedQty": quantity}
        _bare(people.supervisor, "work-orders", body)
        _bare(people.supervisor, f"work-orders/{wo_no}/release", {"lineCode": "LINE-A"})
    for wo_no, run_no, sns in (
        ("WO-0", "R-0", ["D1"]),
        ("WO-1", "R-1", ["B1", "B2", "B3", "B4"]),
        ("WO-1", "R-2", ["C1"]),
        ("WO-1", "R-3", ["C2"]),
    ):
        body = {"lineCode": "LINE-A", "planQty": 5, "runNo": run_no}
        _post(people.supervisor, f"work-orders/{wo_no}/runs", body, 201)
        _bare(people.supervisor, f"runs/{run_no}/units", {"sns": sns})
        if run_no != "R-3":
            _bare(people.supervisor, f"runs/{run_no}/authorize", {"action": "AUTHORIZE"})
    _post(people.supervisor, "work-orders/WO-1/runs", {"lineCode": "LINE-A", "planQty": 2, "runNo": "R-8"}, 201)
    _bare(people.supervisor, "runs/R-8/authorize", {"action": "AUTHORIZE"})
    _bare(people.operator, "lines/LINE-A/active-run", {"runNo": "R-8"})
    with TestCase.captureOnCommitCallbacks(execute=True):
        _work(people, "D1", "PRINT", "INSPECT", "TEST")
        _post(people.supervisor, "runs/R-0/close", status=200)
        _work(people, "B1", "PRINT", "INSPECT", "TEST")
        _work(people, "B2", "PRINT")
        _work(people, "B3", "PRINT")
        _post(people.supervisor, "units/B3/scrap", status=200)
    return people


def _close(people: plant.People) -> None:
    for sn in ("B2",):
        _post(people.supervisor, f"units/{sn}/scrap")
    _post(people.supervisor, "runs/R-1/close", status=200)


def _return(people: plant.People) -> None:
    body = {"lineCode": "LINE-A", "planQty": 1, "runNo": "R-9", "kind": "REWORK"}
    _post(people.supervisor, "work-orders/WO-1/runs", body, 201)
    _post(people.supervisor, "runs/R-9/units/return", {"sns": ["D1"]}, 200)


def _undo_scrap(people: plant.People) -> None:
    asked = _post(people.supervisor, "units/B3/unscrap", status=202)
    _post(people.quality, f"approvals/{asked['data']['approvalId']}/approve", status=200)


def _deviate(people: plant.People) -> None:
    body = {"type": "SKIP", "stepNo": 20, "expiresAt": (timezone.now() + timedelta(days=1)).isoformat()}
    asked = _post(people.supervisor, "runs/R-1/deviations", body, 202)
    _post(people.quality, f"approvals/{asked['data']['approvalId']}/approve", status=200)


def _report(people: plant.People) -> None:
    body = {
        "dedupeKey": "E-1",
        "sourceSystem": "PRINTERS",
        "eventType": "AUTO",
        "occurredAt": timezone.now().isoformat(),
        "payload": {"sn": "B4", "station": "PRINT-A", "result": "OK"},
    }
    _bare(people.machine, "ingest/events", body)


ACTS: dict[str, Act] = {
    "hold a run": lambda people: _post(people.supervisor, "runs/R-1/hold", status=200),
    "hold a line and let it go on": lambda people: (
        _post(people.operator, "lines/LINE-A/hold", status=200),
        _post(people.supervisor, "lines/LINE-A/resume", status=200),
    ),
    "close a run with boards that were not made": _close,
    "reopen a run": lambda people: _post(people.supervisor, "runs/R-0/reopen", status=200),
    "cancel an order with its run": lambda people: _post(people.supervisor, "work-orders/WO-2/cancel", status=200),
    "split": lambda people: _post(people.supervisor, "runs/R-1/split", {"planQty": 1, "sns": ["B4"]}, 201),
    "move": lambda people: _post(people.supervisor, "runs/R-1/units/move", {"sns": ["B2"], "toRunNo": "R-2"}, 200),
    "take back": lambda people: _post(people.supervisor, "runs/R-2/units/move", {"sns": ["C1"], "toRunNo": None}, 200),
    "return": lambda people: (
        _post(
            people.supervisor,
            "work-orders/WO-1/runs",
            {"lineCode": "LINE-A", "planQty": 1, "runNo": "R-9", "kind": "REWORK"},
            201,
        ),
        _post(people.supervisor, "runs/R-9/units/return", {"sns": ["D1"]}, 200),
    ),
    "undo a scrap": _undo_scrap,
    "skip a step": _deviate,
    "relabel": lambda people: _post(people.supervisor, "units/B2/relabel", {"newSn": "N2"}, 200),
    "activate": lambda people: _bare(people.operator, "lines/LINE-A/active-run", {"runNo": "R-2"}),
    "work": lambda people: _work(people, "B2", "INSPECT", "TEST"),
    "report": _report,
    "make on the fly": lambda people: _bare(people.operator, "stations/PRINT-A/track-in", {"sn": "F1"}),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_kill_between_any_two_statements_leaves_nothing_broken(people: plant.People, name: str) -> None:
    statement, was_killed = 0, True
    while was_killed:
        was_killed = False
        with suppress(Killed), transaction.atomic():
            try:
                with connection.execute_wrapper(Killer(statement)), TestCase.captureOnCommitCallbacks(execute=True):
                    ACTS[name](people)
            except Killed:
                was_killed = True
            assert check_integrity() == [], f"killed before statement {statement}"
            transaction.set_rollback(True)
        statement += 1
    assert statement > 3
