"""How the track of a reading is found."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from integration.resolving import FIND
from mes.database.prepared import as_json
from tests.integration.helpers import into_oven


@pytest.mark.django_db
@pytest.mark.parametrize("known_rows", [-1, 0, 10_000_000])  # -1: never looked at
def test_tracks_are_found_by_their_unit_whatever_is_known_of_the_tables(person: APIClient, known_rows: int) -> None:
    """Not by their station, run or id, which in time have millions."""
    into_oven(person)
    asked = {"places": as_json([("RUN-1", "REF-01", 20, ["SN-1"])])}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for table in ("execution_track", "mes_unit"):
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [table])
            cursor.execute("UPDATE pg_class SET reltuples = %s WHERE oid = %s::regclass", [known_rows, table])
        cursor.execute(f"EXPLAIN {FIND}", asked)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(FIND, asked)
        assert len(cursor.fetchall()) == 1
    assert "track_by_unit_and_step" in plan, plan
    assert "track_by_station" not in plan
    assert "track_by_run" not in plan
    assert "execution_track_pkey" not in plan
    assert "mes_unit_sn" in plan
