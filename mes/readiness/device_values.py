"""Where device values come from: the app that keeps them registers how to find one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mes.platform.hooks import Hook


@dataclass(frozen=True)
class DeviceValue:
    """A value that a device reported at a station. `is_good` is no when it failed its limits or raised an alarm."""

    id: int
    value: Any
    unit: str
    is_good: bool
    collected_at: datetime
    station_code: str


# (spec id, line id, from, until) → the latest value collected by a device at a station of the line in that time.
FindDeviceValue = Callable[[int, int, datetime, datetime], DeviceValue | None]
device_value_finders: Hook[FindDeviceValue] = Hook()


def find_device_value(spec_id: int, line_id: int, since: datetime, until: datetime) -> DeviceValue | None:
    """Return the latest device value of a spec on a line in a time."""
    values = [value for find in device_value_finders if (value := find(spec_id, line_id, since, until)) is not None]
    return max(values, key=lambda value: value.collected_at, default=None)
