"""What a run must pass to be authorized. Readiness, first article and others hang in here from their own apps."""

from collections.abc import Callable

from mes.production.models import Run

Gate = Callable[[Run, str], None]
_gates: list[Gate] = []


def register_gate(gate: Gate) -> None:
    """Have `gate(run, by)` called at each authorization, in order of registration; it raises a DomainError to refuse.

    The run is locked. What must survive the refusal goes into the error's `keep`.
    """
    if gate not in _gates:
        _gates.append(gate)


def check_gates(run: Run, *, by: str) -> None:
    """Raise the first refusal of any gate."""
    for gate in _gates:
        gate(run, by)
