"""Printed commands: what they say, and what is none."""

import pytest

from execution.station_page.commands import Command, CommandKind, read_command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("LK.PASS", Command(CommandKind.PASS)),
        ("]C0LK.FAIL\r", Command(CommandKind.FAIL)),
        (" LK.CANCEL\t", Command(CommandKind.CANCEL)),
        ("LK.D.SOLDER.BALL", Command(CommandKind.DEFECT, "SOLDER.BALL")),
        ("]d1LK.L.R12", Command(CommandKind.DESIGNATOR, "R12")),
        ("LK.U.4711", Command(CommandKind.BADGE, "4711")),
    ],
)
def test_what_a_command_says(text: str, command: Command) -> None:
    assert read_command(text) == command
    assert read_command(command.text) == command


@pytest.mark.parametrize(
    "text", ["", "LK.", "LK.D.", "LK.D. ", "LK.D", "LK.PASS.", "LK.PASSED", "lk.pass", "SN-1", "XLK.PASS"]
)
def test_what_is_none(text: str) -> None:
    assert read_command(text) is None
