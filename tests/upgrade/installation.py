"""The installation whose database was dumped: where the dump is, and what opens it."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
DUMP, RECORD = FOLDER / "before.sql.xz", FOLDER / "before.json.xz"  # made by the code of commit e62eec6
FIRST_DUMP, FIRST_RECORD = FOLDER / "first.sql.xz", FOLDER / "first.json.xz"  # of the first schema there was
LOOP_DUMP, LOOP_RECORD = FOLDER / "loop.sql.xz", FOLDER / "loop.json.xz"  # before the quality loop: of commit d026a1c
SECRET_KEY = "of the installation that was dumped"  # by which its queued tasks are signed
PASSWORD = "secret-of-the-dump"  # everybody's
PERSON = "admin"  # who looks at the pages
