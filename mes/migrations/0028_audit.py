"""The audit: its entries, the function that writes them, and the triggers of what is tracked."""

from django.db import migrations, models

from mes.platform.database.partitions import CreatePartitionedModel
from mes.platform.database.tracking import TrackTable

# One entry of a change; nothing where nothing differs. Times in UTC, whoever writes.
FUNCTIONS = """
CREATE FUNCTION mes_audit_entry(
    action text, before jsonb, after jsonb, entity text, key_column text, name_column text,
    root_entity text, root_column text, root_table text, root_key text, left_out text[], hidden text[])
RETURNS void LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE
    whole jsonb := COALESCE(after, before);
    told jsonb := NULLIF(current_setting('linekeeper.audit', true), '')::jsonb;
    root text := whole->>key_column;
    secret text;
BEGIN
    before := before - left_out;
    after := after - left_out;
    IF action = 'UPDATE' THEN
        SELECT jsonb_object_agg(key, w.value), jsonb_object_agg(key, n.value) INTO before, after
          FROM jsonb_each(before) w JOIN jsonb_each(after) n USING (key) WHERE w.value <> n.value;
        IF before IS NULL THEN
            RETURN;
        END IF;
    END IF;
    FOREACH secret IN ARRAY hidden LOOP
        IF before ? secret THEN before := before || jsonb_build_object(secret, '(hidden)'); END IF;
        IF after ? secret THEN after := after || jsonb_build_object(secret, '(hidden)'); END IF;
    END LOOP;
    IF whole->>root_column IS NOT NULL THEN
        EXECUTE format('SELECT %I::text FROM %I WHERE id = $1', root_key, root_table)
           INTO root USING (whole->>root_column)::bigint;
        root := COALESCE(root, whole->>root_column);
    ELSE
        root_entity := entity;
    END IF;
    INSERT INTO mes_auditentry (received_at, entity, row_id, entity_id, root_entity, root_id, name, action,
                                before, after, actor, actor_kind, via, request_id, reason, transaction)
    VALUES (clock_timestamp(), entity, (whole->>'id')::bigint, whole->>key_column, root_entity, root,
            left(whole->>name_column, 300), CASE action WHEN 'INSERT' THEN 'CREATE' ELSE action END, before, after,
            COALESCE(told->>'actor', session_user), COALESCE(told->>'actorKind', 'DATABASE'),
            COALESCE(told->>'via', 'DATABASE'), COALESCE(told->>'requestId', ''), COALESCE(told->>'reason', ''),
            pg_current_xact_id()::text::bigint);
END $$;

CREATE FUNCTION mes_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN
        RETURN NULL;
    END IF;
    PERFORM mes_audit_entry(
        TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END,
        TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4], TG_ARGV[5], TG_ARGV[6],
        TG_ARGV[7]::text[], TG_ARGV[8]::text[]);
    RETURN NULL;
END $$;

CREATE FUNCTION mes_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is kept as it was written', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
DROP_FUNCTIONS = """
DROP FUNCTION mes_refuse_rewriting() CASCADE;
DROP FUNCTION mes_audit();
DROP FUNCTION mes_audit_entry(text, jsonb, jsonb, text, text, text, text, text, text, text, text[], text[]);
"""
_KEPT = ("mes_auditentry", "mes_readinesswaiver", "mes_recordsignature")
UNCHANGEABLE = "".join(
    f"""
    CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION mes_refuse_rewriting();
    CREATE TRIGGER untruncatable BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION mes_refuse_rewriting();
    """
    for table in _KEPT
) + """
    CREATE TRIGGER untruncatable BEFORE TRUNCATE ON mes_auditentry_default
        FOR EACH STATEMENT EXECUTE FUNCTION mes_refuse_rewriting();
"""
CHANGEABLE = "".join(f"DROP TRIGGER unchangeable ON {t}; DROP TRIGGER untruncatable ON {t};" for t in _KEPT)
# Of a seal, only that its month was dropped is noted later, once.
KEEP_SEALS = """
CREATE FUNCTION mes_keep_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.dropped_at IS NULL AND to_jsonb(NEW) - 'dropped_at' = to_jsonb(OLD) - 'dropped_at' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is kept as it was sealed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE ON mes_auditseal FOR EACH ROW EXECUTE FUNCTION mes_keep_seal();
CREATE TRIGGER untruncatable BEFORE TRUNCATE ON mes_auditseal FOR EACH STATEMENT EXECUTE FUNCTION mes_keep_seal();
"""
LET_SEALS_GO = "DROP FUNCTION mes_keep_seal() CASCADE"


def _tracked(table, entity, key="id", name="id", root=("", "", "", ""), left_out=(), hidden=()):
    lists = ["{" + ",".join(names) + "}" for names in (left_out, hidden)]
    return TrackTable(table, (entity, key, name, *root, *lists))


TRACKED = [
    _tracked("mes_line", "lines", key="code", name="name"),
    _tracked("mes_stationgroup", "station-groups", key="code", name="name"),
    _tracked("mes_station", "stations", key="code", name="name"),
    _tracked("mes_equipment", "equipment", key="code", name="name", left_out=("status", "status_at", "field_sources")),
    _tracked("mes_operation", "operations", key="code", name="name"),
    _tracked("mes_material", "materials", key="code", name="name"),
    _tracked("mes_bomitem", "bom-items"),
    _tracked("mes_stencil", "stencils", key="stencil_id", name="stencil_id", left_out=("status", "status_at", "field_sources", "version", "tension_value", "last_cleaned_at", "usage_count")),
    _tracked("mes_source", "sources", key="code", name="code"),
    _tracked("mes_datacollectionspec", "data-collection-specs", name="name"),
    _tracked("mes_routing", "routes", key="code", name="name", left_out=("updated_at",)),
    _tracked("mes_routingstep", "route-steps", name="step_no", root=("routes", "routing_id", "mes_routing", "code")),
    _tracked("mes_routeexecutionconfig", "execution-configs", name="scope", root=("routes", "routing_id", "mes_routing", "code"), left_out=("updated_at",)),
    _tracked("mes_routeversion", "route-versions", name="version_no", root=("routes", "routing_id", "mes_routing", "code"), left_out=("snapshot",)),
    _tracked("mes_faitemplate", "fai-templates", key="code", name="name"),
    _tracked("mes_timeruledefinition", "time-rules", name="code", left_out=("updated_at",)),
    _tracked("mes_preppolicy", "prep-policies", name="code"),
    _tracked("mes_workorder", "work-orders", key="wo_no", name="wo_no", left_out=("updated_at", "received_at")),
    _tracked("mes_run", "runs", key="run_no", name="run_no"),
    _tracked("auth_user", "users", key="username", name="username", left_out=("last_login",), hidden=("password",)),
    _tracked("auth_user_groups", "user-roles", name="group_id", root=("users", "user_id", "auth_user", "username")),
    _tracked("auth_user_user_permissions", "user-permissions", name="permission_id", root=("users", "user_id", "auth_user", "username")),
    _tracked("auth_group", "roles", key="name", name="name"),
    _tracked("auth_group_permissions", "role-permissions", name="permission_id", root=("roles", "group_id", "auth_group", "name")),
    _tracked("mes_secondfactor", "second-factors", root=("users", "user_id", "auth_user", "username"), left_out=("last_step",), hidden=("secret",)),
    _tracked("mes_secondfactorrule", "second-factor-rules", root=("roles", "group_id", "auth_group", "name")),
    _tracked("mes_devicetoken", "tokens", key="name", name="name", hidden=("token_hash",)),
    _tracked("mes_devicetokenstation", "token-stations", name="station_id", root=("tokens", "token_id", "mes_devicetoken", "name")),
]


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('mes', '0027_rare_ones'),
    ]

    operations = [
        CreatePartitionedModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_column='received_at', verbose_name='at')),
                ('entity', models.CharField(max_length=40, verbose_name='kind')),
                ('row_id', models.BigIntegerField(verbose_name='row')),
                ('entity_id', models.CharField(max_length=200, verbose_name='of')),
                ('root_entity', models.CharField(max_length=40, verbose_name='kind of the thing')),
                ('root_id', models.CharField(max_length=200, verbose_name='thing')),
                ('name', models.CharField(max_length=300, verbose_name='name')),
                ('action', models.CharField(choices=[('CREATE', 'Created'), ('UPDATE', 'Changed'), ('DELETE', 'Deleted')], max_length=6, verbose_name='action')),
                ('before', models.JSONField(null=True, verbose_name='before')),
                ('after', models.JSONField(null=True, verbose_name='after')),
                ('actor', models.CharField(blank=True, max_length=200, verbose_name='who')),
                ('actor_kind', models.CharField(choices=[('PERSON', 'Person'), ('TOKEN', 'Token'), ('SYSTEM', 'System'), ('DATABASE', 'User of the database')], max_length=8, verbose_name='who that is')),
                ('via', models.CharField(choices=[('PAGE', 'Page'), ('ADMIN', 'Administration'), ('API', 'Interface'), ('TASK', 'Task'), ('DATABASE', 'Database')], max_length=8, verbose_name='way')),
                ('request_id', models.CharField(blank=True, max_length=64, verbose_name='request')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('transaction', models.BigIntegerField(verbose_name='transaction')),
            ],
            options={
                'verbose_name': 'change',
                'verbose_name_plural': 'changes',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(models.F('entity'), models.F('entity_id'), models.F('id'), name='audit_by_entity'), models.Index(models.F('root_entity'), models.F('root_id'), models.F('id'), name='audit_by_root'), models.Index(models.F('entity'), models.F('row_id'), models.F('id'), name='audit_by_row'), models.Index(models.F('name'), models.F('id'), name='audit_by_name'), models.Index(models.F('actor'), models.F('id'), name='audit_by_actor'), models.Index(models.F('request_id'), name='audit_by_request'), models.Index(models.F('at'), name='audit_by_time')],
            },
        ),
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField(verbose_name='month')),
                ('first_id', models.BigIntegerField(verbose_name='first entry')),
                ('last_id', models.BigIntegerField(verbose_name='last entry')),
                ('count', models.PositiveIntegerField(verbose_name='entries')),
                ('digest', models.CharField(max_length=64, verbose_name='digest')),
                ('sealed_at', models.DateTimeField(verbose_name='sealed')),
                ('dropped_at', models.DateTimeField(null=True, verbose_name='dropped')),
            ],
            options={
                'verbose_name': 'seal of changes',
                'verbose_name_plural': 'seals of changes',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('month', 'last_id'), name='audit_seal_once')],
            },
        ),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(UNCHANGEABLE, CHANGEABLE),
        migrations.RunSQL(KEEP_SEALS, LET_SEALS_GO),
        *TRACKED,
    ]
