"""Nothing that people decide is changed unseen: a table is tracked, or is named here with the reason why not."""

from django.apps import apps
from django.db import connection

from mes.platform.database.tracking import tracked

EXEMPT = {
    "history: rows are added and say themselves who and when": """
        execution_carrier execution_carrierload execution_carriertrack execution_carriertrackunit execution_datavalue
        execution_defect execution_disposition execution_firstarticleitem execution_firstarticlesample
        execution_inspectionresult execution_track mes_prepconfirmation mes_readinesscheck
        mes_readinessitem mes_readinesswaiver mes_recordremark mes_recordsignature mes_solderpasteusage mes_unit
        mes_decision mes_unitmove mes_hold mes_heldunit mes_holddecision
        mes_storedfile mes_storedfilepart mes_routeversionfile
        mes_signature mes_runactivation mes_approval mes_unitalias
        execution_oqcsample execution_oqcitem mes_holdrulenotice mes_signon
        mes_checkrecord mes_load mes_loadmark mes_loadscan mes_lotevent mes_slotlock
        execution_deviation execution_reworktask execution_reworktask_defects execution_repairrecord
        """,
    "what machines and other systems report": """
        ingest_ingesteventunit ingest_openingestevent ingest_partialingestevent ingest_settledingestevent
        integration_devicedatarecord integration_failedmessage integration_settledmessage mes_countreport
        mes_countstream mes_hourlycount mes_maintenancetask mes_statusreport mes_referencepass
        execution_materialuse execution_installedserial
        """,
    "what the system keeps for itself": """
        django_admin_log django_content_type django_q_ormq django_q_schedule django_q_task django_session
        auth_permission mes_attemptcount mes_bulkaction mes_idempotencykey mes_mesevent mes_retentionrun
        mes_driftposition mes_routedrift mes_taskoutcome mes_timeruleinstance mes_timerulemark mes_workerheartbeat
        mes_runstationsetup execution_defectcatalogue mes_writeprobe mes_sheetimport mes_integritycheck
        integration_runreport execution_holdbatch mes_noticewindow mes_systemtrouble
        """,
    "a person's own: what is followed, read and kept to be seen again, codes that are used up": """
        mes_followedline mes_notification mes_recoverycode mes_savedview
        """,
    "the audit itself": "mes_auditentry mes_auditseal",
}


def test_every_model_is_tracked_or_exempt():
    every = apps.get_models(include_auto_created=True)
    tables = {model._meta.db_table for model in every if model._meta.managed and not model._meta.proxy}
    exempt = {table for names in EXEMPT.values() for table in names.split()}
    named = {thing.table for thing in tracked}
    assert not named & exempt
    assert tables == named | exempt


def test_triggers_are_as_they_are_registered(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgargs, tgenabled, tgtype FROM pg_trigger "
            "WHERE tgfoid = 'mes_audit'::regproc"
        )
        found = {
            table: (tuple(bytes(given).decode().split("\0")[:-1]), enabled, kind)
            for table, given, enabled, kind in cursor.fetchall()
        }
    row, insert, delete, update = 1, 4, 8, 16
    after_each = row | insert | delete | update
    assert found == {thing.table: (thing.arguments, "O", after_each) for thing in tracked}


def test_what_is_left_out_or_hidden_is_there():
    columns = {
        model._meta.db_table: {field.column for field in model._meta.local_concrete_fields}
        for model in apps.get_models(include_auto_created=True)
    }
    for thing in tracked:
        named = {*thing.left_out, *thing.hidden, *thing.fields, thing.key, thing.name, "id"}
        named |= {thing.root.column} if thing.root else set()
        assert named <= columns[thing.table], thing.table
        assert thing.root is None or thing.root.key in columns[thing.root.table]
