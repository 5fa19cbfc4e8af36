"""The temporary tables that the others are made from."""

from bench.grown.size import LINES, STEPS, UNITS_OF_RUN

# What the other statements are made from. A unit's number `n` gives its id; it passes the steps one after the other.
STAGE = f"""
    CREATE TEMP TABLE grown_step AS
        SELECT s.step_no, o.code AS operation_code, o.kind, t.line_id, t.id AS station_id, t.code AS station_code,
               t.station_type AS source
          FROM mes_routingstep s JOIN mes_routing r ON r.id = s.routing_id AND r.code = 'GROWN'
          JOIN mes_operation o ON o.id = s.operation_id JOIN mes_stationgroup g ON g.code = o.code
          JOIN mes_station t ON t.group_id = g.id;
    CREATE TEMP TABLE grown_spec AS
        SELECT o.code AS operation_code, s.id AS spec_id, s.name,
               row_number() OVER (PARTITION BY o.id ORDER BY s.id) AS k
          FROM mes_datacollectionspec s JOIN mes_operation o ON o.id = s.operation_id AND o.code LIKE 'GROWN-%%';
    CREATE TEMP TABLE grown_run AS
        SELECT r, w.id AS work_order_id, l.id AS line_id, v.id AS route_version_id,
               nextval(pg_get_serial_sequence('mes_run', 'id')) AS id, 'GROWN-R' || to_char(r, 'FM000000') AS run_no,
               %(start)s::timestamptz + (%(end)s::timestamptz - %(lasts)s::interval - %(start)s::timestamptz)
                                        * (r::float / greatest(%(runs)s - 1, 1)) AS started_at,
               CASE WHEN r = %(runs)s - 1 THEN 'IN_PROGRESS' ELSE 'COMPLETED' END AS status
          FROM generate_series(0, %(runs)s - 1) AS r
          JOIN mes_workorder w ON w.wo_no = 'GROWN-W' || to_char(r / 4, 'FM000000')
          JOIN mes_line l ON l.code = 'GROWN-' || r %% {LINES}
          JOIN mes_run m ON m.run_no = 'GROWN-MODEL' JOIN mes_routeversion v ON v.id = m.route_version_id
         ORDER BY r;
    CREATE TEMP TABLE grown_unit AS
        SELECT n, 'GROWN-' || to_char(n, 'FM00000000') AS sn, r.id AS run_id, r.run_no, r.line_id, r.work_order_id,
               nextval(pg_get_serial_sequence('mes_unit', 'id')) AS id, %(lasts)s::interval * 0.018 AS pace,
               r.started_at + %(lasts)s::interval * 0.8 * (n %% {UNITS_OF_RUN} / {UNITS_OF_RUN}.0) AS at,
               CASE WHEN r.status = 'COMPLETED'
                    THEN CASE 0 WHEN n %% 97 THEN 'SCRAPPED' WHEN n %% 89 THEN 'SCRAPPED' WHEN n %% 83 THEN 'ON_HOLD'
                                ELSE 'DONE' END
                    WHEN n %% {UNITS_OF_RUN} < 40 THEN 'DONE' WHEN n %% {UNITS_OF_RUN} < 50 THEN 'IN_STATION'
                    ELSE 'QUEUED' END AS status
          FROM generate_series(0, %(units)s - 1) AS n JOIN grown_run r ON r.r = n / {UNITS_OF_RUN}
         ORDER BY n;
    CREATE INDEX ON grown_unit (n);
    CREATE TEMP TABLE grown_first AS
        SELECT nextval(pg_get_serial_sequence('execution_track', 'id')) AS track,
               nextval('integration_settledmessage_id_seq') AS record,
               nextval('ingest_settledingestevent_id_seq') AS event;
    CREATE TEMP VIEW grown_pass AS
        SELECT u.n, u.id AS unit_id, u.sn, u.run_id, u.run_no, u.line_id, u.status, s.step_no, s.operation_code, s.kind,
               s.station_id, s.station_code, s.source, f.track + p AS track_id,
               f.record + p AS record_id, f.event + p AS event_id, p,
               'GROWN' || p AS key, u.at + u.pace * (s.step_no / 10.0) AS in_at,
               CASE WHEN u.status <> 'IN_STATION' OR s.step_no < 100
                    THEN u.at + u.pace * (s.step_no / 10.0 + 0.9) END AS out_at,
               CASE WHEN u.status = 'IN_STATION' AND s.step_no = 100 THEN ''
                    WHEN u.status = 'SCRAPPED' AND n %% 89 = 0 AND s.step_no = 100 THEN 'FAIL' ELSE 'PASS' END AS result
          FROM grown_unit u JOIN grown_step s USING (line_id) CROSS JOIN grown_first f
         CROSS JOIN LATERAL (SELECT u.n * {len(STEPS)}::bigint + s.step_no / 10 AS p) AS place
         WHERE u.status <> 'QUEUED' OR s.step_no < 100;
    CREATE TEMP VIEW grown_done AS SELECT * FROM grown_pass WHERE out_at IS NOT NULL;
    ANALYZE grown_unit, grown_step, grown_spec, grown_run;
"""
