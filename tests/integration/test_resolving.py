"""How the track of a reading is found."""

import msgspec
import pytest
from django.db import connection
from rest_framework.test import APIClient

from integration.resolving import FIND
from tests.integration.helpers import into_oven


@pytest.mark.django_db
def test_tracks_are_found_by_their_unit_also_when_nothing_is_known_of_them(person: APIClient) -> None:
    """Not by their station or run, which in time have millions."""
    into_oven(person)
    named = [("SN-1", "RUN-1", "REF-01", 20)]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = 'execution_track'::regclass")
        cursor.execute("UPDATE pg_class SET reltuples = -1 WHERE oid = 'execution_track'::regclass")  # of a vacuum
        cursor.execute(f"EXPLAIN {FIND}", {"named": msgspec.json.encode(named).decode()})
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(FIND, {"named": msgspec.json.encode(named).decode()})
        assert len(cursor.fetchall()) == 1
    assert "track_by_unit_and_step" in plan, plan
    assert "track_by_station" not in plan
    assert "track_by_run" not in plan
