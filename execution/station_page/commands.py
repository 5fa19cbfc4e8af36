"""What printed codes tell the station page, so that nobody takes off a glove: the only place that knows them.

`LK.PASS`, `LK.FAIL` and `LK.CANCEL` stand alone; `LK.D.<code>` names a defect, `LK.L.<designator>` where it is,
`LK.U.<badge>` who is there. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from mes.platform.scans import read_scan

PREFIX = "LK."


class CommandKind(StrEnum):
    """What is told; the value is what follows the prefix."""

    PASS = "PASS"
    FAIL = "FAIL"
    CANCEL = "CANCEL"
    DEFECT = "D"
    DESIGNATOR = "L"
    BADGE = "U"

    @property
    def takes_value(self) -> bool:
        """Whether something follows: a defect code, a designator, a badge."""
        return self in _WITH_VALUE


_WITH_VALUE = (CommandKind.DEFECT, CommandKind.DESIGNATOR, CommandKind.BADGE)
_KINDS = {kind.value: kind for kind in CommandKind}


@dataclass(frozen=True)
class Command:
    """A command, and what it names."""

    kind: CommandKind
    value: str = ""

    @property
    def text(self) -> str:
        """What is printed as a barcode."""
        return f"{PREFIX}{self.kind}.{self.value}" if self.kind.takes_value else f"{PREFIX}{self.kind}"


def read_command(text: str) -> Command | None:
    """Return the command that a scanned text is, whatever symbology its scanner names; None where it is none."""
    text = read_scan(text).text
    if not text.startswith(PREFIX):
        return None
    name, point, value = text[len(PREFIX) :].partition(".")
    kind = _KINDS.get(name)
    if kind is None:
        return None
    if kind.takes_value:
        return Command(kind, value.strip()) if value.strip() else None
    return None if point else Command(kind)
