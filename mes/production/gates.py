"""What a run must pass to be authorized. Readiness, first article and others hang in here from their own apps."""

from collections.abc import Callable

from mes.production.models import Run

Gate = Callable[[Run], None]
_gates: list[Gate] = []


def register_gate(gate: Gate) -> None:
    """Have `gate(run)` called at each authorization, in order of registration; it raises a DomainError to refuse."""
    if gate not in _gates:
        _gates.append(gate)


def check_gates(run: Run) -> None:
    """Raise the first refusal of any gate."""
    for gate in _gates:
        gate(run)
