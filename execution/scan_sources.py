"""Carriers and commands of the station page, as scans name them."""

from django.urls import reverse

from execution.station_page.commands import CommandKind, read_command
from mes.plant.scans import Meaning, ScanKind, ScanSource
from mes.platform.scans import TOOL

_CARRIERS = """
    SELECT carrier_no AS asked, carrier_no AS code, '' AS place FROM execution_carrier WHERE carrier_no = ANY({asked})
"""

SOURCES = (ScanSource(ScanKind.CARRIER, _CARRIERS, TOOL, lambda code, _place: reverse("carrier", args=[code])),)


def read(text: str) -> Meaning | None:
    """Return what a printed command means: a badge where it names one."""
    command = read_command(text)
    if command is None:
        return None
    if command.kind == CommandKind.BADGE:
        return Meaning(ScanKind.BADGE, command.value)
    return Meaning(ScanKind.COMMAND, command.text)
