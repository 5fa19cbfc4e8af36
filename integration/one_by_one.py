"""Channels whose messages are applied one by one, when they come and when they are replayed."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from integration.messages import MessageLog
from mes.platform.inbound.channels import Channel
from mes.platform.inbound.messages import Message, Outcome
from mes.platform.inbound.sender import NO_STATION, Sender

M = TypeVar("M", bound=Message)


class OneByOneChannel(Channel[M]):
    """Applies each message in a transaction of its own. Its open messages are replayed by the same function."""

    log: MessageLog

    @abstractmethod
    def apply_one(self, message: M, sender: Sender, *, note: dict[str, Any] | None = None) -> Outcome:
        """Apply a message, or recognise it; return the refusal of one that cannot be applied.

        With a `note` it replays an open message: what is logged of it keeps the note (`MessageLog.log_applied`).
        """

    @abstractmethod
    def under_key(self, message: M, key: str) -> M:
        """Return a message as it would be under another key: a conflict that is taken for one of its own."""

    def station_of(self, message: M) -> str:
        """Return the code of the station that a message is about: tokens of others neither replay nor dismiss it."""
        return NO_STATION

    def apply(self, messages: Sequence[M], sender: Sender) -> list[Outcome]:
        """Apply messages, or recognise them."""
        return [self.apply_one(message, sender) for message in messages]
