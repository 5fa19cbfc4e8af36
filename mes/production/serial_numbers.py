"""What is no serial number, what one of a route looks like, and how it is said that there is no such unit."""

from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings

from mes import errors
from mes.platform.validators import check_new_code
from mes.production.models import Run
from mes.routing.sn_masks import fits

_IGNORED = str.maketrans("", "", " -_/")
_SIGNS = " ?*#._-/"  # with the ignored ones: a serial number has a letter or a digit


def is_unreadable(sn: str | None) -> bool:
    """Whether a text is what machines send for a serial number that they could not read, or nothing at all.

    The words are those of the setting MES_UNREADABLE_SNS, in any case, with blanks, `-`, `_` and `/` ignored.
    """
    if not sn or not sn.strip(_SIGNS):
        return True
    return _fold(sn) in _words(tuple(settings.MES_UNREADABLE_SNS))


def check_readable(sn: str) -> None:
    """Raise SnUnreadable for what is no serial number."""
    if is_unreadable(sn):
        raise errors.SnUnreadable(sn=sn)


def check_new(sns: Sequence[str], masks: Sequence[str]) -> None:
    """Raise ValidationFailed, SnUnreadable or SnMaskMismatch for the first serial number of which no unit may be made.

    `masks` are those of the run's frozen route; where it has none, any will do.
    """
    for sn in sns:
        check_readable(sn)
        check_new_code("sn", sn)
        if masks and not fits(sn, masks):
            raise errors.SnMaskMismatch(sn=sn, masks=list(masks))


def no_such_unit(code: str, run: Run | None = None) -> errors.DomainError:
    """Return the refusal for a serial number that no unit has; `run` is the one it was looked for, if one was named."""
    if is_unreadable(code):
        return errors.SnUnreadable(sn=code)
    if run is not None and run.units_registered:
        return errors.UnitNotRegistered(code=code, run=run.run_no)
    return errors.UnitNotFound(code=code)


def _fold(text: str) -> str:
    return text.upper().translate(_IGNORED)


@lru_cache(maxsize=8)
def _words(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_fold, words))
