"""`manage.py worker`: works off events as they come, and does what happens by the clock. Any number may run."""

from typing import Any

from django.core.management.base import BaseCommand

from mes.platform.outbox.worker import work


class Command(BaseCommand):
    help = "Run a worker until it is stopped. WORKER_PROCESSES is the number of its processes for tasks of the clock."

    def handle(self, *args: Any, **options: Any) -> None:
        work()
