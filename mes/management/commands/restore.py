"""`manage.py restore FILE`: a backup back into the database."""

from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from mes.platform.server import backup


class Command(BaseCommand):
    help = "Put a backup, brought up to this release, in the place of the database. Nothing else may use it meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="Throw away in the end what is in the database.")

    def handle(self, *args: Any, **options: Any) -> None:
        migrate = partial(call_command, "migrate", verbosity=0, interactive=False)
        backup.restore(options["file"], replace=options["replace"], migrate=migrate)
        self.stdout.write(f"{options['file']} is restored.")
