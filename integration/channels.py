"""The ways in that integration offers."""

from typing import Any

from integration.device_data.channel import DeviceDataChannel, ProductionCountsChannel
from integration.one_by_one import OneByOneChannel
from integration.station_entries import StationEntryChannel
from integration.status import channel as status
from mes.platform.inbound.channels import Channel

DEVICE_DATA = DeviceDataChannel()
PRODUCTION_COUNTS = ProductionCountsChannel()
CHANNELS: tuple[Channel[Any], ...] = (
    DEVICE_DATA,
    PRODUCTION_COUNTS,
    StationEntryChannel(),
    *status.CHANNELS.values(),
)
ONE_BY_ONE = {channel.log.entity_type: channel for channel in CHANNELS if isinstance(channel, OneByOneChannel)}
