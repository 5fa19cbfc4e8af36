"""The ways in of inbound status: a channel for each kind."""

from typing import Any

from integration.messages import MessageLog
from integration.one_by_one import OneByOneChannel
from integration.status import service
from integration.status.kinds import KINDS, StatusKind
from integration.status.service import StatusMessage
from mes import errors
from mes.platform.inbound.channels import Parse
from mes.platform.inbound.messages import Outcome
from mes.platform.inbound.sender import Sender


class StatusChannel(OneByOneChannel[StatusMessage]):
    """Takes in the reports of a kind, each in a transaction of its own."""

    def __init__(self, kind: StatusKind) -> None:
        self.kind = kind
        self.name = kind.name
        self.log = MessageLog(str(kind.report_kind), kind.name)

    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> StatusMessage:
        """Return the report of a body."""
        return service.decode(self.kind, raw, system=sender.system, parse=parse)

    def station_of(self, message: StatusMessage) -> str:
        """Return the station that a report is about."""
        return self.kind.station(message.event)

    def apply_one(self, message: StatusMessage, sender: Sender, *, note: dict[str, Any] | None = None) -> Outcome:
        """Apply a report, or recognise it. With a `note` it replays an open message."""
        try:
            service.check_sender(self.kind, message.event, sender)
            return service.apply(self.kind, message, self.log, note=note)
        except errors.DomainError as refusal:
            return refusal


CHANNELS = {kind.name: StatusChannel(kind) for kind in KINDS.values()}
