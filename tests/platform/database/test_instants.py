"""Instants are read the short way, and are those that psycopg reads."""

from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import pytest
from django.db import DataError, connection
from psycopg import adapters, pq
from psycopg.types.datetime import TimestamptzLoader

from mes.platform.database.connection.base import DatabaseWrapper
from mes.platform.database.connection.instants import InstantLoader
from mes.platform.database.prepared import fetch_all

pytestmark = pytest.mark.django_db
TIMESTAMPTZ = adapters.types["timestamptz"].oid
WRITTEN = (
    "2026-11-30 13:55:24+00",
    "2026-11-30 13:55:24.1+00",
    "2026-11-30 13:55:24.12+00",
    "2026-11-30 13:55:24.123456+00",
    "2024-02-29 23:59:59.999999+00",
    "0001-01-01 00:00:00+00",
    "1893-04-01 00:00:00+00",
    "9999-12-31 23:59:59.999999+00",
)


@pytest.fixture
def session_zone() -> Iterator[str]:
    """A time zone that a statement gave the session, behind Django's back."""
    zone = "Asia/Kathmandu"
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        yield zone
        cursor.execute("SET TIME ZONE 'UTC'")


def read(text: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        instant: datetime = cursor.fetchone()[0]
        return instant


@pytest.mark.parametrize("text", WRITTEN)
def test_they_are_what_psycopg_reads(text: str) -> None:
    slow = TimestamptzLoader(0).load(text.encode())
    with mock.patch.object(TimestamptzLoader, "load", side_effect=AssertionError("the long way")):
        assert read(text) == slow
        assert fetch_all("SELECT %(at)s::timestamptz", {"at": text}) == [(slow,)]
        assert read(text).tzinfo is UTC


def test_of_a_session_in_another_zone_they_are_the_same(session_zone: str) -> None:
    assert read("2026-11-30 13:55:24.12+00") == datetime(2026, 11, 30, 13, 55, 24, 120_000, tzinfo=UTC)
    assert read("1893-04-01 00:00:00+00").tzinfo is UTC


@pytest.mark.parametrize("text", ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "12026-01-01 00:00:00+00"])
def test_what_no_datetime_can_hold_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        read(text)


def test_a_connection_in_another_zone_keeps_the_loader_of_django() -> None:
    other = DatabaseWrapper({**connection.settings_dict, "TIME_ZONE": "Europe/Berlin"})
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT '2026-11-30 13:00:00+00'::timestamptz")
            assert cursor.fetchone()[0].utcoffset().total_seconds() == 3600
            assert other.connection.adapters.get_loader(TIMESTAMPTZ, pq.Format.TEXT) is not InstantLoader
    finally:
        other.close()
