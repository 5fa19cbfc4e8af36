"""The ways in of device data: one for values and counts, one for counts alone. They share keys, log and replay."""

from collections.abc import Sequence
from typing import Any

from integration.device_data.body import LARGEST_BATCH, DeviceDataMessage, decode_event
from integration.device_data.refused_readings import find_failing_units
from integration.device_data.service import apply_all
from integration.device_data.writing import answer_again
from integration.messages import DEVICE_DATA, DEVICE_DATA_CHANNEL
from integration.models import FailedMessage
from integration.refused_reports import HoldingLog, Said
from mes.platform.inbound.channels import Channel, Parse
from mes.platform.inbound.messages import Message, Outcome, Received
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender


class DeviceDataLog(HoldingLog):
    """Keeps what is refused; the values in it hold the units that they would have failed or held."""

    def find_failing(self, messages: Sequence[Message]) -> Sequence[Said]:
        """Return for each event what its values say against units."""
        return find_failing_units(messages)

    def dismissed_answer(self, message: FailedMessage) -> dict[str, Any]:
        """Return what is kept beside the key of a dismissed event: nothing came of it."""
        return {"dataValuesCreated": 0}

    def answer_again(self, key: IdempotencyKey) -> Received:
        """Return what the sender of an event is answered whose key was claimed before."""
        return answer_again(key)


LOG = DeviceDataLog(DEVICE_DATA, DEVICE_DATA_CHANNEL)


class DeviceDataChannel(Channel[DeviceDataMessage]):
    """Takes in events with values of a track, or with counts of a machine; all of a batch together."""

    name = DEVICE_DATA_CHANNEL
    log = LOG
    largest_batch = LARGEST_BATCH
    needs_production = False

    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> DeviceDataMessage:
        """Return the event of a body."""
        return decode_event(raw, system=sender.system, parse=parse, needs_production=self.needs_production)

    def apply(self, messages: Sequence[DeviceDataMessage], sender: Sender) -> list[Outcome]:
        """Apply events, or recognise them."""
        return apply_all(messages, sender)


class ProductionCountsChannel(DeviceDataChannel):
    """Takes in events with counts only."""

    name = "production-counts"
    needs_production = True
