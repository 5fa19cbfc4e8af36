"""The body of an event: decoded once, checked for what a decoder cannot tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ingest.mapping.extract import MOST_UNITS, EventReading
from ingest.mapping.paths import EventDocument
from mes import errors
from mes.platform.http import parsing
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.keys import own_key
from mes.platform.inbound.sources import SourceClock, clock_of
from mes.platform.validators import CODE_LENGTH, validate_moment, validate_name
from mes.routing.step_mapping import StepMapping

LARGEST_BATCH = 1000


def channel_of(source_system: str) -> str:
    """Return the channel of the key table that holds the keys of a source system."""
    return f"ingest:{source_system}"


Code = Annotated[str, msgspec.Meta(max_length=CODE_LENGTH)]


class Envelope(msgspec.Struct, rename="camel", kw_only=True):
    """The body of one event."""

    dedupe_key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    source_system: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    event_type: Literal["AUTO", "TEST", "BATCH"]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    run_no: Code | None = None
    station_code: Code | None = None
    sn: Code | None = None
    sns: Annotated[list[Code], msgspec.Meta(max_length=MOST_UNITS)] | None = None
    payload: dict[str, Any]
    meta: dict[str, Any] | None = None


@dataclass(slots=True)
class ReceivedEvent:
    """An event as it was sent, with what paths found in it so far. It never changes, but for what its serial numbers
    are known to mean: `present_sns` are those that units it names by earlier ones have by now (`call_by`).

    `by` is who was signed in when it was received. `carried` is what its carrier carried then, serial numbers with
    their positions, of one that waited since. `clock` is that of its source, as it is known now. `is_new` marks a
    conflict that is taken for an event of its own, under a key of its own; `is_by_itself` an attempt that nobody asked
    for; `note` says who asked for it, and why.
    """

    envelope: Envelope
    body: dict[str, Any]
    digest: bytes
    by: str = ""
    carried: tuple[tuple[str, str], ...] | None = None
    received_at: datetime = field(default_factory=timezone.now)
    clock: SourceClock = field(init=False)
    is_new: bool = False
    is_by_itself: bool = False
    note: dict[str, Any] | None = None
    present_sns: Mapping[str, str] = field(default_factory=dict)
    document: EventDocument = field(init=False)
    _readings: dict[StepMapping, EventReading] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Make the document that mappings read: null is absent."""
        self.clock = clock_of(self.envelope.source_system)
        fields = {key: value for key, value in self.body.items() if value is not None}
        self.document = EventDocument(fields, received_at=self.received_at, clock=self.clock)
        self.document.present_sns = self.present_sns

    def call_by(self, present_sns: Mapping[str, str]) -> None:
        """Read the event from now on as if it named its units by their present serial numbers."""
        self.present_sns = self.document.present_sns = {**self.present_sns, **present_sns}
        self._readings.clear()
        if self.carried is not None:
            self.carried = tuple((self.present(sn), position) for sn, position in self.carried)

    def present(self, sn: str) -> str:
        """Return the present serial number of a unit that the event names."""
        return self.document.present(sn)

    def read(self, mapping: StepMapping) -> EventReading:
        """Return what the event says by a mapping; the same reading whenever the mapping is the same."""
        reading = self._readings.get(mapping)
        if reading is None:
            reading = self._readings[mapping] = EventReading(self.document, mapping)
        return reading

    def is_read_by(self, mapping: StepMapping) -> bool:
        """Whether a mapping reads the event: it says nothing of `when`, or that is true of it."""
        return mapping.when is None or self.read(mapping).holds_when

    @property
    def occurred_at(self) -> datetime:
        """When it occurred as the envelope says, by its source's clock put right; without a time, when it came."""
        said = self.envelope.occurred_at
        return self.received_at if said is None else self.clock.correct(said)

    @property
    def key(self) -> str:
        """What tells it from other events of its source system."""
        return self.envelope.dedupe_key

    def as_new(self) -> "ReceivedEvent":
        """Return the event under a key of its own: its key is spent by other content."""
        key = own_key(self.key, self.digest)
        return replace(self, envelope=msgspec.structs.replace(self.envelope, dedupe_key=key), is_new=True)

    @property
    def channel(self) -> str:
        """The channel of the key table."""
        return channel_of(self.envelope.source_system)

    @property
    def test_channel(self) -> str:
        """The channel of the key table that holds test results."""
        return f"{self.channel}:test"


def decode(
    raw: bytes,
    parse: Callable[[bytes], Any] = parsing.decode,
    *,
    by: str = "",
    received_at: datetime | None = None,
) -> ReceivedEvent:
    """Decode and check one event that was received from `by`, now or before. Raises ParseFailed, ValidationFailed."""
    body = parse(raw)
    envelope = parsing.convert(body, Envelope)
    _check(envelope)
    return ReceivedEvent(envelope, body, digest_of(body), by, received_at=received_at or timezone.now())


def check(body: Any) -> None:
    """Check an event that was decoded, as `decode` does. Raises ValidationFailed."""
    _check(parsing.convert(body, Envelope))


def _check(envelope: Envelope) -> None:
    problems: dict[str, str] = {}
    codes = {"runNo": envelope.run_no, "stationCode": envelope.station_code, "sn": envelope.sn}
    codes |= {f"sns.{index}": sn for index, sn in enumerate(envelope.sns or [])}
    codes["sourceSystem"] = envelope.source_system
    for path, code in codes.items():
        try:
            if code is not None:
                validate_name(code)
        except ValidationError as error:
            problems[path] = " ".join(error.messages)
    if not envelope.dedupe_key.strip() or not envelope.dedupe_key.isprintable():
        problems["dedupeKey"] = _("Must not be blank nor contain control characters.")
    try:
        if envelope.occurred_at is not None:
            validate_moment(envelope.occurred_at)
    except ValidationError as error:
        problems["occurredAt"] = " ".join(error.messages)
    if problems:
        raise errors.ValidationFailed(problems)
