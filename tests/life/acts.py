"""What people, machines and the ERP may do, chosen at random; each act notes in the ledger what was answered to it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from execution.models import OqcInspection
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from mes.production.models import Unit
from tests.life import quality_acts
from tests.life.ledger import ENDED, OPEN, Order, Run
from tests.life.plant import BOARD, DEVICE, GOLDEN, LINES, SAMPLED, station_of
from tests.life.quality_acts import some_defect
from tests.life.world import REASON, World, data_of

# --- orders ------------------------------------------------------------------------------------------------


def make_order(world: World) -> None:
    """Make an order by hand, or by the ERP, and mostly release it."""
    product = DEVICE if world.random.random() < 0.2 else BOARD
    kind = world.pick(["PRODUCTION"] * 6 + ["REWORK", "ENGINEERING"])
    overrun = world.pick([0, 0, 25])
    wo_no = f"WO-{world.next_number()}"
    body = {"woNo": wo_no, "productCode": product, "plannedQty": world.random.randint(4, 14), "overrunPercent": overrun}
    if world.random.random() < 0.5:
        kind = "PRODUCTION"
        answer = world.post(world.people.erp, "integration/work-orders", body)
    else:
        answer = world.post(world.people.supervisor, "work-orders", {**body, "kind": kind})
    assert answer.status_code == 201, answer.content
    world.ledger.orders[wo_no] = Order(wo_no, kind, product, body["plannedQty"], overrun)
    if world.random.random() < 0.9:
        world.post(world.people.supervisor, f"work-orders/{wo_no}/release", {"lineCode": world.pick(LINES)})


def change_order(world: World) -> None:
    """Change an order's quantity or overrun, by hand or by the ERP."""
    order = world.pick(world.ledger.orders.values())
    if order is None:
        return
    planned, overrun = max(1, order.planned + world.random.randint(-3, 3)), world.pick([0, 10, 25])
    if world.random.random() < 0.5:
        body = {"woNo": order.wo_no, "productCode": order.product, "plannedQty": planned}
        answer = world.post(world.people.erp, "integration/work-orders", body)
        overrun = order.overrun
    else:
        body = {"plannedQty": planned, "overrunPercent": overrun, **REASON}
        answer = world.post(world.people.supervisor, f"work-orders/{order.wo_no}", body, method="patch")
    if data_of(answer) is not None:
        order.planned, order.overrun = planned, overrun


def complete_order(world: World) -> None:
    """Complete an order."""
    order = world.pick(world.ledger.orders.values())
    if order is not None:
        world.post(world.people.supervisor, f"work-orders/{order.wo_no}/complete", REASON)


def cancel_order(world: World) -> None:
    """Cancel an order, and its open runs with it."""
    order = world.pick(world.ledger.orders.values())
    if order is None:
        return
    who = world.pick([world.people.supervisor, world.people.erp])
    if data_of(world.post(who, f"work-orders/{order.wo_no}/cancel", REASON)) is not None:
        for run in [run for run in world.ledger.runs.values() if run.wo_no == order.wo_no and run.state == OPEN]:
            world.end(run, world.not_made(run))


def reopen_order(world: World) -> None:
    """Reopen an order."""
    order = world.pick(world.ledger.orders.values())
    if order is not None:
        world.post(world.people.supervisor, f"work-orders/{order.wo_no}/reopen", REASON)


# --- runs --------------------------------------------------------------------------------------------------


def make_run(world: World) -> None:
    """Make a run of an order, and mostly authorize it."""
    order = world.pick(list(world.ledger.orders.values())[-4:])
    if order is None:
        return
    line, plan = world.pick(LINES), world.random.randint(2, 7)
    kind = world.pick([None] * 6 + ["REWORK", "ENGINEERING"])
    body = {"lineCode": line, "planQty": plan, **({"kind": kind} if kind else {})}
    made = data_of(world.post(world.people.supervisor, f"work-orders/{order.wo_no}/runs", body))
    if made is not None:
        run_no = made["runNo"]
        world.ledger.runs[run_no] = Run(run_no, order.wo_no, kind or order.kind, plan, line)
        if world.random.random() < 0.85:
            world.post(world.people.supervisor, f"runs/{run_no}/authorize", {"action": "AUTHORIZE"})


def authorize(world: World) -> None:
    """Authorize a run, or take it back."""
    run = world.run(state=OPEN)
    if run is not None:
        action = world.pick(["AUTHORIZE", "AUTHORIZE", "REVOKE"])
        world.post(world.people.supervisor, f"runs/{run.run_no}/authorize", {"action": action})


def hold_run(world: World) -> None:
    """Hold a run."""
    if (run := world.run()) is not None:
        world.post(world.pick([world.people.supervisor, world.people.quality]), f"runs/{run.run_no}/hold", REASON)


def resume_run(world: World) -> None:
    """Let a run go on."""
    held = world.people.supervisor.get("/api/runs?status=ON_HOLD").json()["data"]["items"]
    run = world.ledger.runs[world.pick(held)["runNo"]] if held and world.random.random() < 0.7 else world.run()
    if run is not None:
        world.post(world.pick([world.people.supervisor, world.people.quality]), f"runs/{run.run_no}/resume")


def close_run(world: World) -> None:
    """Close a run; what it says before is what it does."""
    run = world.run()
    if run is None:
        return
    check = data_of(world.people.supervisor.get(f"/api/runs/{run.run_no}/close-check"))
    ended = data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/close", REASON))
    assert check is not None and check["canClose"] == (ended is not None), (check, ended)
    if ended is not None:
        assert ended["status"] == check["leadsTo"]
        _note_closed(world, run, ended["notMade"])


def _note_closed(world: World, run: Run, not_made: list[str]) -> None:
    """Note that a run was closed: where a rule wants that, all that is done in it was inspected and passed."""
    world.end(run, not_made)
    if run.line == SAMPLED:
        done = set(Unit.objects.filter(run__run_no=run.run_no, status="DONE").values_list("pk", flat=True))
        latest = OqcInspection.objects.filter(run__run_no=run.run_no).exclude(status="CANCELLED").order_by("id").last()
        assert not done or (latest is not None and latest.status == "PASSED" and done <= set(latest.lot_unit_ids))


def reopen_run(world: World) -> None:
    """Reopen a run, now and then with another plan."""
    run = world.run(state=ENDED)
    if run is None:
        return
    plan = world.random.randint(1, 6) if world.random.random() < 0.5 else None
    body = {**REASON, **({"planQty": plan} if plan else {})}
    if data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/reopen", body)) is not None:
        run.state, run.plan = OPEN, plan or run.plan


def change_run(world: World) -> None:
    """Change a run's plan, line or kind."""
    run = world.run()
    if run is None:
        return
    body = world.pick(
        [
            {"planQty": world.random.randint(1, 7)},
            {"planQty": world.random.randint(1, 7)},
            {"lineCode": world.pick(LINES)},
            {"kind": world.pick(["PRODUCTION", "REWORK", "ENGINEERING"])},
        ]
    )
    answer = world.post(world.people.supervisor, f"runs/{run.run_no}", {**body, **REASON}, method="patch")
    if data_of(answer) is not None:
        run.plan, run.line = body.get("planQty", run.plan), body.get("lineCode", run.line)
        run.kind = body.get("kind", run.kind)


# --- boards between runs -----------------------------------------------------------------------------------


def register(world: World) -> None:
    """Register boards: new ones, or one that is in no run."""
    run = world.run(state=OPEN)
    if run is None:
        return
    free = [sn for sn, its_run in world.ledger.run_of.items() if its_run is None]
    sns = [world.pick(free)] if free and world.random.random() < 0.3 else world.new_sns()
    if data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/units", {"sns": sns})) is not None:
        world.ledger.enter(run.run_no, sns)


def register_panel(world: World) -> None:
    """Register a panel of two boards and an X-out, one of them without a label."""
    run = world.run(state=OPEN)
    if run is None:
        return
    panel = f"P{world.next_number()}"
    [sn] = world.new_sns(1)
    boards = [{"position": 1, "sn": sn}, {"position": 2}, {"position": 3, "xOut": True}]
    answer = world.post(
        world.people.supervisor, f"runs/{run.run_no}/panels", {"panels": [{"panelNo": panel, "boards": boards}]}
    )
    if data_of(answer) is not None:
        world.ledger.enter(run.run_no, [sn, f"{panel}:2"])


def depanel(world: World) -> None:
    """Give the unlabelled board of a panel its label."""
    sn = world.pick(each for each in world.ledger.run_of if ":" in each)
    if sn is None:
        return
    panel, _colon, position = sn.partition(":")
    [label] = world.new_sns(1)
    body = {"boards": [{"position": int(position), "sn": label}]}
    if data_of(world.post(world.people.operator, f"carriers/{panel}/depanel", body)) is not None:
        world.ledger.relabel(sn, label)


def relabel(world: World) -> None:
    """Give a board another serial number, now and then one that is taken."""
    sn = world.sn()
    if sn is None:
        return
    new_sn = world.pick([world.sn(), GOLDEN]) if world.random.random() < 0.2 else world.new_sns(1)[0]
    if data_of(world.post(world.people.supervisor, f"units/{sn}/relabel", {"newSn": new_sn, **REASON})) is not None:
        world.ledger.relabel(sn, new_sn)


def split(world: World) -> None:
    """Split a run, with named boards or with those that come."""
    run = world.run(state=OPEN)
    if run is None:
        return
    plan, line = world.random.randint(1, 3), world.pick(LINES)
    sns = world.sns(run) if world.random.random() < 0.4 else None
    before = world.standings()
    body = {"planQty": plan, "lineCode": line, **REASON, **({"sns": sns} if sns else {})}
    made = data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/split", body))
    if made is not None:
        world.ledger.runs[made["runNo"]] = Run(made["runNo"], run.wo_no, run.kind, plan, line)
        run.plan -= plan
        moved = Unit.objects.filter(run__run_no=made["runNo"]).values_list("sn", flat=True)
        assert sns is None or set(moved) == set(sns)
        world.ledger.move(moved, made["runNo"], before)


def move(world: World) -> None:
    """Move boards to another run, or take them back."""
    run = world.run(state=OPEN) if world.random.random() < 0.8 else world.run()
    target = world.run(state=OPEN) if world.random.random() < 0.8 else None
    if run is None:
        return
    step_no = world.pick([None, None, 10, 20, 30])
    body = {"sns": world.sns(run), "toRunNo": target.run_no if target else None, **REASON}
    _move(world, f"runs/{run.run_no}/units/move", body | ({"toStepNo": step_no} if step_no else {}), target)


def return_units(world: World) -> None:
    """Return boards into another run."""
    standings = world.standings()
    ended = {sn: run for sn, run in world.ledger.run_of.items() if run and world.ledger.runs[run].state == ENDED}
    done = [sn for sn in ended if standings[sn] == "DONE"]
    source = world.ledger.runs.get(world.pick([ended[sn] for sn in done or ended]) or "")
    if source is None:
        return
    product = world.ledger.orders[source.wo_no].product
    fitting = [run for run in world.ledger.runs.values() if run.state == OPEN and run.kind != "PRODUCTION"]
    fitting = [run for run in fitting if world.ledger.orders[run.wo_no].product == product]
    target = world.pick(fitting) if fitting and world.random.random() < 0.8 else world.run(state=OPEN)
    if target is None:
        return
    step_no = world.pick([None, None, None, 10, 20])
    sns = [sn for sn in done if ended[sn] == source.run_no][:1] if world.random.random() < 0.8 else world.sns(source)
    body = {"sns": sns, **REASON, **({"toStepNo": step_no} if step_no else {})}
    _move(world, f"runs/{target.run_no}/units/return", body, target)


def _move(world: World, address: str, body: dict[str, Any], target: Run | None) -> None:
    if not body["sns"]:
        return
    before = world.standings()
    if data_of(world.post(world.people.supervisor, address, body)) is not None:
        world.ledger.move(body["sns"], target.run_no if target else None, before)


# --- boards in stations ------------------------------------------------------------------------------------


def work(world: World) -> None:
    """Bring a board of an open run further by hand: in, or out with a result; now and then without the run's number."""
    runs = [run for run in world.ledger.runs.values() if run.state == OPEN]
    sn = world.pick(sn for run in runs for sn in world.ledger.boards_of(run.run_no))
    for _ in range(3):
        place = world.place(sn) if sn else None
        if sn is None or place is None:
            return
        station, run_no = place
        body = {"sn": sn} if world.random.random() < 0.3 else {"sn": sn, "runNo": run_no}
        world.post(world.people.operator, f"stations/{station}/track-in", body)
        if world.random.random() < 0.85:
            result = world.pick(["PASS"] * 9 + ["FAIL"] * 2)
            named = [some_defect(world) for _ in range(world.random.randint(0, 2))] if result == "FAIL" else []
            left = {**body, "result": result, "defects": named}
            world.post(world.people.operator, f"stations/{station}/track-out", left)


def make_board(world: World) -> None:
    """Let a new board come to the first station of a line, with or without the run's number."""
    line, [sn] = world.pick(LINES), world.new_sns(1)
    run = world.run(state=OPEN)
    body = {"sn": sn} if run is None or world.random.random() < 0.6 else {"sn": sn, "runNo": run.run_no}
    world.post(world.people.operator, f"stations/{station_of('PRINT', line)}/track-in", body)
    _note_new(world, sn, body.get("runNo"))


def report(world: World) -> None:
    """Let a printer report a board: known or new, early, late or again."""
    if world.events and world.random.random() < 0.2:
        world.post(world.people.machine, "ingest/events", world.pick(world.events))
        return
    run = world.run(state=OPEN)
    known = world.sn(run) if run else None
    sn = known if known and world.random.random() < 0.7 else world.new_sns(1)[0]
    line = run.line if run and world.random.random() < 0.9 else world.pick(LINES)
    age = world.pick([0, 0, 0, 3, 120])
    event: dict[str, Any] = {
        "dedupeKey": f"event-{world.next_number()}",
        "sourceSystem": "PRINTERS",
        "eventType": "AUTO",
        "occurredAt": (timezone.now() - timedelta(seconds=age)).isoformat(),
        "payload": {
            "sn": sn,
            "station": station_of("PRINT", line),
            "result": world.pick(["OK"] * 8 + ["NG"]),
            "defects": world.pick([[]] * 6 + [[_found_by_machine(world)]]),
        },
    }
    if run is not None and world.random.random() < 0.4:
        event["runNo"] = run.run_no
    world.events.append(event)
    world.post(world.people.machine, "ingest/events", event)
    _note_new(world, sn, event.get("runNo"))


def _found_by_machine(world: World) -> dict[str, Any]:
    """Return a defect as a machine names it, by a code that somebody knows or not, and falsely or not."""
    code = world.pick(["BRIDGE", "BRIDGE", "SOLDER_BALL", "E-404"])
    return {"code": code, "at": f"U{world.next_number()}", "isFalse": world.random.random() < 0.2}


def _note_new(world: World, sn: str, run_no: str | None) -> None:
    """Note a board that came to be: in the run that was named, else in the one that is active where it came."""
    if sn in world.ledger.run_of:
        return
    made = Unit.objects.filter(sn=sn).values_list("run__run_no", flat=True).first()
    if made is not None:
        assert run_no in (None, made)
        assert world.ledger.runs[made].state == OPEN
        world.ledger.enter(made, [sn])


def golden(world: World) -> None:
    """Let the golden board pass a printer, and try to make it."""
    line = world.pick(LINES)
    body = {
        "dedupeKey": f"event-{world.next_number()}",
        "sourceSystem": "PRINTERS",
        "eventType": "AUTO",
        "occurredAt": timezone.now().isoformat(),
        "payload": {"sn": GOLDEN, "station": station_of("PRINT", line), "result": world.pick(["OK", "OK", "NG"])},
    }
    world.post(world.people.machine, "ingest/events", body)
    refused = world.post(world.people.operator, f"stations/{station_of('PRINT', line)}/track-in", {"sn": GOLDEN})
    assert refused.status_code >= 400
    assert not Unit.objects.filter(sn=GOLDEN).exists()


def wait(world: World) -> None:
    """Let what waits or was missed be tried, or its time be over."""
    if world.random.random() < 0.5:
        OpenIngestEvent.objects.filter(status="WAITING").update(wait_until=timezone.now() - timedelta(seconds=1))
    catch_up()


# --- decisions about boards --------------------------------------------------------------------------------


def decide(world: World) -> None:
    """Hold, release, rework or scrap a board."""
    sn = world.sn()
    if sn is None:
        return
    action = world.pick(["hold", "release", "release", "rework", "rework", "rework", "scrap"])
    who = world.people.quality if action == "release" else world.people.supervisor
    if data_of(world.post(who, f"units/{sn}/{action}", REASON)) is None:
        return
    if action == "hold":
        world.ledger.hold([sn], "PERSON")
    else:
        world.ledger.end([sn])


def ask_to_undo_a_scrap(world: World) -> None:
    """Ask for a scrapped board to be taken in again, where its run has ended into another."""
    sn = world.pick(sn for sn, status in world.statuses().items() if status == "SCRAPPED")
    if sn is None:
        return
    target = world.run(state=OPEN) if world.random.random() < 0.4 else None
    body = {**REASON, **({"toRunNo": target.run_no} if target else {})}
    asked = data_of(world.post(world.people.supervisor, f"units/{sn}/unscrap", body))
    if asked is not None:
        world.approvals.append((asked["approvalId"], sn if target is None else f"{sn}\n{target.run_no}"))


def ask_for_a_deviation(world: World) -> None:
    """Ask that a step may be skipped, or done elsewhere."""
    run = world.run(state=OPEN)
    if run is None:
        return
    expires_at = (timezone.now() + timedelta(days=world.random.randint(1, 5))).isoformat()
    body = {"type": world.pick(["SKIP", "STATION"]), "stepNo": world.pick([20, 30]), "expiresAt": expires_at, **REASON}
    if body["type"] == "STATION":
        body["stationCodes"] = [station_of("INSPECT", world.pick(LINES))]
    asked = data_of(world.post(world.people.supervisor, f"runs/{run.run_no}/deviations", body))
    if asked is not None:
        world.approvals.append((asked["approvalId"], ""))
        world.deviations.append(asked["deviationNo"])


def approve(world: World) -> None:
    """Approve or refuse what was asked for."""
    asked = world.pick(world.approvals)
    if asked is None:
        return
    approval_id, what = asked
    verdict = world.pick(["approve"] * 4 + ["refuse"])
    before = world.standings()
    answer = world.post(world.people.quality, f"approvals/{approval_id}/{verdict}", REASON)
    if data_of(answer) is not None:
        world.approvals.remove(asked)
        if verdict == "approve" and what:
            sn, _newline, run_no = what.partition("\n")
            unit = Unit.objects.filter(aliases__sn=sn).first()
            now = unit.sn if unit is not None else sn
            world.ledger.hold([now], "PERSON")
            if run_no and world.ledger.run_of[now] != run_no:
                world.ledger.move([now], run_no, before)


def end_deviation(world: World) -> None:
    """End a deviation."""
    if (number := world.pick(world.deviations)) is not None:
        world.post(world.people.supervisor, f"deviations/{number}/end", REASON)


# --- lines -------------------------------------------------------------------------------------------------


def stop_line(world: World) -> None:
    """Stop a line, or let it go on."""
    line = world.pick(LINES)
    if world.random.random() < 0.25:
        world.post(world.people.operator, f"lines/{line}/hold", REASON)
    else:
        world.post(world.people.supervisor, f"lines/{line}/resume", REASON)


def activate(world: World) -> None:
    """Make a run the active one of a line or station."""
    run, line = world.run(), world.pick(LINES)
    run_no = run.run_no if run is not None and world.random.random() < 0.9 else None
    body: dict[str, Any] = {"runNo": run_no}
    if world.random.random() < 0.2:
        body["stationCode"] = station_of("PRINT", line)
    world.post(world.people.operator, f"lines/{line}/active-run", body)


OFTEN: dict[Callable[[World], None], int] = {
    work: 34,
    report: 10,
    make_board: 6,
    make_order: 3,
    make_run: 7,
    register: 5,
    close_run: 6,
    decide: 7,
    move: 5,
    return_units: 10,
    split: 3,
    change_run: 3,
    change_order: 3,
    hold_run: 2,
    resume_run: 5,
    reopen_run: 3,
    authorize: 2,
    activate: 3,
    stop_line: 3,
    complete_order: 2,
    cancel_order: 1,
    reopen_order: 4,
    relabel: 2,
    register_panel: 3,
    depanel: 6,
    ask_to_undo_a_scrap: 3,
    ask_for_a_deviation: 3,
    approve: 6,
    end_deviation: 4,
    golden: 1,
    wait: 2,
    **quality_acts.OFTEN,
}


def begin(world: World) -> None:
    """Begin with a few orders and runs."""
    for _ in range(2):
        make_order(world)
        make_run(world)
        make_run(world)


def act(world: World) -> str:
    """Do something at random; return what."""
    [chosen] = world.random.choices(list(OFTEN), weights=list(OFTEN.values()))
    runs = [run for run in world.ledger.runs.values() if run.state == OPEN]
    if len(runs) < 3:  # else there is soon nothing to be done
        chosen = world.pick([make_order, make_run, make_run])
    elif chosen in (work, report) and sum(len(world.ledger.boards_of(run.run_no)) for run in runs) < 4:
        chosen = register
    chosen(world)
    return chosen.__name__


# --- the end -----------------------------------------------------------------------------------------------


def end_all(world: World) -> None:
    """End every run and order by public acts alone: let go on, end repairs, release or scrap what is not finished,
    inspect what is to be inspected, close, complete or cancel.

    Whatever state things are in, that must be enough.
    """
    supervisor = world.people.supervisor
    for line in LINES:
        world.post(supervisor, f"lines/{line}/resume", REASON)
    for station in sorted(world.stopped):
        quality_acts.go_on(world, station)
    for hold_no in sorted(world.ledger.catching):
        quality_acts.release(world, hold_no)
    while quality_acts.work_at_bench(world):
        pass
    while open_runs := [run for run in world.ledger.runs.values() if run.state == OPEN]:
        end_run(world, open_runs[0])
    for wo_no in world.ledger.orders:
        status = supervisor.get(f"/api/work-orders/{wo_no}").json()["data"]["status"]
        if status in ("COMPLETED", "CANCELLED"):
            continue
        answer = world.post(supervisor, f"work-orders/{wo_no}/complete", REASON)
        if answer.status_code != 200:
            answer = world.post(supervisor, f"work-orders/{wo_no}/cancel", REASON)
        assert answer.status_code == 200, answer.content


def end_run(world: World, run: Run) -> None:
    """End a run by what its close-check says is in the way, one thing after the other."""
    supervisor = world.people.supervisor
    for _round in range(6):
        check = data_of(supervisor.get(f"/api/runs/{run.run_no}/close-check"))
        codes = {blocker["code"] for blocker in check["blockers"]}
        if check["canClose"]:
            answer = world.post(supervisor, f"runs/{run.run_no}/close", REASON)
            assert answer.status_code == 200, answer.content
            _note_closed(world, run, answer.json()["data"]["notMade"])
            return
        for blocker in check["blockers"]:
            for sn in blocker["sns"]:
                _finish(world, sn)
        if "UNITS_NOT_FINISHED" in codes:
            continue
        if "RUN_ON_HOLD" in codes:
            quality_acts.review_material(world, run, world.pick(["RELEASE", "SCRAP"]))
            assert run.state == ENDED
            return
        assert codes == {"OQC_REQUIRED"}, check
        _inspect_at_last(world, run)
    raise AssertionError(f"{run.run_no} cannot be ended: {check}")


def _finish(world: World, sn: str) -> None:
    """Release a board that is done behind its holds, mostly; else scrap it."""
    is_done = world.standings()[sn] == "DONE" and world.random.random() < 0.7
    answer = world.post(world.people.supervisor, f"units/{sn}/{'release' if is_done else 'scrap'}", REASON)
    assert answer.status_code == 200, answer.content
    world.ledger.end([sn])


def _inspect_at_last(world: World, run: Run) -> None:
    """Have the lot of a run inspected whose begun boards are finished: the others are scrapped, or taken back."""
    world.post(world.people.supervisor, f"runs/{run.run_no}/resume")
    lot = quality_acts.find_lot(world, run)
    if lot is None:
        for sn in world.not_made(run):
            back = {"sns": [sn], "toRunNo": None, **REASON}
            if world.random.random() < 0.5:
                _move(world, f"runs/{run.run_no}/units/move", back, None)
            if world.ledger.run_of[sn] is not None:
                _finish(world, sn)
        lot = quality_acts.draw(world, run)
        assert lot is not None
    quality_acts.decide_lot(world, lot, is_good=world.random.random() < 0.8)
