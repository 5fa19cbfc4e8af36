"""Differences between versions: what is told, that nothing is missed, and that the way back is the mirror image."""

import copy
import json
import random
from collections import Counter
from typing import Any

import pytest

from mes.routing import snapshots
from mes.routing.differences import Side, compare, compare_documents

OPERATIONS = ("PRINT", "REFLOW", "AOI")
NUMBERS = (10, 20, 30, 40)
LIMITS = (None, 235.0, 250.0, 255.5)


def spec(number: int = 1, name: str = "Peak Temperature", **changes: Any) -> dict[str, Any]:
    limits = {"lsl": 235.0, "usl": 255.0, "target": None, "unit": "°C"} | changes.pop("limits", {})
    alarm = {"min": None, "max": None, "action": ""} | changes.pop("alarm", {})
    return {
        "id": str(number),
        "name": name,
        "itemType": "KEY",
        "dataType": "NUMBER",
        "method": "AUTO",
        "triggerType": "EACH_UNIT",
        "isRequired": False,
        "limits": limits,
        "alarm": alarm,
        **changes,
    }


def step(number: int, operation: str = "REFLOW", **changes: Any) -> dict[str, Any]:
    return {
        "stepNo": number,
        "sourceStepKey": "",
        "operation": {"code": operation, "name": operation.title(), "kind": operation},
        "stationType": "AUTO",
        "stationGroupCode": "OVENS",
        "allowedStationCodes": None,
        "requiresFAI": False,
        "retestLimit": 0,
        "dataSpecs": [],
        "ingestMapping": None,
        **changes,
    }


def document(*steps: dict[str, Any], **route: Any) -> dict[str, Any]:
    identity = {"code": "R", "name": "Route", "sourceSystem": "MES", "productCode": "BOARD"}
    return {"schema": 1, "route": {**identity, **route}, "steps": list(steps)}


def side(content: dict[str, Any], errors: list[dict[str, Any]] | None = None) -> Side:
    return Side(content, errors or [], snapshots.digest_of(content, errors or []))


def told(first: dict[str, Any], second: dict[str, Any], *errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each.as_json() for each in compare_documents(first, second, *errors)]


def brief(differences: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(each.get(key) for key in ("kind", "stepNo", "subject", "name", "field")) for each in differences]


# --- what is told -----------------------------------------------------------------------------------------


def test_a_limit_is_told_with_its_unit() -> None:
    before, after = document(step(40, dataSpecs=[spec()])), document(step(40, dataSpecs=[spec(limits={"usl": 250.0})]))
    assert told(before, after) == [
        {
            "kind": "CHANGED",
            "stepNo": 40,
            "subject": "SPEC",
            "name": "Peak Temperature",
            "field": "limits.usl",
            "from": 255.0,
            "to": 250.0,
            "text": "Step 40: Peak Temperature, upper limit 255 → 250 °C",
        }
    ]


def test_another_unit_stands_at_both_numbers() -> None:
    before = document(step(40, dataSpecs=[spec()]))
    after = document(step(40, dataSpecs=[spec(limits={"usl": 491.0, "unit": "°F"})]))
    assert [each["text"] for each in told(before, after)] == [
        "Step 40: Peak Temperature, upper limit 255 °C → 491 °F",
        "Step 40: Peak Temperature, unit °C → °F",
    ]


def test_a_renamed_spec_is_changed_although_it_stands_elsewhere_then() -> None:
    before = document(step(40, dataSpecs=[spec(1, "Peak"), spec(2, "Speed")]))
    after = document(step(40, dataSpecs=[spec(2, "Speed"), spec(1, "Top")]))
    assert brief(told(before, after)) == [("CHANGED", 40, "SPEC", None, "name")]


def test_specs_in_another_order_are_told() -> None:
    before = document(step(40, dataSpecs=[spec(1, "Peak"), spec(2, "Speed")]))
    after = document(step(40, dataSpecs=[spec(2, "Speed"), spec(1, "Peak")]))
    assert [each["text"] for each in told(before, after)] == ["Step 40: order of the specs Peak, Speed → Speed, Peak"]


def test_a_spec_made_anew_is_another_and_one_of_an_old_document_is_known_by_its_name() -> None:
    before, after = document(step(40, dataSpecs=[spec(1)])), document(step(40, dataSpecs=[spec(2)]))
    assert sorted(each[0] for each in brief(told(before, after))) == ["ADDED", "REMOVED"]
    del before["steps"][0]["dataSpecs"][0]["id"]
    assert brief(told(before, after)) == [("CHANGED", 40, "SPEC", "Peak Temperature", "id")]


def test_steps_are_known_by_key_then_number_then_operation() -> None:
    before = document(step(10, "PRINT", sourceStepKey="A"), step(20, "REFLOW"), step(30, "AOI"))
    after = document(step(20, "REFLOW"), step(25, "AOI"), step(40, "PRINT", sourceStepKey="A", retestLimit=1))
    assert told(before, after) == [
        {
            "kind": "MOVED",
            "stepNo": 25,
            "subject": "STEP",
            "name": "AOI",
            "field": "stepNo",
            "from": 30,
            "to": 25,
            "text": "Step 25: AOI, before step 30",
        },
        {
            "kind": "MOVED",
            "stepNo": 40,
            "subject": "STEP",
            "name": "PRINT",
            "field": "stepNo",
            "from": 10,
            "to": 40,
            "text": "Step 40: PRINT, before step 10",
        },
        {
            "kind": "CHANGED",
            "stepNo": 40,
            "subject": "CONFIG",
            "field": "retestLimit",
            "from": 0,
            "to": 1,
            "text": "Step 40: retest limit 0 → 1",
        },
    ]


def test_another_operation_at_a_number_is_another_step() -> None:
    found = brief(told(document(step(10, "PRINT")), document(step(10, "AOI"))))
    assert sorted(found) == [("ADDED", 10, "STEP", "AOI", None), ("REMOVED", 10, "STEP", "PRINT", None)]


def test_mappings_are_told_path_by_path() -> None:
    before = {"snPath": "sn", "result": {"path": "r", "passValues": ["OK"]}, "stationCodePath": None}
    after = {"snPath": "sn", "result": {"path": "r", "passValues": ["OK", "PASS"]}, "measurements": {"namePath": "n"}}
    found = told(document(step(10, ingestMapping=before)), document(step(10, ingestMapping=after)))
    assert [each["text"] for each in found] == [
        "Step 10: mapping, result.passValues OK → OK, PASS",
        "Step 10: mapping, stationCodePath removed: none",
        "Step 10: mapping, measurements.namePath added: n",
    ]
    found = told(document(step(10)), document(step(10, ingestMapping=after)))
    assert [each["text"] for each in found] == ["Step 10: mapping added"]
    found = told(document(step(10, ingestMapping=[before])), document(step(10, ingestMapping=[before, {"when": "a"}])))
    assert [each["text"] for each in found] == ["Step 10: mapping, 1.when added: a"]


def test_a_version_that_cannot_be_used_says_why_it_is_another() -> None:
    same = document(step(10))
    error = {"stepNo": 10, "code": "STATION_NOT_FOUND", "message": "There is no station “X”."}
    found = told(same, same, [], [error])
    assert brief(found) == [("ADDED", 10, "CONFIG", "STATION_NOT_FOUND", "error")]
    assert found[0]["text"] == "Step 10: cannot be used: There is no station “X”."
    assert told(same, same, [error], [])[0]["text"] == "Step 10: no longer wrong: There is no station “X”."


def test_first_article_items_and_the_route_itself() -> None:
    before = document(faiItems=[{"itemName": "Height", "itemSpec": "120"}, {"itemName": "Polarity", "itemSpec": ""}])
    after = document(faiItems=[{"itemName": "Height", "itemSpec": "130"}], name="Another", snMasks=["##"])
    assert [each["text"] for each in told(before, after)] == [
        "Route: name Route → Another",
        "Route: masks of serial numbers none → ##",
        "First article: Polarity removed",
        "First article: Height, should be 120 → 130",
    ]


@pytest.mark.parametrize(("first", "second"), [(1, 1.0), (0, False), ({}, []), ("1", 1), ({}, {"a": {}})])
def test_what_the_digest_tells_apart_is_a_difference(first: Any, second: Any) -> None:
    before, after = (document(step(10, ingestMapping={"a": value})) for value in (first, second))
    assert len(told(before, after)) == 1


def test_a_mapping_nested_beyond_measure_is_compared() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _number in range(200):
        deep = {"a": deep}
    other = json.loads(json.dumps(deep).replace("1", "2"))
    assert len(told(document(step(10, ingestMapping=deep)), document(step(10, ingestMapping=other)))) == 1


# --- a thousand pairs -------------------------------------------------------------------------------------


def random_document(dice: random.Random) -> dict[str, Any]:
    numbers = sorted(dice.sample(NUMBERS, dice.randint(0, 3)))
    keys = dice.sample(["", "", "", "K1", "K2"], len(numbers))
    steps = [random_step(dice, number, key) for number, key in zip(numbers, keys, strict=True)]
    route: dict[str, Any] = {"name": dice.choice("ab")} if dice.random() < 0.1 else {}
    if dice.random() < 0.2:
        names = dice.sample(["Height", "Polarity", "Colour"], dice.randint(1, 3))
        route["faiItems"] = [{"itemName": name, "itemSpec": dice.choice(["", "1"])} for name in names]
    return document(*steps, **route)


def random_step(dice: random.Random, number: int, key: str) -> dict[str, Any]:
    ids = dice.sample([1, 2, 3], dice.randint(0, 2))
    specs = [spec(each, dice.choice(["A", "B"]) + str(each), limits={"usl": dice.choice(LIMITS)}) for each in ids]
    return step(
        number,
        dice.choice(OPERATIONS),
        sourceStepKey=key,
        dataSpecs=specs,
        allowedStationCodes=dice.choice([None, None, [], ["S"]]),
        ingestMapping=random_mapping(dice) if dice.random() < 0.5 else None,
    )


def random_mapping(dice: random.Random, depth: int = 0) -> Any:
    values: list[Any] = [1, 1.0, True, None, "a", [], {}, ["a", "b"]]
    if depth < 2:
        values += [{key: random_mapping(dice, depth + 1) for key in dice.sample("xyz", dice.randint(1, 2))}] * 4
        values += [[random_mapping(dice, depth + 1) for _number in range(dice.randint(1, 2))]] * 2
    return dice.choice(values)


def random_errors(dice: random.Random) -> list[dict[str, Any]]:
    problems = [{"stepNo": number, "code": "C", "message": text} for number in (None, 10) for text in "ab"]
    return dice.choices(problems, k=dice.randint(0, 2)) if dice.random() < 0.3 else []


def counted(differences: list[dict[str, Any]], *, turned: bool, with_places: bool) -> Counter[str]:
    """Return differences without their texts; turned, as they should be told the other way round."""
    kinds = {"ADDED": "REMOVED", "REMOVED": "ADDED"} if turned else {}
    ways = (("from", "to"), ("to", "from")) if turned else (("from", "from"), ("to", "to"))
    shown = ("subject", "field", *(("stepNo", "name") if with_places else ()))
    plain = [
        {key: each[key] for key in shown if key in each}
        | {there: each[here] for here, there in ways if here in each}
        | {"kind": kinds.get(each["kind"], each["kind"])}
        for each in differences
    ]
    return Counter(json.dumps(each, sort_keys=True) for each in plain)


def has_moved(differences: list[dict[str, Any]]) -> bool:
    renamed = any(each.get("field") == "name" and each["subject"] == "SPEC" for each in differences)
    return renamed or any(each["kind"] == "MOVED" for each in differences)


def test_equal_digests_mean_no_difference_and_the_way_back_is_the_mirror_image() -> None:
    dice = random.Random(17)
    same = 0
    for _number in range(1000):
        first, errors = random_document(dice), random_errors(dice)
        second, others = copy.deepcopy(first), copy.deepcopy(errors)
        if dice.random() < 0.9:
            second = random_document(dice) if dice.random() < 0.7 else {**second, "steps": second["steps"][::-1]}
            others = random_errors(dice)
        there, back = told(first, second, errors, others), told(second, first, others, errors)
        is_same = side(first, errors).digest == side(second, others).digest
        assert is_same == (not there) == (not back), (first, second)
        exact = not has_moved(there)
        mirror = counted(back, turned=True, with_places=exact)
        assert counted(there, turned=False, with_places=exact) == mirror, (first, second)
        assert [each.as_json() for each in compare(side(first, errors), side(second, others))] == there
        same += is_same
    assert 50 < same < 500


def test_what_only_the_digest_tells_is_told_all_the_same() -> None:
    content = document(step(10))
    found = compare(Side(content, [], "a"), Side(content, [], "b"))
    assert brief([each.as_json() for each in found]) == [("CHANGED", None, "ROUTE", None, "digest")]
