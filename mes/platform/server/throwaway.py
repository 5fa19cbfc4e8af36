"""A server that vanishes afterwards, for the tests and checks.

    python -m mes.platform.server.throwaway -- COMMAND…

runs COMMAND with DATABASE_URL set to it and ends with its exit code. Its files lie in memory where there is plenty: a
database has more than two thousand, which are made a third as quickly on a disk, and tests make many databases.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from mes.platform.server.embedded import Cluster, EmbeddedServerError, running
from mes.platform.server.placement import SHARED_STATE, place

PREFIX = "linekeeper-throwaway-"
STILL_STARTING = 60  # seconds in which a new folder may not have its locks yet
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # bytes that must be free there; of the whole memory, twice as many


@contextlib.contextmanager
def throwaway() -> Iterator[str]:
    """Yield the DATABASE_URL of a new server; it and its files are removed at the end."""
    _remove_abandoned()
    folder = make_folder(MEMORY if has_room(MEMORY) else None)
    try:
        with running(folder, durable=False, say=lambda text: None) as url:
            yield url
    finally:
        remove_folder(folder)


def make_folder(parent: Path | None = None) -> Path:
    """Make a folder of our own, by default in the system's temporary folder, that the service account can enter."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    if os.geteuid() == 0:
        folder.chmod(0o755)
    return folder


def has_room(memory: Path) -> bool:
    """Say whether a server's files may lie in this folder, which is one in memory."""
    try:
        status = os.statvfs(memory)
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return False
    return os.access(memory, os.W_OK | os.X_OK) and status.f_bavail * status.f_frsize > ROOM and available > 2 * ROOM


def remove_folder(folder: Path) -> None:
    """Remove a throw-away data folder, and its database if that had to be kept elsewhere."""
    pointer = folder / "database"
    if pointer.is_file():
        home = Path(pointer.read_text().strip())
        if home.parent.parent == SHARED_STATE:
            shutil.rmtree(home.parent, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Stop and remove what killed runs left behind: folders of ours that nobody uses."""
    parents = {Path(tempfile.gettempdir()), MEMORY}
    for folder in (folder for parent in parents for folder in parent.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError, EmbeddedServerError):
            made_by = folder.stat()
            if (
                made_by.st_uid == os.geteuid()
                and time.time() - made_by.st_mtime > STILL_STARTING
                and _is_abandoned(folder)
            ):
                Cluster(place(folder)).stop()
                remove_folder(folder)


def _is_abandoned(folder: Path) -> bool:
    """Say whether a server was started here and nobody holds its locks any more."""
    with (folder / "database.lock").open() as guard, (folder / "database.users").open() as users:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _unwind(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(command: list[str]) -> int:
    """Run the command; Ctrl-C reaches it through the terminal, SIGTERM is passed on."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _unwind)
    try:
        with throwaway() as url:
            process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": url})
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                return 130
            except SystemExit:
                process.terminate()
                process.wait()
                raise
    except KeyboardInterrupt:
        return 130
    except EmbeddedServerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
