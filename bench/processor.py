"""How much processor time the web server and the database take: steadier than rates while others use the machine."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """Seconds of processor time, of user and system together."""

    web: float
    database: float

    def __sub__(self, other: "Used") -> "Used":
        return Used(self.web - other.web, self.database - other.database)

    def __truediv__(self, events: int) -> "Used":
        return Used(self.web / events, self.database / events)


NOTHING = Used(0, 0)


@dataclass(frozen=True)
class Meter:
    """Reads what two programs and all their children have used. Reads nothing where there is no /proc."""

    web: int  # process ids
    database: int

    def read(self) -> Used:
        """Return what was used so far."""
        parents, used = _processes()
        return Used(_of_tree(self.web, parents, used), _of_tree(self.database, parents, used))


def _processes() -> tuple[dict[int, int], dict[int, float]]:
    """Return parent and used time of each process; the time of children that ended is in their parent's."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
        used[int(path.name)] = sum(map(int, fields[11:15])) / _TICKS
    return parents, used


def _of_tree(root: int, parents: dict[int, int], used: dict[int, float]) -> float:
    tree = {root}
    while grown := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    return sum(used.get(pid, 0) for pid in tree)
