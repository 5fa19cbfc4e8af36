"""The ways in of inbound status: a channel for each kind."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from execution.failing_reports import FailingReport
from integration.one_by_one import OneByOneChannel
from integration.refused_reports import HoldingLog, Said
from integration.status import service
from integration.status.bodies import InspectionResultEvent
from integration.status.kinds import KINDS, StatusKind
from integration.status.service import StatusMessage
from mes import errors
from mes.platform.inbound.channels import Parse
from mes.platform.inbound.messages import Message, Outcome
from mes.platform.inbound.sender import Sender


class StatusLog(HoldingLog):
    """Keeps refused reports; an inspection that says a unit failed holds it."""

    def find_failing(self, messages: Sequence[Message]) -> Sequence[Said]:
        """Return for each report what it says against a unit."""
        return [_find_failing(message) for message in messages]


def _find_failing(message: Message) -> Said:
    event = message.event if isinstance(message, StatusMessage) else None
    if isinstance(event, InspectionResultEvent) and event.result == "FAIL":
        return {event.unit_sn: FailingReport(event.step_no, claims_failure=True)}
    return {}


class StatusChannel(OneByOneChannel[StatusMessage]):
    """Takes in the reports of a kind, each in a transaction of its own."""

    def __init__(self, kind: StatusKind) -> None:
        self.kind = kind
        self.name = kind.name
        self.log = StatusLog(str(kind.report_kind), kind.name)

    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> StatusMessage:
        """Return the report of a body."""
        return service.decode(self.kind, raw, system=sender.system, parse=parse)

    def station_of(self, message: StatusMessage) -> str:
        """Return the station that a report is about."""
        return self.kind.station(message.event)

    def under_key(self, message: StatusMessage, key: str) -> StatusMessage:
        """Return a report under another event id."""
        return replace(message, key=key, event=replace(message.event, event_id=key))

    def apply_one(self, message: StatusMessage, sender: Sender, *, note: dict[str, Any] | None = None) -> Outcome:
        """Apply a report, or recognise it. With a `note` it replays an open message."""
        try:
            service.check_sender(self.kind, message.event, sender)
            return service.apply(self.kind, message, self.log, note=note)
        except errors.DomainError as refusal:
            return refusal


CHANNELS = {kind.name: StatusChannel(kind) for kind in KINDS.values()}
