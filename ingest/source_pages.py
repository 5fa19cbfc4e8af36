"""The page of the systems that report: what their clocks say, and what is entered of them."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ingest.source_clocks import MeasuredClock, list_systems, measure_clocks
from mes.platform.accounts.roles import Capability
from mes.platform.http.pages import needs
from mes.platform.inbound.models import Source

MOST_SOURCES = 500
NOTABLE_SECONDS = 60  # clocks of machines differ by some seconds


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A system that reports: what was entered of it, and what its last reports say."""

    code: str
    source: Source | None
    measured: MeasuredClock | None

    @property
    def remaining_seconds(self) -> float | None:
        """By how much its times are ahead after the correction."""
        if self.measured is None:
            return None
        corrected = self.source.clock_correction_seconds if self.source is not None else 0
        return self.measured.offset_seconds - corrected

    @property
    def is_off(self) -> bool:
        """Whether somebody should look at its clock. Delay only makes the offset smaller, so that one that is behind is
        behind, or its reports are all late.
        """
        return self.remaining_seconds is not None and abs(self.remaining_seconds) > NOTABLE_SECONDS


@needs(Capability.MASTER_DATA, Capability.MAPPINGS, Capability.REPLAY)
@require_safe
def sources_page(request: HttpRequest) -> HttpResponse:
    """Show all sources and all systems that reported, those whose clock is off first."""
    entered = {source.code: source for source in Source.objects.all()[:MOST_SOURCES]}
    codes = sorted({*entered, *list_systems(most=MOST_SOURCES)})
    measured = measure_clocks(codes)
    rows = [SourceRow(code, entered.get(code), measured.get(code)) for code in codes]
    return render(request, "ingest/sources.html", {"rows": sorted(rows, key=lambda row: (not row.is_off, row.code))})
