"""The connection: Django's own, with a health check that mostly costs no statement.

Django asks `SELECT 1` before the first statement of each request; for a reading, that would be one of three. A server
that goes away closes its connections, which the socket tells at once: it has something to read though nothing was
asked. Only what closes nothing (a cable, a host without power) stays unseen, so the server is still asked now and then.
"""

import select
from time import monotonic
from typing import Any

from django.db.backends.postgresql import base

PROOF_LASTS = 1.0  # seconds in which a silent socket is enough


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    proven_at = float("-inf")

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with: prepared statements are planned once, not five times more for their values.

        psycopg prepares them anew after each rollback, so that a refused event would have the next five planned.
        """
        parameters = super().get_connection_params()
        options = f"{parameters.get('options', '')} -c plan_cache_mode=force_generic_plan"
        return {**parameters, "options": options.strip()}

    def is_usable(self) -> bool:
        """Whether statements can be sent. After errors, and when the last proof is old, the server is asked."""
        if not self.errors_occurred and monotonic() < self.proven_at + PROOF_LASTS and self._is_silent():
            return True
        if not super().is_usable():
            return False
        self.proven_at = monotonic()
        return True

    def _is_silent(self) -> bool:
        """Whether nothing came that was not asked for: neither a farewell nor the end of the stream."""
        if self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
