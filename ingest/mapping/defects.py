"""What an event says is wrong with a unit. Pure."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from msgspec.structs import replace

from execution.quality.defects import (
    LONGEST_CODE,
    LONGEST_REMARK,
    UNSPECIFIED,
    ReportedDefect,
    normal_location,
)
from ingest.mapping.paths import EventDocument, as_text, invalid
from mes import errors
from mes.routing.step_mapping import DefectRule

MOST_DEFECTS = 20_000  # of one event, those of all its units together


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
    found = tuple(defect for item in items if item is not None for defect in _defects_of(rule, document, item))
    if len(found) > MOST_DEFECTS:
        raise too_many_defects()
    return found


def too_many_defects() -> errors.IngestPayloadInvalid:
    """Return the refusal of an event with more defects than one may have."""
    return invalid(_("it has more than {most} defects").format(most=MOST_DEFECTS))


def _defects_of(rule: DefectRule, document: EventDocument, item: Any) -> Iterator[ReportedDefect]:
    """Yield the defects of an item, one for each designator that its location names."""
    said = ReportedDefect(
        code=_clean(document.text_in(item, rule.code_path), LONGEST_CODE) or UNSPECIFIED,
        remark="" if rule.remark_path is None else _clean(document.text_in(item, rule.remark_path), LONGEST_REMARK),
        is_false_call=rule.false_call_path is not None and document.search_in(item, rule.false_call_path) is True,
    )
    found = None if rule.location_path is None else document.search_in(item, rule.location_path)
    texts = [as_text(each) for each in found] if isinstance(found, list) else [as_text(found)]
    locations = dict.fromkeys(normal_location(text) for text in texts if text)
    for location in [each for each in locations if each] or [""]:
        yield replace(said, location=location)


def _clean(text: str | None, longest: int) -> str:
    """Return a text in one line; an empty one where there is none."""
    return "".join(sign if sign.isprintable() else " " for sign in text or "").strip()[:longest]
