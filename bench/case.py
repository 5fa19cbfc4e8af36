"""What a case of the benchmark is. Each has its own file in `bench.cases`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


class BenchError(Exception):
    """Something cannot be measured; the message says why."""


@dataclass(frozen=True)
class Plant:
    """What the cases may name: a run whose units each have an open track at a step of one KEY NUMBER spec."""

    token: str
    run_no: str
    station_code: str
    step_no: int
    spec_name: str
    good_value: float
    sns: Sequence[str]
    auto_station_code: str = ""  # an AUTO first step of another run, whose units no event has moved yet
    auto_spec_name: str = ""
    panel_station_code: str = ""  # a BATCH first step of a third run, whose units come in panels
    session: str = ""  # of somebody who is signed in: the value of the cookie


@dataclass(frozen=True)
class Case:
    """A request that is sent again and again, and the statements that it cannot do without.

    `bodies` makes a few different bodies, sent to `path`; MARK stands in each where the number goes that no two
    requests share. `statements` are the import paths of the SQL texts that the floor runs, with the parameters that the
    product gives them; `is_transaction` where they are one. `rows` is the table that gets one row for each event, so
    that it can be counted that all are stored; `floor_rows` that of the floor, where its statements write another.
    `prepare` makes what the requests of a round use up, so many for each client.

    A read has `paths` instead of a path and bodies, and no rows. Where it names no `statements`, its floor runs all
    that a request ran. `by_session` sends the cookie of a person in place of the token.
    """

    name: str
    status: int
    unit: str
    path: str = ""
    bodies: Callable[[Plant], Sequence[bytes]] = lambda plant: ()
    paths: Callable[[Plant], Sequence[str]] | None = None
    by_session: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept-Encoding": "identity"})
    statements: Sequence[str] = ()
    rows: str = ""
    floor_rows: str = ""
    is_transaction: bool = False
    events: int = 1  # of one request
    connections: int = 8
    is_right: Callable[[bytes], bool] = lambda body: True
    prepare: Callable[[int, int, int], None] = lambda round_no, clients, each: None
    fastest: float = 0  # requests/s that `prepare` has to last for
    least_rate: float = 0  # target: events/s
    least_share: float = 0  # target: of the floor

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.paths is not None

    def examples(self, plant: Plant) -> list[tuple[str, bytes]]:
        """Return the address and the body of each of its requests."""
        if self.paths is not None:
            return [(path, b"") for path in self.paths(plant)]
        return [(self.path, body) for body in self.bodies(plant)]


MARK = b"00000000000000000"  # as long as every number that takes its place
assert len(MARK) == 17


def number(*, round_no: int, client: int, count: int) -> int:
    """Return a number of as many digits as MARK; it grows within a client, as a device's own counter does."""
    return (round_no * 100 + client + 10_000) * 10**12 + count
