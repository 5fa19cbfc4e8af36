"""No request holds the database for ever."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import InternalError, OperationalError, connection, transaction

from mes.platform.http import timeouts

pytestmark = pytest.mark.waiting


@pytest.fixture
def limited(transactional_db: None, settings) -> Iterator[None]:
    """A connection as the web server opens it, with a limit of a second."""
    settings.MES_STATEMENT_TIMEOUT = timedelta(seconds=1)
    timeouts.limit(connection)
    yield
    connection.close()


def test_a_statement_that_takes_too_long_is_ended(limited):
    start = time.monotonic()
    with pytest.raises(OperationalError, match="statement timeout"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    assert time.monotonic() - start < 15


def test_a_transaction_nobody_goes_on_with_lets_its_locks_go(limited):
    with pytest.raises(InternalError, match="idle-in-transaction"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        time.sleep(2.5)
        cursor.execute("SELECT 1")


@pytest.mark.django_db(transaction=True)
def test_there_may_be_no_limit(settings):
    settings.MES_STATEMENT_TIMEOUT = timedelta(0)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # an earlier test may have had connections limited
        timeouts.limit(connection)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_the_web_server_limits_its_connections_and_a_command_does_not():
    code = (
        "import mes.wsgi; from django.db import connection as c; k = c.cursor(); k.execute('SHOW statement_timeout'); "
    )
    code += "print(k.fetchone()[0])"
    assert run(code) == "30s"
    assert run(code.replace("import mes.wsgi", "import django; django.setup()")) == "0"


def run(code: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mes.settings", "SECRET_KEY": "x"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
