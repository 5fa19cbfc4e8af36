"""What changes of a run after its end corrects what the ERP was told; the highest number is right."""

from datetime import timedelta

import pytest
from django.utils import timezone

from demo.erp import Erp
from integration.models import IntegrationMessage, RunReport
from integration.outbound import completion, delivery
from mes.platform.monitoring.integrity import check_integrity
from mes.platform.outbox import processor
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.models import Run, Unit
from mes.production.run_counts import counts_changed
from tests.execution.support import assert_done, assert_refused, decide
from tests.integration.outbound.conftest import close, make_done
from tests.platform.outbox.support import make_event

pytestmark = pytest.mark.django_db


def messages() -> list[dict]:
    return [event.payload for event in MesEvent.objects.filter(event_type="OUTBOUND_FEEDBACK").order_by("id")]


def work_off_changes() -> None:
    """Have the changes of counts handled, and deliver nothing yet."""
    outbound = MesEvent.objects.filter(event_type="OUTBOUND_FEEDBACK", status="PENDING")
    outbound.update(next_attempt_at=timezone.now() + timedelta(hours=1))
    changes = MesEvent.objects.filter(event_type="RUN_COUNTS_CHANGED", status="PENDING")
    changes.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    processor.process_due()


def deliver(*, newest_first: bool = False) -> None:
    """Let the messages be tried, one after the other in this order."""
    waiting = MesEvent.objects.filter(event_type="OUTBOUND_FEEDBACK", status__in=["PENDING", "FAILED"])
    for event in waiting.order_by("-id" if newest_first else "id"):
        MesEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=1))
        delivery.pause.end()  # as if it had passed
        processor.process_due()


def latest(erp: Erp) -> dict:
    """What an ERP knows that keeps to the rule: the highest number wins, a completion has none."""
    return max((received.body for received in erp.received.values()), key=lambda body: body.get("correctionNo", 0))


@pytest.fixture
def ended(admin, erp):
    for unit in Unit.objects.all():
        make_done(unit)
    close(admin)
    return admin


def set_status(status: str) -> None:
    """Reopen the run, or end it again, as the acts on runs do."""
    Run.objects.update(status=status)
    counts_changed(Run.objects.values_list("pk", flat=True), reason=f"{status} now", by="sam")


def test_a_scrap_after_the_end_is_a_correction_with_the_whole_body(ended):
    [told] = messages()
    assert_done(decide(ended, "scrap", reason="cracked"))
    work_off_changes()
    _told, correction = messages()
    by = correction.pop("by")
    assert by.startswith("token:")
    assert {name: correction[name] for name in ("businessKey", "runKind", "run", "route")} == {
        name: told[name] for name in ("businessKey", "runKind", "run", "route")
    }
    assert (correction["type"], correction["idempotencyKey"]) == ("RUN_CORRECTION_V1", "RUN_CORRECTION_V1:RUN-1:1")
    assert (correction["correctionNo"], correction["reason"]) == (1, "cracked")
    assert correction["previousUnitCounts"] == told["unitCounts"]
    assert (told["unitCounts"]["DONE"], correction["unitCounts"]["DONE"]) == (2, 1)
    assert (correction["unitCounts"]["SCRAPPED"], correction["unitCounts"]["total"]) == (1, 2)
    assert Run.objects.get().correction_no == 1


def test_hold_and_release_that_were_over_before_it_was_handled_correct_nothing(ended):
    assert_done(decide(ended, "hold"))
    assert_done(decide(ended, "release"))
    work_off_changes()
    assert len(messages()) == 1


def test_each_later_change_has_the_next_number_and_says_what_was_told_before(ended):
    for act in ("hold", "release", "scrap"):
        assert_done(decide(ended, act, reason=act))
        work_off_changes()
    _told, *corrections = messages()
    assert [(body["correctionNo"], body["reason"]) for body in corrections] == [
        (1, "hold"),
        (2, "release"),
        (3, "scrap"),
    ]
    for before, after in zip(messages(), corrections, strict=False):
        assert after["previousUnitCounts"] == before["unitCounts"]


def test_a_run_that_is_reopened_and_ends_again_is_corrected_and_completed_once(ended):
    set_status("IN_PROGRESS")
    work_off_changes()
    assert [body["run"]["status"] for body in messages()] == ["COMPLETED", "IN_PROGRESS"]
    Unit.objects.filter(sn="SN-1").update(status="SCRAPPED")
    set_status("IN_PROGRESS")
    work_off_changes()
    assert len(messages()) == 2, "what moves in a run that is open again is told when it ends"
    close(ended)
    work_off_changes()
    assert [(body["type"], body.get("correctionNo")) for body in messages()] == [
        ("RUN_COMPLETION_V1", None),
        ("RUN_CORRECTION_V1", 1),
        ("RUN_CORRECTION_V1", 2),
    ]
    assert (messages()[-1]["run"]["status"], messages()[-1]["unitCounts"]["SCRAPPED"]) == ("COMPLETED", 1)


@pytest.mark.parametrize("kind", ["ENGINEERING", "REWORK", "PRODUCTION"])
def test_an_engineers_run_is_not_told_others_say_their_kind(admin, erp, kind):
    Run.objects.update(kind=kind)
    close(admin)
    assert_done(decide(admin, "scrap"))
    work_off_changes()
    kinds = [body["runKind"] for body in messages()]
    assert kinds == ([] if kind == "ENGINEERING" else [kind, kind])
    if kind == "ENGINEERING":
        asked = admin.post("/api/integration/outbound/erp/runs/RUN-1/completion")
        assert_refused(asked, "RUN_NOT_REPORTED")
        assert messages() == [] and not RunReport.objects.exists()


def test_a_cancelled_run_is_not_told(admin, erp):
    Run.objects.update(status="CANCELLED")
    completion.tell_erp(Run.objects.get())
    assert messages() == []
    assert_refused(admin.post("/api/integration/outbound/erp/runs/RUN-1/completion"), "INVALID_TRANSITION")


def test_without_an_erp_nothing_is_sent_and_later_it_is_asked_for(ended, settings):
    address, settings.MES_ERP_URL = settings.MES_ERP_URL, ""
    assert_done(decide(ended, "scrap"))
    work_off_changes()
    assert len(messages()) == 1
    assert check_integrity() == []
    settings.MES_ERP_URL = address
    assert [finding.rule for finding in check_integrity()] == ["ERP_MESSAGE"]
    asked = assert_done(ended.post("/api/integration/outbound/erp/runs/RUN-1/completion"), 201)
    assert (asked["type"], asked["payload"]["unitCounts"]["SCRAPPED"]) == ("RUN_CORRECTION_V1", 1)
    again = assert_done(ended.post("/api/integration/outbound/erp/runs/RUN-1/completion"), 200)
    assert again["id"] == asked["id"]
    assert check_integrity() == []


def test_a_run_that_was_never_told_is_not_corrected(admin, erp, settings):
    address, settings.MES_ERP_URL = settings.MES_ERP_URL, ""
    close(admin)
    settings.MES_ERP_URL = address
    assert_done(decide(admin, "scrap"))
    work_off_changes()
    assert messages() == []


def test_without_an_erp_the_event_is_written_as_completed(admin):
    counts_changed([Run.objects.get().pk], reason="-", by="-")
    assert MesEvent.objects.get(event_type="RUN_COUNTS_CHANGED").status == "COMPLETED"


def test_a_stale_message_is_found_unless_a_change_is_due_yet(ended):
    assert check_integrity() == []
    assert_done(decide(ended, "scrap"))
    assert check_integrity() == [], "it is due yet"
    MesEvent.objects.filter(event_type=EventType.RUN_COUNTS_CHANGED).update(status="DEAD")
    [finding] = check_integrity()
    assert (finding.rule, finding.examples[0].name) == ("ERP_MESSAGE", "RUN-1")


# --- as a handler of events ---------------------------------------------------------------------------------


def test_a_set_leaves_what_its_events_leave_one_by_one_and_twice_has_the_effect_of_once(
    ended, django_assert_num_queries
):
    run = Run.objects.get()
    Unit.objects.filter(sn="SN-1").update(status="SCRAPPED")
    fields = {"event_type": "RUN_COUNTS_CHANGED", "entity_type": "RUN", "entity_id": run.run_no, "run_id": run.pk}
    events = [make_event(f"k{no}", payload={"reason": f"r{no}", "by": "me"}, **fields) for no in range(50)]
    with django_assert_num_queries(7):
        completion.correct(events)
    completion.correct(events)
    assert [body.get("reason") for body in messages()[1:]] == ["r0"]


# --- an ERP that answers late, doubly and out of order -----------------------------------------------------


def test_the_highest_number_wins_in_any_order_of_arrival(ended, erp):
    assert_done(decide(ended, "hold"))
    work_off_changes()
    assert_done(decide(ended, "scrap"))
    work_off_changes()
    erp.switch_on("503")  # the latest is told to wait
    erp.switch_on("lost")  # the first correction is taken, and its answer is lost
    deliver(newest_first=True)
    assert [body.get("correctionNo", 0) for body in arrived(erp)] == [1, 0]
    assert latest(erp)["unitCounts"]["ON_HOLD"] == 1
    deliver(newest_first=True)
    assert [body.get("correctionNo", 0) for body in arrived(erp)] == [1, 0, 2]
    assert (latest(erp)["correctionNo"], latest(erp)["unitCounts"]["SCRAPPED"]) == (2, 1)
    assert erp.received["RUN_CORRECTION_V1:RUN-1:1"].deliveries == 2
    logged = IntegrationMessage.objects.filter(entity_type="RUN_CORRECTION_V1").order_by("dedupe_key")
    assert [(message.dedupe_key[-1], message.status) for message in logged] == [("1", "SUCCESS"), ("2", "SUCCESS")]


def test_a_correction_that_overtakes_the_completion_stays_right(ended, erp):
    assert_done(decide(ended, "scrap"))
    work_off_changes()
    deliver(newest_first=True)
    assert [body["type"] for body in arrived(erp)] == ["RUN_CORRECTION_V1", "RUN_COMPLETION_V1"]
    assert latest(erp)["unitCounts"]["SCRAPPED"] == 1


def arrived(erp: Erp) -> list[dict]:
    return [received.body for received in erp.received.values()]
