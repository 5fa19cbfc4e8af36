"""Sessions in the database, as Django keeps them, read by a prepared statement: every page begins with one."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from mes.platform.database.prepared import fetch_all

READ = """
    SELECT session_data FROM django_session WHERE session_key = ANY(ARRAY[%(key)s]) AND expire_date > %(now)s
"""


class SessionStore(db.SessionStore):
    """The store of sessions (`SESSION_ENGINE`)."""

    def load(self) -> dict[str, Any]:
        """Return what a session holds; an unknown or ended one is forgotten, so that a new one gets another key."""
        rows = fetch_all(READ, {"key": self.session_key, "now": timezone.now()})
        if not rows:
            self._session_key = None
            return {}
        content: dict[str, Any] = self.decode(rows[0][0])
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
