"""The second factor: codes of six digits by the time (RFC 6238), and recovery codes that stand in for the app once."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

import pyotp
import segno
import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from mes.platform.sign_in.models import RecoveryCode, SecondFactor

logger = structlog.get_logger(__name__)

ISSUER = "Linekeeper"
STEP_SECONDS = 30
DRIFT_STEPS = 1  # how many steps a clock may be ahead or behind
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else
_GROUPS, _GROUP_LENGTH = 4, 4


def make_secret() -> str:
    """Return a new secret, in base 32 as apps take it."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, *, account: str) -> str:
    """Return the address that a QR code brings to an app."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def qr_code(uri: str) -> str:
    """Return a QR code as SVG, dark on white in dark mode too: apps read no other."""
    return str(segno.make(uri, error="m").svg_inline(scale=5, dark="#000", light="#fff", svgclass="qr", lineclass=None))


def matching_step(secret: str, code: str, *, after: int = 0) -> int | None:
    """Return the step whose code this is, none that is `after` or before it. All are compared, in constant time."""
    otp = pyotp.TOTP(secret)
    now = int(timezone.now().timestamp()) // STEP_SECONDS
    found = None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(otp.generate_otp(step).encode(), _plain(code).encode()) and step > after:
            found = step
    return found


@transaction.atomic
def set_up(user: User, *, secret: str, code: str) -> tuple[SecondFactor, list[str]] | None:
    """Give a person a second factor whose app shows this code; return it with its recovery codes, shown only now.

    Returns None for a code that is not the app's, and where the person has a second factor already.
    """
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two forms sent at once
    step = matching_step(secret, code)
    if step is None or SecondFactor.objects.filter(user=user).exists():
        return None
    factor = SecondFactor.objects.create(user=user, secret=secret, last_step=step)
    logger.warning("second factor set up", account=user.get_username())
    return factor, _write_recovery_codes(factor)


@transaction.atomic
def check(factor_id: int, code: str) -> bool:
    """Say whether a code is good, and use it up: a code of the app with all before it, a recovery code by itself."""
    factor = SecondFactor.objects.select_for_update().filter(pk=factor_id).first()
    if factor is None:
        return False
    step = matching_step(factor.secret, code, after=factor.last_step)
    if step is not None:
        factor.last_step = step
        factor.save(update_fields=["last_step"])
        return True
    unused = RecoveryCode.objects.filter(factor=factor, code_hash=_hash(code), used_at=None)
    is_recovery = unused.update(used_at=timezone.now()) == 1
    if is_recovery:
        logger.warning("recovery code used", account=factor.user.get_username())
    return is_recovery


@transaction.atomic
def renew_recovery_codes(factor_id: int) -> list[str]:
    """Replace the recovery codes of a factor; return the new ones, shown only now."""
    factor = SecondFactor.objects.select_for_update().get(pk=factor_id)
    factor.recovery_codes.all().delete()
    return _write_recovery_codes(factor)


def count_recovery_codes(factor_id: int) -> int:
    """Return how many recovery codes are left."""
    return RecoveryCode.objects.filter(factor=factor_id, used_at=None).count()


def remove(users: Iterable[User], *, by: str) -> int:
    """Take their second factors from people; return how many had one. Who needs one sets up another."""
    factors = SecondFactor.objects.filter(user__in=users).select_related("user")
    for factor in factors:
        logger.warning("second factor removed", account=factor.user.get_username(), by=by)
    return factors.delete()[1].get(SecondFactor._meta.label, 0)


def _write_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [_make_recovery_code() for _number in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, code_hash=_hash(code)) for code in codes)
    return codes


def _make_recovery_code() -> str:
    """Return a code of 79 bits, such as `k7fp-2mzx-tq4d-9hwr`."""
    groups = ("".join(secrets.choice(_ALPHABET) for _letter in range(_GROUP_LENGTH)) for _group in range(_GROUPS))
    return "-".join(groups)


def _hash(code: str) -> str:
    return hashlib.sha256(_plain(code).encode()).hexdigest()


def _plain(code: str) -> str:
    """Return a code as it is compared: without what people put between its parts, and what no code has."""
    return "".join(letter for letter in code.lower() if letter.isascii() and letter.isalnum())
