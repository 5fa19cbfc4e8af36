"""What other limits would have done to kept values: before as it was given, after as the judge says."""

import pickle
import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from execution.data import what_if
from execution.data.what_if import Kept
from execution.models import DataValue
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from mes.routing.snapshots import spec_of
from mes.specs.models import DataCollectionSpec
from tests.factories import Plant, api_client, make_plant, make_spec

NOW = timezone.now()


@pytest.fixture(scope="module")
def made(around_all: None) -> bytes:
    return pickle.dumps(make_plant(units=3))


@pytest.fixture
def plant(made: bytes, db: None) -> Plant:
    return pickle.loads(made)  # each its own


def keep(spec: DataCollectionSpec, *numbers: float | None, unit: Unit | None = None, **fields: Any) -> None:
    """Keep values as they would be judged by 235..250, the newest first."""
    DataValue.objects.bulk_create(
        DataValue(
            **{
                "received_at": NOW,
                "collected_at": NOW - timedelta(minutes=1 + place),
                "spec": spec,
                "name": spec.name,
                "item_type": spec.item_type,
                "operation_code": "REFLOW",
                "source": "AUTO",
                "unit": unit,
                "value_number": number,
                "judge": "PASS" if number is None or 235 <= number <= 250 else "FAIL",
                "alarmed": number is not None and not 230 <= number <= 255,
                **fields,
            }
        )
        for place, number in enumerate(numbers)
    )


def ask(spec: DataCollectionSpec, body: Any = None, client: APIClient | None = None) -> dict[str, Any]:
    response = (client or api_client(Role.ENGINEER)).post(f"/api/data-collection-specs/{spec.pk}/what-if", body or {})
    assert response.status_code == 200, response.json()
    return response.json()["data"]


def refuse(spec: DataCollectionSpec | str, body: Any) -> tuple[int, str, list[str]]:
    pk = spec if isinstance(spec, str) else spec.pk
    response = api_client(Role.ENGINEER).post(f"/api/data-collection-specs/{pk}/what-if", body)
    error = response.json()["error"]
    return response.status_code, error["code"], list(error["details"])


def test_a_tighter_limit_would_have_failed_some(plant: Plant) -> None:
    first, second, _third = plant.units
    keep(plant.peak, 249.5, 249.0, 245, unit=first)
    keep(plant.peak, 248.0, 256, unit=second)
    answer = ask(plant.peak, {"limits": {"lsl": 235, "usl": 248}})
    assert (answer["count"], answer["before"], answer["after"]) == (
        5,
        {"pass": 4, "fail": 1, "none": 0},
        {"pass": 2, "fail": 3, "none": 0},
    )
    assert (answer["newlyFailing"], answer["newlyPassing"], answer["units"]) == (2, 0, 1)
    assert answer["alarmed"] == {"before": 1, "after": 1}
    assert [(e["sn"], e["value"], e["before"], e["after"]) for e in answer["examples"]] == [
        ("SN-1", 249.5, "PASS", "FAIL"),
        ("SN-1", 249.0, "PASS", "FAIL"),
    ]
    assert answer["truncated"] is False


def test_before_is_the_verdict_that_was_given_not_that_of_todays_limits(plant: Plant) -> None:
    keep(plant.peak, 240, judge="FAIL", lsl=241, alarmed=True)  # by the limits of that day
    answer = ask(plant.peak)
    assert (answer["before"]["fail"], answer["after"]["pass"], answer["newlyPassing"]) == (1, 1, 1)
    assert answer["alarmed"] == {"before": 1, "after": 0}
    assert DataValue.objects.get().judge == "FAIL"


def test_without_limits_the_verdict_is_the_devices_or_none(plant: Plant) -> None:
    keep(plant.peak, 300, reported_judge="PASS")
    keep(plant.peak, 240, reported_judge="", collected_at=NOW - timedelta(minutes=9))
    answer = ask(plant.peak, {"limits": None})
    assert answer["before"] == {"pass": 1, "fail": 1, "none": 0}
    assert answer["after"] == {"pass": 1, "fail": 0, "none": 1}
    shown = [(example["before"], example["after"], example["sn"]) for example in answer["examples"]]
    assert shown == [("FAIL", "PASS", None), ("PASS", None, None)]


def test_an_alarm_is_tried_by_itself(plant: Plant) -> None:
    keep(plant.peak, 236, 251, 254)
    assert ask(plant.peak, {"alarm": {"max": 252}})["alarmed"] == {"before": 0, "after": 1}
    assert ask(plant.peak, {"alarm": None})["alarmed"] == {"before": 0, "after": 0}
    assert ask(plant.peak)["after"] == {"pass": 1, "fail": 2, "none": 0}


def test_bounds_are_included(plant: Plant) -> None:
    keep(plant.peak, 240.1, 240.2)
    answer = ask(plant.peak, {"limits": {"lsl": 240.1, "usl": 240.2}})
    assert answer["after"]["pass"] == 2
    answer = ask(plant.peak, {"limits": {"min": 240.15}})
    assert answer["newlyFailing"] == 1


def test_it_looks_at_the_period_and_the_last_30_days_otherwise(plant: Plant) -> None:
    keep(plant.peak, 240)
    keep(plant.peak, 241, collected_at=NOW - timedelta(days=40), received_at=NOW - timedelta(days=20))
    assert ask(plant.peak)["count"] == 1
    since, until = NOW - timedelta(days=92), NOW - timedelta(days=39)
    answer = ask(plant.peak, {"from": since.isoformat(), "to": until.isoformat()})
    assert (answer["count"], answer["to"][:10]) == (1, until.isoformat()[:10])
    assert ask(plant.peak, {"from": None, "to": (NOW - timedelta(days=35)).isoformat()})["count"] == 1


def test_of_too_many_values_the_newest_count(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "MOST_VALUES", 3)
    keep(plant.peak, 260, 240, 240, 270)
    answer = ask(plant.peak)
    assert (answer["count"], answer["after"]["fail"], answer["truncated"]) == (3, 1, True)
    keep(plant.peak, 240)
    assert ask(plant.peak, {"from": (NOW - timedelta(seconds=150)).isoformat()})["truncated"] is False


def test_of_examples_the_failing_come_first_and_no_more_than_fifty(plant: Plant) -> None:
    keep(plant.peak, *[251.0] * 30, *[240.0] * 60)
    examples = ask(plant.peak, {"limits": {"lsl": 241, "usl": 252}})["examples"]
    assert [example["after"] for example in examples] == ["FAIL"] * 50
    assert examples == sorted(examples, key=lambda example: example["collectedAt"], reverse=True)


def test_values_of_other_specs_and_other_types_are_left_out(plant: Plant) -> None:
    keep(plant.speed, 60)
    keep(plant.peak, None, value_text="hot")  # from before the spec took numbers
    assert ask(plant.peak)["count"] == 0


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"limits": {"lsl": 2, "usl": 1}, "alarm": None}, "limits.usl"),
        ({"limits": {"lsl": 235, "usl": 260}}, "alarm.max"),  # outside of the alarm that the spec has
        ({"alarm": {"min": 240}}, "alarm.min"),
        ({"alarm": {"action": "HOLD"}}, "alarm.action"),
        ({"limits": {"usl": "248"}}, "limits.usl"),
        ({"limits": {"usl": True}}, "limits.usl"),
        ({"limits": {"min": 1, "lsl": 2}}, "limits.min"),
        ({"limits": []}, "limits"),
        ({"limit": {}}, "limit"),
        ({"limits": {"usl": 10**400}}, "limits.usl"),
        ({"from": "yesterday"}, "from"),
        ({"from": 5}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"to": "9999-01-01T00:00:00Z"}, "to"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-04-03T00:00:01Z"}, "from"),
        ({"from": "2199-01-01T00:00:00Z"}, "from"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(plant: Plant, body: dict[str, Any], place: str) -> None:
    assert refuse(plant.peak, body) == (400, "VALIDATION_ERROR", [place])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_of_json_is_refused(plant: Plant, number: str) -> None:
    response = api_client(Role.ENGINEER).generic(
        "POST",
        f"/api/data-collection-specs/{plant.peak.pk}/what-if",
        f'{{"limits": {{"usl": {number}}}}}',
        content_type="application/json",
    )
    assert response.status_code == 400, response.content


def test_the_same_limits_are_refused_where_the_spec_is_changed(plant: Plant) -> None:
    body = {"limits": {"lsl": 3, "usl": 2, "target": 9}, "alarm": {"min": 4}}
    client = api_client(Role.ENGINEER)
    tried = client.post(f"/api/data-collection-specs/{plant.peak.pk}/what-if", body).json()["error"]
    saved = client.patch(f"/api/data-collection-specs/{plant.peak.pk}", body).json()["error"]
    assert (tried["code"], tried["details"]) == (saved["code"], saved["details"])


def test_a_spec_without_numbers_has_no_what_if(plant: Plant) -> None:
    spec = make_spec(plant.operations["REFLOW"], "Program", data_type="TEXT")
    assert refuse(spec, {"limits": {"usl": 1}})[:2] == (422, "DATA_TYPE_MISMATCH")
    assert refuse("0", {})[:2] == (404, "SPEC_NOT_FOUND")


def test_who_may_not_change_specs_may_not_ask(plant: Plant) -> None:
    address = f"/api/data-collection-specs/{plant.peak.pk}/what-if"
    assert api_client(Role.OPERATOR).post(address, {}).status_code == 403
    assert api_client(Role.ENGINEER, ["REF-01"]).post(address, {}).status_code == 403


def test_it_takes_three_statements_and_writes_nothing(plant: Plant, django_assert_num_queries: Any) -> None:
    for unit in plant.units:
        keep(plant.peak, *range(225, 260), unit=unit)
    client = api_client(Role.ENGINEER)
    ask(plant.peak, {}, client)
    with django_assert_num_queries(3) as seen:  # spec, values, serial numbers
        ask(plant.peak, {"limits": {"usl": 240}}, client)
    assert not [q["sql"] for q in seen.captured_queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


def test_values_are_found_by_their_index(plant: Plant) -> None:
    asked = what_if._asked(plant.peak, what_if.choose_period(None, None))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {what_if.READ_KEPT}", asked)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan Backward using" in plan and "Sort  (" not in plan, plan


# --- random limits ----------------------------------------------------------------------------------------

HUGE = 1.7976931348623157e308
EDGES = [0.0, -0.0, 0.1, 0.2, 0.1 + 0.2, 0.3, 1.0, 5e-324, -5e-324, HUGE, -HUGE, 1e-9]


def _number(chance: random.Random) -> float:
    return chance.choice([chance.choice(EDGES), chance.uniform(-2, 2), float(chance.randint(-3, 3))])


def _limits(chance: random.Random) -> dict[str, Any]:
    bounds = sorted(_number(chance) for _ in range(4))
    names = ["alarm_min", "lsl", "usl", "alarm_max"]
    return {name: bound if chance.random() < 0.7 else None for name, bound in zip(names, bounds, strict=True)}


def _within(number: float, low: float | None, high: float | None) -> bool:
    return not ((low is not None and number < low) or (high is not None and number > high))


@pytest.mark.parametrize("seed", range(40))
def test_it_equals_judging_each_value_by_hand(seed: int) -> None:
    chance = random.Random(seed)
    limits = _limits(chance)
    spec = DataCollectionSpec(pk=1, name="X", item_type="KEY", data_type="NUMBER", method="AUTO", **limits)
    bounds = [bound for bound in limits.values() if bound is not None]
    values = [
        Kept(
            chance.choice(bounds) if bounds and chance.random() < 0.3 else _number(chance),
            chance.choice(["PASS", "FAIL", ""]),
            chance.choice(["PASS", "FAIL", ""]),
            chance.random() < 0.5,
            chance.choice([None, 1, 2, 3]),
            NOW - timedelta(seconds=place),
        )
        for place in range(200)
    ]
    judged = limits["lsl"] is not None or limits["usl"] is not None
    verdicts = [
        ("PASS" if _within(kept.number, limits["lsl"], limits["usl"]) else "FAIL") if judged else kept.reported_judge
        for kept in values
    ]
    changed = [(kept, after) for kept, after in zip(values, verdicts, strict=True) if kept.judge != after]

    outcome = what_if.weigh(values, spec_of(spec))

    assert outcome.after == {n: verdicts.count(v) for v, n in (("PASS", "pass"), ("FAIL", "fail"), ("", "none"))}
    assert outcome.before["fail"] == sum(kept.judge == "FAIL" for kept in values)
    assert outcome.newly_failing == sum(after == "FAIL" for _kept, after in changed)
    assert outcome.newly_passing == sum(after == "PASS" for _kept, after in changed)
    assert outcome.alarmed_after == sum(
        not _within(kept.number, limits["alarm_min"], limits["alarm_max"]) for kept in values
    )
    assert outcome.alarmed_before == sum(kept.alarmed for kept in values)
    assert outcome.unit_ids == {kept.unit_id for kept, _after in changed} - {None}
    assert len(outcome.examples) == min(50, len(changed))


@pytest.mark.parametrize(
    ("numbers", "bins", "below", "above"),
    [
        ([], 0, 0, 0),
        ([5.0], 1, 0, 0),
        ([5.0] * 10, 1, 0, 0),
        ([float(n) for n in range(1000)], 48, 5, 5),
        ([*[float(n) for n in range(300)], 1e9], 48, 1, 1),
        ([HUGE, -HUGE], 0, 0, 0),
        ([0.0, 5e-324], 1, 0, 0),
    ],
)
def test_numbers_are_spread_in_bins(numbers: list[float], bins: int, below: int, above: int) -> None:
    drawn = what_if.spread(numbers)
    assert (len(drawn["bins"]), drawn["below"], drawn["above"]) == (bins, below, above)
    if bins:
        assert sum(drawn["bins"]) + below + above == drawn["count"] == len(numbers)
