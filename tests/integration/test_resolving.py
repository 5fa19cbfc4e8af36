"""How the track of a reading is found, and what was collected for it before."""

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from execution.data import values
from integration.device_data.resolving import FIND
from mes.platform.database.prepared import as_json
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
            known = [known_rows, known_rows >= 0, table]  # of one page: how many rows a page has is what counts
            cursor.execute("UPDATE pg_class SET reltuples = %s, relpages = %s::int WHERE oid = %s::regclass", known)
        cursor.execute(f"EXPLAIN {FIND}", asked)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(FIND, asked)
        assert len(cursor.fetchall()) == 1
    assert "track_by_unit_and_step" in plan, plan
    assert "track_by_station" not in plan
    assert "track_by_run" not in plan
    assert "execution_track_pkey" not in plan
    assert "mes_unit_sn" in plan


EARLIER = {"units": "{1}", "tracks": "{2}", "carrier_tracks": "{3}"}
INDEX_OF_TRACK = "Index Cond: ((unit_id = of.unit_id) AND (track_id = of.track_id))"


@pytest.mark.django_db
@pytest.mark.parametrize("known_rows", [-1, 0, 10_000_000])
def test_earlier_values_are_found_by_unit_and_track_whatever_is_known_of_the_table(known_rows: int) -> None:
    """Not by reading all values of a month, nor all that a unit has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = %s, relpages = %s::int "
            "WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'execution_datavalue'::regclass)",
            [known_rows, known_rows >= 0],
        )
    assert INDEX_OF_TRACK in plan_of_earlier()


@pytest.mark.django_db
def test_earlier_values_of_a_carrier_are_found_by_its_pass() -> None:
    assert "carrier_track_id_idx" in plan_of_earlier()


def plan_of_earlier() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {values.FIND_EARLIER}", {**EARLIER, "since": timezone.now()})
        return "\n".join(row[0] for row in cursor.fetchall())
