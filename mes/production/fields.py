"""Fields of bodies that name units."""

from typing import Any

from rest_framework import serializers

from mes.platform.http.serializers import ScannedField
from mes.platform.scans import UNIT
from mes.production.serial_numbers import check_readable


class SerialNumberField(ScannedField):
    """The serial number of a unit, or a label that has it. What readers send when they read none is SN_UNREADABLE."""

    part = UNIT

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Check the code, then that it is one of a unit."""
        sn = super().run_validation(data)
        if sn is not None:
            check_readable(sn)
        return sn
