"""SOLDER_PASTE: a lot is bound to the line, it is reported COMPLIANT, and its time is not over."""

from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup import limits
from mes.line_setup.loads.locks import lock_set_up
from mes.line_setup.loads.queries import loaded_on_line
from mes.line_setup.models import MaterialLot, SetUpKind, SolderPasteStatus
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "SOLDER_PASTE"
Fault = tuple[str, str, str]


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield an item for the lot, or for each of its faults."""
    lot = _find(facts)
    if lot is None:
        yield Finding(
            ITEM_TYPE,
            facts.run.line.code,
            "SOLDER_PASTE_NOT_BOUND",
            _("No solder paste is bound to line “%(line)s”.") % {"line": facts.run.line.code},
            _("Scan the container and bind it to the line."),
        )
        return
    evidence = _describe(lot)
    faults = [*_faults(lot, facts)]
    for code, reason, action in faults:
        yield Finding(ITEM_TYPE, lot.lot_id, code, reason, action, evidence)
    if not faults:
        yield Finding(ITEM_TYPE, lot.lot_id, evidence=evidence)


def _find(facts: Facts) -> MaterialLot | None:
    if facts.is_gate:
        lock_set_up(lines=[facts.run.line_id])
    bound = MaterialLot.objects.filter(pk__in=loaded_on_line(facts.run.line, SetUpKind.SOLDER_PASTE).values("lot"))
    return facts.read(bound).first()


def _faults(lot: MaterialLot, facts: Facts) -> Iterator[Fault]:
    named, another = {"lot": lot.lot_id}, _("Take another container and bind it to the line.")
    over = limits.is_past_expiry(lot, now=facts.now)
    if not lot.paste_status:
        yield (
            "SOLDER_PASTE_STATUS_UNKNOWN",
            _("Nobody reported whether solder paste “%(lot)s” may be used.") % named,
            _("Have it checked, so that its status is reported, or take another container."),
        )
    elif lot.paste_status == SolderPasteStatus.NON_COMPLIANT:
        reason = _("Solder paste “%(lot)s” is reported as not compliant.") % named
        yield "SOLDER_PASTE_NOT_COMPLIANT", reason, another
    if lot.paste_status == SolderPasteStatus.EXPIRED or over:
        until = date_format(timezone.localtime(lot.expires_at), "DATETIME_FORMAT") if lot.expires_at else ""
        yield (
            "SOLDER_PASTE_EXPIRED",
            _("Solder paste “%(lot)s” could be used until %(until)s.") % {**named, "until": until}
            if until
            else _("Solder paste “%(lot)s” is reported as expired.") % named,
            another,
        )


def _describe(lot: MaterialLot) -> dict[str, Any]:
    times = {"expiresAt": lot.expires_at, "thawedAt": lot.thawed_at, "stirredAt": lot.stirred_at}
    return {
        "lotId": lot.lot_id,
        "lotStatus": lot.paste_status or None,
        "statusAt": lot.status_at and lot.status_at.isoformat(),
        **{name: at and at.isoformat() for name, at in times.items()},
    }


CHECK = Check(ITEM_TYPE, gettext_lazy("Solder paste"), evaluate, 50, presets=("SMT",))
