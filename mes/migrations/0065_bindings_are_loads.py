"""What was bound to lines is what was loaded in their slots: bindings become loads, with their ids, and marks."""

from django.db import migrations

# Loads of slots were made under ids of their own; those of bindings are known to others. Loads go behind all ids of
# both: a row that is moved must not meet one that is yet to be.
BEHIND = """(SELECT coalesce(max(id), 0) FROM (SELECT id FROM mes_linebinding UNION ALL SELECT id FROM mes_load) ids
               WHERE EXISTS (SELECT FROM mes_linebinding))"""
SHIFT = f"""
    UPDATE mes_loadscan SET load_id = load_id + {BEHIND} WHERE load_id IS NOT NULL;
    UPDATE mes_load SET id = id + {BEHIND};
"""
MOVE = f"""
    {SHIFT}
    CREATE TEMPORARY TABLE moved_binding ON COMMIT DROP AS
    SELECT b.*, nextval(pg_get_serial_sequence('mes_loadmark', 'id')) AS opened,
           CASE WHEN unbound_at IS NOT NULL THEN nextval(pg_get_serial_sequence('mes_loadmark', 'id')) END AS closed
      FROM mes_linebinding b;

    INSERT INTO mes_loadmark (id, kind, at, line_id, slot, lot_id, tool_id, program, verify, source,
                              operator, recorded_by, event_id, voided_by, void_reason, created_at)
    SELECT opened, 'LOAD', bound_at, line_id, kind, lot_id, stencil_id, '', 'NO_LIST', 'SCAN',
           bound_by, bound_by, '', '', '', bound_at FROM moved_binding
    UNION ALL
    SELECT closed, 'UNLOAD', unbound_at, line_id, kind, lot_id, stencil_id, '', '', 'SCAN',
           unbound_by, unbound_by, '', '', '', unbound_at FROM moved_binding WHERE closed IS NOT NULL;

    INSERT INTO mes_load (id, opened_by_id, closed_by_id, state, is_shared, loaded_at, ended_at,
                          line_id, slot, lot_id, tool_id, program, verify)
    SELECT id, opened, closed, 'ACTIVE', false, bound_at, unbound_at, line_id, kind, lot_id, stencil_id, '', 'NO_LIST'
      FROM moved_binding;

    SELECT setval(pg_get_serial_sequence('mes_load', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM mes_load;
    SET CONSTRAINTS ALL IMMEDIATE;
"""
RETURN = """
    INSERT INTO mes_linebinding (id, line_id, kind, stencil_id, lot_id, bound_at, bound_by, unbound_at, unbound_by)
    SELECT l.id, l.line_id, l.slot, l.tool_id, l.lot_id, l.loaded_at, o.operator, l.ended_at, coalesce(c.operator, '')
      FROM mes_load l JOIN mes_loadmark o ON o.id = l.opened_by_id LEFT JOIN mes_loadmark c ON c.id = l.closed_by_id
     WHERE l.line_id IS NOT NULL AND l.state = 'ACTIVE'
       AND ((l.slot = 'STENCIL' AND l.tool_id IS NOT NULL) OR (l.slot = 'SOLDER_PASTE' AND l.lot_id IS NOT NULL));
    SELECT setval(pg_get_serial_sequence('mes_linebinding', 'id'), greatest(max(id), 1), max(id) IS NOT NULL)
      FROM mes_linebinding;
    DELETE FROM mes_loadscan WHERE line_id IS NOT NULL;
    DELETE FROM mes_load WHERE line_id IS NOT NULL;
    DELETE FROM mes_loadmark WHERE line_id IS NOT NULL;
    SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("mes", "0064_set_up_of_stations"),
    ]

    operations = [
        migrations.RunSQL(MOVE, RETURN),
        migrations.DeleteModel("LineBinding"),
    ]
