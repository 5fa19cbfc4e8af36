"""Pytest plugin: a throw-away PostgreSQL for the run, unless DATABASE_URL names a server.

Loaded by `-p tests.database_plugin`, before Django's settings are read. The workers of
pytest-xdist inherit DATABASE_URL from the controlling process.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from mes.platform.server.embedded import EmbeddedServerError
from mes.platform.server.throwaway import throwaway


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start the server before pytest-django looks at the settings; stop it when pytest ends."""
    if not os.environ.get("DATABASE_URL"):
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)
        signal.signal(signal.SIGTERM, _unwind)
        try:
            os.environ["DATABASE_URL"] = stack.enter_context(throwaway())
        except EmbeddedServerError as error:
            raise pytest.UsageError(str(error)) from error
        stack.callback(os.environ.pop, "DATABASE_URL", None)
    return (yield)


def _unwind(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
