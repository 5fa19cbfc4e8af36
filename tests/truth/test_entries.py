"""Random entries of people at stations: made, cut off, answered in vain, sent again, refused, settled, tried again and
replayed, between what others do to the same units. Whatever comes:

- Each entry has its effect once, or none and is open with its reason, or waits; who sent it again is answered the same.
- What was done was done in the order in which it was made, of each unit, but for what a person had tried again.
- Nothing that came late closed, or began, an attempt after the one that there was when it was made: units are tested
  again meanwhile, at the same station and at another one of the step.
- A failed board of which a refused entry tells is held, or failed there before.

The sender is the rule of `static/entries.js`, in a few lines; `tests/browser/test_entries.py` runs the script itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from execution import tracking
from execution.models import Track
from integration.dismissing import dismiss
from integration.models import FailedMessage, SettledMessage
from integration.replay import replay_message
from mes.errors import DomainError
from mes.platform.accounts.roles import Role
from mes.platform.inbound.sender import Sender
from mes.production.models import Unit
from tests.execution.support import decide, track_in, track_out
from tests.factories import Plant, api_client, make_config, make_plant, make_station

pytestmark = pytest.mark.django_db
STATIONS = ("SMT-01", "SMT-02", "REF-01")  # two of the first step, one of the second
BEGUN_AGO, PACE = timedelta(minutes=4), timedelta(seconds=8)  # each event comes so long after the one before
RETESTS = 2
ENGINEER = Sender("engineer")
WAITING, REFUSED, DONE = "WAITING", "REFUSED", "DONE"
unit = st.integers(0, 1)
WAYS = ("arrives", "arrives", "answer lost", "cut")
EVENTS = st.one_of(
    st.tuples(st.just("make"), unit, st.sampled_from(("in", "PASS", "FAIL")), st.sampled_from(STATIONS)),
    st.tuples(st.just("make"), unit, st.sampled_from(("in", "PASS")), st.just("SMT-01")),
    st.tuples(st.just("send"), st.sampled_from(WAYS)),
    st.tuples(st.just("send"), st.sampled_from(WAYS)),
    st.tuples(st.just("other"), unit, st.sampled_from(("in", "PASS", "FAIL")), st.sampled_from(STATIONS)),
    st.tuples(st.just("retest"), unit, st.sampled_from(("SMT-01", "SMT-01", "SMT-02", "REF-01"))),
    st.tuples(st.just("retest"), unit, st.sampled_from(("SMT-01", "SMT-01", "SMT-02", "REF-01"))),
    st.tuples(st.sampled_from(("hold", "release")), unit),
    st.tuples(st.sampled_from(("again", "settle", "retry", "replay", "dismiss"))),
)


@dataclass
class Entry:
    """What somebody made, and how it stands in the browser. `is_decided` is whether a person had it tried otherwise."""

    number: int
    sn: str
    kind: str
    station: str
    at: datetime
    track_id: str | None = None
    state: str = WAITING
    is_decided: bool = False
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"entry-{self.number}"

    @property
    def body(self) -> dict[str, Any]:
        """Its id stands for its person, too: so its effect is found."""
        said = {"sn": self.sn, "entryId": self.id, "at": self.at.isoformat(), "operatorId": self.id}
        if self.kind == "in":
            return said
        return {**said, "result": self.kind, **({"trackId": self.track_id} if self.track_id else {})}

    @property
    def path(self) -> str:
        return f"/api/stations/{self.station}/track-{'in' if self.kind == 'in' else 'out'}"

    def count_effects(self) -> int:
        named = {"operator_in": self.id} if self.kind == "in" else {"operator_out": self.id}
        return Track.objects.filter(**named).count()


class Shift:
    """A station's browser, the server behind it, and what others do."""

    def __init__(self, plant: Plant, person: APIClient) -> None:
        self.sns, self.person = plant.sns, person
        self.begin()

    def begin(self) -> None:
        self.now = timezone.now() - BEGUN_AGO
        self.entries: list[Entry] = []

    def play(self, what: str, *given: Any) -> None:
        self.now += PACE
        getattr(self, what)(*given)
        for entry in self.entries:
            assert entry.count_effects() <= 1, entry

    def make(self, unit: int, kind: str, station: str) -> None:
        sn = self.sns[unit]
        self.entries.append(Entry(len(self.entries), sn, kind, station, self.now, self.known_track(sn, station)))

    def known_track(self, sn: str, station: str) -> str | None:
        """The page names the track where its track-in was answered."""
        mine = [entry for entry in self.entries if (entry.sn, entry.station) == (sn, station)]
        is_in = bool(mine) and mine[-1].kind == "in" and mine[-1].state == DONE
        return mine[-1].answers[0].get("trackId") if is_in else None

    def sendable(self) -> Iterator[Entry]:
        behind = {entry.sn: entry.number for entry in reversed(self.entries) if entry.state == REFUSED}
        for entry in self.entries:
            if entry.state == WAITING and entry.number < behind.get(entry.sn, len(self.entries)):
                yield entry

    def send(self, way: str) -> None:
        entry = next(self.sendable(), None)
        if entry is None or way == "cut":
            return
        answer = self.person.post(entry.path, entry.body)
        if way == "answer lost":
            return
        if answer.status_code < 300:
            entry.state = DONE
            entry.answers.append(answer.json()["data"])
        else:
            entry.state = REFUSED
            self.check_refused(entry)

    def check_refused(self, entry: Entry) -> None:
        unit = Unit.objects.get(sn=entry.sn)
        assert FailedMessage.objects.filter(dedupe_key=entry.id, status="FAILED").exists()
        assert entry.count_effects() == 0
        assert entry.kind != "FAIL" or unit.status in ("ON_HOLD", "OUT_FAILED"), entry

    def again(self) -> None:
        """One that was done comes once more, by a way that took long."""
        for entry in [entry for entry in self.entries if entry.state == DONE][:1]:
            answer = self.person.post(entry.path, entry.body)
            assert answer.status_code == 200
            entry.answers.append(answer.json()["data"])

    def settle(self) -> None:
        for entry in [entry for entry in self.entries if entry.state == REFUSED][:1]:
            entry.state, entry.is_decided = "SETTLED", True

    def retry(self) -> None:
        for entry in [entry for entry in self.entries if entry.state == REFUSED][:1]:
            entry.state, entry.is_decided = WAITING, True

    def replay(self) -> None:
        for message in FailedMessage.objects.order_by("id")[:1]:
            self.decided(message).is_decided = True
            try:
                with transaction.atomic():
                    replay_message(message_id=message.pk, sender=ENGINEER)
            except DomainError:
                pass

    def dismiss(self) -> None:
        for message in FailedMessage.objects.order_by("id")[:1]:
            self.decided(message).is_decided = True
            dismiss(message_id=message.pk, reason="no use", sender=ENGINEER)

    def decided(self, message: FailedMessage) -> Entry:
        return next(entry for entry in self.entries if entry.id == message.dedupe_key)

    def other(self, unit: int, kind: str, station: str) -> None:
        at = self.now.isoformat()
        if kind == "in":
            track_in(self.person, station, self.sns[unit], at=at)
        else:
            track_out(self.person, station, self.sns[unit], result=kind, at=at)

    def retest(self, unit: int, station: str) -> None:
        """Others have the unit fail, where it is or at a station, and take it in again there."""
        inside = Track.objects.filter(unit__sn=self.sns[unit], out_at=None).values_list("station__code", flat=True)
        for kind, where in (("in", station), ("FAIL", inside.first() or station), ("in", station)):
            self.other(unit, kind, where)

    def hold(self, unit: int) -> None:
        decide(self.person, "hold", self.sns[unit])

    def release(self, unit: int) -> None:
        decide(self.person, "release", self.sns[unit])

    def end(self) -> None:
        """The network is back: all that may be sent is sent."""
        while next(self.sendable(), None):
            self.play("send", "arrives")
        for entry in self.entries:
            self.check(entry)
            self.check_attempt(entry)
        self.check_order()

    def check(self, entry: Entry) -> None:
        said = [{**answer, "isDuplicate": None} for answer in entry.answers]
        assert all(one == other for one, other in pairwise(said)), entry
        settled = set(SettledMessage.objects.filter(dedupe_key=entry.id).values_list("status", flat=True))
        is_open = FailedMessage.objects.filter(dedupe_key=entry.id).exists()
        if entry.state == DONE and "DISMISSED" not in settled:
            found = entry.kind == "in" and entry.answers[0]["trackId"]
            assert entry.count_effects() == 1 or Track.objects.filter(pk=found or 0).exists(), entry
            assert not is_open
        elif entry.state == WAITING:
            assert entry.count_effects() == 0 or entry.is_decided
        elif "REPLAYED" not in settled:
            assert (entry.count_effects(), is_open or "DISMISSED" in settled) == (0, True), entry

    def check_attempt(self, entry: Entry) -> None:
        if entry.kind != "in":
            assert not Track.objects.filter(operator_out=entry.id, in_at__gt=entry.at).exists(), entry
            return
        answered = [int(answer["trackId"]) for answer in entry.answers if "trackId" in answer]
        for track in Track.objects.filter(Q(operator_in=entry.id) | Q(pk__in=answered)):
            before = Track.objects.filter(unit=track.unit_id, pk__lt=track.pk, out_at__gt=entry.at)
            assert not before.filter(Q(station=track.station_id) | Q(step_no=track.step_no)).exists(), entry

    def check_order(self) -> None:
        for sn in self.sns:
            mine = {entry.id: entry.number for entry in self.entries if entry.sn == sn and not entry.is_decided}
            done = SettledMessage.objects.filter(dedupe_key__in=mine, status="SUCCESS").order_by("id")
            numbers = [mine[key] for key in done.values_list("dedupe_key", flat=True)]
            assert numbers == sorted(numbers)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(events=st.lists(EVENTS, min_size=4, max_size=22))
@example(events=[("make", 0, "PASS", "SMT-01"), ("retest", 0, "SMT-01")])
@example(events=[("make", 0, "in", "SMT-01"), ("make", 0, "PASS", "SMT-01"), ("retest", 0, "SMT-02")])
def test_whatever_is_entered_is_done_once_or_open_with_its_reason(shift: Shift, events: list[Any]) -> None:
    with transaction.atomic():
        shift.begin()
        for event in events:
            shift.play(*event)
        shift.end()
        transaction.set_rollback(True)


@pytest.fixture
def shift(db: None) -> Shift:
    make_config(retest_limit=RETESTS)
    plant = make_plant(units=2)
    make_station("SMT-02", line=plant.line, group=plant.groups["PRINTERS"])
    return Shift(plant, api_client(Role.ADMIN))


def test_the_shift_sees_an_entry_that_is_done_twice(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control: without the key, an entry whose answer was lost has another effect, or is refused and kept."""
    monkeypatch.setattr("mes.platform.inbound.keys.claim", lambda *claimed, **answer: True)
    shift.make(0, "in", "SMT-01")
    shift.make(0, "FAIL", "SMT-01")
    with pytest.raises(AssertionError):
        for way in ("arrives", "answer lost", "arrives"):
            shift.play("send", way)
        shift.end()


@pytest.mark.parametrize(
    ("made", "station"),
    [
        pytest.param(("PASS",), "SMT-01", id="a late Pass"),
        pytest.param(("in", "PASS"), "SMT-01", id="taken in late"),
        pytest.param(("in", "PASS"), "SMT-02", id="elsewhere"),
    ],
)
def test_the_shift_sees_a_late_entry_that_is_of_another_attempt(
    shift: Shift, made: tuple[str, ...], station: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control: without the rule of what comes late, it is done of a test that came after it."""
    monkeypatch.setattr(tracking, "ENTRY_SKEW", BEGUN_AGO)
    for kind in made:
        shift.play("make", 0, kind, "SMT-01")
    shift.play("other", 0, "in", station)
    shift.play("other", 0, "FAIL", station)
    if station == "SMT-01":
        shift.play("other", 0, "in", station)
    with pytest.raises(AssertionError):
        shift.end()
