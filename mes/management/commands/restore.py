"""`manage.py restore FILE`: a backup back into the database."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from mes.platform.server import backup


class Command(BaseCommand):
    help = "Put a backup into the database, and bring it up to this release. Nothing else may use it meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="Throw away first what is in the database.")

    def handle(self, *args: Any, **options: Any) -> None:
        backup.load(options["file"], replace=options["replace"])
        call_command("migrate", verbosity=0, interactive=False)
        self.stdout.write(f"{options['file']} is restored.")
