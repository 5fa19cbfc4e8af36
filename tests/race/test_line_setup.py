"""Scans at the same time: one current stencil of a line, one line of a stencil, and a clear answer for everyone."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import bindings, print_counts
from mes.line_setup.models import LineBinding, Tool
from mes.platform.outbox.models import MesEvent
from tests.factories import make_line
from tests.integration.helpers import another, at_once

SCANS = 4


def scan(client: APIClient, line: str, code: str, **body: Any) -> Callable[[], tuple[int, str]]:
    def make() -> tuple[int, str]:
        answer = another(client).post(f"/api/integration/lines/{line}/stencil/bind", {"stencilId": code, **body})
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    return make


def bound() -> list[tuple[str, str]]:
    rows = LineBinding.objects.filter(unbound_at=None).values_list("line__code", "stencil__tool_id")
    return sorted((line, str(stencil)) for line, stencil in rows)


@pytest.fixture
def lines(transactional_db: None) -> None:
    make_line("SMT-A")
    make_line("SMT-B")


@pytest.fixture
def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "lock_line_setup", lambda: None)


def test_one_of_two_stencils_wins_the_line(person, lines):
    answers = at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(6)))
    assert Counter(answers) == {(201, ""): 1, (409, "LINE_OCCUPIED"): 5}
    assert len(bound()) == 1


def test_one_of_two_lines_wins_the_stencil(person, lines):
    answers = at_once(scan(person, "SMT-A", "ST-1"), scan(person, "SMT-B", "ST-1"), times=3)
    assert Counter(code for _status, code in answers)["BOUND_ELSEWHERE"] == 3
    assert len(bound()) == 1


def test_the_same_scan_at_once_binds_once(person, lines):
    answers = at_once(scan(person, "SMT-A", "ST-1"), times=6)
    assert Counter(answers) == {(201, ""): 1, (200, ""): 5}


def test_crossing_replacements_end_in_some_order(person, lines):
    scan(person, "SMT-A", "ST-1")()
    scan(person, "SMT-B", "ST-2")()
    answers = at_once(scan(person, "SMT-A", "ST-2", replace=True), scan(person, "SMT-B", "ST-1", replace=True), times=4)
    assert {status for status, _code in answers} <= {200, 201}
    both = [("SMT-A", "ST-2"), ("SMT-B", "ST-1")]
    assert bound() == both


@pytest.fixture
def all_before_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody write a binding before all have looked for what is in the way; nobody gets there where one waits."""
    create, barrier = LineBinding.objects.create, Barrier(SCANS, timeout=30)

    def create_together(**fields: Any) -> LineBinding:
        barrier.wait()
        return create(**fields)

    monkeypatch.setattr(LineBinding.objects, "create", create_together)


def test_control_without_the_lock_the_constraint_still_holds_but_the_answer_is_poor(
    person, lines, without_lock, all_before_writing
):
    answers = at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(SCANS)))
    assert len(bound()) == 1
    assert Counter(answers) == {(201, ""): 1, (400, "VALIDATION_ERROR"): SCANS - 1}


def test_control_without_lock_and_constraint_two_stencils_are_bound(
    person,
    lines,
    without_lock,
    all_before_writing,
    without_constraint: Callable[[type, str], AbstractContextManager[None]],
):
    with without_constraint(LineBinding, "line_binding_one_current_per_line"):
        at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(SCANS)))
        assert len(bound()) == SCANS


# --- what a stencil is used for -----------------------------------------------------------------------------


def count_while_it_is_cleaned() -> int:
    """Count a print while somebody has cleaned its stencil since, but has not committed; return the stencil's count."""
    stencil = Tool.objects.create(tool_id="ST-1")
    line = make_line("SMT-A")
    printed_at = timezone.now()
    LineBinding.objects.create(line=line, kind="STENCIL", stencil=stencil, bound_at=printed_at, bound_by="x")
    payload = {"operationKind": "PRINT", "lineId": line.pk}
    event = MesEvent(event_type="TRACK_OUT", occurred_at=printed_at, payload=payload)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Tool.objects.update(serviced_at=timezone.now(), uses_since_service=0)
            counting = pool.submit(_alone, lambda: print_counts.count_prints([event, event]))
            with pytest.raises(TimeoutError):
                counting.result(timeout=0.3)  # it waits for the stencil
        counting.result(timeout=30)
    stencil.refresh_from_db()
    return stencil.uses_since_service


def _alone(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connection.close()


def test_a_stencil_that_was_cleaned_meanwhile_counts_no_print_from_before(transactional_db: None) -> None:
    assert count_while_it_is_cleaned() == 0


def test_control_without_the_lock_it_counts_them(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_counts, "COUNT", print_counts.COUNT.replace("FOR NO KEY UPDATE", ""))
    assert count_while_it_is_cleaned() == 2
