"""What runs of the benchmark and of an attack have in common: how they end, and the file of what they found."""

import json
import os
import platform
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Protocol


class AsJson(Protocol):
    """What can be written into the file."""

    def as_json(self) -> dict[str, Any]: ...


def unwind_on_signals() -> None:
    """Have SIGTERM and SIGHUP end this process through every `finally`, so that everything is stopped."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _unwind)


def write_outcomes(path: Path | None, name: str, outcomes: Sequence[AsJson]) -> None:
    """Write what was found under a name, with time, machine and Python; nowhere without a path."""
    if path is None:
        return
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        name: [outcome.as_json() for outcome in outcomes],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _unwind(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
