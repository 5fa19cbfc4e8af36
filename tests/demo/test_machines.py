"""What the machines measure is mostly good."""

from collections import Counter
from random import Random
from typing import Any

from demo import machines, oven, plant

BOARDS = 4000


def specs_of(step: plant.Step) -> dict[str, dict[str, Any]]:
    """The specs of a step as the server would describe them."""
    return {measurement.name: measurement.body(step.operation) for measurement in step.measurements}


def test_about_one_board_in_sixty_fails_and_only_by_a_fault() -> None:
    instrument, good = machines.Instrument(Random(7)), machines.Instrument(Random(7), faults=())
    failed = sum(any(result == "FAIL" for result in _pass_through(instrument)) for _ in range(BOARDS))
    assert 0.008 < failed / BOARDS < 0.03
    results = Counter(result for _ in range(BOARDS) for result in _pass_through(good))
    assert results["FAIL"] <= BOARDS * 0.001


def _pass_through(instrument: machines.Instrument) -> list[str]:
    return [_judge(instrument, step) for step in plant.STEPS]


def _judge(instrument: machines.Instrument, step: plant.Step) -> str:
    """What becomes of a board: an inspection fails it by what it finds, the others by their values."""
    specs = specs_of(step)
    values = instrument.measure(step)
    readings = machines.readings_to_send(values, specs)
    assert len(readings) == len(specs)
    return "FAIL" if instrument.find(step, values) else machines.verdict(readings, specs)


def test_values_wander_slowly_but_stay_near_their_target() -> None:
    instrument = machines.Instrument(Random(3), faults=())
    (step,) = (step for step in plant.STEPS if step.kind == "REFLOW")
    values = [instrument.measure(step)["Zone 3 Top Temperature"] for _ in range(BOARDS)]
    means = [sum(values[start : start + 50]) / 50 for start in range(0, BOARDS, 50)]  # type: ignore[arg-type]
    assert max(means) - min(means) > 0.5
    assert all(243 <= value <= 253 for value in values)  # type: ignore[operator]


def test_the_oven_report_names_every_measurement_of_its_step() -> None:
    (step,) = (step for step in plant.STEPS if step.kind == "REFLOW")
    report = machines.Instrument(Random(1), faults=()).report(step, "CB-1")
    values = dict(oven.readings_of(report))
    assert values.keys() == {measurement.name for measurement in step.measurements}
    assert values["Peak Temperature"] == values["Zone 3 Top Temperature"]
    assert oven.units_named_by(report) == {"CB-1"}
    assert oven.time_of(report) is not None


def test_a_value_of_another_type_than_its_spec_is_not_sent() -> None:
    specs = {
        "A": {"dataType": "NUMBER"},
        "B": {"dataType": "TEXT"},
        "C": {"dataType": "BOOLEAN"},
        "D": {"dataType": "TEXT"},
    }
    readings = machines.readings_to_send({"A": 1.5, "B": 2.0, "C": True, "D": "x", "E": 1.0}, specs)
    assert readings == [
        {"specName": "A", "valueNumber": 1.5},
        {"specName": "C", "valueBoolean": True},
        {"specName": "D", "valueText": "x"},
    ]
