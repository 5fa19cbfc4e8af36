"""Which definition starts a clock: scopes, route conditions, conditions on the event."""

from typing import Any

import pytest

from mes.plant.models import Line
from mes.production import runs
from mes.production.models import Run
from mes.routing.compilation import compile_route
from mes.time_rules.models import TimeRuleDefinition
from tests.factories import make_config, make_group, make_line, make_route, make_station
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import (
    at,
    clocks,
    end,
    handle,
    make_rule,
    start,
    the_clock,
    track_event,
    usage_event,
)

pytestmark = pytest.mark.django_db


def make_run(line: Line | None = None, *, run_no: str = "RUN-W", steps: Any = ((10, "REFLOW"), (20, "WASH"))) -> Run:
    """Make a run of a route with these steps."""
    from mes.production import orders

    line = line or make_line()
    routing = make_route(f"ROUTE-{run_no}", steps=steps, product_code=f"BOARD-{run_no}")
    make_station(f"ANY-{line.code}", line=line, group=make_group("ANY"))
    make_config(routing, station_group=make_group("ANY"))
    compile_route(code=routing.code)
    orders.receive(
        wo_no=f"WO-{run_no}",
        product_code=routing.product_code,
        planned_qty=10,
        optional={"routing_code": routing.code},
    )
    orders.release(wo_no=f"WO-{run_no}", line_code=line.code)
    return runs.create(wo_no=f"WO-{run_no}", line_code=line.code, plan_qty=10, run_no=run_no)


def test_the_washing_preset_starts_only_where_the_route_has_washing(wall: SetTime) -> None:
    handle(start(at(0), sn="A", run=make_run(run_no="WITH")))
    handle(start(at(0), sn="B", run=make_run(run_no="WITHOUT", steps=((10, "REFLOW"), (20, "TEST")))))
    clock = the_clock("A")
    assert (clock.definition_code, clock.expires_at, clock.warning_at) == ("WASH_4H", at(240), at(210))
    assert (clock.run.run_no, clock.line.code) == ("WITH", "SMT-A")  # type: ignore[union-attr]
    assert clocks("B") == []


@pytest.mark.parametrize(
    ("kind", "payload", "starts"),
    [
        ("REFLOW", {}, True),
        ("AOI", {}, True),
        ("REFLOW", {"result": "FAIL"}, False),
        ("WAVE", {}, False),
        ("REFLOW", {"result": None}, False),
    ],
)
def test_the_washing_preset_starts_at_soldering_or_inspection_that_passed(
    wall: SetTime, kind: str, payload: dict[str, Any], starts: bool
) -> None:
    handle(track_event("TRACK_OUT", kind, at(0), run=make_run(), **payload))
    assert bool(clocks()) is starts


def test_inspection_after_soldering_does_not_start_it_again(wall: SetTime) -> None:
    run = make_run(steps=((10, "REFLOW"), (20, "AOI"), (30, "WASH")))
    handle(start(at(0), run=run), track_event("TRACK_OUT", "AOI", at(30), run=run), end(at(240), run=run))
    assert (the_clock().status, the_clock().started_at) == ("COMPLETED", at(0))


def test_the_most_specific_definition_of_a_code_applies(wall: SetTime) -> None:
    run = make_run()
    scopes = [
        ("GLOBAL", "", 10),
        ("LINE", run.line.code, 20),
        ("ROUTING", run.route_version.routing.code, 30),
        ("PRODUCT", run.work_order.product_code, 40),
    ]
    for number, (scope, value, minutes) in enumerate(scopes):
        make_rule("MINE", scope=scope, scope_value=value, duration_minutes=minutes, warning_minutes=0)
        handle(start(at(0), sn=f"SN-{number}", run=run))
        [clock] = [one for one in clocks(f"SN-{number}") if one.definition_code == "MINE"]
        assert clock.duration_minutes == minutes, scope


def test_specificity_goes_before_priority_and_priority_decides_among_equals(wall: SetTime) -> None:
    make_rule("MINE", duration_minutes=10, warning_minutes=0, priority=5)
    make_rule("MINE", duration_minutes=20, warning_minutes=0, priority=7)
    run = make_run()
    handle(start(at(0), sn="A"))
    assert the_clock("A").duration_minutes == 20
    make_rule("MINE", duration_minutes=30, warning_minutes=0, scope="LINE", scope_value=run.line.code)
    TimeRuleDefinition.objects.filter(code="WASH_4H").delete()
    handle(start(at(0), sn="B", run=run))
    assert the_clock("B").duration_minutes == 30


def test_a_more_specific_definition_with_another_start_takes_the_place_of_the_general_one(wall: SetTime) -> None:
    run = make_run()
    TimeRuleDefinition.objects.filter(code="WASH_4H").delete()
    make_rule("MINE")
    make_rule("MINE", scope="LINE", scope_value=run.line.code, start_condition={"operationKind": "AOI"})
    handle(start(at(0), run=run))
    assert clocks() == []
    handle(start(at(0), sn="ELSEWHERE"))
    assert len(clocks("ELSEWHERE")) == 1


def test_an_inactive_definition_gives_way_to_a_general_one(wall: SetTime) -> None:
    run = make_run()
    TimeRuleDefinition.objects.filter(code="WASH_4H").delete()
    make_rule("MINE", duration_minutes=10, warning_minutes=0)
    make_rule("MINE", scope="LINE", scope_value=run.line.code, is_active=False)
    handle(start(at(0), run=run))
    assert the_clock().duration_minutes == 10


def test_a_definition_of_another_line_does_not_apply(wall: SetTime) -> None:
    make_line("SMT-B")
    make_rule("MINE", scope="LINE", scope_value="SMT-B")
    run = make_run()
    handle(start(at(0), run=run))
    assert [one.definition_code for one in clocks()] == ["WASH_4H"]


def test_a_lot_is_judged_by_the_rule_of_its_line(wall: SetTime) -> None:
    line = make_line("SMT-B")
    preset = TimeRuleDefinition.objects.get(code="SOLDER_PASTE_24H")
    preset.pk, preset.scope, preset.scope_value, preset.duration_minutes = None, "LINE", "SMT-B", 480
    preset.save()
    handle(usage_event("SOLDER_PASTE_USAGE_CREATE", at(0), lot="L-1", usage=1, lineId=line.pk, lineCode="SMT-B"))
    handle(usage_event("SOLDER_PASTE_USAGE_CREATE", at(0), lot="L-2", usage=2))
    assert (the_clock("L-1").duration_minutes, the_clock("L-1").line) == (480, line)
    assert (the_clock("L-2").duration_minutes, the_clock("L-2").line) == (1440, None)


def test_an_end_counts_wherever_it_happens(wall: SetTime) -> None:
    """The unit was moved to another line meanwhile, where another definition of the code applies."""
    first, second = make_run(run_no="ONE"), make_run(make_line("SMT-B"), run_no="TWO")
    make_rule("MINE", scope="LINE", scope_value="SMT-A")
    make_rule("MINE", scope="LINE", scope_value="SMT-B")
    handle(start(at(0), run=first), end(at(100), run=second))
    assert {one.status for one in clocks()} == {"COMPLETED"}
