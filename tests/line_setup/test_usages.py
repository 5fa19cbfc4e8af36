"""The use of solder paste: told to the outbox once each, at its own times, whatever the order of reports and scans."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import print_counts
from mes.line_setup.loads.models import Load
from mes.line_setup.models import SolderPasteUsage, Tool
from mes.line_setup.usages import refresh
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from mes.status_reports.models import StatusReport
from tests.execution.support import assert_done, track_in, track_out
from tests.factories import api_client, make_line, make_plant

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.fixture
def admin() -> APIClient:
    make_line("SMT-A")
    return api_client()


def report(client: APIClient, event_id: str, hours_ago: float, lot: str = "L-1", **fields: Any) -> dict[str, Any]:
    """Report of a lot; numbers are times so many hours ago."""
    said = {name: ago(value).isoformat() if isinstance(value, int | float) else value for name, value in fields.items()}
    body = {"eventId": event_id, "eventTime": ago(hours_ago).isoformat(), "source": "AUTO", "lotId": lot, **said}
    return assert_done(client.post("/api/integration/solder-paste-usage", body), 201)


def scan(client: APIClient, action: str, lot: str = "L-1", line: str = "SMT-A", **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/integration/lines/{line}/solder-paste/{action}", {"lotId": lot, **body})
    return assert_done(answer, 201 if action == "bind" else 200)


def events() -> list[tuple[str, str, datetime]]:
    kinds = MesEvent.objects.filter(event_type__startswith="SOLDER_PASTE").order_by("id")
    return [(event.event_type.rsplit("_", 1)[1], event.entity_id, event.occurred_at) for event in kinds]


def usages() -> list[tuple[datetime, datetime | None]]:
    return list(SolderPasteUsage.objects.order_by("issued_at").values_list("issued_at", "returned_at"))


def test_issue_and_return_are_told_at_their_times(admin):
    issued = report(admin, "e1", 5, issuedAt=6, lineCode="SMT-A")
    assert (issued["lineCode"], issued["returnedAt"]) == ("SMT-A", None)
    returned = report(admin, "e2", 1, returnedAt=2)
    assert returned["usageId"] == issued["usageId"]
    assert usages() == [(ago(6), ago(2))]
    assert events() == [("CREATE", "L-1", ago(6)), ("UNBIND", "L-1", ago(2))]
    event = MesEvent.objects.earliest("id")
    assert event.idempotency_key == f"solder-paste-usage-create:{issued['usageId']}"
    assert (event.entity_type, event.payload["lineCode"], event.payload["lineId"]) == (
        "SOLDER_PASTE_LOT",
        "SMT-A",
        make_line("SMT-A").pk,
    )
    assert event.payload["issuedAt"] == ago(6).astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_a_return_waits_for_its_issue(admin):
    waiting = report(admin, "e1", 1, returnedAt=2)
    assert (waiting["usageId"], usages(), events()) == (None, [], [])
    report(admin, "e2", 0.5, issuedAt=6)
    assert usages() == [(ago(6), ago(2))]
    assert events() == [("CREATE", "L-1", ago(6)), ("UNBIND", "L-1", ago(2))]


def test_reports_of_one_issue_merge(admin):
    first = report(admin, "e1", 5, issuedAt=6)
    again = report(admin, "e2", 4, issuedAt=6, lineCode="SMT-A", receivedAt=9, thawedAt=8)
    assert again["usageId"] == first["usageId"]
    usage = SolderPasteUsage.objects.get()
    assert (usage.line, usage.received_at, usage.thawed_at) == (make_line("SMT-A"), ago(9), ago(8))
    assert events() == [("CREATE", "L-1", ago(6)), ("THAW", "L-1", ago(8))]


def test_unbinding_ends_the_use_once(admin):
    scan(admin, "bind")
    report(admin, "e1", 5, issuedAt=6)
    assert MesEvent.objects.latest("id").payload["lineCode"] == "SMT-A", "the line it is bound to, where none is named"
    unbound = datetime.fromisoformat(scan(admin, "unbind")["unboundAt"])
    scan(admin, "unbind")
    assert usages() == [(ago(6), unbound)]
    assert events() == [("CREATE", "L-1", ago(6)), ("UNBIND", "L-1", unbound)]


def test_replacing_the_lot_ends_its_use(admin):
    scan(admin, "bind")
    report(admin, "e1", 5, issuedAt=6)
    scan(admin, "bind", lot="L-2", replace=True)
    assert [kind for kind, _lot, _at in events()] == ["CREATE", "UNBIND"]


def test_binding_alone_begins_no_use(admin):
    scan(admin, "bind")
    scan(admin, "unbind")
    assert (usages(), events()) == ([], [])


def test_a_return_reported_late_that_was_before_the_unbinding_is_told_again(admin):
    scan(admin, "bind")
    report(admin, "e1", 5, issuedAt=6)
    unbound = datetime.fromisoformat(scan(admin, "unbind")["unboundAt"])
    report(admin, "e2", 1, returnedAt=2)
    assert usages() == [(ago(6), ago(2))]
    assert events() == [("CREATE", "L-1", ago(6)), ("UNBIND", "L-1", unbound), ("UNBIND", "L-1", ago(2))]


def test_a_return_after_the_unbinding_is_not_told(admin):
    scan(admin, "bind")
    report(admin, "e1", 5, issuedAt=6)
    Load.objects.update(loaded_at=ago(6), ended_at=ago(3))
    refresh(SolderPasteUsage.objects.get().lot)
    report(admin, "e2", 1, returnedAt=2)
    assert usages() == [(ago(6), ago(3))]
    assert events() == [("CREATE", "L-1", ago(6)), ("UNBIND", "L-1", ago(3))]


REPORTS: list[Callable[[APIClient], Any]] = [
    lambda client: report(client, "e0", 9.5, receivedAt=10, thawedAt=9.5),
    lambda client: report(client, "e1", 9, issuedAt=9, lineCode="SMT-A"),
    lambda client: report(client, "e2", 6, returnedAt=6),
    lambda client: report(client, "e3", 5, issuedAt=5),
    lambda client: report(client, "e4", 1, issuedAt=5, returnedAt=2),
]


@pytest.mark.parametrize("order", list(permutations(range(5)))[::7])
def test_the_order_of_arrival_plays_no_part(admin, order):
    for index in order:
        REPORTS[index](admin)
    assert usages() == [(ago(9), ago(6)), (ago(5), ago(2))]
    first = SolderPasteUsage.objects.earliest("issued_at")
    assert (first.received_at, first.thawed_at, first.line) == (ago(10), ago(9.5), make_line("SMT-A"))
    told = set(events())
    begun = {("CREATE", "L-1", ago(9)), ("CREATE", "L-1", ago(5)), ("THAW", "L-1", ago(9.5))}
    assert begun | {("UNBIND", "L-1", ago(6))} <= told
    assert {at for kind, _lot, at in told if kind == "UNBIND"} == {ago(6), ago(2)}
    assert len(events()) == len(told) == 5


def test_what_reports_said_that_are_gone_stays(admin):
    report(admin, "e1", 5, issuedAt=6, lineCode="SMT-A")
    report(admin, "e2", 3, issuedAt=6, returnedAt=4)
    StatusReport.objects.all().delete()
    report(admin, "e3", 1, issuedAt=2)
    assert usages() == [(ago(6), ago(4)), (ago(2), None)]


def test_lists(admin, django_assert_num_queries):
    for number in range(3):
        report(admin, f"e{number}", 5, lot=f"L-{number}", issuedAt=6)
    for path, key in (("solder-paste-usages", "lotId"), ("solder-paste-lots", "lotId")):
        with django_assert_num_queries(1):
            listed = assert_done(admin.get(f"/api/{path}"))["items"]
        assert [item[key] for item in listed] == ["L-2", "L-1", "L-0"]
        assert len(assert_done(admin.get(f"/api/{path}", {"lotId": "L-1"}))["items"]) == 1


# --- what a stencil is used for -----------------------------------------------------------------------------


def test_boards_are_counted_for_the_stencil_bound_when_they_were_printed():
    make_plant(units=3)
    admin = api_client()
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-1"})
    for sn in ("SN-1", "SN-2"):
        track_in(admin, sn=sn)
        track_out(admin, sn=sn)
    track_in(admin, "REF-01")
    track_out(admin, "REF-01")
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-2", "replace": True})
    track_in(admin, sn="SN-3")
    track_out(admin, sn="SN-3")
    MesEvent.objects.update(next_attempt_at=ago(1))
    processor.process_due()
    counts = dict(Tool.objects.values_list("tool_id", "uses_since_service"))
    assert counts == {"ST-1": 2, "ST-2": 1}


def test_boards_printed_before_the_cleaning_do_not_count():
    make_plant()
    admin = api_client()
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-1"})
    track_in(admin)
    track_out(admin)
    Tool.objects.update(serviced_at=timezone.now())
    MesEvent.objects.update(next_attempt_at=ago(1))
    processor.process_due()
    assert Tool.objects.get().uses_since_service == 0


def test_boards_counted_in_a_set_count_as_one_by_one():
    make_plant(units=4)
    admin = api_client()
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-1"})
    for sn in ("SN-1", "SN-2"):
        track_in(admin, sn=sn)
        track_out(admin, sn=sn)
    Tool.objects.update(serviced_at=timezone.now())
    track_in(admin, sn="SN-3")
    track_out(admin, sn="SN-3")
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-2", "replace": True})
    track_in(admin, sn="SN-4")
    track_out(admin, sn="SN-4")
    events = list(MesEvent.objects.filter(event_type="TRACK_OUT"))
    assert {event.status for event in events} == {"PENDING"}  # wanted, though no rule asks for them
    for handle in (print_counts.count_prints, lambda events: [print_counts.HANDLER(event) for event in events]):
        Tool.objects.update(uses_since_service=10)
        handle(events)
        assert dict(Tool.objects.values_list("tool_id", "uses_since_service")) == {"ST-1": 11, "ST-2": 11}


def test_a_print_whose_result_a_review_changed_counts_once():
    make_plant()
    admin = api_client()
    admin.post("/api/integration/lines/SMT-A/stencil/bind", {"stencilId": "ST-1"})
    track_in(admin)
    track_out(admin)
    event = MesEvent.objects.get(event_type="TRACK_OUT")
    review = MesEvent(
        event_type="TRACK_OUT", occurred_at=event.occurred_at, payload={**event.payload, "supersedes": "track-out:1"}
    )
    print_counts.count_prints([event, review])
    assert Tool.objects.get().uses_since_service == 1
