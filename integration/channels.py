"""The ways in that integration offers."""

from typing import Any

from integration.device_data.channel import DeviceDataChannel, ProductionCountsChannel
from integration.status import channel as status
from mes.platform.inbound.channels import Channel

DEVICE_DATA = DeviceDataChannel()
PRODUCTION_COUNTS = ProductionCountsChannel()
CHANNELS: tuple[Channel[Any], ...] = (DEVICE_DATA, PRODUCTION_COUNTS, *status.CHANNELS.values())
