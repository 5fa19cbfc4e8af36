"""Make .venv and install the requirements into it; called by script/setup, which looks for a Python that suits.

A stamp in .venv holds what was installed; while it matches, nothing is done. A
marker is there while pip works: a .venv whose set-up was cut off is made anew.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
MARKER = VENV / "installing"
OLDEST_PIP = (22, 3)  # the first that has --python


def main(arguments: list[str]) -> None:
    """Bring .venv up to date; `--dev` adds what the checks need, `--suits` only says whether this Python can do it."""
    if arguments == ["--suits"]:
        sys.exit(not suits())
    if set(arguments) - {"--dev"}:
        sys.exit("usage: script/setup [--dev]")
    files = ["requirements.txt", *(["requirements-dev.txt"] if arguments else [])]
    if is_current(files):
        return
    with one_at_a_time():
        if not is_current(files):
            install(files)


def is_current(files: list[str]) -> bool:
    """Say whether these files, as they are now, are what .venv holds."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    wanted = digests(files)
    same = all(stamp.get(name) == digest for name, digest in wanted.items())
    return same and not MARKER.exists() and stamp.get("venv") == venv_identity()


def install(files: list[str]) -> None:
    """Install the files; a broken, moved or half-made .venv, or one of another Python, is replaced first."""
    if MARKER.exists() or (VENV.exists() and not is_usable()):
        shutil.rmtree(VENV)
    pip = find_pip()
    print(f"Installing {files[-1]} into .venv (this takes about half a minute the first time) …", file=sys.stderr)
    if not VENV.exists():
        VENV.mkdir()
        MARKER.touch()
        run([sys.executable, "-m", "venv", *([] if pip is None else ["--without-pip"]), str(VENV)])
    MARKER.touch()
    pip = pip or [str(PYTHON), "-m", "pip"]
    options = ["--quiet", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", *options, "-r", str(PROJECT / files[-1])])
    STAMP.write_text(json.dumps(digests(files) | {"venv": venv_identity()}))
    MARKER.unlink()


def suits() -> bool:
    """Say whether this Python can make .venv, and the product runs on it."""
    has_venv = importlib.util.find_spec("venv") is not None
    has_pip = own_pip() is not None or importlib.util.find_spec("ensurepip") is not None
    return sys.version_info >= (3, 11) and has_venv and has_pip


def find_pip() -> list[str] | None:
    """Return the command of a pip that can install into .venv; None: .venv must bring its own."""
    pip = own_pip()
    if pip is None and VENV.exists():
        run([str(PYTHON), "-m", "ensurepip", "--upgrade"])
    return pip


def own_pip() -> list[str] | None:
    """Return the command of this Python's pip, if it has one that installs for other Pythons."""
    try:
        numbers = re.findall(r"\d+", importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        return None
    is_new = tuple(int(number) for number in numbers[:2]) >= OLDEST_PIP
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)] if is_new else None


def is_usable() -> bool:
    """Say whether .venv runs, at this place, on a Python like this one."""
    identity = venv_identity()
    if identity is None or identity.split()[:2] != [str(number) for number in sys.version_info[:2]]:
        return False  # pip installs for other Pythons, but not for any version of them
    try:
        if STAMP.exists():
            return bool(json.loads(STAMP.read_text())["venv"] == identity)
        return str(VENV) in (VENV / "pyvenv.cfg").read_text()
    except (OSError, ValueError, KeyError):
        return False


def venv_identity() -> str | None:
    """Return place and Python version of .venv; None when it does not run."""
    code = "import sys; print(*sys.version_info[:2], sys.prefix)"
    try:
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def digests(files: list[str]) -> dict[str, str]:
    return {name: hashlib.sha256((PROJECT / name).read_bytes()).hexdigest() for name in files}


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait while another set-up of this project works."""
    with Path(__file__).open() as lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str]) -> None:
    if subprocess.run(command, cwd=PROJECT, check=False).returncode != 0:
        sys.exit(
            f"The set-up failed at: {' '.join(command)}\n"
            "If pip found no distribution: is the package index (PyPI, or PIP_INDEX_URL) reachable? Then run it again."
        )


if __name__ == "__main__":
    main(sys.argv[1:])
