"""A year of production counts: how long the reports of a month take (docs/performance.md).

    python -m bench.year [--days 365]

Two lines of six machines report every minute: 6.3 million reports, made in an installation of its own by SQL. A run a
day on each line. Their hours are made by SQL too, and compared with those that `recount` makes of the reports of a
few machines. Ends with 1 when a month takes a second or more.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

from bench import installation

MACHINES = 6  # of each line
TARGET = 1.0  # seconds
ROUNDS = 5
SHIFTS = [
    {"code": "EARLY", "start": "06:00", "end": "14:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "LATE", "start": "14:00", "end": "22:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
]

# A run of a line is a day of production, from six to six; the counters of its machines start from zero.
MAKE_STREAMS = """
    INSERT INTO mes_countstream (run_id, line_id, station_id, step_no, operation_code, equipment_id, counts_boards_in,
                                 counts_boards_out, created_at)
    SELECT r.id, r.line_id, t.id, 10, 'PLACE', 'EQ-' || m, true, true, r.created_at
      FROM mes_run r JOIN mes_station t ON t.line_id = r.line_id CROSS JOIN generate_series(1, %(machines)s) AS m
"""
MAKE_REPORTS = """
    INSERT INTO mes_countreport (id, received_at, stream_id, window_start, window_end, is_cumulative,
                                 boards_in, boards_out, scrapped, picked, placed)
    SELECT nextval('mes_countreport_id_seq'), at, s.id, at - interval '1 minute', at, true,
           m * 2, m * 2 - (m > 1)::int, m / 100, m * 150, m * 150 - m / 7
      FROM mes_countstream s
     CROSS JOIN generate_series(1, 1440) AS m
     CROSS JOIN LATERAL (SELECT s.created_at + m * interval '1 minute' AS at) AS time
"""
MAKE_HOURS = """
    INSERT INTO mes_hourlycount (stream_id, line_id, date, shift, started_at, ended_at, first_at, last_at, doubts,
                                 doubt_at_start, doubt_at_end, boards_in, boards_out, scrapped, picked, placed)
    SELECT stream_id, line_id, (hour - interval '6 hours')::date,
           CASE WHEN extract(hour FROM hour - interval '6 hours') < 8 THEN 'EARLY'
                WHEN extract(hour FROM hour - interval '6 hours') < 16 THEN 'LATE' ELSE 'NIGHT' END,
           hour, hour + interval '1 hour', hour, hour + interval '1 hour', 0, 0, 0,
           sum(boards_in), sum(boards_out), sum(scrapped), sum(picked), sum(placed)
      FROM (SELECT r.stream_id, s.line_id, date_trunc('hour', r.window_start) AS hour,
                   r.boards_in - lag(r.boards_in, 1, 0::bigint) OVER w AS boards_in,
                   r.boards_out - lag(r.boards_out, 1, 0::bigint) OVER w AS boards_out,
                   r.scrapped - lag(r.scrapped, 1, 0::bigint) OVER w AS scrapped,
                   r.picked - lag(r.picked, 1, 0::bigint) OVER w AS picked,
                   r.placed - lag(r.placed, 1, 0::bigint) OVER w AS placed
              FROM mes_countreport r JOIN mes_countstream s ON s.id = r.stream_id
            WINDOW w AS (PARTITION BY r.stream_id ORDER BY r.window_end)) AS minutes
     GROUP BY stream_id, line_id, hour
"""


def main() -> int:
    """Make the year, ask for a month of it, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="fewer, to see whether it works")
    options = parser.parse_args()
    with installation.database():
        _make(options.days)
        _check_hours()
        return _measure()


def _make(days: int) -> None:
    from django.utils import timezone

    from mes.platform.database import partitions

    today = timezone.now().date()
    first = today - timedelta(days=days)
    for month in partitions.months_from(first, (today.year - first.year) * 12 + today.month - first.month + 1):
        partitions.make_month("mes_countreport", month)
    _timed("runs", lambda: _make_runs(first, days))
    for name, statement in (("machines", MAKE_STREAMS), ("reports", MAKE_REPORTS), ("hours", MAKE_HOURS)):
        _timed(name, partial(_execute, statement, {"machines": MACHINES}))
    _timed("statistics", lambda: _execute("VACUUM ANALYZE"))


def _make_runs(first: date, days: int) -> None:
    from django.contrib.auth.models import User

    from mes.plant.models import Line, Operation, Station
    from mes.production import orders, runs
    from mes.production.models import Run
    from mes.routing.compilation import compile_route
    from mes.routing.models import RouteExecutionConfig, Routing, RoutingStep

    User.objects.create_user("reader", password="secret")
    operation = Operation.objects.create(code="PLACE", name="Placement", kind="PLACE", default_station_type="AUTO")
    routing = Routing.objects.create(code="R", name="R", product_code="BOARD")
    RoutingStep.objects.create(routing=routing, step_no=10, operation=operation)
    RouteExecutionConfig.objects.create(
        scope="STEP", routing=routing, step_no=10, station_type="MANUAL", allowed_station_codes=["PLC-A", "PLC-B"]
    )
    orders.receive(wo_no="WO", product_code="BOARD", planned_qty=10**6, optional={"routing_code": "R"})
    for code in "AB":
        line = Line.objects.create(code=code, name=code, process_type="SMT", shifts=SHIFTS)
        Station.objects.create(code=f"PLC-{code}", name=code, line=line, station_type="MANUAL")
    compile_route(code="R")
    orders.release(wo_no="WO", line_code="A")
    model = runs.create(wo_no="WO", line_code="A", plan_qty=2880, run_no="MODEL")
    made = []
    for line in Line.objects.all():
        for day in range(days):
            at = datetime.combine(first + timedelta(days=day), datetime.min.time(), tzinfo=UTC) + timedelta(hours=6)
            number = f"{line.code}-{at:%Y%m%d}"
            made.append(
                Run(
                    run_no=number, work_order=model.work_order, line=line, route_version=model.route_version,
                    plan_qty=2880, status="COMPLETED", created_at=at, started_at=at,
                )
            )  # fmt: skip
    Run.objects.bulk_create(made)
    for run in made:  # the column fills itself when a row is made
        run.created_at = run.started_at or run.created_at
    Run.objects.bulk_update(made, ["created_at"], batch_size=500)
    model.delete()


def _check_hours() -> None:
    """Compare the hours that SQL made with those that the product makes of the same reports."""
    from django.db import transaction

    from mes.production_counts.hours import recount_one
    from mes.production_counts.models import CountStream, HourlyCount

    for stream in CountStream.objects.order_by("?")[:3]:
        hours = HourlyCount.objects.filter(stream=stream).order_by("started_at")
        before = list(hours.values_list("date", "shift", "started_at", "doubts", "boards_out", "picked", "placed"))
        seconds = time.perf_counter()
        with transaction.atomic():
            recount_one(stream.pk)
        seconds = time.perf_counter() - seconds
        after = list(hours.values_list("date", "shift", "started_at", "doubts", "boards_out", "picked", "placed"))
        print(f"  recounting a day of a machine (1,440 reports): {seconds:.3f} s")
        if before != after:
            raise SystemExit(f"The hours of {stream} differ:\n{before[:3]}\n{after[:3]}")


def _measure() -> int:
    from django.test import Client
    from django.utils import timezone

    client = Client()
    client.login(username="reader", password="secret")
    last = timezone.now().date() - timedelta(days=1)
    month = {"from": (last - timedelta(days=30)).isoformat(), "to": last.isoformat()}
    worst = 0.0
    for path, asked in (
        ("production", {"groupBy": "run"}),
        ("production", {"groupBy": "day"}),
        ("production", {"groupBy": "shift"}),
        ("production", {"groupBy": "product"}),
        ("in-out", {"groupBy": "hour"}),
        ("production", {"groupBy": "shift", "format": "csv"}),
    ):
        times = []
        for _round in range(ROUNDS):
            started = time.perf_counter()
            answer = client.get(f"/api/reports/{path}", {**month, **asked})
            size = len(answer.getvalue())
            times.append(time.perf_counter() - started)
            if answer.status_code != 200:
                raise SystemExit(answer.content)
        worst = max(worst, statistics.median(times))
        label = f"{path} {' '.join(asked.values())}"
        print(f"  a month of both lines, {label:<24} {statistics.median(times):.3f} s ({size / 1024:,.0f} KiB)")
    _explain()
    print(f"Target: a month in under {TARGET:.0f} s: {'reached' if worst < TARGET else 'missed'}")
    return 0 if worst < TARGET else 1


def _explain() -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from trace.reports import production
    from trace.reports.query import Group, read_question

    last = timezone.now().date() - timedelta(days=1)
    asked = {"from": (last - timedelta(days=30)).isoformat(), "to": last.isoformat()}
    question = read_question(asked, groups=production.GROUPS, default=Group.DAY)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        production.get_report(question, with_tracks=False)
    rows = next(query["sql"] for query in queries.captured_queries if "mes_hourlycount" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY ON) " + rows)
        print("\n".join(f"    {row[0]}" for row in cursor.fetchall()))


def _execute(statement: str, values: dict[str, int] | None = None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values if "%(" in statement else None)
        if cursor.rowcount > 0:
            print(f"  {cursor.rowcount:,} rows")


def _timed(name: str, action: Callable[[], None]) -> None:
    started = time.perf_counter()
    action()
    print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
