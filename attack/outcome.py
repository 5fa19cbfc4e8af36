"""What a part of the attack found out."""

from dataclasses import dataclass, field
from typing import Any

SHOWN = 12  # faults that are printed; the file of --json has all


@dataclass
class Outcome:
    """One row of the table. None stands for what the row does not try.

    `tried` counts requests, connections or rounds; `faults` are sentences, one for each thing that is not as it must
    be; `skipped` says why nothing was tried; `note` is a figure that is worth keeping.
    """

    part: str
    tried: int = 0
    errors: int = 0  # answers of 500
    leaks: int | None = None
    lost: int | None = None
    doubled: int | None = None
    recovery: float | None = None  # seconds
    note: str = ""
    skipped: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether everything is as it must be. What was skipped is no fault."""
        return not (self.faults or self.errors or self.leaks or self.lost or self.doubled)

    @property
    def verdict(self) -> str:
        """One word."""
        return "skipped" if self.skipped else "ok" if self.is_well else "FAULT"

    def check(self, holds: bool, fault: str) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.faults.append(fault)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {**vars(self), "verdict": self.verdict}


HEADINGS = ("part", "tried", "500", "leaks", "lost", "doubled", "recovery s", "verdict")


def table(outcomes: list[Outcome]) -> str:
    """Return the table, as Markdown has it, that `docs/reliability.md` keeps."""
    rows = [HEADINGS, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _row(outcome: Outcome) -> tuple[str, ...]:
    figures = (outcome.leaks, outcome.lost, outcome.doubled)
    recovery = "" if outcome.recovery is None else f"{outcome.recovery:.1f}"
    counts = ["" if figure is None else str(figure) for figure in figures]
    return (outcome.part, f"{outcome.tried:,}", str(outcome.errors), *counts, recovery, outcome.verdict)


def details(outcome: Outcome) -> str:
    """Return what the table has no room for."""
    lines = [f"{outcome.part}: {text}" for text in (outcome.skipped, outcome.note) if text]
    lines += [f"{outcome.part}: FAULT {fault}" for fault in outcome.faults[:SHOWN]]
    if len(outcome.faults) > SHOWN:
        lines.append(f"{outcome.part}: … and {len(outcome.faults) - SHOWN} more")
    return "\n".join(lines)
