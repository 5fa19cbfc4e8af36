"""What machines send, and what happens to it on the way: late, twice, spoilt, kept back while a machine is cut off.

Every answer is counted. What was refused on purpose is counted apart, so that any other refusal stands out.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from demo import mischief, plant
from demo.client import Client, Refused
from demo.mischief import Event, Mischief

LONGEST_DELAY = 60.0  # seconds; well below the time that events may wait for each other
LATEST_TAKTS, OUTAGE_TAKTS = 3.0, 6.0
LARGEST_BATCH = 500
LINE_STOPPED, STATION_STOPPED = "LINE_ON_HOLD", "STATION_STOPPED"
STOPPED = {LINE_STOPPED: "line stopped", STATION_STOPPED: "station stopped"}

Schedule = Callable[[float, Callable[[], None]], None]
OnAnswer = Callable[[dict[str, Any]], None]


@dataclass
class Tally:
    """What was sent, how it was answered, and what went wrong on purpose."""

    events: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    on_purpose: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        answers = ", ".join(f"{number} {name.lower()}" for name, number in sorted(self.answers.items()))
        purpose = ", ".join(f"{number} {name}" for name, number in sorted(self.on_purpose.items())) or "nothing"
        codes = ", ".join(f"{number} {code}" for code, number in sorted(self.rejected.items())) or "none"
        others = ", ".join(f"{number} {code}" for code, number in sorted(self.unexpected.items())) or "none"
        return (
            f"{self.events} events: {answers or 'none answered'}. On purpose: {purpose}. "
            f"Rejected: {codes}. Rejected, but not on purpose: {others}."
        )


@dataclass(eq=False)
class Letter:
    """An event on its way, and whom to tell the answer."""

    step: plant.Step
    event: Event
    on_answer: OnAnswer
    on_refusal: Callable[[Refused], None]


class Mail:
    """Sends events to the server."""

    def __init__(self, client: Client, schedule: Schedule, mischief: Mischief, say: Callable[[str], None]) -> None:
        self.tally = Tally()
        self.is_line_stopped = False  # then nothing else goes wrong
        self._client = client
        self._schedule = schedule
        self._mischief = mischief
        self._say = say
        self._late: dict[int, Letter] = {}
        self._spools: dict[str, list[Letter]] = {}  # of machines that are cut off, by station
        self._numbers = count()

    def send(self, letter: Letter, *, takt: float, is_clean: bool) -> bool:
        """Send an event, or let something happen to it; False when it will arrive later.

        Only a `is_clean` one is spoilt or delayed: its boards pass, and no earlier event of theirs is on its way.
        """
        self.tally.events += 1
        station, is_clean = letter.step.station, is_clean and not self.is_line_stopped
        if station in self._spools:
            self._spools[station].append(letter)
            return False
        if is_clean and self._mischief.happens("outage"):
            self._cut_off(station, takt)
            self._spools[station].append(letter)
            return False
        if not self.is_line_stopped and self._mischief.happens("unknown_unit"):
            self._send_for_unknown(letter)
        if is_clean and (spoilt := self._mischief.spoil(letter.step, letter.event)):
            self._send_spoilt(letter, *spoilt)
            self._later(letter, self._delay(takt))
            return False
        if is_clean and self._mischief.happens("late"):
            self.tally.on_purpose["late"] += 1
            self._later(letter, self._delay(takt))
            return False
        status = self._deliver(letter)
        if status and self._mischief.happens("duplicate"):
            self._send_again(letter, status)
        return True

    def is_cut_off(self, station: str) -> bool:
        """Whether a machine keeps its events back just now."""
        return station in self._spools

    def flush(self) -> None:
        """Send at once what is late or kept back: the program ends."""
        for number in list(self._late):
            self._deliver_late(number)
        for station in list(self._spools):
            self._catch_up(station)

    # --- what happens on the way ----------------------------------------------------------------------------

    def _delay(self, takt: float) -> float:
        return min(LONGEST_DELAY, takt * self._mischief.random.uniform(0.3, LATEST_TAKTS))

    def _later(self, letter: Letter, seconds: float) -> None:
        number = next(self._numbers)
        self._late[number] = letter
        self._schedule(seconds, lambda: self._deliver_late(number))

    def _deliver_late(self, number: int) -> None:
        letter = self._late.pop(number, None)
        if letter is not None:
            self._deliver(letter)

    def _cut_off(self, station: str, takt: float) -> None:
        seconds = min(LONGEST_DELAY, takt * OUTAGE_TAKTS)
        self.tally.on_purpose["machine cut off"] += 1
        self._say(f"{station} is cut off for {seconds:.0f} s")
        self._spools[station] = []
        self._schedule(seconds, lambda: self._catch_up(station))

    def _catch_up(self, station: str) -> None:
        """Send what a machine kept back while it was cut off, in one request."""
        letters = self._spools.pop(station, [])
        if letters:
            self._say(f"{station} is back and sends {len(letters)} events")
        for first in range(0, len(letters), LARGEST_BATCH):
            part = letters[first : first + LARGEST_BATCH]
            body = {"events": [letter.event for letter in part]}
            results = self._client.post("ingest", "events", "batch", body=body)["results"]
            for letter, result in zip(part, results, strict=True):
                self._take_result(letter, result)

    def _take_result(self, letter: Letter, result: dict[str, Any]) -> None:
        if "error" in result:
            error = result["error"]
            self._refused(letter, Refused(409, error["code"], error["message"], error.get("details")))
        else:
            self._answered(letter, result)

    def _send_for_unknown(self, letter: Letter) -> None:
        key = f"{letter.event['dedupeKey']}-unknown"
        event = mischief.for_unknown_unit(letter.step, letter.event, f"XX-{next(self._numbers):06}", key)
        if event is not None:
            self.tally.events += 1
            self._expect_refusal("unknown unit", event)

    def _send_spoilt(self, letter: Letter, kind: str, event: Event) -> None:
        self.tally.events += 1
        self._say(f"{letter.step.station} sends a wrong event on purpose ({kind}); it will be corrected")
        self._expect_refusal(kind, event)

    def _expect_refusal(self, kind: str, event: Event) -> None:
        self.tally.on_purpose[kind] += 1
        try:
            answer = self._client.post("ingest", "events", body=event)
        except Refused as refusal:
            self.tally.rejected[refusal.code] += 1
            if refusal.code != mischief.REFUSALS[kind]:
                self._note_unexpected(event, f"{refusal} instead of {mischief.REFUSALS[kind]}", refusal.code)
        else:
            self._note_unexpected(event, f"{kind}: {answer['status']}", "NOT_REFUSED")

    def _send_again(self, letter: Letter, status: str) -> None:
        """Send the same again; a tester under another key, but with the same test result id."""
        event = letter.event
        if letter.step.station_type == "TEST" and status == "APPLIED":
            event = {**event, "dedupeKey": f"{event['dedupeKey']}-again"}
        self.tally.events += 1
        self.tally.on_purpose["duplicate"] += 1
        try:
            answer = self._client.post("ingest", "events", body=event)
        except Refused as refusal:
            self.tally.rejected[refusal.code] += 1
            self._note_unexpected(event, f"a duplicate: {refusal}", refusal.code)
            return
        self.tally.answers["DUPLICATE" if answer["duplicate"] else answer["status"]] += 1
        if not answer["duplicate"] and answer["status"] == "APPLIED":
            self._note_unexpected(event, "a duplicate was applied", "APPLIED_TWICE")

    # --- sending --------------------------------------------------------------------------------------------

    def _deliver(self, letter: Letter) -> str:
        """Send an event; return its status, empty when it is refused."""
        try:
            answer = self._client.post("ingest", "events", body=letter.event)
        except Refused as refusal:
            self._refused(letter, refusal)
            return ""
        self._answered(letter, answer)
        return str(answer["status"])

    def _answered(self, letter: Letter, answer: dict[str, Any]) -> None:
        self.tally.answers["DUPLICATE" if answer.get("duplicate") else answer["status"]] += 1
        letter.on_answer(answer)

    def _refused(self, letter: Letter, refusal: Refused) -> None:
        self.tally.rejected[refusal.code] += 1
        if refusal.code in STOPPED:  # it is applied by itself once the line or the station goes on
            self.tally.on_purpose[STOPPED[refusal.code]] += 1
        else:
            self._note_unexpected(letter.event, str(refusal), refusal.code)
        letter.on_refusal(refusal)

    def _note_unexpected(self, event: Event, why: str, code: str) -> None:
        self.tally.unexpected[code] += 1
        self._say(f"Not on purpose: {event['dedupeKey']}: {why}")
