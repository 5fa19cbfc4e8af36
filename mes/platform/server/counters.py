"""The folder in which this machine's processes count for Prometheus: settings prepare it, before Django's apps load.

It lies in memory where the system has a place for that: a file on a full disk ends the process that writes it.
"""

import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from mes.platform.server.processes import is_alive

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks at it when it is imported
MEMORY = Path("/dev/shm")
MOST_LEFT_OVER = 60  # files: each is read whenever somebody asks
_FILE = re.compile(r"[a-z_]+_(?P<pid>\d+)\.db")


def prepare_folder(data_dir: Path) -> None:
    """Name the folder of an installation to prometheus_client, unless the environment names one.

    Where there is no place for one, each process counts for itself.
    """
    if FOLDER_VARIABLE not in os.environ and (folder := _make_folder(data_dir)) is not None:
        _remove_left_over(folder)
        os.environ[FOLDER_VARIABLE] = str(folder)


def _make_folder(data_dir: Path) -> Path | None:
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    for folder in (MEMORY / f"linekeeper-{os.geteuid()}-{name}", data_dir / "metrics"):
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if is_ours(folder):
                return folder
    return None


def is_ours(folder: Path) -> bool:
    """Whether nobody else made a folder, or may write into it: in memory everybody may make one of any name."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _remove_left_over(folder: Path) -> None:
    """Begin anew when no process that counted lives: the figures of a server that was stopped are of no more use.

    While one lives, what others counted before they ended still counts, of the latest of them.
    """
    files = [(path, int(match["pid"])) for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))]
    left_over = [path for path, pid in files if not is_alive(pid)]
    kept = 0 if len(left_over) == len(files) else MOST_LEFT_OVER
    for path in sorted(left_over, key=_changed_at, reverse=True)[kept:]:
        path.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    with suppress(OSError):  # another process removes it at this moment
        return path.stat().st_mtime
    return 0.0
