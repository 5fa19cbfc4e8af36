"""The demo's four weeks of changes: made when the demo is prepared for the first time, in a database nobody has used.

What people changed over four weeks is written in a few seconds: by the demo's client over HTTP (`demo.engineers`), and
by the triggers, as every change is. Only the time is not the server's clock then. That is honest of a demo's own plant,
and of nothing else, so:

- it happens only with `DEMO`, before there is a line, a spec, a route, an order or a seal (`is_due`);
- the client speaks to this process, not to a server that runs, and all is one transaction. Only entries of that
  transaction get another time: by `pg_current_xact_id()`, which no entry of anybody else can have;
- the audit is sealed at once. `is_due` is never true again, and `audit_verify` covers all that was made.

The owner of the database could do all this by hand, as `docs/audit.md` says; nothing that serves requests can.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.core import signals
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.accounts.sessions import SessionStore
from mes.platform.audit import seals
from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.database.partitions import make_month, months_from
from mes.production.models import WorkOrder
from mes.routing.drift_models import DriftPosition
from mes.routing.models import Routing
from mes.specs.models import DataCollectionSpec

WEEKS = timedelta(days=29)
CLIENT = "demo.engineers"
_MOMENT = "HTTP_X_DEMO_MOMENT"
_POLL_SECONDS = 0.05
_STEP = timedelta(milliseconds=1)
_TIMES = f"""
    UPDATE {seals.TABLE} SET received_at = meant.at
      FROM unnest(%s::bigint[], %s::timestamptz[]) meant(id, at)
     WHERE {seals.TABLE}.id = meant.id AND transaction = pg_current_xact_id()::text::bigint
"""

Environ = dict[str, Any]


class WeeksFailed(Exception):
    """The demo's client could not make all of it; the text is what it said."""


def is_due() -> bool:
    """Whether the demo is installed, and nobody has made or sealed anything yet."""
    if importlib.util.find_spec("demo") is None or importlib.util.find_spec(CLIENT) is None:
        return False
    return not any(model._base_manager.exists() for model in (AuditSeal, Line, DataCollectionSpec, Routing, WorkOrder))


def make_months() -> None:
    """Make the partitions of the months in which the changes will lie."""
    first, now = timezone.now() - WEEKS, timezone.now()
    for month in months_from(first.date(), 2):
        if month <= now.date():
            make_month(seals.TABLE, month)


class Weeks:
    """What is written in a transaction, and when it was meant to be."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._times: dict[int, datetime] = {}
        self._latest = timezone.now() - WEEKS

    @contextmanager
    def meant_for(self, moment: datetime) -> Iterator[None]:
        """Have what is written within the block be of then. Its entries get that time by `date`."""
        last, moment = _last_id(), max(moment, self._latest)
        with clock_at(moment):
            yield
        for pk in AuditEntry.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True):
            moment += _STEP  # as ids go up, so do times
            self._times[pk] = moment
        self._latest = moment

    def have_written(
        self, what: str, *, people: Iterable[User], passwords: Mapping[str, str], token: str, erp_token: str
    ) -> None:
        """Have the demo's client write a part, with sessions of these people, who sign with their passwords, and answer
        it. Raises WeeksFailed.
        """
        sessions = {user.username: _begin_session(user) for user in people}
        with _connection_kept(), make_server("127.0.0.1", 0, self._answer, handler_class=_Quiet) as server:
            server.timeout = _POLL_SECONDS
            environment = {
                **os.environ,
                "LINEKEEPER_URL": f"http://127.0.0.1:{server.server_port}",
                "LINEKEEPER_TOKEN": token,
                "LINEKEEPER_ERP_TOKEN": erp_token,
                "LINEKEEPER_SIGNERS": json.dumps(dict(passwords)),
                "LINEKEEPER_SESSIONS": json.dumps({name: each.session_key for name, each in sessions.items()}),
            }
            command = [sys.executable, "-m", CLIENT, what]
            with subprocess.Popen(
                command, cwd=settings.BASE_DIR, env=environment, stderr=subprocess.PIPE, text=True
            ) as client:
                while client.poll() is None:
                    server.handle_request()
                assert client.stderr is not None
                said = client.stderr.read().strip()
        for session in sessions.values():
            session.delete()
        if client.returncode != 0:
            raise WeeksFailed(said[-1000:])

    def date(self) -> None:
        """Give the entries that this transaction wrote the times that they were meant for."""
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {seals.TABLE} DISABLE TRIGGER unchangeable")
            cursor.execute(_TIMES, [list(self._times), list(self._times.values())])
            cursor.execute(f"ALTER TABLE {seals.TABLE} ENABLE TRIGGER unchangeable")
        DriftPosition.objects.all().delete()  # who reads on from a time would not find them: it begins anew

    def _answer(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request as the product does, at the time that it was meant for."""
        environ["HTTP_HOST"] = _own_host()
        said = environ.get(_MOMENT)
        moment = datetime.fromisoformat(said) if said else None
        if moment is None:
            return list(_application(environ, start_response))
        with self.meant_for(min(moment, timezone.now())):
            return list(_application(environ, start_response))


def _begin_session(user: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.save()
    return session


@contextmanager
def _connection_kept() -> Iterator[None]:
    """Have requests not begin and end with another connection: all of them are in one transaction."""
    told = (signals.request_started, signals.request_finished)
    for signal in told:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in told:
            signal.connect(close_old_connections)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the client says what goes wrong."""


def _application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    global _handler
    _handler = _handler or WSGIHandler()
    return _handler(environ, start_response)


_handler: WSGIHandler | None = None


def _own_host() -> str:
    """Return a host that this installation answers to."""
    return next((host for host in settings.ALLOWED_HOSTS if not host.startswith(("*", "."))), "localhost")


def _last_id() -> int:
    return AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0


@contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    """Have Django's clock show a moment, and go on from there; for a process that does nothing else meanwhile."""
    ahead = datetime.now(UTC) - moment

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - ahead

    real = timezone.datetime  # type: ignore[attr-defined]
    timezone.datetime = Clock  # type: ignore[attr-defined]
    try:
        yield
    finally:
        timezone.datetime = real  # type: ignore[attr-defined]


def seal() -> None:
    """Seal what was made, so that nothing of it can be given another time again."""
    with transaction.atomic():
        seals.seal()
