"""Editing the steps of a route: their configs go where they go, and only what differs is written."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mes.errors import OperationNotFound, RouteReadOnly, StationNotFound, ValidationFailed
from mes.plant.models import Operation
from mes.platform.audit.models import AuditEntry
from mes.routing import services, step_edits
from mes.routing.compilation import merge
from mes.routing.models import RouteExecutionConfig, Routing, RoutingStep
from mes.routing.step_edits import StepEdit
from tests.factories import make_config, make_group, make_route, make_station

MAPPING = {"snPath": "payload.sn", "result": {"path": "payload.r", "passValues": ["OK"], "failValues": ["NG"]}}


# --- what becomes of configs (pure) -----------------------------------------------------------------------


def said_by(configs: list[RouteExecutionConfig], step: RoutingStep) -> set[int]:
    """The configs that say something of a step: each has its id as its retest limit."""
    counted = merge(configs, step)["retest_limit"].value
    return set() if counted is None else {counted}


def test_every_step_keeps_what_counts_for_it() -> None:
    """2,000 random edits: whatever moves, what counts for a step that stays is what counted before; none is inherited
    by a new step.
    """
    chance = random.Random(17)
    route, work = Routing(pk=1, code="R"), Operation(pk=1, code="WORK")
    moved = gone = 0
    for _turn in range(2000):
        numbers = chance.sample(range(5, 60, 5), chance.randint(1, 5))
        keys = ["", "", "K-1", "K-2", "K-3"]
        present = [
            RoutingStep(pk=pk, routing=route, step_no=no, operation=work, source_step_key=chance.choice(keys))
            for pk, no in enumerate(numbers, 1)
        ]
        configs = []
        for pk in range(1, chance.randint(1, 8)):
            key = chance.choice(keys)
            step_no = chance.choice([*numbers, 60, *([None] if key else [])])
            config = RouteExecutionConfig(
                pk=pk, scope="STEP", routing=route, step_no=step_no, source_step_key=key, retest_limit=pk,
                updated_at=present_time(chance),
            )  # fmt: skip
            configs.append(config)
        before = {step.pk: said_by(configs, step) for step in present}
        kept = chance.sample(present, chance.randint(0, len(present)))
        wanted: list[int | None] = [*(step.pk for step in kept), *([None] * chance.randint(0, 2))]
        chance.shuffle(wanted)
        new_numbers = chance.sample(range(5, 65, 5), len(wanted))
        edits = [StepEdit(pk, no, "WORK") for pk, no in zip(wanted, new_numbers, strict=True)]

        plan = step_edits.plan_configs(configs, present, edits)
        for config, step_no in plan.moved:
            config.step_no = step_no
        left = [config for config in configs if config not in plan.gone]
        moved, gone = moved + len(plan.moved), gone + len(plan.gone)
        key_of = {step.pk: step.source_step_key for step in present}
        for edit in edits:
            step = RoutingStep(pk=edit.step_id, routing=route, step_no=edit.step_no, operation=work)
            step.source_step_key = "" if edit.step_id is None else key_of[edit.step_id]
            assert said_by(left, step) == (set() if edit.step_id is None else before[edit.step_id])
    assert moved > 500 and gone > 500  # else nothing happened


def present_time(chance: random.Random) -> Any:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=chance.randint(0, 2))


# --- written ----------------------------------------------------------------------------------------------


@pytest.fixture
def routing(db: Any) -> Routing:
    """Printing, reflow and test; the oven and the tester have configs of their own."""
    routing = make_route(steps=[(10, "PRINT"), (20, "REFLOW"), (30, "TEST")])
    make_config(routing, step_no=20, station_group=make_group("OVENS"), station_type="AUTO", ingest_mapping=MAPPING)
    make_config(routing, step_no=30, retest_limit=2)
    return routing


def edits_of(routing: Routing) -> list[StepEdit]:
    return [StepEdit(step.pk, step.step_no, step.operation.code) for step in routing.steps.select_related("operation")]


def edit(routing: Routing, *steps: StepEdit) -> list[tuple[str, str, dict[str, Any]]]:
    """Edit the steps; return what the audit says: (collection, action, after)."""
    latest = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    services.edit_steps(code=routing.code, steps=steps)
    entries = AuditEntry.objects.filter(id__gt=latest).order_by("id")
    return [(entry.entity, entry.action, entry.after) for entry in entries]


def configs_of(routing: Routing) -> dict[int | None, Any]:
    return {config.step_no: config.retest_limit or config.station_type for config in routing.configs.all()}


def numbered(*steps: StepEdit) -> list[StepEdit]:
    """The steps in this order, numbered anew."""
    return [StepEdit(step.step_id, 10 * n, step.operation_code, step.values) for n, step in enumerate(steps, 1)]


def test_two_steps_exchange_their_places_and_configs(routing: Routing) -> None:
    first, oven, tester = edits_of(routing)
    written = edit(routing, *numbered(first, tester, oven))
    assert list(routing.steps.values_list("step_no", "operation__code", "pk")) == [
        (10, "PRINT", first.step_id), (20, "TEST", tester.step_id), (30, "REFLOW", oven.step_id)
    ]  # fmt: skip
    assert configs_of(routing) == {20: 2, 30: "AUTO"}
    # Each of the four rows that changed, by its number only.
    assert sorted(written, key=str) == sorted(
        [
            (entity, "UPDATE", {"step_no": number})
            for entity in ("execution-configs", "route-steps")
            for number in (20, 30)
        ],
        key=str,
    )


def test_the_same_steps_again_write_nothing(routing: Routing) -> None:
    assert edit(routing, *edits_of(routing)) == []


def test_the_config_of_a_removed_step_goes_and_its_number_is_free(routing: Routing) -> None:
    first, _oven, tester = edits_of(routing)
    edit(routing, *numbered(first, tester, StepEdit(None, 0, "REFLOW")))
    assert configs_of(routing) == {20: 2}
    assert list(routing.steps.values_list("operation__code", flat=True)) == ["PRINT", "TEST", "REFLOW"]


def test_a_leftover_config_is_not_given_to_a_new_step(routing: Routing) -> None:
    make_config(routing, step_no=40, retest_limit=9)
    edit(routing, *numbered(*edits_of(routing), StepEdit(None, 0, "REFLOW")))
    assert configs_of(routing) == {20: "AUTO", 30: 2}


def test_configs_by_key_follow_by_themselves(routing: Routing) -> None:
    routing.steps.filter(step_no=20).update(source_step_key="K-20")
    make_config(routing, step_no=20, source_step_key="K-20", requires_fai=True)
    key_only = make_config(routing, source_step_key="K-20", requires_fai=False)
    first, oven, tester = edits_of(routing)
    edit(routing, *numbered(oven, first, tester))
    assert set(routing.configs.values_list("step_no", "source_step_key")) == {
        (10, ""), (10, "K-20"), (None, "K-20"), (30, "")
    }  # fmt: skip
    edit(routing, *numbered(first, tester))
    assert not RouteExecutionConfig.objects.filter(pk=key_only.pk).exists()
    assert list(routing.configs.values_list("step_no", flat=True)) == [20]


def test_of_several_configs_the_same_one_counts_after_a_move(routing: Routing) -> None:
    older = make_config(routing, step_no=20, retest_limit=5)
    RouteExecutionConfig.objects.filter(pk=older.pk).update(updated_at="2026-01-01T00:00:00Z")
    make_config(routing, step_no=20, retest_limit=6)
    first, oven, tester = edits_of(routing)
    edit(routing, *numbered(oven, first, tester))
    step = routing.steps.get(step_no=10)
    assert merge(routing.configs.all(), step)["retest_limit"].value == 6


# --- what is set for a step -------------------------------------------------------------------------------


def test_values_are_set_changed_and_left_to_wider_scopes(routing: Routing) -> None:
    make_station("PRN-1")
    first, oven, tester = edits_of(routing)
    group = RouteExecutionConfig.objects.get(step_no=20).station_group
    written = edit(
        routing,
        StepEdit(first.step_id, 10, "PRINT", {"allowed_station_codes": ["PRN-1"], "data_spec_names": []}),
        StepEdit(oven.step_id, 20, "REFLOW", {"station_type": "BATCH", "station_group": group}),
        StepEdit(tester.step_id, 30, "TEST", {}),
    )
    made = RouteExecutionConfig.objects.get(step_no=10)
    assert (made.scope, made.allowed_station_codes, made.data_spec_names) == ("STEP", ["PRN-1"], [])
    assert [after for _entity, action, after in written if action == "UPDATE"] == [
        {"station_type": "BATCH"},
        {"retest_limit": None},
    ]
    assert [action for _entity, action, _after in written] == ["CREATE", "UPDATE", "UPDATE"]
    assert RouteExecutionConfig.objects.get(step_no=20).ingest_mapping == MAPPING


def test_a_moved_step_is_set_anew_in_the_same_edit(routing: Routing) -> None:
    first, oven, tester = edits_of(routing)
    changed = StepEdit(tester.step_id, 20, "TEST", {"retest_limit": 1})
    edit(routing, first, changed, StepEdit(oven.step_id, 30, "REFLOW"))
    assert configs_of(routing) == {20: 1, 30: "AUTO"}


def test_what_inherits_is_said_by_no_config_of_the_step(routing: Routing) -> None:
    make_config(routing, step_no=30, retest_limit=4)
    first, oven, tester = edits_of(routing)
    edit(routing, first, oven, StepEdit(tester.step_id, 30, "TEST", {}))
    assert set(routing.configs.filter(step_no=30).values_list("retest_limit", flat=True)) == {None}


def test_a_new_step_is_set_by_number_and_one_with_a_key_by_its_key(routing: Routing) -> None:
    routing.steps.filter(step_no=10).update(source_step_key="K-10")
    first, oven, tester = edits_of(routing)
    values = {"requires_fai": True}
    edit(routing, StepEdit(first.step_id, 10, "PRINT", values), oven, tester, StepEdit(None, 40, "REFLOW", values))
    places = routing.configs.filter(requires_fai=True).values_list("step_no", "source_step_key")
    assert set(places) == {(None, "K-10"), (40, "")}


# --- refused ----------------------------------------------------------------------------------------------


def test_steps_of_the_erp_stay_but_are_set(routing: Routing) -> None:
    Routing.objects.update(source_system="ERP")
    first, oven, tester = edits_of(routing)
    for steps in ([first, oven], numbered(oven, first, tester), [*edits_of(routing), StepEdit(None, 40, "TEST")]):
        with pytest.raises(RouteReadOnly):
            edit(routing, *steps)
    edit(routing, StepEdit(first.step_id, 10, "PRINT", {"retest_limit": 7}), oven, tester)
    assert configs_of(routing)[10] == 7


def test_refusals_write_nothing(routing: Routing) -> None:
    before = list(RoutingStep.objects.values()), list(RouteExecutionConfig.objects.values())
    first, oven, tester = edits_of(routing)
    refused: list[tuple[type[Exception], list[StepEdit]]] = [
        (OperationNotFound, [first, oven, tester, StepEdit(None, 40, "NOTHING")]),
        (ValidationFailed, [first, oven, StepEdit(tester.step_id, 10, "TEST")]),
        (ValidationFailed, [first, oven, StepEdit(oven.step_id, 50, "TEST")]),
        (ValidationFailed, [StepEdit(999_999, 10, "TEST")]),
        (StationNotFound, [oven, StepEdit(None, 70, "TEST", {"allowed_station_codes": ["NO"]})]),
    ]
    for error, steps in refused:
        with pytest.raises(error):
            services.edit_steps(code=routing.code, steps=steps)
    assert before == (list(RoutingStep.objects.values()), list(RouteExecutionConfig.objects.values()))


def test_places_of_refusals_are_told(routing: Routing) -> None:
    first, oven, tester = edits_of(routing)
    with pytest.raises(ValidationFailed) as refusal:
        edit(routing, first, oven, StepEdit(None, 20, "TEST"))
    assert list(refusal.value.details) == ["steps.2.stepNo"]
    RouteExecutionConfig.objects.filter(step_no=20).update(ingest_mapping={"snPath": "payload["})
    with pytest.raises(ValidationFailed) as refusal:
        edit(routing, first, StepEdit(oven.step_id, 20, "REFLOW", {"retest_limit": 1}), tester)
    assert list(refusal.value.details) == ["steps.1.ingestMapping"]
