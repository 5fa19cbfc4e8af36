"""Terminals: browsers that were bound to a station, known by a secret cookie of which only a hash is kept."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from threading import Lock
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request

from mes import errors
from mes.platform.database.lookup import get_or_raise
from mes.platform.sign_in.models import SignOn, Terminal

logger = structlog.get_logger(__name__)

COOKIE = "linekeeper_terminal"
COOKIE_AGE = 400 * 24 * 3600  # seconds: as long as browsers keep any; each sign-on begins it anew
HEARD_EVERY = 60.0  # seconds between two notes that a terminal was heard
_LONGEST_SECRET = 100
_REMEMBERED = 1000  # secrets of which a process remembers when it noted them
STATION: Any = Terminal._meta.get_field("station")


# --- recognising ------------------------------------------------------------------------------------------------


def find_terminal(request: HttpRequest | Request) -> Terminal | None:
    """Return the terminal that a browser is, or was until it was revoked. Read once in a request."""
    if "terminal" not in vars(request):
        text = _secret_of(request)
        rows = Terminal.objects.select_related("station")
        vars(request)["terminal"] = rows.filter(secret_hash=_hash(text)).first() if text else None
    found: Terminal | None = vars(request)["terminal"]
    return found


def note_heard(request: HttpRequest | Request) -> None:
    """Keep that a terminal was heard, once a minute at most. Where that cannot be written, what is asked for is
    answered all the same.
    """
    text = _secret_of(request)
    if not text or not _heard.is_due(key := _hash(text)):
        return
    now = timezone.now()
    long_ago = Q(last_heard_at=None) | Q(last_heard_at__lt=now - timedelta(seconds=HEARD_EVERY))
    try:
        Terminal.objects.filter(long_ago, secret_hash=key, revoked_at=None).update(last_heard_at=now)
    except DatabaseError as error:
        logger.warning("not noted that a terminal was heard", reason=str(error))


def _secret_of(request: HttpRequest | Request) -> str:
    text = request.COOKIES.get(COOKIE, "")
    return text if 0 < len(text) <= _LONGEST_SECRET else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Heard:
    """When this process last noted that a terminal was heard. What is guessed pushes out the oldest."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: dict[str, float] = {}

    def is_due(self, key: str) -> bool:
        """Whether it is to be noted now, which is then remembered."""
        now = monotonic()
        with self._lock:
            if now - self._noted.get(key, -HEARD_EVERY) < HEARD_EVERY:
                return False
            self._noted.pop(key, None)
            while len(self._noted) >= _REMEMBERED:
                del self._noted[next(iter(self._noted))]
            self._noted[key] = now
            return True


_heard = _Heard()


# --- binding and revoking ---------------------------------------------------------------------------------------


@transaction.atomic
def bind(request: HttpRequest | Request, *, station_code: str, name: str, by: str) -> tuple[Terminal, str]:
    """Make a browser a terminal of a station, or of another one; return it and the secret of its cookie.

    Whoever is signed on there is signed off. Raises StationNotFound.
    """
    station = get_or_raise(STATION.related_model.objects, errors.StationNotFound, code=station_code)
    before = find_terminal(request)
    terminal = None
    if before is not None:
        terminal = Terminal.objects.select_for_update().filter(pk=before.pk, revoked_at=None).first()
    terminal = terminal or Terminal()
    secret = secrets.token_urlsafe(32)
    terminal.name, terminal.station, terminal.secret_hash = name, station, _hash(secret)
    terminal.bound_by, terminal.bound_at, terminal.last_heard_at = by, timezone.now(), timezone.now()
    terminal.save()
    end_sign_ons(terminal)
    logger.warning("terminal bound", terminal=terminal.pk, name=name, station=station_code, by=by)
    return terminal, secret


def give_cookie(response: HttpResponseBase, secret: str) -> None:
    """Have a browser keep the secret of its terminal, out of the reach of scripts and of other sites."""
    response.set_cookie(
        COOKIE, secret, max_age=COOKIE_AGE, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
    )


def renew_cookie(request: HttpRequest | Request, response: HttpResponseBase) -> None:
    """Have the browser of a terminal keep its secret for as long again."""
    give_cookie(response, _secret_of(request))


@transaction.atomic
def revoke(terminal_id: int, *, by: str) -> Terminal:
    """Have a browser be a terminal no longer, and sign off who is signed on there. Again, it changes nothing.

    Raises NotFound.
    """
    rows = Terminal.objects.select_for_update(of=("self",)).select_related("station")
    terminal = get_or_raise(rows, errors.NotFound, pk=terminal_id)
    if terminal.revoked_at is None:
        terminal.revoked_at, terminal.revoked_by = timezone.now(), by
        terminal.save(update_fields=["revoked_at", "revoked_by"])
        end_sign_ons(terminal)
        logger.warning("terminal revoked", terminal=terminal.pk, name=terminal.name, by=by)
    return terminal


def end_sign_ons(terminal: Terminal) -> None:
    """Sign off whoever is signed on at a terminal."""
    SignOn.objects.filter(terminal=terminal, ended_at=None).update(ended_at=timezone.now())


def list_terminals() -> Sequence[Terminal]:
    """Return those that are bound, the first by line and station."""
    rows: QuerySet[Terminal] = Terminal.objects.filter(revoked_at=None).select_related("station__line")
    return list(rows.order_by(F("station__line__code").asc(nulls_last=True), "station__code", "id"))
