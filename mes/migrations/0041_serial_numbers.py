"""A serial number is that of one unit, of one that had it before, or of a reference unit: a rule of the database.

Units are made all the time, the others seldom. So whoever makes units takes a lock that all of them share, before the
first row, and is checked against the two other tables once for each statement; whoever relabels, or registers a
reference unit, has the lock alone.
"""

from django.db import migrations

_KEY = "hashtextextended('mes serial numbers', 0)"
_OTHERS = {
    "mes_unit": ("mes_unitalias", "mes_referenceunit"),
    "mes_unitalias": ("mes_unit", "mes_referenceunit"),
    "mes_referenceunit": ("mes_unit", "mes_unitalias"),
}

FUNCTIONS = f"""
    CREATE FUNCTION mes_share_serial_numbers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({_KEY});
        RETURN NULL;
    END $$;
    CREATE FUNCTION mes_lock_serial_numbers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock({_KEY});
        RETURN NULL;
    END $$;
    CREATE FUNCTION mes_refuse_serial_number(sn text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'serial number % is taken', sn
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'serial_number_once';
    END $$;
"""


def _taken(table: str, sn: str) -> str:
    return " OR ".join(f"EXISTS (SELECT FROM {other} o WHERE o.sn = {sn})" for other in _OTHERS[table])


def _triggers(table: str) -> str:
    lock = "mes_share_serial_numbers" if table == "mes_unit" else "mes_lock_serial_numbers"
    return f"""
    CREATE FUNCTION {table}_sn_made() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM mes_refuse_serial_number(made.sn) FROM made WHERE {_taken(table, "made.sn")} LIMIT 1;
        RETURN NULL;
    END $$;
    CREATE FUNCTION {table}_sn_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock({_KEY});
        IF {_taken(table, "NEW.sn")} THEN
            PERFORM mes_refuse_serial_number(NEW.sn);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER sn_lock BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {lock}();
    CREATE TRIGGER sn_once AFTER INSERT ON {table} REFERENCING NEW TABLE AS made
        FOR EACH STATEMENT EXECUTE FUNCTION {table}_sn_made();
    CREATE TRIGGER sn_once_changed BEFORE UPDATE OF sn ON {table}
        FOR EACH ROW WHEN (OLD.sn IS DISTINCT FROM NEW.sn) EXECUTE FUNCTION {table}_sn_changed();
    """


def _drop(table: str) -> str:
    return f"""
    DROP TRIGGER sn_once_changed ON {table};
    DROP TRIGGER sn_once ON {table};
    DROP TRIGGER sn_lock ON {table};
    DROP FUNCTION {table}_sn_changed();
    DROP FUNCTION {table}_sn_made();
    """


class Migration(migrations.Migration):
    dependencies = [("mes", "0040_integrity_checks")]

    operations = [
        migrations.RunSQL(
            FUNCTIONS + "".join(map(_triggers, _OTHERS)),
            "".join(map(_drop, _OTHERS))
            + """
            DROP FUNCTION mes_refuse_serial_number(text);
            DROP FUNCTION mes_lock_serial_numbers();
            DROP FUNCTION mes_share_serial_numbers();
            """,
        ),
    ]
