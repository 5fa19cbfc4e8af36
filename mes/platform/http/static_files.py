"""Static files: those of a release lie in a folder named by their content, compressed once, and are cached for a year.

`manage.py collectstatic`, which `serve` calls when there is something new, copies what the apps bring, and a gzip
beside it, to STATIC_ROOT/<release>/; pages name it by /static/<release>/app.css. The name stands for the content of all
files: what one refers to by a relative address (images of a style sheet, modules of a script, source maps) is of the
same release without that anybody rewrites it, no list of names can lack one, and machines of one release agree.

A page is shown whatever has become of the folder: without one that has exactly these files, as on a fresh checkout, in
tests, with DEBUG or on a disk that was full, it names them plainly by /static/app.css, and they are served from where
the apps keep them, for a minute. A release that this process does not know (an open page is older than what was kept,
or a machine beside this one is newer already) is answered with the file of today, which nobody may keep.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import structlog
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.core.management import CommandError, call_command
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedStaticFilesStorage

from mes.platform.server.files import sync_folder, sync_tree
from mes.platform.server.processes import is_alive

logger = structlog.get_logger(__name__)

NOT_LOADED = ["*.map", "redoc", "rest_framework"]  # by any page: two thirds of the bytes that packages bring
KEPT = 3  # releases: today's, and those of pages that were opened before the last upgrades
_RELEASE = re.compile(r"[0-9a-f]{16}")
_OF_RELEASE = re.compile(rf"{re.escape(settings.STATIC_URL)}{_RELEASE.pattern}/(?P<name>.+)")


def collect() -> None:
    """Collect this release's static files, unless that is done. Where it fails, the log says so; pages do without."""
    try:
        folder = settings.STATIC_ROOT / _digest(_sources())
        if folder.is_dir():
            os.utime(folder)  # the releases that were used last are kept
        else:
            call_command("collectstatic", verbosity=0, interactive=False)
    except (OSError, CommandError) as error:
        logger.warning("static files cannot be collected; they are served without being cached", error=str(error))
    finally:
        _remove_leftovers()


@cache
def release() -> str:
    """Return the name of this release's folder; nothing where its files have not been collected.

    It is looked for once in a process, when the first page is shown or the first request comes: reading all files takes
    some ten milliseconds.
    """
    if settings.DEBUG or not settings.STATIC_ROOT.is_dir():
        return ""
    try:
        name = _digest(_sources())
    except OSError as error:  # somebody exchanges them at this moment
        logger.warning("static files cannot be read; they are named without their release", error=str(error))
        return ""
    return name if (settings.STATIC_ROOT / name).is_dir() else ""


class LoadedFilesFinder(finders.AppDirectoriesFinder):
    """Lists of what apps bring only what pages load."""

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        return super().list([*(ignore_patterns or ()), *NOT_LOADED])


class ReleaseStorage(CompressedStaticFilesStorage):
    """Where `collectstatic` writes: aside, in a folder of its process, which becomes the release's when it is whole."""

    def __init__(self, *args: Any, **options: Any) -> None:
        root = settings.STATIC_ROOT
        super().__init__(root.with_name(f"{root.name}.{os.getpid()}.{secrets.token_hex(4)}"), *args, **options)

    def url(self, name: str | None) -> str:
        """Return the address of a file: of this release, or the plain one."""
        return super().url(f"{release()}/{name}" if name and release() else name)

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        """Compress what `collectstatic` copied, and publish it as a release."""
        if dry_run:
            return
        yield from super().post_process(paths, **options)
        self._publish(paths)
        _remove_leftovers()

    def _publish(self, names: Iterable[str]) -> None:
        """Give the folder its name. A power cut leaves all of it or nothing; of two at once, one is enough."""
        ours = Path(self.path(""))
        folder = settings.STATIC_ROOT / _digest((name, Path(self.path(name))) for name in names)
        folder.parent.mkdir(parents=True, exist_ok=True)
        sync_tree(ours)
        try:
            ours.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        os.utime(folder)
        sync_folder(folder.parent)
        _remove_old(folder)


class StaticFiles(WhiteNoiseMiddleware):
    """Serves what was collected for a year, and what the apps bring under its plain name."""

    FOREVER = int(timedelta(days=365).total_seconds())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        match = _OF_RELEASE.fullmatch(path)
        if match is None or self._find(path):
            return super().__call__(request)
        file = self._find(settings.STATIC_URL + match["name"])
        if file is None:
            return self.get_response(request)
        response = self.serve(file, request)
        response["Cache-Control"] = "no-store"  # what is of a release must never be taken for what is of another
        return response

    def immutable_file_test(self, path: str, url: str) -> bool:
        return _OF_RELEASE.fullmatch(url) is not None

    def _find(self, path: str) -> Any:
        return self.find_file(path) if self.autorefresh else self.files.get(path)


def _sources() -> Iterator[tuple[str, Path]]:
    """Yield name and place of each file that `collectstatic` would copy."""
    ignored = cast(StaticFilesConfig, apps.get_app_config("staticfiles")).ignore_patterns
    found: dict[str, Path] = {}
    for finder in finders.get_finders():
        for name, storage in finder.list(ignored):
            found.setdefault(os.path.join(getattr(storage, "prefix", None) or "", name), Path(storage.path(name)))
    yield from found.items()


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Return the name of the release that consists of these files. Raises OSError where one cannot be read."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _remove_old(folder: Path) -> None:
    """Remove the releases that were not used for longest, but never `folder`."""
    releases = [path for path in folder.parent.iterdir() if _RELEASE.fullmatch(path.name) and path != folder]
    for path in sorted(releases, key=_used_at, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _remove_leftovers() -> None:
    """Remove the folders of processes that did not come to their end, and what this one could not publish."""
    root = settings.STATIC_ROOT
    for path in root.parent.glob(f"{root.name}.*.*"):
        pid = path.name.split(".")[-2]
        if pid.isdecimal() and (int(pid) == os.getpid() or not is_alive(int(pid))):
            shutil.rmtree(path, ignore_errors=True)


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removes it at this moment
        return 0.0
