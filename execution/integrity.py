"""What must hold of tracks, beside the units and runs that they are of."""

from django.utils.translation import gettext_lazy as _

from mes.platform.monitoring.integrity import Rule
from mes.production.integrity import OPEN, run_page, unit_page

IN_STATION = "(u.status = 'IN_STATION' OR u.status = 'ON_HOLD' AND u.held_from = 'IN_STATION')"

# From both ends by their indexes: open tracks, and units in station; in ended runs, where none may be, those are found
# by ENDED_RUN.
STATIONS = f"""
    SELECT u.sn, concat_ws(' ', u.status, nullif(u.held_from, ''), 'with an open track of step', t.step_no)
      FROM execution_track t
      JOIN mes_unit u ON u.id = t.unit_id
     WHERE t.out_at IS NULL AND NOT {IN_STATION}
    UNION ALL
    SELECT u.sn, concat_ws(' ', u.status, nullif(u.held_from, ''), 'without an open track')
      FROM (SELECT of_open.* FROM mes_run r
              JOIN mes_unit of_open ON of_open.run_id = r.id AND of_open.status IN ('IN_STATION', 'ON_HOLD')
             WHERE r.status IN ({OPEN})
             UNION ALL
            SELECT * FROM mes_unit WHERE run_id IS NULL AND status IN ('IN_STATION', 'ON_HOLD')) u
     WHERE {IN_STATION} AND NOT EXISTS (SELECT FROM execution_track t WHERE t.unit_id = u.id AND t.out_at IS NULL)
"""
OPEN_TRACKS_OF_ENDED_RUNS = f"""
    SELECT u.sn, concat_ws(' ', 'open track of step', t.step_no, 'in', r.run_no, r.status)
      FROM execution_track t
      JOIN mes_run r ON r.id = t.run_id AND r.status NOT IN ({OPEN})
      JOIN mes_unit u ON u.id = t.unit_id
     WHERE t.out_at IS NULL
"""
TRACKS_OF_CANCELLED_RUNS = """
    SELECT r.run_no, concat_ws(' ', 'track of step', first.step_no)
      FROM mes_run r
      CROSS JOIN LATERAL (SELECT t.step_no FROM execution_track t WHERE t.run_id = r.id LIMIT 1) first
     WHERE r.status = 'CANCELLED'
"""

# Passes that failed since this database knows defects of all: that its migrations tell. An hour later, as a time of a
# report may lie ahead. Of the latest million: what is older was among these when it was asked before.
UNEXPLAINED = """
    SELECT u.sn, concat_ws(' ', 'failed at step', t.step_no, 'without a defect')
      FROM execution_track t
      JOIN mes_unit u ON u.id = t.unit_id
     WHERE t.result = 'FAIL' AND t.result_override NOT IN ('REWORK', 'SCRAP')
       AND t.id > (SELECT coalesce(max(id), 0) - 1000000 FROM execution_track)
       AND t.out_at > (SELECT applied + interval '1 hour' FROM django_migrations
                        WHERE app = 'execution' AND name = '0025_defects_of_old_tracks')
       AND NOT EXISTS (SELECT FROM execution_defect d WHERE d.track_id = t.id)
"""

RULES = (
    Rule("IN_STATION", _("A unit is in a station exactly while a track of it is open."), STATIONS, unit_page),
    Rule("ENDED_RUN_TRACK", _("No track is open in a run that has ended."), OPEN_TRACKS_OF_ENDED_RUNS, unit_page),
    Rule("CANCELLED_RUN", _("No unit ever entered a station in a cancelled run."), TRACKS_OF_CANCELLED_RUNS, run_page),
    Rule("FAIL_DEFECT", _("A pass that failed has a defect, unless rework or scrap ended it."), UNEXPLAINED, unit_page),
)
