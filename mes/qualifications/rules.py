"""What a qualification may say."""

from datetime import date

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes.platform.validators import FIRST_YEAR, LAST_YEAR


def check_day(day: date) -> None:
    """Raise ValidationError for a last day that nobody means."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        years = {"first": FIRST_YEAR, "last": LAST_YEAR}
        raise ValidationError(_("Must lie in the years %(first)d to %(last)d.") % years, "year")
