"""Badges of people and their PINs: who has which, and whether a PIN is right."""

import re

import structlog
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.platform.sign_in.models import Badge, SignOn

logger = structlog.get_logger(__name__)

LEAST_DIGITS, MOST_DIGITS = 4, 8
PIN_PATTERN = rf"^[0-9]{{{LEAST_DIGITS},{MOST_DIGITS}}}$"
_ROWS = ("0123456789", "9876543210")


class BadgeTaken(Exception):
    """Somebody else has got the badge since it was checked that nobody has it."""


def check_pin(pin: str) -> None:
    """Raise ValidationError for what nobody may have as a PIN: not 4 to 8 digits, or the first that anybody guesses."""
    if not re.fullmatch(PIN_PATTERN, pin, re.ASCII):
        raise ValidationError(_("Must have %(least)d to %(most)d digits.") % _LENGTHS, "pin")
    if len(set(pin)) == 1 or any(pin in row for row in _ROWS):
        raise ValidationError(
            _("Is too easy to guess: take other digits than one again and again, or in a row."), "pin"
        )


_LENGTHS = {"least": LEAST_DIGITS, "most": MOST_DIGITS}


def check_badge(code: str, *, person: User) -> None:
    """Raise ValidationError for a code that cannot be a badge, or by which somebody else is known."""
    Badge._meta.get_field("code").clean(code, None)
    if Badge.objects.filter(code=code).exclude(user=person.pk).exists():
        raise ValidationError(_("This is the badge of somebody else."), "taken")
    if User.objects.filter(username=code).exclude(pk=person.pk).exists():
        raise ValidationError(_("This is the user name of somebody else."), "taken")


@transaction.atomic
def keep(person: User, *, code: str, pin: str = "") -> None:
    """Give a person a badge, and a PIN if one is given; without a code, take the badge away.

    Where anything changes, who is signed on by the badge is signed off. Raises BadgeTaken for a code that somebody
    else has got meanwhile.
    """
    list(User.objects.select_for_update(no_key=True).filter(pk=person.pk))  # first, as who signs on does
    badge = Badge.objects.select_for_update().filter(user=person).first()
    if badge is not None and badge.code == code and not pin:
        return
    if badge is None and not code:
        return
    if not code:
        assert badge is not None
        badge.delete()
    else:
        badge = badge or Badge(user=person)
        badge.code = code
        if pin:
            _put_pin(badge, pin)
        _save(badge)
    end_sign_ons(person)
    logger.info("badge changed", account=person.get_username(), has_badge=bool(code), has_new_pin=bool(pin))


def _save(badge: Badge) -> None:
    try:
        with transaction.atomic():
            badge.save()
    except IntegrityError:
        raise BadgeTaken from None


def set_pin(person: User, pin: str) -> None:
    """Give the badge of a person, if there is one, another PIN, and sign off who is signed on by the one before. Raises
    HashingBusy.
    """
    badge = Badge()
    _put_pin(badge, pin)
    with transaction.atomic():
        Badge.objects.filter(user=person).update(pin_hash=badge.pin_hash, pin_set_at=badge.pin_set_at)
        end_sign_ons(person)
    logger.info("PIN changed", account=person.get_username())


def _put_pin(badge: Badge, pin: str) -> None:
    badge.pin_hash, badge.pin_set_at = make_password(pin), timezone.now()


def owner_of(code: str) -> Badge | None:
    """Return the badge of a code, with its person."""
    return Badge.objects.select_related("user").filter(code=code).first()


def matches(badge: Badge | None, pin: str) -> bool:
    """Whether somebody may sign on by a badge with this PIN. Takes as long where there is no such badge, or no PIN, or
    where its person may not sign in. Raises HashingBusy.
    """
    is_right = check_password(pin, "" if badge is None else badge.pin_hash)
    return is_right and badge is not None and badge.user.is_active


def end_sign_ons(person: User) -> None:
    """Sign a person off at all terminals."""
    SignOn.objects.filter(user=person, ended_at=None).update(ended_at=timezone.now())
