"""The demo's counting machines: what they tell adds up to what they did, restarts and lateness apart."""

from random import Random
from typing import Any

from demo import counts
from demo.counts import Counting
from demo.mail import Tally
from demo.mischief import NOTHING_GOES_WRONG, Chances, Mischief


class Line:
    """Collects what is sent, and what is to be done later."""

    def __init__(self, chances: Chances = NOTHING_GOES_WRONG) -> None:
        self.sent: list[dict[str, Any]] = []
        self.due: list[tuple[float, Any]] = []
        self.tally = Tally()
        mischief = Mischief(Random(1), chances)
        self.counting = Counting(self, lambda s, action: self.due.append((s, action)), mischief, self.tally)  # type: ignore[arg-type]

    def post(self, *path: str, body: dict[str, Any]) -> None:
        assert path == ("integration", "device-data")
        self.sent.append(body)

    def pass_boards(self, operation: str, number: int) -> None:
        self.counting.enter(operation, "RUN-1", number)
        self.counting.leave(operation, "RUN-1", number)

    def let_time_pass(self) -> None:
        due, self.due = self.due, []
        for _seconds, action in due:
            action()

    def of(self, equipment: str) -> list[dict[str, Any]]:
        return [event["production"] for event in self.sent if event["equipmentId"] == equipment]


def test_a_counter_goes_on_and_windows_touch() -> None:
    line = Line()
    for number in (3, 4):
        line.pass_boards("PLACE", number)
        line.let_time_pass()
    first, second = line.of("EQ-PLC-A1")
    assert (first["mode"], first["boardsOut"], second["boardsOut"]) == ("CUMULATIVE", 3, 7)
    assert second["placed"] == 7 * 96 <= second["picked"]
    assert first["windowEnd"] == second["windowStart"]
    assert [one["placed"] for one in line.of("EQ-PLC-A2")] == [3 * 22, 7 * 22]
    assert "boardsOut" not in line.of("EQ-PLC-A2")[0]


def test_the_printer_tells_differences() -> None:
    line = Line()
    for number in (3, 4):
        line.pass_boards("PRINT", number)
        line.let_time_pass()
    assert [(one["mode"], one["boardsIn"], one["boardsOut"]) for one in line.of("EQ-PRN-A1")] == [
        ("DELTA", 3, 3),
        ("DELTA", 4, 4),
    ]


def test_one_placer_starts_again_and_the_other_is_late() -> None:
    line = Line(Chances(restart=1, late_counts=1))
    for number in (3, 4):
        line.pass_boards("PLACE", number)
        line.let_time_pass()
    assert [one["boardsOut"] for one in line.of("EQ-PLC-A1")] == [3, 4]
    assert [one["placed"] for one in line.of("EQ-PLC-A2")] == [3 * 22]  # the second is on its way
    line.counting.flush()
    assert [one["placed"] for one in line.of("EQ-PLC-A2")] == [3 * 22, 7 * 22]
    assert line.tally.on_purpose == {"restarted counter": 2, "late counts": 2}


def test_what_was_not_told_yet_is_told_at_the_end() -> None:
    line = Line()
    line.pass_boards("AOI", 5)
    assert line.sent == []
    line.counting.flush()
    assert [one["boardsOut"] for one in line.of("EQ-AOI-A1")] == [5]
    line.let_time_pass()
    assert len(line.sent) == 1
    assert {machine.operation for machine in counts.MACHINES} == {"PRINT", "PLACE", "AOI"}
