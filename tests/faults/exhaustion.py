"""A system that has nothing left to give, for real: a full disk, no file descriptors, no memory, a closed folder.

Each is a context manager that takes something away and gives it back.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mes.platform.server import supervisor

AS_GOOD_AS_NONE = 1024 * 1024  # bytes of memory


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of so many megabytes at a folder; the test is skipped where that is not allowed."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here to be filled: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no byte on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def limited(what: str, most: int, *pids: int) -> Iterator[None]:
    """Lower a limit of processes that run, by its name in prlimit(1); they get it back."""
    before = {pid: _prlimit(pid, f"--{what}", "--output=SOFT,HARD", "--noheadings", "--raw").split() for pid in pids}
    for pid, (_soft, hard) in before.items():
        _prlimit(pid, f"--{what}={most}:{hard}")
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):  # it died meanwhile
                _prlimit(pid, f"--{what}={':'.join(limits)}")


def _prlimit(pid: int, *arguments: str) -> str:
    """Run prlimit(1) as the owner of a process, who alone may do it where root lacks the capability."""
    owner = Path(f"/proc/{pid}").stat().st_uid
    command = ["prlimit", f"--pid={pid}", *arguments]
    user = None if owner == os.geteuid() else owner
    return subprocess.run(command, user=user, capture_output=True, text=True, check=True).stdout


def without_descriptors(*pids: int) -> contextlib.AbstractContextManager[None]:
    """Let processes open no file any more."""
    return limited("nofile", 3, *pids)


def without_memory(*pids: int) -> contextlib.AbstractContextManager[None]:
    """Let processes get no memory any more but what they have."""
    return limited("as", AS_GOOD_AS_NONE, *pids)


@contextlib.contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Let nobody but root write to a folder and the files in it."""
    before = {path: path.stat().st_mode for path in [*sorted(folder.rglob("*")), folder]}
    for path in before:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        yield
    finally:
        for path, mode in reversed(before.items()):
            if path.exists():
                path.chmod(mode)


def children(pid: int) -> list[int]:
    """Return the living processes that a process has started."""
    found = [(int(path.name), supervisor._stat(int(path.name))) for path in Path("/proc").glob("[0-9]*")]
    return [child for child, fields in found if fields and fields[0] != "Z" and int(fields[1]) == pid]


def ordinary_user() -> int | None:
    """Return the user to run a program as, so that permissions hold: nobody for root, else None, ourselves."""
    return 65534 if os.geteuid() == 0 else None
