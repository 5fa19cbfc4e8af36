"""The plant in the middle of its life: what is chosen, how it is asked for, and what is noted of it."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from rest_framework.test import APIClient

from execution.models import Track
from mes.production.models import Unit
from tests.life.ledger import ENDED, Ledger, Run
from tests.life.plant import DEVICE, DEVICE_STEPS, STEPS, People, station_of

_numbers = count(1)
Answer = Any
REASON = {"reason": "so it was decided"}


@dataclass
class World:
    """The plant in the middle of its life."""

    people: People
    random: Random
    ledger: Ledger = field(default_factory=Ledger)
    events: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[tuple[str, str]] = field(default_factory=list)  # id, what for
    deviations: list[str] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)  # stations, by what holds
    asked: list[str] = field(default_factory=list)
    succeeded: int = 0
    reached: Counter[str] = field(default_factory=Counter)

    # --- choosing

    def pick(self, things: Any) -> Any:
        """Return one of these; None where there is none."""
        things = list(things)
        return self.random.choice(things) if things else None

    def run(self, *, state: str | None = None) -> Run | None:
        """Return some run, mostly a recent one; with `state` one that is open or ended."""
        runs = [run for run in self.ledger.runs.values() if state in (None, run.state)]
        return self.pick(runs[-4:] if self.random.random() < 0.8 else runs)

    def sn(self, run: Run | None = None) -> str | None:
        """Return the serial number of some board, of a run if one is given."""
        return self.pick(self.ledger.run_of if run is None else self.ledger.boards_of(run.run_no))

    def sns(self, run: Run) -> list[str]:
        """Return up to three boards of a run, now and then one of another."""
        boards = self.ledger.boards_of(run.run_no)
        chosen = self.random.sample(boards, min(len(boards), self.random.randint(1, 3)))
        stranger = self.sn() if self.random.random() < 0.1 else None
        return list(dict.fromkeys([*chosen, *([stranger] if stranger else [])]))

    def new_sns(self, most: int = 3) -> list[str]:
        """Return serial numbers that nobody has."""
        return [f"B{self.next_number()}" for _ in range(self.random.randint(1, most))]

    def next_number(self) -> int:
        """Return a number that nothing has."""
        return next(_numbers)

    # --- asking

    def post(self, who: APIClient, address: str, body: dict[str, Any] | None = None, method: str = "post") -> Answer:
        """Ask for something. Whatever is answered is no server error; a refusal has its code."""
        answer = getattr(who, method)(f"/api/{address}", body or {})
        self.asked.append(f"{method} {address} {body} -> {answer.status_code} {answer.content[:300]!r}")
        assert answer.status_code < 500, (address, body, answer.content)
        self.succeeded += answer.status_code < 300
        if answer.status_code >= 400:
            assert answer.json()["error"]["code"], answer.content
        return answer

    def statuses(self) -> dict[str, str]:
        """Return the status of each board."""
        return dict(Unit.objects.values_list("sn", "status"))

    def standings(self) -> dict[str, str]:
        """Return the status of each board; of a held one that was done, that."""
        rows = Unit.objects.values_list("sn", "status", "held_from")
        return {sn: "DONE" if held_from == "DONE" else status for sn, status, held_from in rows}

    def not_made(self, run: Run) -> list[str]:
        """Return the boards of a run that were never in a station for it and are neither done nor scrapped."""
        boards, standings = self.ledger.boards_of(run.run_no), self.standings()
        tracked = set(Track.objects.filter(run__run_no=run.run_no).values_list("unit__sn", flat=True))
        return [sn for sn in boards if sn not in tracked and standings[sn] not in ("DONE", "SCRAPPED")]

    def place(self, sn: str) -> tuple[str, str] | None:
        """Return the station where a board is or belongs, and its run."""
        run_no = self.ledger.run_of.get(sn)
        unit = Unit.objects.filter(sn=sn).first()
        if run_no is None or unit is None:
            return None
        run = self.ledger.runs[run_no]
        steps = DEVICE_STEPS if self.ledger.orders[run.wo_no].product == DEVICE else STEPS
        return station_of(steps.get(unit.current_step_no or 10, "TEST"), run.line), run_no

    def end(self, run: Run, not_made: list[str]) -> None:
        """Note that a run ended, and which boards left it."""
        standings = self.standings()
        assert set(not_made) <= set(self.ledger.boards_of(run.run_no))
        assert not {"DONE", "SCRAPPED"} & {standings[sn] for sn in not_made}
        self.ledger.move(not_made, None, standings)
        run.state = ENDED


def data_of(answer: Answer) -> Any:
    """Return what was answered; None of a refusal."""
    return answer.json()["data"] if answer.status_code < 300 else None
