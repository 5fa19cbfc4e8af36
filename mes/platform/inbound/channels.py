"""The ways in, by name. Whoever brings a message, by HTTP, from a file or from a broker, hands it to its channel."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog
from django.conf import settings

from mes.errors import (
    ApplyingFailed,
    DomainError,
    KeyConflict,
    ParseFailed,
    PayloadTooLarge,
    StationNotAllowed,
    ValidationFailed,
)
from mes.platform import metrics
from mes.platform.hooks import Hook
from mes.platform.http import parsing
from mes.platform.http.envelope import is_worth_a_retry
from mes.platform.inbound.messages import KeptRefusal, Outcome, Received
from mes.platform.inbound.sender import Sender

logger = structlog.get_logger(__name__)

Parse = Callable[[bytes], Any]
Result = tuple[str | None, Outcome]  # the message's key, where it can be read, and what became of it


class Keyed(Protocol):
    """A message has a key."""

    @property
    def key(self) -> str: ...


M = TypeVar("M", bound=Keyed)
M_contra = TypeVar("M_contra", bound=Keyed, contravariant=True)


class MessageLog(Protocol[M_contra]):
    """Where a channel keeps what was not taken in for the first time. Called after what was refused is rolled back."""

    def keep_malformed(self, malformed: Sequence[tuple[bytes, DomainError]], sender: Sender) -> Sequence[str | None]:
        """Keep bodies that are not well-formed, with why; return the keys they carry, as far as these can be read."""

    def keep_refused(self, refused: Sequence[tuple[M_contra, DomainError]]) -> Sequence[Outcome]:
        """Keep messages that could not be applied, with why; the same failure counts up. Return how each is answered:
        by its refusal, unless it was applied in another request meanwhile.
        """

    def keep_conflicts(self, conflicts: Sequence[tuple[M_contra, KeyConflict]]) -> Sequence[Outcome]:
        """Keep messages whose key was used with other content, a row for each content: the same again counts up.

        Return how each is answered: by the conflict, unless somebody decided about this very content before.
        """

    def log_repeats(self, duplicates: Sequence[tuple[M_contra, Received]]) -> None:
        """Log messages whose key was used with the same content."""


class Channel(ABC, Generic[M]):
    """A way in for messages of one kind.

    What all channels have in common: a message is decoded, applied once, and answered again when it is repeated; what
    is malformed or refused is kept. A station that the sender may not speak for is not its business: that is not kept.
    """

    name: str
    log: MessageLog[M]
    largest_batch: ClassVar[int] = 0  # as many messages as one body may hold; 0: it holds one
    is_sequential: ClassVar[bool] = False  # of many messages, each is settled before the next is looked at

    @abstractmethod
    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> M:
        """Return the message of a body that `parse` decodes. Raises ParseFailed, ValidationFailed."""

    @abstractmethod
    def apply(self, messages: Sequence[M], sender: Sender) -> Sequence[Outcome | KeptRefusal]:
        """Apply messages in order, each by itself, or recognise them as repeats; return what became of each."""

    @property
    def size_limit(self) -> int:
        """How many bytes one message may have, alone or in a batch."""
        return settings.MES_BODY_LIMIT

    def check_size(self, raw: bytes) -> None:
        """Raise PayloadTooLarge for a message, also of a batch, that is too large by itself."""
        if len(raw) > self.size_limit:
            raise PayloadTooLarge(limit=self.size_limit)

    def receive(self, raw: bytes, sender: Sender) -> Received:
        """Take in one message; raise why it is not."""
        [(_key, outcome)] = self.receive_all([raw], sender)
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    def receive_batch(self, raw: bytes, sender: Sender) -> list[Result]:
        """Take in the messages of a body, each by itself. Raises what is wrong around them, which is kept too."""
        assert self.largest_batch
        raw = parsing.without_bom(raw)
        try:
            bodies = parsing.split(raw, most=self.largest_batch)
        except (ParseFailed, ValidationFailed) as error:
            metrics.count_messages(self.name, sender.system, "malformed")
            self.log.keep_malformed([(raw, error)], sender)
            raise
        parse = parsing.decoder_of_parts(raw)
        return self.receive_all(bodies, sender, parse=parse, in_turn=self.is_sequential)

    def receive_all(
        self, bodies: Sequence[bytes], sender: Sender, *, parse: Parse = parsing.decode, in_turn: bool = False
    ) -> list[Result]:
        """Take in messages, each by itself, `in_turn` one after the other; return what became of them, in order."""
        messages: list[M | None] = []
        malformed: list[tuple[bytes, DomainError]] = []
        for raw in map(parsing.without_bom, bodies):
            try:
                self.check_size(raw)
                messages.append(self.decode(raw, sender, parse))
            except (ParseFailed, PayloadTooLarge, ValidationFailed) as error:
                malformed.append((raw, error))
                messages.append(None)
        well_formed = [message for message in messages if message is not None]
        accept = self.accept_in_turn if in_turn else self.accept
        outcomes = iter(accept(well_formed, sender))
        if not malformed:
            return [(message.key, next(outcomes)) for message in well_formed]
        metrics.count_messages(self.name, sender.system, "malformed", len(malformed))
        keys = self.log.keep_malformed(malformed, sender)
        faults = iter([(key, error) for key, (_raw, error) in zip(keys, malformed, strict=True)])
        return [next(faults) if message is None else (message.key, next(outcomes)) for message in messages]

    def accept_in_turn(self, messages: Sequence[M], sender: Sender) -> Sequence[Outcome]:
        """Accept messages one after the other."""
        return [outcome for message in messages for outcome in self.accept([message], sender)]

    def accept(self, messages: Sequence[M], sender: Sender) -> Sequence[Outcome]:
        """Apply decoded messages and log what was not taken in for the first time; return how each is answered."""
        duplicates: list[tuple[M, Received]] = []
        conflicts: dict[int, tuple[M, KeyConflict]] = {}
        refused: dict[int, tuple[M, DomainError]] = {}
        outcomes: list[Outcome] = []
        for message, outcome in zip(messages, self._apply_apart(messages, sender), strict=True):
            if isinstance(outcome, Received):
                if outcome.is_duplicate:
                    duplicates.append((message, outcome))
            elif isinstance(outcome, KeyConflict):
                conflicts[len(outcomes)] = (message, outcome)
            elif not isinstance(outcome, StationNotAllowed | KeptRefusal):
                refused[len(outcomes)] = (message, outcome)
            outcomes.append(outcome.error if isinstance(outcome, KeptRefusal) else outcome)
        if duplicates:
            self.log.log_repeats(duplicates)
        if conflicts:
            outcomes = _with_answers(outcomes, conflicts, self.log.keep_conflicts(list(conflicts.values())))
        if refused:
            outcomes = _with_answers(outcomes, refused, self.log.keep_refused(list(refused.values())))
        for end, number in Counter(map(_end_of, outcomes)).items():
            metrics.count_messages(self.name, sender.system, end, number)
        return outcomes

    def _apply_apart(self, messages: Sequence[M], sender: Sender) -> Sequence[Outcome | KeptRefusal]:
        """Apply messages. Those that fail in a way nobody foresaw are found by halves and refused, each alone.

        Raises what a repeat of all may mend, such as a database that is away.
        """
        try:
            return self.apply(messages, sender) if messages else ()
        except Exception as error:
            if isinstance(error, DomainError) or is_worth_a_retry(error):
                raise
            if len(messages) == 1:
                logger.exception("a message could not be applied", channel=self.name, key=messages[0].key)
                return [ApplyingFailed()]
        middle = len(messages) // 2
        return [*self._apply_apart(messages[:middle], sender), *self._apply_apart(messages[middle:], sender)]


def _with_answers(outcomes: list[Outcome], places: Iterable[int], answers: Sequence[Outcome]) -> list[Outcome]:
    """Return outcomes with these in their places."""
    by_place = dict(zip(places, answers, strict=True))
    return [by_place.get(place, outcome) for place, outcome in enumerate(outcomes)]


def _end_of(outcome: Outcome) -> str:
    """Return what became of a message, in one word."""
    if isinstance(outcome, Received):
        return "duplicate" if outcome.is_duplicate else "applied"
    return "conflict" if isinstance(outcome, KeyConflict) else "refused"


# Every channel, by name; whoever brings messages calls it outside of any transaction.
channels: Hook[Channel[Any]] = Hook(key=lambda channel: channel.name)


def get_channel(name: str) -> Channel[Any]:
    """Return the channel of a name. Raises KeyError."""
    return {channel.name: channel for channel in channels}[name]
