"""A real browser on the real pages: the system's Chromium, driven by Playwright.

Every page that a test opens is watched: an error of a script or of the content policy, a failed request or a request to
another host fails the test. What the page showed when a test failed is kept in `var/browser/`.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import connections
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from mes.platform.accounts.roles import Role
from tests.factories import make_user

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
PICTURES = Path(settings.BASE_DIR) / "var" / "browser"
TABLET = {"width": 1024, "height": 768}
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

SignIn = Callable[..., Page]
Look = Callable[[], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and skip it where there is none."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason=f"no browser: none of {', '.join(NAMES)} is installed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a picture of the page on which a test failed."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None and not page.is_closed():
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{item.name}.png"
        page.screenshot(path=path, full_page=True)
        report.sections.append(("browser", f"{page.url}\nThe page as it was: {path}"))
    return report


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """Start the browser once for a process: to start it costs more than most tests. Return it with its loop, which is
    hidden from other tests (`browser`).
    """
    with sync_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": CHROMIUM, "chromium_sandbox": os.getuid() != 0}
        started = playwright.chromium.launch(args=list(ARGUMENTS), **options)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield started, loop
        asyncio._set_running_loop(loop)
        started.close()


@pytest.fixture(scope="module")
def browser(chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The browser, for the tests of a module. Playwright's loop is said to run in this thread meanwhile, as it does
    whenever something is asked of the browser: in it Django would refuse to read, and other tests could run none.

    Within that loop Django has a connection of its own. The one from before would stay open, be ended with the database
    that the first of these tests leaves, and fail the first test after them.
    """
    started, loop = chromium
    connections.close_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        asyncio._set_running_loop(loop)
        yield started
        connections.close_all()
        asyncio._set_running_loop(None)


@pytest.fixture
def context(browser: Browser, live_server: LiveServer) -> Iterator[BrowserContext]:
    """A browser of a tablet's size that has never been here."""
    context = browser.new_context(base_url=live_server.url, viewport=TABLET)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@contextmanager
def watched(context: BrowserContext, live_server: LiveServer, *, refusing: str = "") -> Iterator[Page]:
    """Open a page that is watched for everything that must not happen.

    At addresses that hold `refusing`, answers of 400 and more are meant, and the browser may say so.
    """
    problems: list[str] = []
    host = urlsplit(live_server.url).netloc

    def see_request(request: Request) -> None:
        if urlsplit(request.url).scheme.startswith("http") and urlsplit(request.url).netloc != host:
            problems.append(f"asks another host: {request.url}")

    def see_response(response: Response) -> None:
        if response.status >= 400 and not (refusing and refusing in response.url):
            problems.append(f"{response.status} for {response.request.method} {response.url}")

    def see_console(entry: ConsoleMessage) -> None:
        is_meant = refusing and refusing in str(entry.location.get("url")) and entry.text.startswith("Failed to load")
        if entry.type == "error" and not is_meant:
            problems.append(f"console: {entry.text}")

    page = context.new_page()
    page.on("request", see_request)
    page.on("response", see_response)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("console", see_console)
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer) -> Iterator[Page]:
    """A page that is watched."""
    with watched(context, live_server) as page:
        yield page


@pytest.fixture
def sign_in(page: Page) -> SignIn:
    """Return a function that signs in somebody of a role through the form and opens a page."""

    def sign_in(role: Role, path: str = "/") -> Page:
        name = make_user(role, username=f"b-{role.lower()}").get_username()
        page.goto(path)
        enter(page, name)
        return page

    return sign_in


_CHECKED = ("critical", "serious")


@pytest.fixture
def accessible() -> Callable[[Page], None]:
    """Return a function that fails where a page keeps somebody from using it, with the place named."""
    axe = Axe()

    def accessible(page: Page) -> None:
        found = [found for found in axe.run(page).response["violations"] if found["impact"] in _CHECKED]
        places = [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
        assert places == [], page.url

    return accessible


@pytest.fixture
def look(page: Page, accessible: Callable[[Page], None]) -> Look:
    """Return a function that fails where the page that is open is not for everybody, or is wider than its screen."""

    def look() -> None:
        size = page.viewport_size
        assert size is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], page.url
        accessible(page)

    return look


def enter(page: Page, name: str, password: str = "secret") -> None:
    """Fill in the form of the sign-in page and send it."""
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def at(page: Page, width: int, scheme: str) -> None:
    """Look at it on a screen of this width, by day or by night."""
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]


def menu(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Main")


def more(page: Page, name: str) -> None:
    """Go where the menu leads."""
    menu(page).get_by_text("More", exact=True).click()
    menu(page).get_by_role("link", name=name, exact=True).click()
