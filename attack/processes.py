"""The processes of an installation, found as an operator would find them."""

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A living process. `words` is its command."""

    pid: int
    parent: int
    words: str


def belonging(folder: Path) -> dict[int, str]:
    """Return the living processes of an installation, by their environment or arguments, with their commands."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if words and str(folder) in words + environment and int(path.name) != os.getpid():
            found[int(path.name)] = words
    return found


def children(parent: int) -> list[Process]:
    """Return the living children of a process."""
    return [process for process in _all() if process.parent == parent]


def descendants(parent: int) -> list[Process]:
    """Return the living children of a process, theirs, and so on."""
    everyone, found, parents = _all(), [], {parent}
    while parents:
        young = [process for process in everyone if process.parent in parents]
        found += young
        parents = {process.pid for process in young}
    return found


def send(pids: Iterable[int], number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to processes; return how many of them were there."""
    count = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            count += 1
    return count


def _all() -> list[Process]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if words:  # a dead one that nobody reaped has none
            found.append(Process(int(path.name), parent, words))
    return found
