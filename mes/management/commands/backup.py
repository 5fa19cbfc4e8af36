"""`manage.py backup FILE`: everything in the database, as of one moment, in one file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from mes.platform.server import backup


class Command(BaseCommand):
    help = "Write the database into one file, while everything runs. Keep the data folder's secret_key beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        backup.dump(options["file"])
        size = filesizeformat(options["file"].stat().st_size).replace("\xa0", " ")
        self.stdout.write(f"{options['file']} ({size})")
