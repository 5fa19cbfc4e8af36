"""Signing on at a terminal by badge and PIN: it changes the person of the browser's session.

One person is signed on at a terminal. Of two who sign on at the same moment, one is, and the other is told so: who is
signed on must be the same in the database and in the browser, whichever answer arrives last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.request import Request

from mes import errors
from mes.platform.accounts.hashers import HashingBusy
from mes.platform.accounts.roles import Role, at_terminal, standing_of
from mes.platform.accounts.sessions import SIGN_ON, OpenSignOn
from mes.platform.http.handlers import answer
from mes.platform.http.middleware import Handler
from mes.platform.sign_in import attempts, badges, terminals
from mes.platform.sign_in.address import client_address
from mes.platform.sign_in.models import Badge, SignOn, Terminal

logger = structlog.get_logger(__name__)

BACKEND = "django.contrib.auth.backends.ModelBackend"
# Of a badge that nobody has. No user name has a colon.
_UNKNOWN = "badge:"
BY_PASSWORD_ONLY = frozenset(
    {"account-password", "account-pin", "second-factor-set-up", "second-factor-codes", "second-factor-off"}
)
_SENT_AGAIN = (401, 403, 408, 425, 429)  # what waits in the browser is, without anybody's doing
_READING = ("GET", "HEAD", "OPTIONS", "TRACE")
# An act within so long of the one before is not noted: whoever is idle is signed off so much earlier at most.
NOTED_EVERY = timedelta(seconds=5)


@dataclass(frozen=True)
class Here:
    """Who is signed in in a browser, and whether it is a terminal. `until` is when the sign-on ends if nothing is done;
    None for whoever signed in by name and password, and for nobody.
    """

    terminal: Terminal | None = None
    person: str | None = None
    printed_name: str | None = None
    roles: Sequence[Role] = field(default=())
    until: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether people sign on here by badge."""
        return self.terminal is not None and self.terminal.revoked_at is None

    @property
    def is_revoked(self) -> bool:
        """Whether people did so until somebody revoked it."""
        return self.terminal is not None and self.terminal.revoked_at is not None

    @property
    def idle_seconds(self) -> int:
        """After how long without an act who signed on by badge is signed off."""
        return int(settings.MES_SIGN_ON_IDLE.total_seconds())

    @property
    def is_by_badge(self) -> bool:
        """Whether the person signed on by badge."""
        return self.until is not None


def sign_on_of(request: HttpRequest | Request) -> OpenSignOn | None:
    """Return the sign-on that the session of a request began by; None for who signed in by name and password."""
    session = request.session
    session.get(SIGN_ON)  # read it, if it is not
    found: OpenSignOn | None = getattr(session, "sign_on", None)
    return found


def read_here(request: HttpRequest | Request) -> Here:
    """Return who is signed in in the browser of a request."""
    terminal = terminals.find_terminal(request)
    if not request.user.is_authenticated:
        return Here(terminal)
    standing, sign_on = standing_of(request.user), sign_on_of(request)
    return Here(
        terminal,
        request.user.get_username(),
        request.user.get_full_name() or request.user.get_username(),
        [role for role in Role if role in standing.roles],
        None if sign_on is None else sign_on.until,
    )


# --- signing on and off -----------------------------------------------------------------------------------------


def sign_on(request: HttpRequest | Request, *, badge: str, pin: str) -> Here:
    """Sign a person on at the terminal that a browser is, in place of whoever was signed in there.

    Called outside any transaction: hashing takes its time, and a failure stays counted. Raises TerminalRequired,
    TerminalRevoked, SignOnLocked, SigningBusy, SignOnRefused, SecondFactorAtTerminal, NoWorkAtTerminals,
    SignOnSuperseded.
    """
    terminal = _terminal_of(request)
    newest = _newest(terminal)
    checked = _check(request, badge, pin)
    person = checked.user
    try:
        signed_on = _change_person(request, terminal, checked, after=newest)
    except errors.SignOnSuperseded:
        # An answer to a session that the other sign-on ended would take the cookie away that its answer brings.
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        raise
    logger.info("signed on", account=person.get_username(), terminal=terminal.name, station=terminal.station.code)
    person.standing = at_terminal(standing_of(person))  # type: ignore[attr-defined]
    request.session.sign_on = OpenSignOn(signed_on.pk, signed_on.last_act_at)  # type: ignore[attr-defined]
    return read_here(request)


def _terminal_of(request: HttpRequest | Request) -> Terminal:
    terminal = terminals.find_terminal(request)
    if terminal is None:
        raise errors.TerminalRequired
    if terminal.revoked_at is not None:
        raise errors.TerminalRevoked(terminal=terminal.name)
    return terminal


def _newest(terminal: Terminal) -> int | None:
    """Return the id of the latest sign-on at a terminal."""
    return SignOn.objects.filter(terminal=terminal).order_by("-id").values_list("pk", flat=True).first()


def _check(request: HttpRequest | Request, code: str, pin: str) -> Badge:
    """Return the badge with its person. Whether badge or PIN is wrong, or the person may not sign in, costs and says
    the same, and counts the same: a badge that nobody has is counted by itself.
    """
    badge = badges.owner_of(code)
    account = f"{_UNKNOWN}{code}" if badge is None else badge.user.get_username()
    attempt = attempts.begin_locking(account=account, address=client_address(request))
    try:
        is_right = badges.matches(badge, pin)
    except HashingBusy:
        attempt.take_back()
        raise errors.SigningBusy from None
    if not is_right:
        attempt.fail_by_pin()
        raise errors.SignOnRefused
    assert badge is not None
    return _check_standing(badge, attempt)


def _check_standing(badge: Badge, attempt: attempts.LockingAttempt) -> Badge:
    """Return a badge whose PIN was right, unless that is not enough."""
    standing = standing_of(badge.user)
    if standing.needs_second_factor or standing.second_factor_id is not None:
        attempt.take_back()
        raise errors.SecondFactorAtTerminal
    if not at_terminal(standing).capabilities:
        attempt.take_back()
        raise errors.NoWorkAtTerminals
    attempt.succeed_by_pin()
    return badge


@transaction.atomic
def _change_person(request: HttpRequest | Request, terminal: Terminal, badge: Badge, *, after: int | None) -> SignOn:
    """End the session that there is and begin one of the person. Raises TerminalRevoked, SignOnSuperseded where
    somebody signed on since `after` was the latest, SignOnRefused where the badge was changed or taken away, or its
    person deactivated, while the PIN was checked.
    """
    locked = lock_terminal(terminal)
    if locked.revoked_at is not None:
        raise errors.TerminalRevoked(terminal=locked.name)
    if _newest(terminal) != after:
        raise errors.SignOnSuperseded(terminal=locked.name)
    if not _is_still_good(badge):
        raise errors.SignOnRefused
    _end(SignOn.objects.filter(terminal=terminal, ended_at=None).values_list("pk", flat=True))
    request.session.flush()
    login(request, badge.user, backend=BACKEND)  # under a new key, with another token against forged requests
    key = request.session.session_key or ""  # it has one since then
    signed_on = SignOn.objects.create(terminal=terminal, user=badge.user, session_key=key)
    request.session[SIGN_ON] = signed_on.pk
    request.session.save()
    return signed_on


def _is_still_good(badge: Badge) -> bool:
    """Whether a badge is as it was when its PIN was checked. Locked after its person, as where people are changed:
    whoever takes either away waits, and then ends the session that is begun.
    """
    people = User.objects.select_for_update(no_key=True).filter(pk=badge.user_id, is_active=True)
    same = Badge.objects.select_for_update(no_key=True)
    return bool(people) and same.filter(pk=badge.pk, code=badge.code, pin_hash=badge.pin_hash).first() is not None


def lock_terminal(terminal: Terminal) -> Terminal:
    """Lock a terminal, so that people sign on there one after the other."""
    return Terminal.objects.select_for_update().get(pk=terminal.pk)


def sign_off(request: HttpRequest | Request) -> Here:
    """End the session of whoever is signed in in a browser. Again, it changes nothing."""
    with transaction.atomic():
        note_signed_out(request)
        logout(request)
    return Here(terminals.find_terminal(request))


def stay(request: HttpRequest | Request) -> Here:
    """Keep somebody signed on who types or taps, and sends nothing yet; return who is here."""
    _note_act(request)
    return read_here(request)


def note_signed_out(request: HttpRequest | Request) -> None:
    """Keep that who signed on by badge is leaving by the button that is on every page."""
    signed_on = sign_on_of(request)
    if signed_on is not None:
        SignOn.objects.filter(pk=signed_on.id, ended_at=None).update(ended_at=timezone.now())


def _end(ids: Iterable[int]) -> None:
    """End sign-ons with their sessions."""
    rows = SignOn.objects.filter(pk__in=list(ids), ended_at=None)
    keys = list(rows.values_list("session_key", flat=True))
    rows.update(ended_at=timezone.now())
    Session.objects.filter(session_key__in=keys).delete()


# --- acts and rest ----------------------------------------------------------------------------------------------


class SignOnWatch:
    """Middleware: who signed on by badge has a floor's rights only, and stays signed on by acts, not by looking.

    A page that asks every few seconds what is new is no act; what a person sends is, unless it could not be answered,
    or is sent again by itself, for as long as nobody is there who may.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Go on, and note what was done."""
        terminals.note_heard(request)
        response = self.get_response(request)
        if request.method not in _READING and _is_answered(response.status_code):
            _note_act(request)
        return response

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        """Narrow what the person may do, before anything asks; keep from the pages that change how one signs in."""
        user = getattr(request, "user", None)  # of a machine there is none
        if user is None or not user.is_authenticated or sign_on_of(request) is None:
            return None
        request.user.standing = at_terminal(standing_of(request.user))  # type: ignore[union-attr]
        name = request.resolver_match.url_name if request.resolver_match else None
        if name in BY_PASSWORD_ONLY:
            message = _("Who signed on by badge cannot change how they sign in. Sign in by name and password.")
            return answer(request, 403, "PERMISSION_DENIED", message)
        return None


def _is_answered(status: int) -> bool:
    return status < 500 and status not in _SENT_AGAIN


def _note_act(request: HttpRequest | Request) -> None:
    signed_on, now = getattr(request.session, "sign_on", None), timezone.now()
    if signed_on is not None and now - signed_on.last_act_at > NOTED_EVERY:
        SignOn.objects.filter(pk=signed_on.id, ended_at=None).update(last_act_at=now)
        request.session.sign_on = OpenSignOn(signed_on.id, now)  # type: ignore[attr-defined]


def find_people_at(terminal_ids: Sequence[int]) -> dict[int, SignOn]:
    """Return who is signed on at terminals, by terminal, in one query."""
    since = timezone.now() - settings.MES_SIGN_ON_IDLE
    rows = SignOn.objects.filter(terminal__in=terminal_ids, ended_at=None, last_act_at__gt=since, user__is_active=True)
    return {row.terminal_id: row for row in rows.select_related("user")}
