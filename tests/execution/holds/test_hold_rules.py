"""Which passes a rule counts, what it does then, once, and how rules are kept."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from execution.models import Defect, Track
from execution.quality.hold_rules import judging, passes
from execution.quality.hold_rules.passes import Place
from mes.plant.models import Line, Station
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from mes.production import station_acts
from mes.production.hold_models import Hold, HoldRule, HoldRuleNotice, HoldScope, HoldSource, HoldStatus
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, track_in, track_out
from tests.factories import Plant, api_client, make_plant, make_run, make_user

START = timezone.now() - timedelta(hours=8)
KINDS: dict[str, dict[str, Any]] = {
    "3 in a row": {"kind": "CONSECUTIVE_FAIL", "n": 3},
    "3 of 5": {"kind": "SAME_DEFECT", "n": 3, "of": 5},
    "90 of 20": {"kind": "FPY_BELOW", "percent": 90, "of": 20},
}


def make_rule(kind: str = "3 in a row", **fields: Any) -> HoldRule:
    told = {"code": "R-1", "name": "Stop it", "action": "STOP_STATION", **KINDS[kind], **fields}
    return HoldRule.objects.create(**told)


# --- which passes count -------------------------------------------------------------------------------------


def make_passes(plant: Plant, script: str) -> list[Track]:
    """Make closed passes at the last step, a minute apart. A word is P, F, or F with what was found; `t` makes it a
    trial, `r`, `s`, `v` closed by rework, by scrap or passed by a review, `2` a second attempt; `f:` a false call.
    """
    station, unit = plant.line.stations.get(code="TST-01"), Unit.objects.first()
    overrides = {"r": "REWORK", "s": "SCRAP", "v": "REVIEW"}
    made = []
    for number, word in enumerate(script.split()):
        flags, _colon, found = word[1:].partition(":")
        at = START + timedelta(minutes=number)
        track = Track.objects.create(
            unit=unit, run=plant.run, station=station, step_no=30, operation_code="TEST", source="MANUAL",
            attempt=2 if "2" in flags else 1, in_at=at, out_at=at, result="PASS" if word[0] == "P" else "FAIL",
            is_trial="t" in flags, result_override=next((overrides[each] for each in flags if each in overrides), ""),
        )  # fmt: skip
        for code in filter(None, found.split(",")):
            Defect.objects.create(
                unit=unit, run=plant.run, track=track, step_no=30, code=code.removesuffix("!"), found_at=at,
                status="FALSE_CALL" if code.endswith("!") else "OPEN",
            )  # fmt: skip
        made.append(track)
    return made


def broken_at(rule: HoldRule, plant: Plant, made: list[Track], *, new: int = 1) -> list[int]:
    """Return which of the last `new` passes, reported now, break a rule first, by number from 0; and why."""
    place = Place(Station.objects.get(code="TST-01"), 30, "TEST", plant.line.pk)
    number_of = {track.pk: number for number, track in enumerate(made)}
    for since, stretch in passes.list_stretches(rule, place, [track.pk for track in made[-new:]]):
        if breach := judging.find_first(rule, stretch, since=since):
            return [number_of[breach.last.track_id]]
    return []


GOOD = "P " * 17
SCRIPTS = [
    ("3 in a row", "F F F", True),
    ("3 in a row", "F F", False),
    ("3 in a row", "F P F F", False),
    ("3 in a row", "F F F P", False),  # judged by its last pass alone
    ("3 in a row", "F F Ft", False),  # no trials
    ("3 in a row", "F F Pt F", True),
    ("3 in a row", "F F Fr", False),  # none closed by rework or scrap
    ("3 in a row", "F F Fs Fr F", True),
    ("3 in a row", "F Pv F F", False),  # a false call is a PASS
    ("3 in a row", "F F2 F2", True),
    ("3 of 5", "F:A F:B F:A P F:A", True),
    ("3 of 5", "F:A F:A P P P F:A", False),
    ("3 of 5", "F:A F:A F:A!", False),
    ("3 of 5", "F:A F:A,A,A", False),  # of one board it counts once
    ("3 of 5", "F:UNSPECIFIED F:UNSPECIFIED F:UNSPECIFIED", False),  # nobody knows whether it is the same
    ("3 of 5", "F:A F:A Ft:A", False),
    ("90 of 20", GOOD + "F F F", True),
    ("90 of 20", GOOD + "P F F", False),  # 90 is not below 90
    ("90 of 20", "F F F F", False),  # too few to say
    ("90 of 20", GOOD + "F2 F2 F2 F F F", True),
    ("90 of 20", GOOD + "P F F2 F2 F2 F", False),  # only first attempts
    ("90 of 20", GOOD + "Fv F F", True),
]


def test_each_clause_of_what_counts(db: None) -> None:
    plant = make_plant(units=1)
    for kind, script, is_broken in SCRIPTS:
        rule = make_rule(kind)
        made = make_passes(plant, script)
        assert bool(broken_at(rule, plant, made)) is is_broken, (kind, script)
        Defect.objects.all().delete()
        Track.objects.all().delete()
        rule.delete()


def test_what_came_together_or_late_is_judged_pass_by_pass(db: None) -> None:
    plant = make_plant(units=1)
    rule = make_rule()
    made = make_passes(plant, "P F F F P P F")
    assert broken_at(rule, plant, made, new=1) == []
    assert broken_at(rule, plant, made, new=7) == [3]  # a good board right behind hides nothing
    late = [*made[:2], *made[3:], made[2]]  # the second FAIL was reported last
    assert broken_at(rule, plant, late, new=1) == [late.index(made[3])]
    assert broken_at(rule, plant, made, new=6) == [3]  # in more than one stretch


def test_only_what_left_after_its_last_release_counts(db: None) -> None:
    plant = make_plant(units=1)
    station = plant.line.stations.get(code="TST-01")
    rule, other = make_rule(), make_rule(code="R-2")
    made = make_passes(plant, "F F F F F F")

    def released(of: HoldRule, number: int) -> None:
        Hold.objects.create(
            scope="STATION", station=station, source="RULE", rule=of, status="RELEASED", reason="x", opened_by="x",
            ended_at=made[number].out_at,
        )  # fmt: skip

    released(other, 4)
    assert broken_at(rule, plant, made) == [5]  # another rule's release says nothing
    released(rule, 2)
    assert broken_at(rule, plant, made) == [5]
    released(rule, 3)
    assert broken_at(rule, plant, made) == []


def test_of_a_shared_station_a_line_has_the_passes_of_its_runs(db: None) -> None:
    plant = make_plant(units=1)
    made = make_passes(plant, "F F F")
    other = make_run(plant.version, Line.objects.create(code="L-2", name="Other"), run_no="RUN-2", sns=[])
    Track.objects.filter(pk=made[1].pk).update(run=other)
    Station.objects.filter(code="TST-01").update(line=None)
    for code, fields, expected in (
        ("R-1", {"line": plant.line}, []),
        ("R-2", {"action": "HOLD_LINE"}, []),
        ("R-3", {}, [2]),
    ):
        assert broken_at(make_rule(code=code, **fields), plant, made) == expected, code


# --- what it does -------------------------------------------------------------------------------------------


def fail(client: Any, plant: Plant, *sns: str, result: str = "FAIL") -> None:
    """Have boards fail at the last step, and let the worker look."""
    for sn in sns:
        Unit.objects.filter(sn=sn).update(current_step_no=30)
        assert_done(track_in(client, "TST-01", sn), 201)
        data = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
        assert_done(track_out(client, "TST-01", sn, result=result, data=data))
    work()


def work() -> None:
    """Have the worker handle all there is: the clock of this one transaction does not go on."""
    while MesEvent.objects.filter(status="PENDING").update(next_attempt_at=START):
        processor.process_due()


@pytest.fixture
def plant(db: None) -> Iterator[Plant]:
    made = make_plant(units=9)
    work()
    yield made
    assert not MesEvent.objects.exclude(status="COMPLETED").exists()


def test_a_rule_stops_its_station_once_and_again_after_its_release(plant: Plant) -> None:
    client, quality = api_client(), make_user(Role.QUALITY)
    make_rule(station=plant.line.stations.get(code="TST-01"))
    sn = plant.sns
    fail(client, plant, *sn[:2])
    assert not Hold.objects.filter(scope=HoldScope.STATION).exists()
    Unit.objects.filter(sn=sn[8]).update(current_step_no=30)
    assert_done(track_in(client, "TST-01", sn[8]), 201)
    fail(client, plant, sn[2])
    assert_done(track_out(client, "TST-01", sn[8], result="FAIL"))  # it was inside: what is stopped is broken once
    work()
    assert MesEvent.objects.filter(event_type="HOLD_RULE_BROKEN").count() == 1
    stop = Hold.objects.get(scope=HoldScope.STATION)
    assert (stop.source, stop.rule.code, stop.status) == ("RULE", "R-1", HoldStatus.OPEN)  # type: ignore[union-attr]
    assert "3 failed in a row" in stop.reason and "TST-01" in stop.reason
    assert Notification.objects.filter(recipient=quality, key=f"hold:{stop.pk}").count() == 1
    Unit.objects.filter(sn=sn[3]).update(current_step_no=30)
    details = assert_refused(track_in(client, "TST-01", sn[3]), "STATION_STOPPED")
    assert stop.reason in details["reason"]
    # a person's stop is another hold, and each ends by itself
    station_acts.stop(station_code="TST-01", reason="look", by="ann")
    assert_refused(
        api_client(Role.OPERATOR).post(f"/api/holds/{stop.hold_no}/release", {"reason": "x"}), "PERMISSION_DENIED", 403
    )
    assert_done(api_client(Role.QUALITY).post(f"/api/holds/{stop.hold_no}/release", {"reason": "Nozzle cleaned"}))
    assert [hold.source for hold in Hold.objects.filter(scope="STATION", status="OPEN")] == ["PERSON"]
    station_acts.go_on(station_code="TST-01", by="ann")
    fail(client, plant, *sn[3:5])
    assert not Hold.objects.filter(scope="STATION", status="OPEN").exists()  # counted from its release
    fail(client, plant, sn[5])
    station_acts.go_on(station_code="TST-01", by="sue", source=HoldSource.RULE)
    assert Hold.objects.filter(scope="STATION", source="RULE").count() == 2


def test_a_rule_stops_its_line_and_one_that_tells_tells_once(plant: Plant) -> None:
    client, quality = api_client(), make_user(Role.QUALITY)
    make_rule(code="TELL", action="NOTIFY", product_code=plant.order.product_code)
    make_rule(code="ELSE", action="HOLD_LINE", n=1, product_code="ANOTHER")
    make_rule(code="LINE", action="HOLD_LINE", n=5, line=plant.line)
    fail(client, plant, *plant.sns[:4])
    assert HoldRuleNotice.objects.get().rule.code == "TELL"
    assert Notification.objects.filter(recipient=quality, key__startswith="hold-rule:").count() == 1
    fail(client, plant, plant.sns[4])
    stop = Hold.objects.get(scope=HoldScope.LINE)
    assert (stop.line, stop.source, stop.rule.code) == (plant.line, "RULE", "LINE")  # type: ignore[union-attr]
    assert HoldRuleNotice.objects.count() == 1
    # an open hold of its line is in the way of a run
    checked = assert_done(client.post("/api/runs/RUN-1/readiness/check"), 201)
    [item] = [item for item in checked["items"] if item["itemType"] == "HOLD"]
    assert (item["status"], item["code"], item["waivable"]) == ("FAILED", "LINE_ON_HOLD", False)
    assert stop.hold_no in item["reason"] and stop.reason in item["reason"]


def test_a_move_that_no_active_rule_is_about_is_nobodys(plant: Plant) -> None:
    client, line = api_client(), plant.line
    make_rule(code="A", n=1, is_active=False)
    make_rule(code="B", n=1, station=line.stations.get(code="SMT-01"))
    make_rule(code="C", n=1, operation=plant.operations["PRINT"])
    make_rule("90 of 20", code="D")
    Unit.objects.filter(sn=plant.sns[0]).update(current_step_no=30)
    Track.objects.create(
        unit=Unit.objects.get(sn=plant.sns[0]), run=plant.run, station=line.stations.get(code="TST-01"), step_no=30,
        operation_code="TEST", source="MANUAL", in_at=START, out_at=START, result="FAIL",
    )  # fmt: skip
    assert_done(track_in(client, "TST-01", plant.sns[0]), 201)
    assert_done(track_out(client, "TST-01", plant.sns[0], result="FAIL"))
    event = MesEvent.objects.get(event_type="TRACK_OUT")
    assert (event.payload["attempt"], event.status) == (2, "COMPLETED")
    assert not Hold.objects.filter(source="RULE").exists()


# --- how they are kept --------------------------------------------------------------------------------------


def test_rules_are_made_changed_and_deleted_by_their_code(db: None) -> None:
    plant = make_plant()
    client = api_client(Role.QUALITY)
    asked = {
        "code": "R-1", "name": "Yield", "kind": "FPY_BELOW", "percent": 97.5, "of": 50, "action": "NOTIFY",
        "lineCode": "SMT-A", "stationCode": "TST-01", "operationCode": "TEST", "productCode": "PROD-1",
    }  # fmt: skip
    made = assert_done(client.post("/api/hold-rules", asked), 201)
    assert {**asked, "n": None, "isActive": True}.items() <= made.items()
    assert client.get("/api/hold-rules/R-1").json()["data"] == made
    changed = client.patch("/api/hold-rules/R-1", {"kind": "SAME_DEFECT", "n": 3, "percent": None})
    assert (changed.status_code, changed.json()["data"]["of"]) == (200, 50)
    rule = HoldRule.objects.get()
    held = Hold.objects.create(scope="LINE", line=plant.line, source="RULE", rule=rule, reason="x", opened_by="x")
    assert_refused(client.delete("/api/hold-rules/R-1"), "IN_USE")
    held.delete()
    assert_done(client.delete("/api/hold-rules/R-1"))
    assert_refused(client.get("/api/hold-rules/R-1"), "HOLD_RULE_NOT_FOUND", 404)
    assert_refused(api_client(Role.OPERATOR).post("/api/hold-rules", asked), "PERMISSION_DENIED", 403)
    assert_refused(client.post("/api/hold-rules", {**asked, "lineCode": "NONE"}), "LINE_NOT_FOUND", 404)


def test_each_kind_has_its_own_numbers(db: None) -> None:
    client = api_client()
    row, same, below = ({"kind": kind} for kind in ("CONSECUTIVE_FAIL", "SAME_DEFECT", "FPY_BELOW"))
    for told, field in [
        (row, "n"), ({**row, "n": 0}, "n"), ({**row, "n": 501}, "n"), ({**row, "n": 3, "of": 5}, "of"),
        ({**row, "n": 2.5}, "n"), ({**row, "n": 3, "percent": 90}, "percent"), ({**same, "n": 3}, "of"),
        ({**same, "n": 6, "of": 5}, "n"), ({**same, "n": 3, "of": 501}, "of"), ({**same, "of": 5}, "n"),
        ({**below, "percent": 90}, "of"), ({**below, "percent": 90, "of": 19}, "of"), ({**below, "of": 20}, "percent"),
        ({**below, "percent": 0, "of": 20}, "percent"), ({**below, "percent": 100.01, "of": 20}, "percent"),
        ({**below, "percent": "nan", "of": 20}, "percent"), ({**below, "percent": 33.333, "of": 20}, "percent"),
        ({**below, "percent": "-inf", "of": 20}, "percent"), ({**below, "percent": 90, "of": 20, "n": 1}, "n"),
        ({"kind": "OTHER"}, "kind"), ({**row, "n": 3, "action": "SHOUT"}, "action"),
    ]:  # fmt: skip
        answer = client.post("/api/hold-rules", {"code": "R", "name": "x", "action": "NOTIFY", **told})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), told
        assert field in answer.json()["error"]["details"], (told, answer.json())
    assert not HoldRule.objects.exists()
