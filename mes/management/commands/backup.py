"""`manage.py backup [FILE]`: everything in the database, as of one moment, in one file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from mes.platform.monitoring import backups
from mes.platform.server import backup


class Command(BaseCommand):
    help = "Write the database into one file, while everything runs. Keep the data folder's secret_key beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, nargs="?", help="Without it: into MES_BACKUP_DIR, where the latest MES_BACKUP_KEEP stay."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        if file is None:
            file = backups.make().path
        else:
            backup.dump(file)
        size = filesizeformat(file.stat().st_size).replace("\xa0", " ")
        self.stdout.write(f"{file} ({size})")
