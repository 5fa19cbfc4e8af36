"""Pytest plugin: a throw-away PostgreSQL for the run, unless DATABASE_URL names a server.

Loaded by `-p tests.database_plugin`, before Django's settings are read. The workers of
pytest-xdist inherit DATABASE_URL from the controlling process.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType

import psycopg
import pytest

from mes.platform.server.embedded import EmbeddedServerError
from mes.platform.server.throwaway import throwaway
from tests import databases


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Have a server, without databases of earlier runs, before pytest-django looks at the settings."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)
        signal.signal(signal.SIGTERM, _unwind)
        try:
            if not os.environ.get("DATABASE_URL"):
                os.environ["DATABASE_URL"] = stack.enter_context(throwaway())
                stack.callback(os.environ.pop, "DATABASE_URL", None)
            databases.drop_all()
        except (EmbeddedServerError, psycopg.OperationalError) as error:
            raise pytest.UsageError(str(error)) from error
        stack.callback(databases.drop_all)
        options = early_config.known_args_namespace
        if getattr(options, "numprocesses", None) and not options.collectonly:
            stack.callback(_end, databases.begin_to_migrate())
    return (yield)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _unwind(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
