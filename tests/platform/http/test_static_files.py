"""Static files: named by their release, compressed once, kept for a year; and what is done without them."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.template import Context, Template
from django.test import Client

from mes.platform.http import static_files

STYLE = "body { background: url('picture.svg') }\n" * 100
YEAR = "max-age=31536000, public, immutable"
A_RELEASE = re.compile(r"/static/[0-9a-f]{16}/app\.css")


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A product with two static files, nothing collected yet, served as in production."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "app.css").write_text(STYLE)
    (folder / "picture.svg").write_text("<svg/>")
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "data" / "static"
    settings.WHITENOISE_AUTOREFRESH = False
    settings.STATIC_ROOT.parent.mkdir()
    static_files.release.cache_clear()
    yield folder
    static_files.release.cache_clear()


def address() -> str:
    """Return how a page names the style sheet, in a process that was started just now."""
    static_files.release.cache_clear()
    return Template("{% load static %}{% static 'app.css' %}").render(Context())


def releases(settings: Any) -> list[str]:
    return sorted(path.name for path in settings.STATIC_ROOT.iterdir())


def get(path: str, **headers: str) -> Any:
    response = Client(headers={name.replace("_", "-"): value for name, value in headers.items()}).get(path)
    response.body = response.getvalue()
    return response


def test_what_is_collected_is_kept_for_a_year_and_sent_as_it_was_compressed():
    static_files.collect()
    assert A_RELEASE.fullmatch(address())
    small, large = get(address(), accept_encoding="gzip, deflate, br"), get(address())
    assert gzip.decompress(small.body) == large.body == STYLE.encode()
    assert len(small.body) < 200
    assert (small["Content-Encoding"], small["Content-Length"]) == ("gzip", str(len(small.body)))
    assert "Content-Encoding" not in large
    for answer in (small, large):
        assert (answer["Cache-Control"], answer["Vary"]) == (YEAR, "Accept-Encoding")
        assert answer["Content-Type"] == 'text/css; charset="utf-8"'
    assert get(address(), if_none_match=large["ETag"]).status_code == 304


def test_what_a_style_sheet_refers_to_is_of_the_same_release():
    static_files.collect()
    picture = get(address().replace("app.css", "picture.svg"))
    assert (picture.body, picture["Cache-Control"]) == (b"<svg/>", YEAR)


def test_without_collecting_a_page_names_them_plainly():
    assert address() == "/static/app.css"
    answer = get("/static/app.css")
    assert (answer.body, answer["Cache-Control"]) == (STYLE.encode(), "max-age=60, public")


def test_a_name_that_no_file_has_fails_no_page():
    static_files.collect()
    assert staticfiles_storage.url("gone.css").endswith("/gone.css")
    assert get(staticfiles_storage.url("gone.css")).status_code == 404


@pytest.mark.parametrize("change", ["changed", "added", "removed", "renamed"])
def test_what_was_collected_of_other_sources_is_not_named(sources: Path, settings: Any, change: str):
    static_files.collect()
    before = address()
    match change:
        case "changed":
            (sources / "app.css").write_text(STYLE.replace("p", "q"))
        case "added":
            (sources / "new.js").touch()
        case "removed":
            (sources / "picture.svg").unlink()
        case "renamed":
            (sources / "picture.svg").rename(sources / "image.svg")
    assert address() == "/static/app.css"
    static_files.collect()
    assert A_RELEASE.fullmatch(address())
    assert address() != before
    assert get(before).body == STYLE.encode()  # a page that was open before


def test_with_debug_a_changed_file_is_seen_at_once(settings: Any):
    static_files.collect()
    settings.DEBUG = True
    assert address() == "/static/app.css"


def test_a_release_that_nobody_knows_is_answered_with_the_file_of_today_which_nobody_keeps(sources: Path):
    static_files.collect()
    other = "/static/0123456789abcdef"
    answer = get(f"{other}/app.css")
    assert (answer.status_code, answer.body, answer["Cache-Control"]) == (200, STYLE.encode(), "no-store")
    assert get(f"{other}/gone.css").status_code == 404
    assert get(f"{other}/../app.css").status_code == 404
    assert get("/static/0123456789abcde/app.css").status_code == 404  # is no name of a release


def test_collecting_again_writes_nothing(settings: Any):
    static_files.collect()
    [release] = releases(settings)
    file = settings.STATIC_ROOT / release / "app.css"
    before = file.stat()
    static_files.collect()
    assert file.stat() == before


def test_of_two_that_collect_at_once_one_is_enough(settings: Any):
    call_command("collectstatic", verbosity=0, interactive=False)
    [release] = releases(settings)
    before = (settings.STATIC_ROOT / release / "app.css").stat()
    call_command("collectstatic", verbosity=0, interactive=False)  # as one that began before the other was done
    assert releases(settings) == [release]
    assert (settings.STATIC_ROOT / release / "app.css").stat() == before
    assert os.listdir(settings.STATIC_ROOT.parent) == ["static"]


def test_a_disk_that_is_full_keeps_no_page_from_being_shown(settings: Any, monkeypatch: Any):
    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(static_files, "sync_tree", fail)
    static_files.collect()
    assert (releases(settings), os.listdir(settings.STATIC_ROOT.parent)) == ([], ["static"])
    assert address() == "/static/app.css"
    monkeypatch.undo()
    static_files.collect()
    assert A_RELEASE.fullmatch(address())


def test_a_folder_that_cannot_be_made_keeps_no_page_from_being_shown(tmp_path: Path, settings: Any):
    (tmp_path / "file").touch()
    settings.STATIC_ROOT = tmp_path / "file" / "static"
    static_files.collect()
    assert address() == "/static/app.css"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(settings: Any):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, living = (settings.STATIC_ROOT.with_name(f"static.{pid}.0a1b2c3d") for pid in (gone.pid, os.getppid()))
    for folder in (left, living):
        folder.mkdir()
        (folder / "app.css").write_text("half of i")
    static_files.collect()
    assert (left.exists(), living.exists()) == (False, True)
    assert get(address()).body == STYLE.encode()


def test_releases_that_were_used_last_are_kept(sources: Path, settings: Any):
    static_files.collect()
    root, first = settings.STATIC_ROOT, address().split("/")[2]
    for age in range(1, 6):
        (root / f"{age:016x}").mkdir()
        os.utime(root / f"{age:016x}", (1_000_000 - age, 1_000_000 - age))
    os.utime(root / first, (0, 0))
    static_files.collect()  # is used: it counts as the newest
    (sources / "app.css").write_text("body {}")
    static_files.collect()
    assert set(releases(settings)) == {address().split("/")[2], first, f"{1:016x}"}
