"""Materials and badges, as scans name them."""

from mes.plant.scans import ScanKind, ScanSource
from mes.platform.scans import MATERIAL

_MATERIALS = "SELECT code AS asked, code, '' AS place FROM mes_material WHERE code = ANY({asked})"

_BADGES = "SELECT code AS asked, code, '' AS place FROM mes_badge WHERE code = ANY({asked})"

SOURCES = (ScanSource(ScanKind.MATERIAL, _MATERIALS, MATERIAL), ScanSource(ScanKind.BADGE, _BADGES))
