"""A released set-up list never changes: what runs were made by rests on it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("mes", "0058_materials")]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION mes_refuse_released_list() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'a released set-up list cannot be changed'
                        USING ERRCODE = 'integrity_constraint_violation';
                END $$;
                CREATE TRIGGER released BEFORE UPDATE OR DELETE ON mes_setuplist
                    FOR EACH ROW WHEN (OLD.status = 'RELEASED') EXECUTE FUNCTION mes_refuse_released_list();

                -- The list is locked: it must not be released while an item is written.
                CREATE FUNCTION mes_refuse_released_item() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF EXISTS (SELECT status FROM mes_setuplist
                                WHERE id IN (OLD.set_up_list_id, NEW.set_up_list_id) FOR SHARE)
                       AND EXISTS (SELECT FROM mes_setuplist
                                    WHERE id IN (OLD.set_up_list_id, NEW.set_up_list_id) AND status = 'RELEASED') THEN
                        RAISE EXCEPTION 'a released set-up list cannot be changed'
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    RETURN coalesce(NEW, OLD);
                END $$;
                CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON mes_setupitem
                    FOR EACH ROW EXECUTE FUNCTION mes_refuse_released_item();

                CREATE FUNCTION mes_refuse_released_choice() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF EXISTS (SELECT status FROM mes_setuplist
                                WHERE id IN (SELECT set_up_list_id FROM mes_setupitem
                                              WHERE id IN (OLD.setupitem_id, NEW.setupitem_id)) FOR SHARE)
                       AND EXISTS (SELECT FROM mes_setupitem i JOIN mes_setuplist l ON l.id = i.set_up_list_id
                                    WHERE i.id IN (OLD.setupitem_id, NEW.setupitem_id) AND l.status = 'RELEASED') THEN
                        RAISE EXCEPTION 'a released set-up list cannot be changed'
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    RETURN coalesce(NEW, OLD);
                END $$;
                CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON mes_setupitem_alternates
                    FOR EACH ROW EXECUTE FUNCTION mes_refuse_released_choice();
                CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON mes_setupitem_tools
                    FOR EACH ROW EXECUTE FUNCTION mes_refuse_released_choice();
            """,
            reverse_sql="""
                DROP TRIGGER released ON mes_setupitem_tools;
                DROP TRIGGER released ON mes_setupitem_alternates;
                DROP TRIGGER released ON mes_setupitem;
                DROP TRIGGER released ON mes_setuplist;
                DROP FUNCTION mes_refuse_released_choice();
                DROP FUNCTION mes_refuse_released_item();
                DROP FUNCTION mes_refuse_released_list();
            """,
        )
    ]
