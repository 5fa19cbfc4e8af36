"""A wrong scan is put right: marks are voided, and the loads are read again."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.line_setup.loads import corrections, hooks
from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.set_up_lists.models import RunSetUpList
from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.platform.outbox.models import MesEvent
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_plant
from tests.line_setup.loads.support import PLACER, ago, make_placers, make_reel, scan, take_out, text, there, told
from tests.line_setup.set_up_lists.support import make_list, part

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> APIClient:
    make_placers()
    for lot in ("A", "B", "C"):
        make_reel(lot)
    return api_client(Role.OPERATOR)


@pytest.fixture
def supervisor(operator: APIClient) -> APIClient:
    return api_client(Role.SUPERVISOR)


def load(client: APIClient, slot: str, lot: str, minutes: float, **body: Any) -> str:
    return assert_done(scan(client, slot, lot, at=text(ago(minutes)), **body), 201)["id"]


def correct(client: APIClient, load_id: str, **body: Any) -> Any:
    return client.post(f"/api/loads/{load_id}/correct", {"reason": "the wrong box", **body})


def test_a_void_load_brings_back_what_it_ended(operator, supervisor):
    load(operator, "F1", "A", 9)
    before = told()
    wrong = load(operator, "F1", "B", 5, action="REPLACE")
    scan(operator, "F1", "B")  # repeated
    answer = assert_done(correct(supervisor, wrong, isVoid=True))
    assert answer == {"load": None, "gained": 0, "lost": 0}
    assert told() == before
    assert LoadMark.objects.filter(void_reason="the wrong box").count() == 2
    assert_refused(correct(supervisor, wrong, isVoid=True), "LOAD_NOT_FOUND", 404)
    event = MesEvent.objects.get(event_type="MATERIAL_CORRECTED")
    assert (event.payload["loadId"], event.payload["newLoadId"]) == (int(wrong), None)


def test_another_lot_goes_and_ends_as_the_wrong_one_did(operator, supervisor):
    wrong = load(operator, "F1", "A", 9)
    assert_done(take_out(operator, slot="F1", lotId="A", at=text(ago(3))))
    [(_slot, _lot, since, until)] = told()
    right = assert_done(correct(supervisor, wrong, lotId="B"))["load"]
    assert told() == [("F1", "B", since, until)]
    again = assert_done(correct(supervisor, right["id"], lotId="C"))["load"]  # a correction of a corrected load
    assert told() == [("F1", "C", since, until)]
    assert again["id"] not in (wrong, right["id"])
    changes = MesEvent.objects.filter(event_type="LOAD_CHANGED").order_by("id")
    assert [int(right["id"]) in change.payload["loadIds"] for change in changes] == [False, False, True, True]


def test_another_slot_and_another_beginning(operator, supervisor):
    wrong = load(operator, "F1", "A", 9)
    moved = assert_done(correct(supervisor, wrong, slot="F2"))["load"]
    assert there() == [(PLACER, "F2", "A", "ACTIVE")]
    earlier = ago(20)
    assert_done(correct(supervisor, moved["id"], **{"from": text(earlier)}))
    assert told() == [("F2", "A", earlier, None)]


def test_a_load_that_the_wrong_one_took_from_another_line_is_there_again(operator, supervisor):
    load(operator, "F1", "A", 9, station="SMT-12")
    wrong = load(operator, "F1", "A", 5, move=True)
    assert_done(correct(supervisor, wrong, lotId="B"))
    assert there() == [(PLACER, "F1", "B", "ACTIVE"), ("SMT-12", "F1", "A", "ACTIVE")]


def test_what_it_now_names_is_compared_with_the_list_that_counts(operator, supervisor):
    plant = make_plant(units=1)
    RunSetUpList.objects.create(run=plant.run, set_up_list=make_list(plant, part("F1")))
    make_reel("WRONG", "C-100N")
    wrong = load(operator, "F1", "A", 9, station="SMT-01")
    scan(operator, "F1", "A", station="SMT-01")  # repeated
    right = assert_done(correct(supervisor, wrong, lotId="WRONG"))["load"]
    elsewhere = assert_done(correct(supervisor, right["id"], slot="F9"))["load"]  # which no list names
    assert (right["verify"], elsewhere["verify"]) == ("WRONG_PART", "NO_LIST")
    marks = LoadMark.objects.order_by("id").values_list("verify", "run__run_no")
    assert list(marks) == [("PASS", "RUN-1")] * 2 + [("WRONG_PART", "RUN-1")] * 2 + [("NO_LIST", None)] * 2


def test_who_counts_units_says_what_changed(operator, supervisor, monkeypatch):
    watched: list[Any] = []

    def watch(lots: Any, tools: Any, since: Any) -> Any:
        watched.append((list(lots), Load.objects.count()))
        return lambda: (3, 4)

    hook: Hook[Any] = Hook()
    hook.register(watch)
    monkeypatch.setattr(hooks, "correction_watchers", hook)
    answer = assert_done(correct(supervisor, load(operator, "F1", "A", 9), lotId="B"))
    assert (answer["gained"], answer["lost"], len(watched[0][0])) == (3, 4, 2)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({}, "VALIDATION_ERROR", 400),
        ({"isVoid": True, "slot": "F2"}, "VALIDATION_ERROR", 400),
        ({"isVoid": True, "reason": " "}, "VALIDATION_ERROR", 400),
        ({"slot": "F\u200b"}, "VALIDATION_ERROR", 400),
        ({"lotId": "NONE"}, "LOT_NOT_FOUND", 404),
        ({"from": "2999-01-01T00:00:00Z"}, "VALIDATION_ERROR", 400),
        ({"from": "2190-01-01T00:00:00Z"}, "EVENT_TIME_IN_FUTURE", 422),
    ],
    ids=repr,
)
def test_bad_corrections(operator, supervisor, body, code, status):
    wrong = load(operator, "F1", "A", 9)
    before = told()
    assert_refused(correct(supervisor, wrong, **body), code, status)
    assert told() == before


def test_it_does_not_begin_after_it_ended_meanwhile(operator, supervisor, monkeypatch):
    wrong = load(operator, "F1", "A", 9)
    lock_and_read = corrections.lock_and_read

    def after_it_was_taken_out(*args: Any) -> Any:
        assert_done(take_out(operator, slot="F1", at=text(ago(5))))
        return lock_and_read(*args)

    monkeypatch.setattr(corrections, "lock_and_read", after_it_was_taken_out)
    assert_refused(correct(supervisor, wrong, **{"from": text(ago(2))}), "VALIDATION_ERROR", 400)


def test_it_ends_after_it_began_and_operators_correct_nothing(operator, supervisor):
    wrong = load(operator, "F1", "A", 9)
    load(operator, "F1", "B", 5, action="REPLACE")
    assert_refused(correct(supervisor, wrong, **{"from": text(ago(2))}), "VALIDATION_ERROR", 400)
    assert_refused(correct(operator, wrong, isVoid=True), "PERMISSION_DENIED", 403)
