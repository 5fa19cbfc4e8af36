"""Reports at the same time: each counts once, and the latest by event time counts."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from integration.models import SettledMessage
from mes.line_setup import usages
from mes.line_setup.models import SolderPasteUsage, Tool
from mes.platform.inbound import keys
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.outbox.models import MesEvent
from mes.status_reports.models import Reported, StatusReport
from tests.factories import make_line
from tests.integration.helpers import another, at_once, moment


def send(client: APIClient, name: str, body: dict[str, Any]) -> Callable[[], int]:
    return lambda: another(client).post(f"/api/integration/{name}", body).status_code


def stencil_report(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "eventId": f"e{number}",
        "eventTime": moment(minutes=60 - number),
        "source": "AUTO",
        "stencilId": "ST-1",
        "status": "READY" if number % 2 else "NOT_READY",
        "version": str(number),
        **fields,
    }


def test_one_event_at_once_counts_once(person):
    body = stencil_report(1)
    assert Counter(at_once(send(person, "stencil-status", body), times=6)) == {201: 1, 200: 5}
    assert StatusReport.objects.count() == IdempotencyKey.objects.count() == 1
    assert Counter(SettledMessage.objects.values_list("status", flat=True)) == {"SUCCESS": 1, "DUPLICATE": 5}


def test_of_two_contents_of_one_id_one_wins(person):
    bodies = [stencil_report(1, version=str(version)) for version in range(4)]
    answers = at_once(*(send(person, "stencil-status", body) for body in bodies))
    assert Counter(answers) == {201: 1, 409: 3}
    assert Tool.objects.count() == StatusReport.objects.count() == 1


def test_control_without_the_key_an_event_counts_more_than_once(person, monkeypatch):
    monkeypatch.setattr(keys, "CLAIM", "SELECT 1")
    at_once(send(person, "stencil-status", stencil_report(1)), times=4)
    assert StatusReport.objects.count() == 4


def reports_at_once(person: APIClient) -> None:
    answers = at_once(*(send(person, "stencil-status", stencil_report(number)) for number in range(8)))
    assert set(answers) == {201}


def test_the_latest_counts_of_many_at_once(person):
    reports_at_once(person)
    stencil = Tool.objects.get()
    assert (stencil.version, stencil.status) == ("7", "READY")


def test_control_without_the_row_lock_an_older_report_may_count(person, without_locks, slow):
    Tool.objects.create(tool_id="ST-1")
    slow(Reported, "apply_report", after=0.3)
    lost = False
    for _attempt in range(5):
        Tool.objects.update(field_sources={}, status="", version="")
        IdempotencyKey.objects.all().delete()
        reports_at_once(person)
        lost |= Tool.objects.get().version != "7"
    assert lost


def test_issue_return_and_unbinding_at_once_are_told_once_each(person):
    make_line("SMT-A")
    lot = {"lotId": "L-1"}
    person.post("/api/integration/lines/SMT-A/solder-paste/bind", lot)
    issued = moment(hours=2)

    def report(event_id: str, **fields: str) -> dict[str, Any]:
        return {"eventId": event_id, "eventTime": moment(), "source": "AUTO", **lot, **fields}

    at_once(
        send(person, "solder-paste-usage", report("e1", issuedAt=issued)),
        send(person, "solder-paste-usage", report("e2", issuedAt=issued, lineCode="SMT-A")),
        send(person, "solder-paste-usage", report("e3", returnedAt=moment(hours=1))),
        send(person, "lines/SMT-A/solder-paste/unbind", lot),
    )
    usage = SolderPasteUsage.objects.get()
    assert usage.line is not None and usage.returned_at is not None
    kinds = Counter(MesEvent.objects.values_list("event_type", flat=True))
    assert kinds["SOLDER_PASTE_USAGE_CREATE"] == 1
    ends = MesEvent.objects.filter(event_type="SOLDER_PASTE_USAGE_UNBIND").order_by("occurred_at")
    assert ends.count() <= 2 and ends[0].occurred_at == usage.returned_at


@pytest.mark.parametrize("attempt", range(3))
def test_control_without_the_lots_lock_a_report_is_lost(person, without_locks, slow, attempt):
    slow(usages, "merge_usages", after=0.3)
    issued = moment(hours=2)
    envelope = {"eventTime": moment(), "source": "AUTO", "lotId": "L-1"}
    send(person, "solder-paste-usage", {"eventId": "e0", "issuedAt": issued, **envelope})()
    make_line("SMT-A")
    at_once(
        send(person, "solder-paste-usage", {"eventId": "e1", "issuedAt": issued, "lineCode": "SMT-A", **envelope}),
        send(person, "solder-paste-usage", {"eventId": "e2", "returnedAt": moment(hours=1), **envelope}),
    )
    usage = SolderPasteUsage.objects.get()
    assert usage.line is None or usage.returned_at is None
