"""What people write into the record of a line and day: remarks, corrections of them, and their names.

The record's figures are read elsewhere; whoever signs says which figures they saw.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mes import errors
from mes.plant.models import Line, Station
from mes.platform.database.lookup import get_or_raise
from mes.production.models import Run
from mes.production_counts.models import RecordRemark, RecordSignature

LONGEST_REMARK = 500


def add_remark(
    *,
    line_code: str,
    day: date,
    text: str,
    by: str,
    run_no: str | None = None,
    station_code: str | None = None,
    hour: datetime | None = None,
) -> RecordRemark:
    """Write a remark on a day of a line: on a run, a station or an hour of it, or on the day as a whole.

    Raises LineNotFound, RunNotFound, StationNotFound, ValidationFailed.
    """
    return RecordRemark.objects.create(
        line=get_or_raise(Line.objects, errors.LineNotFound, code=line_code),
        date=day,
        hour=hour,
        run=get_or_raise(Run.objects, errors.RunNotFound, run_no=run_no) if run_no else None,
        station=get_or_raise(Station.objects, errors.StationNotFound, code=station_code) if station_code else None,
        text=_checked(text),
        written_by=by,
    )


def correct_remark(*, remark_id: int, text: str, by: str) -> RecordRemark:
    """Write another remark in the place of one; the earlier text stays, with its name and time.

    Raises RemarkNotFound, RemarkCorrected when somebody corrected it before, ValidationFailed.
    """
    earlier = get_or_raise(RecordRemark.objects, errors.RemarkNotFound, pk=remark_id)
    try:
        with transaction.atomic():
            return RecordRemark.objects.create(
                line_id=earlier.line_id,
                date=earlier.date,
                hour=earlier.hour,
                run_id=earlier.run_id,
                station_id=earlier.station_id,
                text=_checked(text),
                written_by=by,
                replaces=earlier,
            )
    except IntegrityError as error:
        raise errors.RemarkCorrected() from error


def sign(
    *, line_code: str, day: date, by: str, figures: Mapping[str, Any], hour: datetime | None = None
) -> RecordSignature:
    """Put a name to the record of a day, or to an hour of the in/out record. Raises LineNotFound.

    `figures` are the sums that were shown. Signing again, after figures changed, adds a signature.
    """
    return RecordSignature.objects.create(
        line=get_or_raise(Line.objects, errors.LineNotFound, code=line_code),
        date=day,
        hour=hour,
        written_by=by,
        figures=dict(figures),
    )


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise errors.ValidationFailed({"text": _("Write something.")})
    if len(text) > LONGEST_REMARK:
        message = _("The remark is too long; %(length)d characters are enough.") % {"length": LONGEST_REMARK}
        raise errors.ValidationFailed({"text": message})
    if not text.isprintable():
        raise errors.ValidationFailed({"text": _("The remark contains characters that cannot be kept.")})
    return text
