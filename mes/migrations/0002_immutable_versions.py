"""A compiled route version never changes: past judgements and running runs rest on it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("mes", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION mes_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'a compiled route version cannot be changed'
                        USING ERRCODE = 'integrity_constraint_violation';
                END $$;
                CREATE TRIGGER routeversion_immutable BEFORE UPDATE ON mes_routeversion
                    FOR EACH ROW EXECUTE FUNCTION mes_refuse_change();
            """,
            reverse_sql="""
                DROP TRIGGER routeversion_immutable ON mes_routeversion;
                DROP FUNCTION mes_refuse_change();
            """,
        )
    ]
