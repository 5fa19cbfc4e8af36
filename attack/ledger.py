"""What was acknowledged, held against what the database has."""

from collections.abc import Iterable

import psycopg

from attack.line import Delivered
from attack.outcome import Outcome

RECORDS = "SELECT event_id, count(*), sum(values_count) FROM integration_devicedatarecord GROUP BY event_id"
VALUES = (
    "SELECT r.event_id, count(*) FROM integration_devicedatarecord r JOIN execution_datavalue v ON v.record_id = r.id "
    "GROUP BY r.event_id"
)
EVENTS = "SELECT dedupe_key, count(*) FROM ingest_settledingestevent GROUP BY dedupe_key"
TRACKS = (
    "SELECT 'bench-' || substr(u.sn, 2), count(*), count(t.out_at) FROM execution_track t JOIN mes_unit u "
    "ON u.id = t.unit_id WHERE t.step_no = 10 AND u.sn ~ '^B[0-9]+$' GROUP BY u.sn"
)
TWICE = "SELECT count(*) FROM (SELECT idempotency_key FROM mes_mesevent GROUP BY 1 HAVING count(*) > 1) AS twice"


def check(outcome: Outcome, delivered: Iterable[Delivered], url: str) -> None:
    """Look for every acknowledged event: it is there with all that belongs to it, once."""
    readings = [event_id for one in delivered for event_id in one.readings]
    events = [key for one in delivered for key in one.events]
    with psycopg.connect(url, autocommit=True) as connection:
        records = {row[0]: row[1:] for row in connection.execute(RECORDS)}
        values: dict[str, int] = dict(connection.execute(VALUES).fetchall())
        settled: dict[str, int] = dict(connection.execute(EVENTS).fetchall())
        tracks = {row[0]: row[1:] for row in connection.execute(TRACKS)}
        [twice] = connection.execute(TWICE).fetchone() or [0]
    lost = [event_id for event_id in readings if event_id not in records or not values.get(event_id)]
    lost += [key for key in events if key not in settled or key not in tracks or tracks[key][1] == 0]
    doubled = [event_id for event_id, (count, _values) in records.items() if count > 1]
    doubled += [event_id for event_id, count in values.items() if event_id in records and count > records[event_id][1]]
    doubled += [key for key, count in settled.items() if count > 1]
    doubled += [key for key, (count, _left) in tracks.items() if count > 1]
    outcome.lost, outcome.doubled = len(set(lost)), len(set(doubled)) + int(twice)
    outcome.note = f"{len(readings):,} readings and {len(events):,} machine events were acknowledged"
    outcome.check(len(readings) > 0, "no reading was acknowledged")
    outcome.check(not lost, f"lost: {', '.join(lost[:5])}")
    outcome.check(not doubled and not twice, f"doubled: {', '.join(doubled[:5])}, {twice} events of the outbox")
