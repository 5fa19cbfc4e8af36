"""Units and runs, as scans name them."""

from django.urls import reverse

from mes.plant.scans import ScanKind, ScanSource
from mes.platform.scans import UNIT

# By present and earlier serial numbers. A reference unit is a board, too: what may be done with it, its page says.
_UNITS = """
    SELECT sn AS asked, sn AS code, '' AS place FROM mes_unit WHERE sn = ANY({asked})
    UNION ALL
    SELECT a.sn, u.sn, '' FROM mes_unitalias a JOIN mes_unit u ON u.id = a.unit_id WHERE a.sn = ANY({asked})
    UNION ALL
    SELECT sn, sn, '' FROM mes_referenceunit WHERE sn = ANY({asked})
"""
_RUNS = "SELECT run_no AS asked, run_no AS code, '' AS place FROM mes_run WHERE run_no = ANY({asked})"

SOURCES = (
    ScanSource(ScanKind.UNIT, _UNITS, UNIT, lambda code, _place: reverse("unit", args=[code])),
    ScanSource(ScanKind.RUN, _RUNS, address=lambda code, _place: reverse("run", args=[code])),
)
