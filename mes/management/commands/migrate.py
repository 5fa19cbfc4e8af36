"""`manage.py migrate`: Django's own, one at a time."""

import gc
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from mes.platform.database.authorship import by_system, signed_by
from mes.platform.database.migrating import only_one

SELDOM = (200_000, 20, 100)  # the models of each state are circles: a quarter of the time goes into looking for them


class Command(migrate.Command):
    """A second one at the same time waits, and finds nothing left to do."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate under the lock."""
        before = gc.get_threshold()
        gc.set_threshold(*SELDOM)
        try:
            with signed_by(by_system()), only_one(connections[options["database"]], say=self.stdout.write):
                super().handle(*args, **options)
        finally:
            gc.set_threshold(*before)
