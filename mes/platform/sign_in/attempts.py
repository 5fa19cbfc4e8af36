"""How often one may try: a failure delays the next attempt, the longer the more of them there were.

An attempt is counted as failed before anything is checked, and taken back when it succeeds: guesses that are sent at
once do not pass together, and what is refused here costs no hashing. Counted is by account, by address, and by account
from one address, in the database, so that all processes know. Whether there is such an account plays no part.

Nobody can be locked out from elsewhere: who has signed in from an address before is delayed there by failures of that
account from that address only, and every delay has an end (`LIMITS`).
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

import structlog
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest, Least
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import SignOnLocked
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Severity
from mes.platform.notifications.services import Notice, notify
from mes.platform.sign_in.models import AttemptCount, Counted

logger = structlog.get_logger(__name__)

FIRST_DELAY = timedelta(seconds=2)  # doubled by each further failure
FORGOTTEN_AFTER = timedelta(hours=12)  # without a failure, counting begins anew


class Purpose(StrEnum):
    """What is tried. Each is counted for itself."""

    PASSWORD = "password"
    SECOND_FACTOR = "second factor"
    SIGNATURE = "signature"  # and PINs at terminals: what locks one locks both


@dataclass(frozen=True)
class Limit:
    """How many failures are free, how long the first delay is and how long it grows at most, and after what time
    without a failure counting begins anew.
    """

    free: int
    longest: timedelta
    first: timedelta = FIRST_DELAY
    forgotten_after: timedelta = FORGOTTEN_AFTER

    def delay(self, failures: int) -> timedelta:
        """How long nobody is heard after so many failures in a row."""
        if failures <= self.free:
            return timedelta(0)
        return min(self.first * 2 ** min(failures - self.free - 1, 20), self.longest)


_QUARTER = timedelta(minutes=15)
LIMITS = {
    (Purpose.PASSWORD, Counted.ACCOUNT): Limit(10, timedelta(minutes=1)),
    (Purpose.PASSWORD, Counted.ADDRESS): Limit(30, timedelta(minutes=1)),
    (Purpose.PASSWORD, Counted.BOTH): Limit(5, _QUARTER),
    # Whoever gets here knows the password, and there are only a million codes.
    (Purpose.SECOND_FACTOR, Counted.ACCOUNT): Limit(10, _QUARTER),
    (Purpose.SECOND_FACTOR, Counted.ADDRESS): Limit(30, timedelta(minutes=1)),
    (Purpose.SECOND_FACTOR, Counted.BOTH): Limit(5, _QUARTER),
    # The fifth in a quarter of an hour locks signing, and signing on by PIN, for as long, from everywhere.
    (Purpose.SIGNATURE, Counted.ACCOUNT): Limit(4, _QUARTER, first=_QUARTER, forgotten_after=_QUARTER),
}
TOLD_OF = (Counted.ACCOUNT, Counted.ADDRESS)  # what is delayed by both is delayed by its account soon


class Throttled(Exception):
    """Nothing was checked and nothing is changed. `seconds` says when to come back."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(seconds)


@dataclass
class Attempt:
    """An attempt that is counted as failed until it says otherwise."""

    purpose: Purpose
    account: str
    address: str
    counts: list[AttemptCount]
    before: dict[str, tuple[datetime | None, datetime]]

    def succeed(self) -> None:
        """Take the failure back, end the row of failures of this account from here, and remember that it was here."""
        self._come_in(failures=0, wrong_pins=0, blocked_until=None)

    def succeed_by_pin(self) -> None:
        """Take the failure and the wrong PINs before it back. A PIN says nothing of who guessed at passwords and
        signatures: those stay counted.
        """
        self._come_in(failures=Greatest(F("failures") - F("wrong_pins"), 0), wrong_pins=0)

    def _come_in(self, **values: Any) -> None:
        self.take_back()
        self._label(_known_name(self.account))
        AttemptCount.objects.filter(pk=self._narrowest.pk).update(succeeded_at=timezone.now(), **values)

    @property
    def _narrowest(self) -> AttemptCount:
        return self.counts_by_kind.get(Counted.BOTH) or self.counts_by_kind[Counted.ACCOUNT]

    def take_back(self) -> None:
        """Count it no longer. A delay that others brought about stays."""
        for count in self.counts:
            row = AttemptCount.objects.filter(pk=count.pk)
            row.update(failures=Greatest(F("failures") - 1, 0))
            blocked_until, last_at = self.before[count.pk]
            row.filter(blocked_until=count.blocked_until).update(blocked_until=blocked_until)
            row.filter(last_at=count.last_at).update(last_at=last_at)  # so that failures are forgotten in their time

    def fail(self) -> None:
        """Log it; tell the administrators where it delays the next one."""
        known = _known_name(self.account)
        logger.warning("sign-in failed", purpose=str(self.purpose), account=known, address=self.address)
        delayed = [count for count in self.counts if count.failures > LIMITS[self.purpose, _kind(count)].free]
        for count in delayed:
            logger.warning(
                "sign-in delayed",
                purpose=str(self.purpose),
                counted=str(_kind(count)),
                account=known,
                address=self.address,
                failures=count.failures,
                until=count.blocked_until.isoformat() if count.blocked_until else None,
            )
        self._label(known)
        notify([self._notice(count, known) for count in delayed if _kind(count) in TOLD_OF])

    def fail_by_pin(self) -> None:
        """Do the same, and keep that it was a PIN."""
        self.fail()
        row = AttemptCount.objects.filter(pk=self._narrowest.pk)
        row.update(wrong_pins=Least(F("wrong_pins") + 1, F("failures")))

    def _label(self, known: str | None) -> None:
        """Have the counts say whose they are. Without such an account it takes the same time."""
        for kind, parts in ((Counted.ACCOUNT, (known,)), (Counted.BOTH, (known, self.address))):
            label = _make_label(self.purpose, *parts)
            if kind in self.counts_by_kind:
                AttemptCount.objects.filter(pk=self.counts_by_kind[kind].pk).update(label=label)

    @cached_property
    def counts_by_kind(self) -> dict[Counted, AttemptCount]:
        """What it is counted by: not every purpose is by everything."""
        return {_kind(count): count for count in self.counts}

    def _notice(self, count: AttemptCount, known: str | None) -> Notice:
        """Once a day for each account and each address."""
        if self.purpose == Purpose.SIGNATURE:
            text = _("“%(account)s”: %(failures)d signatures or PINs failed in a row, lately from %(address)s.")
        elif _kind(count) == Counted.ADDRESS:
            text = _("From %(address)s, %(failures)d attempts to sign in failed in a row; further ones are delayed.")
        elif known is None:
            text = _(
                "%(failures)d attempts to sign in failed with a name that no account has, lately from %(address)s."
            )
        else:
            text = _("“%(account)s”: %(failures)d attempts to sign in failed in a row, lately from %(address)s.")
        values = {"account": known or "?", "address": self.address or "?", "failures": count.failures}
        day = timezone.localdate().isoformat()
        return Notice(
            key=f"sign-in:{count.pk[:32]}:{day}",
            severity=Severity.WARNING,
            text=text % values,
            roles=frozenset({Role.ADMIN}),
        )


def begin(purpose: Purpose, *, account: str, address: str) -> Attempt:
    """Count an attempt at an account (its name, whether there is one or not) from an address, before it is made.

    Raises Throttled while it is not heard.
    """
    keys = _keys(purpose, account, address)
    _check(list(AttemptCount.objects.filter(pk__in=keys.values())), timezone.now())  # who is not heard writes no row
    AttemptCount.objects.bulk_create(
        (
            AttemptCount(key=key, counted=kind, label=_make_label(purpose, address if kind != Counted.ACCOUNT else ""))
            for kind, key in sorted(keys.items(), key=lambda item: item[1])
        ),
        ignore_conflicts=True,
    )
    with transaction.atomic():
        counts = list(AttemptCount.objects.select_for_update().filter(pk__in=keys.values()).order_by("key"))
        now = timezone.now()
        _check(counts, now)
        before = {count.pk: (count.blocked_until, count.last_at) for count in counts}
        for count in counts:
            _add_failure(purpose, count, now)
        AttemptCount.objects.bulk_update(counts, ["failures", "wrong_pins", "last_at", "blocked_until"])
    return Attempt(purpose, account, address, counts, before)


@dataclass
class LockingAttempt:
    """A guess at a signature or at a PIN. It counts for the lock that both have in common and as an attempt to sign in,
    so that no door is left where a lock of another is gone around.
    """

    counted: list[Attempt]

    def succeed(self) -> None:
        """Take the failures back, and begin the counts anew."""
        for attempt in self.counted:
            attempt.succeed()

    def succeed_by_pin(self) -> None:
        """Take this one and the wrong PINs before it back."""
        for attempt in self.counted:
            attempt.succeed_by_pin()

    def take_back(self) -> None:
        """Count it no longer: nothing was checked, or what was refused was no guess."""
        for attempt in self.counted:
            attempt.take_back()

    def fail(self) -> None:
        """Leave it counted."""
        for attempt in self.counted:
            attempt.fail()

    def fail_by_pin(self) -> None:
        """Leave it counted, as a PIN."""
        for attempt in self.counted:
            attempt.fail_by_pin()


def begin_locking(*, account: str, address: str) -> LockingAttempt:
    """Count a guess at a signature or at a PIN, before it is checked. Raises SignOnLocked while it is not heard."""
    counted = LockingAttempt([])
    try:
        for purpose in (Purpose.SIGNATURE, Purpose.PASSWORD):
            counted.counted.append(begin(purpose, account=account, address=address))
    except Throttled as refusal:
        counted.take_back()
        raise SignOnLocked(seconds=refusal.seconds) from None
    return counted


def forget(counts: QuerySet[AttemptCount]) -> int:
    """Begin to count anew; return how many counts there were. Where people signed in before stays known."""
    return counts.update(failures=0, wrong_pins=0, blocked_until=None)


def _check(counts: list[AttemptCount], now: datetime) -> None:
    """Raise Throttled while one of these counts is not heard; of an account that is known here, only its own."""
    both = next((count for count in counts if _kind(count) == Counted.BOTH), None)
    heeded = [both] if both is not None and both.succeeded_at is not None else counts
    until = max((count.blocked_until for count in heeded if count.blocked_until), default=now)
    if until > now:
        raise Throttled(math.ceil((until - now).total_seconds()))


def _add_failure(purpose: Purpose, count: AttemptCount, now: datetime) -> None:
    limit = LIMITS[purpose, _kind(count)]
    if count.last_at < now - limit.forgotten_after:
        count.failures = count.wrong_pins = 0
    count.failures += 1
    count.last_at = now
    delay = limit.delay(count.failures)
    if delay:
        count.blocked_until = now + delay


def _kind(count: AttemptCount) -> Counted:
    return Counted(count.counted)


def _keys(purpose: Purpose, account: str, address: str) -> dict[Counted, str]:
    name = _normal_name(account)
    parts = {Counted.ACCOUNT: (name,), Counted.ADDRESS: (address,), Counted.BOTH: (name, address)}
    return {kind: _digest(purpose, kind, *parts[kind]) for kind in parts if (purpose, kind) in LIMITS}


def _digest(*parts: str) -> str:
    """Names are not kept: what people type as a name may be their password."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _make_label(purpose: Purpose, *parts: str | None) -> str:
    text = ", ".join(filter(None, parts))
    return text[:150] if purpose == Purpose.PASSWORD else f"{text[:150]} ({purpose.value})".strip()


def _normal_name(account: str) -> str:
    """Return a name as it is counted: written otherwise it would find the same account, or look like it."""
    return User.normalize_username(account.strip()).casefold()


def _known_name(account: str) -> str | None:
    """Return the name of the account, None if there is none."""
    if "\0" in account:
        return None
    name = User.normalize_username(account.strip())
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    return get_user_model().objects.filter(username=name).values_list("username", flat=True).first()
