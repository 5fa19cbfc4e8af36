"""HOLD: nothing stops the line of the run.

Units could not enter it, so a run that starts there would only seem to. What stops a line is ended, not waived.
"""

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.errors import LineOnHold
from mes.production import holds
from mes.production.hold_models import Hold
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "HOLD"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for each case that stops the line. One that is opened while the gate is passed keeps units out."""
    for hold in holds.list_open(line=facts.run.line):
        yield _finding_of(hold, facts.run.line.code)


def _finding_of(hold: Hold, line_code: str) -> Finding:
    values = {"line": line_code, "hold": hold.hold_no, "reason": hold.reason}
    return Finding(
        ITEM_TYPE,
        hold.hold_no,
        LineOnHold.code,
        _("Line “%(line)s” is stopped by hold %(hold)s: %(reason)s") % values,
        _("Put right what it was stopped for, then release the hold."),
        {"holdNo": hold.hold_no, "source": hold.source, "by": hold.opened_by, "at": hold.opened_at.isoformat()},
        waivable=False,
    )


CHECK = Check(ITEM_TYPE, gettext_lazy("Stopped lines"), evaluate, 5, is_always_on=True)
