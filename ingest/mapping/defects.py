"""What an event says is wrong with a unit. Pure."""

from typing import Any

from django.utils.translation import gettext as _

from execution.quality.defects import UNSPECIFIED, ReportedDefect
from ingest.mapping.paths import EventDocument, invalid
from mes import errors
from mes.routing.paths import Path
from mes.routing.step_mapping import DefectRule

MOST_DEFECTS = 20_000  # of one event, those of all its units together
LONGEST_CODE, LONGEST_LOCATION, LONGEST_REMARK = 100, 100, 500


def find_defects(rule: DefectRule | None, document: EventDocument, root: Any) -> tuple[ReportedDefect, ...]:
    """Return the defects that a mapping finds in an event, or in an item of it. One without a code is UNSPECIFIED; what
    is too long is cut, for it is no reason to refuse that a unit failed. Raises IngestPayloadInvalid.
    """
    if rule is None:
        return ()
    items = document.find_at(root, rule.items_path)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise invalid(_("defects.itemsPath: finds no list"))
    if len(items) > MOST_DEFECTS:
        raise too_many_defects()
    return tuple(_defect(rule, document, item) for item in items)


def too_many_defects() -> errors.IngestPayloadInvalid:
    """Return the refusal of an event with more defects than one may have."""
    return invalid(_("it has more than {most} defects").format(most=MOST_DEFECTS))


def _defect(rule: DefectRule, document: EventDocument, item: Any) -> ReportedDefect:
    return ReportedDefect(
        code=_clean(document, item, rule.code_path, LONGEST_CODE) or UNSPECIFIED,
        location=_clean(document, item, rule.location_path, LONGEST_LOCATION),
        remark=_clean(document, item, rule.remark_path, LONGEST_REMARK),
    )


def _clean(document: EventDocument, item: Any, path: Path | None, longest: int) -> str:
    """Return a text that a path finds, in one line; an empty one where it finds none."""
    text = document.text_in(item, path) or ""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()[:longest]
