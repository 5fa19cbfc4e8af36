"""What a part attacks, and who there is to attack it. Imported when Django is set up."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from attack.client import Client
from attack.installation import Installation
from bench import plant as bench_plant
from bench.case import Plant
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token, revoke_token
from tests.bad_input.endpoints import THINGS
from tests.bad_input.things import make_things

PASSWORD = secrets.token_urlsafe(12)


@dataclass
class Target:
    """An installation with a plant in it. `seconds` is how long a part may measure or walk.

    Where it is walked, the tests' plant is there, which has one of everything, and no `plant` for lines of devices.
    """

    installation: Installation
    bench: Plant | None
    seconds: float
    is_short: bool
    chance: Random = field(default_factory=lambda: Random(4711))
    _rounds: int = 0

    @property
    def plant(self) -> Plant:
        """That of the benchmark."""
        assert self.bench is not None, "This installation is walked."
        return self.bench

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.installation.port

    def next_round(self, devices: Sequence[str] = (), each: int = 0) -> int:
        """Return a number for a line, with so many fresh units for each of its first devices."""
        self._rounds += 1
        if devices and each:
            bench_plant.make_fresh_units(self._rounds, len(devices), each)
        return self._rounds

    def client(self, token: str = "") -> Client:
        """Return a client with a token, or without."""
        return Client(self.port, headers={"Authorization": f"Bearer {token}"} if token else None)


def make_target(installation: Installation, *, seconds: float, is_short: bool, is_walked: bool = False) -> Target:
    """Put a plant into an installation that Django uses."""
    if is_walked:
        THINGS.update(make_things())
        return Target(installation, None, seconds, is_short)
    return Target(installation, bench_plant.build(), seconds, is_short)


# --- who there is -------------------------------------------------------------------------------------------


def make_token(role: Role, *, stations: Sequence[str] = ()) -> str:
    """Return the text of a new token."""
    return issue_token(name=f"attack {secrets.token_hex(4)}", role=role, station_codes=stations)[1]


def make_revoked_token() -> str:
    """Return the text of a token that was revoked."""
    token, text = issue_token(name=f"attack {secrets.token_hex(4)}", role=Role.ADMIN)
    revoke_token(token)
    return text


def make_expired_token() -> str:
    """Return the text of a token whose time is over."""
    token, text = issue_token(
        name=f"attack {secrets.token_hex(4)}", role=Role.ADMIN, expires_at=timezone.now() + timedelta(hours=1)
    )
    DeviceToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    return text


def make_person(role: Role | None, *, is_superuser: bool = False) -> User:
    """Make somebody who may sign in, also to the admin site."""
    name = f"attack-{(role or 'nobody').lower()}-{secrets.token_hex(3)}"
    person = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=is_superuser)
    if role is not None:
        person.groups.add(Group.objects.get(name=role.group_name))
    return person


def signed_in(target: Target, person: User) -> Client:
    """Return the browser of somebody who has signed in; it sends what the CSRF check asks for."""
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    mark = secrets.token_hex(16)
    cookies = f"{settings.SESSION_COOKIE_NAME}={session.session_key}; {settings.CSRF_COOKIE_NAME}={mark}"
    return Client(target.port, headers={"Cookie": cookies, "X-CSRFToken": mark})


# --- what there is ------------------------------------------------------------------------------------------

# What the worker and signing in write by themselves.
_BY_THEMSELVES = (
    *("django_session", "django_q_", "mes_workerheartbeat", "mes_taskoutcome", "mes_mesevent", "mes_retentionrun"),
    *("mes_routedrift", "mes_driftposition"),  # looked at each minute
    *("auth_user", "mes_devicetoken", "mes_writeprobe", "mes_audit"),
)
# Where malformed messages are kept, of those who may send any.
MESSAGES = ("ingest_openingestevent", "integration_failedmessage")


def fingerprint(*, but: Sequence[str] = ()) -> dict[str, tuple[int, int]]:
    """Return of each table how many rows it has and what stands in them: equal where nothing has changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition"
        )
        names = [name for (name,) in cursor.fetchall() if not name.startswith((*_BY_THEMSELVES, *but))]
        found = {}
        for name in names:
            cursor.execute(f'SELECT count(*), coalesce(sum(hashtext(t::text)::bigint), 0) FROM "{name}" t')
            found[name] = cursor.fetchone()
    return found
