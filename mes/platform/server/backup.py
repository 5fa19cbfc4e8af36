"""Backup and restore by PostgreSQL's own tools, which the embedded server brings along.

A backup is an archive of pg_dump with a seal at its end, which pg_restore does not read: the digest of all before it.
One file is enough, and it tells whether it is still as it was written.

A restore loads the archive into a schema beside the one in use, migrates it there, and then changes the names of the
two in one transaction: whatever ends it, all of the old or all of the new stands. What is left over is dropped by the
next migration or restore.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from mes.platform.server.files import sync_folder
from mes.platform.server.placement import EmbeddedServerError, find_binaries

SEAL = b"\nLinekeeper backup; SHA-256 of what is above this line: "
SEAL_SIZE = len(SEAL) + 64 + 1
NAME = "linekeeper-{:%Y-%m-%d-%H%M%S}.backup"  # in UTC, so that names sort as their times
NAME_PATTERN = re.compile(r"linekeeper-(\d{4}-\d{2}-\d{2}-\d{6})\.backup")
PARTIAL = "linekeeper.partial"  # only one is written in a folder at a time
BEAT_SECONDS = 20
LATE = timedelta(hours=26)  # after which the next daily one should have been made
BLOCK = 1 << 20  # bytes read at once

RESTORED, BEFORE = "linekeeper_restored", "linekeeper_before"  # schemas; the one in use is public
OLD_SERVERS_REFUSE = b"SET transaction_timeout = 0;\n"  # those before PostgreSQL 17
BEGIN = f"BEGIN; ALTER SCHEMA public RENAME TO {BEFORE}; CREATE SCHEMA public;\n"
COMMIT = f"\nALTER SCHEMA public RENAME TO {RESTORED}; ALTER SCHEMA {BEFORE} RENAME TO public; COMMIT;\n"
SWAP = f"ALTER SCHEMA public RENAME TO {BEFORE}; ALTER SCHEMA {RESTORED} RENAME TO public"
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
MAY_RENAME = """
    SELECT pg_has_role(nspowner, 'USAGE') AND has_database_privilege(current_database(), 'CREATE'), current_user
      FROM pg_namespace WHERE nspname = 'public'
"""


def _nothing() -> None:
    """Do nothing every few seconds."""


@dataclass(frozen=True)
class Backup:
    """A file that a scheduled backup made. `size` is in bytes."""

    path: Path
    made_at: datetime
    size: int

    @property
    def age(self) -> timedelta:
        """How long ago what is in it was so."""
        return timezone.now() - self.made_at

    @property
    def is_late(self) -> bool:
        """Whether there should be a later one."""
        return self.age > LATE


# --- making -------------------------------------------------------------------------------------------------


def latest() -> Backup | None:
    """Return the latest backup in MES_BACKUP_DIR; None if there is none, or no such folder is set or there."""
    found = list_backups(settings.MES_BACKUP_DIR) if settings.MES_BACKUP_DIR else []
    return found[0] if found else None


def list_backups(folder: Path) -> list[Backup]:
    """Return the backups in a folder that have the names of scheduled ones, the latest first."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            name = NAME_PATTERN.fullmatch(path.name)
            if name and path.is_file() and not path.is_symlink():
                with suppress(ValueError, OSError):
                    made_at = datetime.strptime(name[1], "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
                    found.append(Backup(path, made_at, path.stat().st_size))
    return sorted(found, key=lambda backup: backup.made_at, reverse=True)


def back_up(folder: Path, *, keep: int, beat: Callable[[], None] = _nothing) -> Backup:
    """Make a backup in a folder, then remove the oldest of those with such names, so that `keep` are left.

    `beat` is called every few seconds meanwhile. Raises CommandError when something failed; then nothing is removed.
    """
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}. Make it, or set MES_BACKUP_DIR to one that is there.")
    made_at = timezone.now().astimezone(UTC).replace(microsecond=0)
    path = folder / NAME.format(made_at)
    dump(path, partial=folder / PARTIAL, beat=beat)
    others = [backup.path for backup in list_backups(folder) if backup.path != path]
    for old in others[max(keep - 1, 0) :]:
        with _refusing(old, "removed"):
            old.unlink()
    return Backup(path, made_at, path.stat().st_size)


def dump(target: Path, *, partial: Path | None = None, beat: Callable[[], None] = _nothing) -> None:
    """Write everything in the database, as of one moment, into one file. Others can go on working meanwhile.

    It is read back before it gets its name. Raises CommandError, and leaves no half file behind.
    """
    partial = partial or target.with_name(f"{target.name}.partial")
    with _refusing(target, "written"), _being_written(partial):
        options = ["--format=custom", "--no-owner", "--no-privileges", "--exclude-schema=linekeeper_*"]
        _run("pg_dump", [*options, f"--file={partial}"], beat)
        _read_archive(partial, beat)
        digest = _digest(partial, beat=beat)
        with partial.open("ab") as file:
            file.write(SEAL + digest + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        sync_folder(target.parent)


@contextmanager
def _being_written(path: Path) -> Iterator[None]:
    """Have an empty file that no other backup writes, and that is gone at the end unless it got another name.

    The lock ends with its process: what a killed one left is written anew.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # it holds password hashes
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"Another backup is being written to {path}.") from None
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        try:
            yield
        finally:
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                path.unlink()
    finally:
        os.close(descriptor)


# --- checking -----------------------------------------------------------------------------------------------


def check(source: Path, beat: Callable[[], None] = _nothing) -> None:
    """Read a backup from its beginning to its end.

    Raises CommandError when it is none of ours, is cut off or differs from what was written. Backups of releases that
    sealed none are unpacked to see whether they are whole.
    """
    if not source.is_file():
        raise CommandError(f"There is no file {source}.")
    with _refusing(source, "read"):
        seal = _read_seal(source)
        if seal is not None and seal != _digest(source, source.stat().st_size - SEAL_SIZE, beat=beat):
            raise CommandError(f"{source} is not as it was written: its digest differs. Take another backup.")
    if " TABLE public django_migrations " not in _run("pg_restore", ["--list", str(source)]):
        raise CommandError(f"{source} is a backup of something else: it has no table of Linekeeper's.")
    if seal is None:
        _read_archive(source, beat)


def _read_archive(path: Path, beat: Callable[[], None]) -> None:
    """Unpack all of an archive to nowhere; raises CommandError when that is not possible."""
    _run("pg_restore", [f"--file={os.devnull}", str(path)], beat)


def _read_seal(path: Path) -> bytes | None:
    """Return the digest that stands at the end of a backup, None if there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - SEAL_SIZE))
        seal = file.read()
    return seal[len(SEAL) : -1] if seal.startswith(SEAL) else None


def _digest(path: Path, size: int | None = None, *, beat: Callable[[], None]) -> bytes:
    """Return the SHA-256 of a file's first bytes, of all of it without a size, in hexadecimal digits."""
    digest = hashlib.sha256()
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, BLOCK))):
            digest.update(block)
            beat()
            left -= len(block)
    return digest.hexdigest().encode()


# --- restoring ----------------------------------------------------------------------------------------------


def restore(source: Path, *, replace: bool, migrate: Callable[[], object]) -> None:
    """Put a backup in the place of what is in the database, brought up to this release by `migrate`.

    All or nothing: until the very end the old content stands. Raises CommandError when the file is no whole backup of
    this release or an earlier one, when somebody else is connected, and when there is something to lose without
    `replace`.
    """
    check(source)
    with connection.cursor() as cursor:
        _refuse_company(cursor)
        if connection.introspection.table_names(cursor) and not replace:
            raise CommandError("The database is not empty. With --replace, what is in it is thrown away.")
        _refuse_without_rights(cursor)
    drop_leftovers()
    connection.close()
    try:
        _load_beside(source)
        with _working_in(RESTORED):
            _refuse_newer_release()
            _bring_up(migrate)
        with transaction.atomic(), connection.cursor() as cursor:
            _refuse_company(cursor)
            cursor.execute(SWAP)
    finally:
        with suppress(DatabaseError):  # else the next migration drops them
            drop_leftovers()


def drop_leftovers(**kwargs: Any) -> None:
    """Drop what a restore left behind that was killed. Called after each migration, but for that of a restore."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        if cursor.fetchone()[0] != RESTORED:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname IN (%s, %s)", [RESTORED, BEFORE])
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP SCHEMA {name} CASCADE")


def _refuse_company(cursor: Any) -> None:
    cursor.execute(OTHERS)
    if cursor.fetchone()[0]:
        raise CommandError("Somebody uses the database. Stop the web server and every worker first.")


def _refuse_without_rights(cursor: Any) -> None:
    cursor.execute(MAY_RENAME)
    may, role = cursor.fetchone() or (False, connection.settings_dict["USER"])
    if not may:
        raise CommandError(
            f"To restore, the role {role} must own the database: an administrator of the PostgreSQL server gives it by "
            f"ALTER DATABASE {connection.settings_dict['NAME']} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role};"
        )


def _refuse_newer_release() -> None:
    """Raise CommandError when migrations were applied to the restored copy that this release does not have."""
    loader = MigrationLoader(connection)
    known = set(loader.disk_migrations)
    for migration in loader.disk_migrations.values():
        known.update(migration.replaces)
    unknown = sorted(
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in loader.migrated_apps and (app, name) not in known
    )
    if unknown:
        raise CommandError(
            f"The backup was made by a newer release, which has {', '.join(unknown)}. Restore with that."
        )


def _bring_up(migrate: Callable[[], object]) -> None:
    try:
        migrate()
    except Exception as error:  # whatever a migration may raise
        raise CommandError(
            f"The backup cannot be brought up to this release, the old content stays: {error}"
        ) from error


@contextmanager
def _working_in(schema: str) -> Iterator[None]:
    """Have every connection of this process work in one schema."""

    def enter(connection: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('search_path', %s, false)", [schema])

    connection.close()
    connection_created.connect(enter)
    try:
        yield
    finally:
        connection_created.disconnect(enter)
        connection.close()


def _load_beside(source: Path) -> None:
    """Load an archive into a schema of its own, in one transaction that is committed only when all of it has arrived.

    psql reads from us: should this process be killed, it reads no COMMIT, and nothing has happened.
    """
    options = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with tempfile.TemporaryFile("w+") as errors, _start("psql", options, **pipes, stderr=errors) as psql:
        assert psql.stdin is not None
        try:
            psql.stdin.write(BEGIN.encode())
            _unpack(source, psql.stdin, errors)
            psql.stdin.write(COMMIT.encode())
            psql.stdin.close()
        except BrokenPipeError:  # psql says why
            pass
        if psql.wait():
            errors.seek(0)
            raise CommandError(f"The backup could not be loaded:\n{errors.read().strip()[-2000:]}")


def _unpack(source: Path, target: IO[bytes], errors: IO[str]) -> None:
    """Write an archive as SQL; raises CommandError when that is not possible to the end."""
    options = ["--no-owner", "--no-privileges", "--file=-", str(source)]
    with _start("pg_restore", options, stdout=subprocess.PIPE, stderr=errors) as reader:
        assert reader.stdout is not None
        head = reader.stdout.read(BLOCK)
        target.write(head if connection.get_database_version() >= (17,) else head.replace(OLD_SERVERS_REFUSE, b"", 1))
        shutil.copyfileobj(reader.stdout, target, BLOCK)
    if reader.returncode:
        errors.seek(0)
        raise CommandError(f"{source} could not be read:\n{errors.read().strip()[-2000:]}")


# --- PostgreSQL's programs ----------------------------------------------------------------------------------


@contextmanager
def _refusing(path: Path, what: str) -> Iterator[None]:
    """Raise CommandError for what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path} cannot be {what}: {error.strerror or error}.") from error


def _run(program: str, arguments: Sequence[str], beat: Callable[[], None] = _nothing) -> str:
    """Run a program to its end and return its output. Raises CommandError with its errors."""
    with _start(program, arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=BEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                beat()
    if process.returncode:
        raise CommandError(f"{program} failed:\n{errors.decode(errors='replace').strip()[-2000:]}")
    return output.decode(errors="replace")


def _start(program: str, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that finds the database by itself."""
    try:
        path = find_binaries() / "bin" / program
    except EmbeddedServerError as error:
        raise CommandError(str(error)) from error
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    values = connection.settings_dict
    environment = {name: str(values[key]) for name, key in names.items() if values[key]}
    return subprocess.Popen([str(path), *arguments], env={**os.environ, **environment}, **options)
