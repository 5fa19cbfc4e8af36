"""Room on the disks: of the data folder, and of the database where it lies on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction

DATA_FOLDER, DATABASE = "data folder", "database"
LOOPBACK = ("127.0.0.1", "::1", "localhost", "")


def list_disks() -> Iterator[tuple[str, int, int]]:
    """Yield (what lies there, bytes free, bytes in all) of each disk that can be seen from here."""
    data_folder = shutil.disk_usage(settings.DATA_DIR)
    yield DATA_FOLDER, data_folder.free, data_folder.total
    if folder := _find_database_folder():
        try:
            database = shutil.disk_usage(folder)
        except OSError:  # of a server in a container, perhaps
            return
        yield DATABASE, database.free, database.total


def _find_database_folder() -> Path | None:
    """Return where the database's files are; None where they are on another machine, or where that is not told."""
    if connection.settings_dict["HOST"] not in LOOPBACK:
        return None
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('data_directory')")
            return Path(cursor.fetchone()[0])
    except DatabaseError:
        return None
