"""Whose a kept message is: the stations that it is about, for senders that may speak for some stations only."""

import msgspec

from integration import messages
from integration.channels import ONE_BY_ONE
from integration.device_data.body import decode_event
from integration.device_data.resolving import find_targets
from integration.models import Direction, FailedMessage
from mes import errors
from mes.platform.http import parsing
from mes.platform.inbound.sender import Sender


def check_sender(message: FailedMessage, sender: Sender) -> None:
    """Raise StationNotAllowed unless a message is about stations that the sender may speak for.

    One that goes out, or that does not say by itself what it is about, is nobody's who is limited to stations.
    """
    if sender.is_limited:
        sender.check_stations(_list_stations(message))


def _list_stations(message: FailedMessage) -> list[str]:
    """Return the codes of the stations that a message names, or whose track or machine it is for."""
    if message.direction == Direction.OUTBOUND:
        return []
    body = msgspec.json.encode(message.payload)
    try:
        if message.entity_type == messages.DEVICE_DATA:
            return _stations_of_readings(body, message.system)
        channel = ONE_BY_ONE[message.entity_type]
        return [channel.station_of(channel.decode(body, Sender(message.system), parsing.decode))]
    except errors.DomainError:
        return []


def _stations_of_readings(body: bytes, system: str) -> list[str]:
    event = decode_event(body, system=system).event
    [target] = find_targets([event])
    named = [] if event.station_code is None else [event.station_code]
    return named if isinstance(target, errors.DomainError) else [*named, target.station_code]
