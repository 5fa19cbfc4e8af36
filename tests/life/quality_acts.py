"""The quality loop as people live it, chosen at random: what is found, what is held for it, and what becomes of it.

Each act notes in the ledger which cases hold which boards by what was answered to it.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from execution.quality.models import Defect
from execution.quality.oqc import drawing
from mes.platform.outbox import processor
from mes.platform.outbox.models import EventStatus, MesEvent
from tests.life.ledger import ENDED, OPEN, Run
from tests.life.plant import LINES, SIGNATURE, STEPS, station_of
from tests.life.world import REASON, World, data_of

CODES = ["BRIDGE", "OPEN", "TOMBSTONE", "SOLDER_BALL"]  # the last is a process indicator: it keeps no board


def some_defect(world: World) -> dict[str, Any]:
    """Return a defect as a person names it, each at a place of its own."""
    return {"code": world.pick(CODES), "location": f"U{world.next_number()}"}


# --- defects ---------------------------------------------------------------------------------------------------


def find_defect(world: World) -> None:
    """Record a defect by hand, wherever the board is; one that is done is held for it."""
    sn = world.sn()
    if sn is None:
        return
    body = some_defect(world)
    standing = world.standings()[sn]
    found = data_of(world.post(world.people.operator, "defects", {"unitSn": sn, **body}))
    if found is not None and standing == "DONE" and body["code"] != "SOLDER_BALL":
        world.ledger.hold([sn], "DEFECT")


def decide_about_defect(world: World) -> None:
    """Decide about a defect, mostly about one that is open: rework, scrap, hold, accept it, or call it false."""
    rows = Defect.objects.order_by("id")
    if not rows.filter(status="OPEN").exists():
        find_defect(world)
    defect = world.pick(rows.filter(status="OPEN") if world.random.random() < 0.9 else rows)
    if defect is None:
        return
    sn, case = defect.unit.sn, f"defect {defect.pk}"
    decision = world.pick(
        ["REWORK", "REWORK", "REWORK", "SCRAP", "HOLD", "HOLD", "FALSE_CALL", "FALSE_CALL", "release"]
    )
    if decision == "release":
        if data_of(world.post(world.people.quality, f"defects/{defect.pk}/release", REASON)) is not None:
            world.ledger.end([sn], case)
        return
    body: dict[str, Any] = {"type": decision, **REASON}
    if decision == "REWORK":
        body["repair"] = world.random.random() < 0.7
    if data_of(world.post(world.people.supervisor, f"defects/{defect.pk}/disposition", body)) is None:
        return
    if decision in ("REWORK", "SCRAP"):
        world.ledger.end([sn])
        if world.random.random() < 0.3:
            repair(world)
    elif decision == "HOLD":
        world.ledger.hold([sn], "DEFECT", case)


def repair(world: World) -> None:
    """Work at the bench; without work, a board that is on its way is sent there."""
    if work_at_bench(world):
        return
    sn = world.pick(sn for sn, status in world.statuses().items() if status in ("OUT_FAILED", "QUEUED", "ON_HOLD"))
    found = data_of(world.post(world.people.operator, "defects", {"unitSn": sn, **some_defect(world)})) if sn else None
    if found is None:
        return
    if world.standings()[sn] == "DONE" and found["code"] != "SOLDER_BALL":
        world.ledger.hold([sn], "DEFECT")
    body = {"repair": True, **REASON}
    if data_of(world.post(world.people.supervisor, f"units/{sn}/rework", body)) is not None:
        world.ledger.end([sn])
        work_at_bench(world)


def work_at_bench(world: World) -> bool:
    """Record what was done about each defect of a task, mostly, and end the repair, or give it up; return whether there
    is work.
    """
    tasks = data_of(world.people.operator.get("/api/rework-tasks?status=OPEN"))["items"]
    task = world.pick(tasks)
    if task is None:
        return False
    address, fixed = f"rework-tasks/{task['id']}", True
    if world.random.random() < 0.15:
        assert world.post(world.people.supervisor, f"{address}/cancel", REASON).status_code == 200
        return True
    still_open = [each["id"] for each in task["defects"] if each["status"] == "OPEN"]
    for defect_id in still_open if world.random.random() < 0.9 else still_open[1:]:
        result = world.pick(["FIXED"] * 5 + ["NO_FAULT_FOUND", "NOT_FIXED"])
        body = {"defectId": defect_id, "action": world.pick(["RESOLDERED", "REPLACED", "NONE"]), "result": result}
        answer = world.post(world.people.operator, f"{address}/repair-record", body)
        assert answer.status_code == 201, answer.content
        fixed &= result != "NOT_FIXED"
    if data_of(world.post(world.people.operator, f"{address}/complete")) is not None and not fixed:
        world.ledger.hold([task["unitSn"]], "REPAIR")
    return True


def rework_often(world: World) -> None:
    """Let a board fail and come back as often as it may: refused at its limit, and Quality signs for more."""
    sn = world.pick(sn for sn, run in world.ledger.run_of.items() if run and world.ledger.runs[run].state == OPEN)
    for _ in range(3):
        place = world.place(sn) if sn else None
        if sn is None or place is None:
            return
        station, run_no = place
        world.post(world.people.operator, f"stations/{station}/track-in", {"sn": sn, "runNo": run_no})
        failed = {"sn": sn, "runNo": run_no, "result": "FAIL", "defects": [some_defect(world)]}
        world.post(world.people.operator, f"stations/{station}/track-out", failed)
        answer = world.post(world.people.supervisor, f"units/{sn}/rework", REASON)
        if answer.status_code == 409 and answer.json()["error"]["code"] == "REENTRY_LIMIT_REACHED":
            body = REASON | {"overrideLimit": True, "signature": SIGNATURE}
            assert world.post(world.people.supervisor, f"units/{sn}/rework", body).status_code == 403
            answer = world.post(world.people.quality, f"units/{sn}/rework", body)
            assert answer.status_code == 200, answer.content
            world.ledger.signed[sn] += 1
            world.reached["rework beyond the limit"] += 1
        if data_of(answer) is None:
            return
        world.ledger.end([sn])


# --- holds -----------------------------------------------------------------------------------------------------


def hold_many(world: World) -> None:
    """Hold boards by a condition; the number that a preview told must still be that."""
    run = world.run()
    if run is None:
        return
    sns, statuses = world.ledger.boards_of(run.run_no), world.statuses()
    condition: dict[str, Any] = {"runNo": run.run_no}
    if world.random.random() < 0.5:
        condition["statuses"] = world.pick([["DONE"], ["QUEUED", "IN_STATION"], ["OUT_FAILED"]])
        sns = [sn for sn in sns if statuses[sn] in condition["statuses"]]
    elif sns and world.random.random() < 0.5:
        sns = condition["sns"] = world.random.sample(sns, min(2, len(sns)))
    fitting = [sn for sn in sns if statuses[sn] != "SCRAPPED"]
    catches = world.random.random() < 0.1
    body = {"scope": "UNITS", "condition": condition, "catches": catches, "expectedCount": len(fitting), **REASON}
    made = data_of(world.post(world.people.quality, "holds", body))
    assert (made is not None) == bool(fitting or catches)
    if made is not None:
        world.ledger.holds.append(made["holdNo"])
        world.ledger.hold(fitting, "PERSON", made["holdNo"])
        if catches:
            world.ledger.catching.add(made["holdNo"])


def end_hold(world: World) -> None:
    """Release a hold, some of its boards, or send them to rework or scrap: all or none of them."""
    if not world.ledger.holds or world.random.random() < 0.5:
        hold_many(world)
    hold_no = world.pick(world.ledger.holds[-3:])
    if hold_no is None:
        return
    held = world.ledger.held_by(hold_no)
    some = world.random.sample(held, world.random.randint(1, len(held))) if held else []
    if (stranger := world.sn()) and world.random.random() < 0.1:
        some.append(stranger)
    act = world.pick(["release", "release", "release some", "REWORK", "SCRAP"])
    address = f"holds/{hold_no}"
    if act == "release" or not some:
        release(world, hold_no)
        return
    if act == "release some":
        answer = world.post(world.people.quality, f"{address}/release", {"sns": some, **REASON})
    else:
        answer = world.post(world.people.supervisor, f"{address}/dispose", {"sns": some, "type": act, **REASON})
    if not set(some) <= set(held):
        assert answer.status_code == 409, answer.content
    if data_of(answer) is not None:
        world.ledger.end(some, hold_no if act == "release some" else None)


def release(world: World, hold_no: str) -> None:
    """Release a hold with all that it has."""
    if data_of(world.post(world.people.quality, f"holds/{hold_no}/release", REASON)) is not None:
        world.ledger.end(world.ledger.held_by(hold_no), hold_no)
        world.ledger.catching.discard(hold_no)


def stop_station(world: World) -> None:
    """Stop a station, or let it go on."""
    station = station_of(world.pick(STEPS.values()), world.pick(LINES))
    if world.random.random() < 0.4:
        made = world.post(world.people.operator, "holds", {"scope": "STATION", "code": station, **REASON})
        assert made.status_code in (200, 201)
        world.stopped[station] = data_of(made)["holdNo"]
    elif world.stopped:
        go_on(world, world.pick(sorted(world.stopped)))


def go_on(world: World, station: str) -> None:
    """Let a stopped station go on."""
    answer = world.post(world.people.supervisor, f"holds/{world.stopped.pop(station)}/release", REASON)
    assert answer.status_code == 200, answer.content


# --- first articles --------------------------------------------------------------------------------------------


def inspect_first_article(world: World) -> None:
    """Inspect the first boards of a run: they fail, and are held, or pass, and are signed for."""
    run = world.run(state=OPEN)
    if run is None:
        return
    made = data_of(world.post(world.people.quality, f"fai/run/{run.run_no}", {"sampleQty": 1}))
    boards = world.ledger.boards_of(run.run_no)
    if made is None or not boards:
        return
    address, sn, result = f"fai/{made['id']}", world.pick(boards), world.pick(["PASS", "FAIL"])
    world.post(world.people.quality, f"{address}/start")
    world.post(world.people.quality, f"{address}/items", {"unitSn": sn, "itemName": "Look", "result": result})
    was = world.statuses()[sn]
    done = data_of(world.post(world.people.quality, f"{address}/complete", {"decision": result}))
    if done is None:
        return
    if result == "FAIL":
        world.ledger.hold([sn] if was != "SCRAPPED" else [], "FAI")
    else:
        world.post(world.people.second, f"{address}/sign")


# --- outgoing inspections --------------------------------------------------------------------------------------


def make_lot(world: World) -> None:
    """Let new boards of a run pass all steps, if nothing is in the way."""
    run = world.run(state=OPEN)
    if run is None:
        return
    sns = world.new_sns(2)
    world.post(world.people.supervisor, f"lines/{run.line}/resume", REASON)
    world.post(world.people.supervisor, f"runs/{run.run_no}/resume")
    world.post(world.people.supervisor, f"runs/{run.run_no}/authorize", {"action": "AUTHORIZE"})
    if data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/units", {"sns": sns})) is None:
        return
    world.ledger.enter(run.run_no, sns)
    for sn in sns:
        for _step in STEPS:
            place = world.place(sn)
            assert place is not None
            station, body = place[0], {"sn": sn, "runNo": run.run_no}
            if data_of(world.post(world.people.operator, f"stations/{station}/track-in", body)) is None:
                break
            world.post(world.people.operator, f"stations/{station}/track-out", {**body, "result": "PASS"})


def finish(world: World, run: Run) -> None:
    """Release the boards of a run that are done behind what holds them, and scrap the others that are not finished."""
    standings, statuses = world.standings(), world.statuses()
    for sn in world.ledger.boards_of(run.run_no):
        if statuses[sn] not in ("DONE", "SCRAPPED"):
            act = "release" if standings[sn] == "DONE" else "scrap"
            if data_of(world.post(world.people.supervisor, f"units/{sn}/{act}", REASON)) is not None:
                world.ledger.end([sn])


def inspect_lot(world: World) -> None:
    """Inspect the lot of a run: draw it unless that is done, and mostly decide; else go on later, or give it up."""
    standings = world.standings()
    done = [run for sn, run in world.ledger.run_of.items() if run and standings[sn] == "DONE"]
    run = world.pick(run for run in world.ledger.runs.values() if run.run_no in done and run.state == OPEN)
    if run is None:
        return
    if world.random.random() < 0.8:
        world.post(world.people.supervisor, f"runs/{run.run_no}/resume")
        finish(world, run)
    lot = find_lot(world, run) or draw(world, run)
    chance = world.random.random()
    if lot is None or chance < 0.2:
        return
    if chance < 0.3:
        give_lot_up(world, lot)
        return
    decide_lot(world, lot, world.random.random() < 0.3)
    if world.random.random() < 0.9:
        review_material(world, run, world.pick(["RELEASE", "SCRAP", "REWORK"]))


def find_lot(world: World, run: Run) -> dict[str, Any] | None:
    """Return the inspection of a run that is not decided."""
    drawn = data_of(world.people.quality.get(f"/api/oqc?runNo={run.run_no}"))["items"]
    return next((each for each in drawn if each["status"] in ("CREATED", "INSPECTING")), None)


def draw(world: World, run: Run) -> dict[str, Any] | None:
    """Draw the sample of a run, where that is allowed."""
    drawn: dict[str, Any] | None = data_of(world.post(world.people.quality, f"oqc/run/{run.run_no}"))
    return drawn


def give_lot_up(world: World, lot: dict[str, Any]) -> None:
    """Find a board of a sample bad, and give the inspection up all the same: the board is held."""
    address, sn = f"oqc/{lot['id']}", world.pick(lot["sampleSns"])
    if lot["status"] == "CREATED":
        world.post(world.people.quality, f"{address}/start")
    bad = {"unitSn": sn, "itemName": "Look", "result": "FAIL"}
    assert world.post(world.people.quality, f"{address}/items", bad).status_code == 201
    before = world.statuses()
    assert world.post(world.people.quality, f"{address}/cancel", REASON).status_code == 200
    world.ledger.hold([sn] if before[sn] != "SCRAPPED" else [], "OQC")


def decide_lot(world: World, lot: dict[str, Any], is_good: bool) -> None:
    """Inspect each board of a sample, and decide as they are: those that are bad are held."""
    address, bad = f"oqc/{lot['id']}", []
    if lot["status"] == "CREATED":
        world.post(world.people.quality, f"{address}/start")
    for sn in lot["sampleSns"]:
        result = "PASS" if is_good or world.random.random() < 0.4 else "FAIL"
        body = {"unitSn": sn, "itemName": "Look", "result": result}
        assert world.post(world.people.quality, f"{address}/items", body).status_code == 201
        bad += [sn] if result == "FAIL" else []
    before = world.statuses()
    decided = data_of(world.post(world.people.quality, f"{address}/complete"))
    assert decided is not None
    assert (decided["status"], decided["nonconforming"]) == ("FAILED" if bad else "PASSED", len(bad))
    world.ledger.hold([sn for sn in bad if before[sn] != "SCRAPPED"], "OQC")


def review_material(world: World, run: Run, decision: str) -> None:
    """Let the board decide about a lot that failed: release, scrap or rework."""
    boards, before = world.ledger.boards_of(run.run_no), world.standings()
    body = {"decision": decision, **REASON}
    if decision == "REWORK":
        body["reworkType"] = world.pick(["FULL_PREP", "REUSE_PREP"])
    not_made = world.not_made(run)
    decided = data_of(world.post(world.people.quality, f"runs/{run.run_no}/mrb-decision", body))
    if decided is None:
        return
    world.reached[f"MRB {decision}"] += 1
    if decision == "SCRAP":
        world.ledger.end(boards)
    else:
        world.ledger.end_of_source(boards, "OQC")
    if decision == "REWORK":
        moving = [sn for sn in boards if before[sn] != "SCRAPPED"]
        made = decided["reworkRun"]
        target = Run(made["runNo"], run.wo_no, "REWORK", made["planQty"], run.line)
        assert target.plan == len(moving)
        world.ledger.runs[target.run_no] = target
        world.ledger.move(moving, target.run_no, before)
    world.ledger.move(not_made if decision == "RELEASE" else [], None, before)
    run.state = ENDED


def work_off(_world: World) -> None:
    """Let the worker do what waits for it: lots are drawn, what holds catch is held, the ERP is corrected."""
    drawing.sweep()
    for _ in range(5):  # what is done leads to more
        pending = MesEvent.objects.filter(status=EventStatus.PENDING)
        if not pending.update(next_attempt_at=timezone.now() - timedelta(days=1)):  # in a transaction time stands still
            return
        while processor.process_due():
            pass


OFTEN = {
    find_defect: 3,
    decide_about_defect: 10,
    repair: 6,
    rework_often: 3,
    hold_many: 3,
    end_hold: 7,
    stop_station: 2,
    inspect_first_article: 2,
    make_lot: 6,
    inspect_lot: 5,
    work_off: 1,
}
