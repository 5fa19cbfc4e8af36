"""Issuing, revoking and recognising device tokens.

Known tokens are remembered in the process for a few seconds, because every reading of every machine brings one.
Expiry is checked on every use; a revocation holds at once here, and within MES_TOKEN_CACHE in other processes.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import StationNotFound, ValidationFailed
from mes.platform.accounts.models import DeviceToken, DeviceTokenStation
from mes.platform.accounts.roles import GRANTS, Capability, Role
from mes.platform.validators import validate_moment

PREFIX_LENGTH = 8

STATIONS: Any = DeviceToken._meta.get_field("stations")
_TEXT = re.compile(r"lk_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenPrincipal:
    """What a request may know about the token it came with. `station_codes` None means every station."""

    token_id: int
    name: str
    role: Role
    capabilities: frozenset[Capability]
    station_codes: frozenset[str] | None
    expires_at: datetime | None
    revoked_at: datetime | None = None

    def is_expired(self, *, at: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= at


# --- issuing and revoking ---------------------------------------------------------------------------------


def issue_token(
    *,
    name: str,
    role: Role | str,
    station_codes: Iterable[str] = (),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> tuple[DeviceToken, str]:
    """Make a token; return it and its text, which cannot be shown again."""
    text = f"lk_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        stations = _find_stations(list(station_codes))
        token = DeviceToken(
            name=name.strip(),
            role=role,
            expires_at=expires_at,
            created_by=created_by,
            token_hash=_hash(text),
            prefix=text[:PREFIX_LENGTH],
        )
        _check(token)
        token.save(force_insert=True)
        DeviceTokenStation.objects.bulk_create(DeviceTokenStation(token=token, station=station) for station in stations)
    return token, text


def revoke_token(token: DeviceToken) -> None:
    """Make a token invalid for good. Doing it again changes nothing."""
    DeviceToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    token.refresh_from_db(fields=["revoked_at"])
    transaction.on_commit(_known.clear)


def _find_stations(codes: Iterable[str]) -> list[Any]:
    """Return stations by code. The plant is above this room; the field knows its model."""
    stations = {station.code: station for station in STATIONS.related_model.objects.filter(code__in=set(codes))}
    if missing := sorted(set(codes) - stations.keys()):
        raise StationNotFound(code=missing[0])
    return list(stations.values())


def _check(token: DeviceToken) -> None:
    fields: dict[str, str] = {}
    try:
        token.full_clean()
    except ValidationError as error:
        names = {"expires_at": "expiresAt"}
        fields = {names.get(name, name): " ".join(messages) for name, messages in error.message_dict.items()}
    if token.expires_at is not None:
        fields |= _expiry_faults(token.expires_at)
    if fields:
        raise ValidationFailed(fields)


def _expiry_faults(expires_at: datetime) -> dict[str, str]:
    try:
        check_expiry(expires_at)
    except ValidationError as error:
        return {"expiresAt": " ".join(error.messages)}
    return {}


def check_expiry(expires_at: datetime) -> None:
    """Raise ValidationError for an end that is over, or that cannot be kept."""
    validate_moment(expires_at)
    if expires_at <= timezone.now():
        raise ValidationError(_("Must lie in the future."))


# --- recognising ------------------------------------------------------------------------------------------


def find_token(text: str) -> TokenPrincipal | None:
    """Return the principal of a token that is valid now."""
    principal = load_token(text)
    if principal is None or principal.revoked_at is not None or principal.is_expired(at=timezone.now()):
        return None
    return principal


def is_remembered(text: str) -> bool:
    """Whether a token was valid when this process read it lately, and has not expired since. Asks nobody."""
    principal = _known.get(_hash(text))
    return principal is not None and not principal.is_expired(at=timezone.now())


def load_token(text: str) -> TokenPrincipal | None:
    """Return the principal of any token that was ever issued, valid or not: see `is_expired` and `revoked_at`."""
    if not _TEXT.fullmatch(text):
        return None
    key = _hash(text)
    principal = _known.get(key)
    if principal is None:
        generation = _known.generation
        principal = _read(key)
        if principal is not None and principal.revoked_at is None:
            _known.put(key, principal, generation=generation)
    return principal


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(token_hash: str) -> TokenPrincipal | None:
    token = DeviceToken.objects.filter(token_hash=token_hash).first()
    if token is None:
        return None
    codes = frozenset(token.stations.order_by().values_list("code", flat=True))
    role = Role(token.role)
    return TokenPrincipal(
        token_id=token.pk,
        name=token.name,
        role=role,
        capabilities=GRANTS[role],
        station_codes=codes or None,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


class _KnownTokens:
    """Tokens read lately. Unknown ones are never kept, so nobody can fill it with guesses."""

    def __init__(self, *, size: int) -> None:
        self.size = size
        self.generation = 0
        self._lock = Lock()
        self._entries: dict[str, tuple[TokenPrincipal, float]] = {}

    def get(self, key: str) -> TokenPrincipal | None:
        """Return what is remembered and fresh."""
        entry = self._entries.get(key)
        if entry is None or monotonic() - entry[1] > settings.MES_TOKEN_CACHE.total_seconds():
            return None
        return entry[0]

    def put(self, key: str, principal: TokenPrincipal, *, generation: int) -> None:
        """Remember, unless something was revoked since the caller began to read."""
        with self._lock:
            if generation != self.generation:
                return
            self._entries.pop(key, None)
            while len(self._entries) >= self.size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (principal, monotonic())

    def clear(self) -> None:
        """Forget everything, also what is being read just now."""
        with self._lock:
            self.generation += 1
            self._entries.clear()


_known = _KnownTokens(size=1000)


def forget_known_tokens() -> None:
    """Read every token again on its next use, as after 30 seconds."""
    _known.clear()
