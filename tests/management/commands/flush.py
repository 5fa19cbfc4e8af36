"""`flush`, which Django calls after each test that commits: the test's database becomes a fresh copy again.

Django's own empties all tables, and makes permissions, groups and schedules anew: that takes longer, and
leaves what a test did to the tables themselves.
"""

from typing import Any

from django.core.management.commands import flush
from django.db import connections

from ingest import candidates
from tests import databases


class Command(flush.Command):
    """Make the database of this process a copy of the migrated one."""

    def handle(self, *, database: str, **options: Any) -> None:
        """Do it, whatever the options say."""
        connections[database].close()
        databases.copy(databases.migrated(), databases.own())
        candidates.forget()  # the runs of the database before: ids are counted anew
