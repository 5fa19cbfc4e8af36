"""Sessions in the database, as Django keeps them, read by a prepared statement: every page begins with one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from mes.platform.database.prepared import fetch_all

# Sign-ons are of the room above (`mes.platform.sign_in.models`): a session that began by one ends with it.
READ = """
    SELECT s.session_data, o.id, o.last_act_at
      FROM django_session s
      LEFT JOIN LATERAL (
        SELECT id, last_act_at FROM mes_signon WHERE session_key = s.session_key AND ended_at IS NULL LIMIT 1
      ) o ON true
     WHERE s.session_key = ANY(ARRAY[%(key)s]) AND s.expire_date > %(now)s
"""
SIGN_ON = "sign_on"  # of the session: the id of the sign-on that it began by


@dataclass(frozen=True)
class OpenSignOn:
    """The sign-on at a terminal that a session began by."""

    id: int
    last_act_at: datetime

    @property
    def until(self) -> datetime:
        """When it ends, if nothing is done until then."""
        return self.last_act_at + settings.MES_SIGN_ON_IDLE


class SessionStore(db.SessionStore):
    """The store of sessions (`SESSION_ENGINE`). `sign_on` is known once the session is read."""

    sign_on: OpenSignOn | None = None

    def load(self) -> dict[str, Any]:
        """Return what a session holds; an unknown or ended one is forgotten, so that a new one gets another key."""
        now = timezone.now()
        rows = fetch_all(READ, {"key": self.session_key, "now": now})
        if not rows:
            self._session_key = None
            return {}
        data, sign_on_id, last_act_at = rows[0]
        content: dict[str, Any] = self.decode(data)
        if content.get(SIGN_ON) is None:
            return content
        sign_on = None if sign_on_id is None else OpenSignOn(sign_on_id, last_act_at)
        if sign_on is None or sign_on.until <= now:
            self._session_key = None
            return {}
        self.sign_on = sign_on
        return content


def end_sessions(people: Collection[int]) -> None:
    """End all sessions of people, also for when they may sign in again. No column says whose a session is."""
    ids = {str(pk) for pk in people}
    store = SessionStore()
    open_sessions = (
        Session.objects.filter(expire_date__gt=timezone.now()).order_by().values_list("session_key", "session_data")
    )
    theirs = [key for key, data in open_sessions.iterator() if str(store.decode(data).get(SESSION_KEY)) in ids]
    Session.objects.filter(session_key__in=theirs).delete()
