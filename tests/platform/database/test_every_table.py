"""Nothing grows by accident: a table has a retention, or is named here with the reason why it needs none."""

from datetime import UTC, datetime

from django.apps import apps
from django.db import connection, models

from mes.platform.database import retention
from mes.platform.database.partitions import PARTITIONED_TABLES
from mes.platform.database.retention import Months, Rows

STAYS = {
    "accounts and Django's own, which people keep small": """
        auth_group auth_group_permissions auth_permission auth_user auth_user_groups auth_user_user_permissions
        django_content_type django_q_schedule mes_devicetoken mes_devicetokenstation mes_followedline
        mes_secondfactor mes_recoverycode mes_secondfactorrule mes_savedview mes_badge mes_terminal

        mes_notificationrule mes_notificationrule_persons
        """,
    "master data": """
        mes_bomitem mes_datacollectionspec mes_equipment mes_faitemplate mes_line mes_mappingexample mes_material
        mes_operation mes_preppolicy mes_routeexecutionconfig mes_routing mes_routingstep mes_routeversion mes_source
        mes_station mes_referenceunit mes_stationgroup mes_checkform mes_tool mes_materiallot mes_timeruledefinition
        mes_holdrule execution_defectcode execution_defectalias execution_samplingrule execution_samplingstate
        execution_defectcatalogue mes_holdrulenotice mes_qualification
        mes_setuplist mes_setupitem mes_setupitem_alternates mes_setupitem_tools mes_slotlock
        """,
    "the product's history: what was made, how, and who decided": """
        mes_workorder mes_run mes_unit mes_decision mes_unitmove mes_hold mes_heldunit
        mes_holddecision mes_signature mes_approval mes_fileattachment mes_unitalias
        execution_deviation execution_reworktask execution_reworktask_defects execution_repairrecord
        execution_track execution_disposition execution_carrier execution_carrierload
        execution_carriertrack execution_carriertrackunit execution_defect execution_inspectionresult
        execution_oqcinspection execution_oqcsample execution_oqcitem
        execution_firstarticle execution_firstarticleitem execution_firstarticlesample
        mes_maintenancetask mes_prepconfirmation mes_readinesswaiver mes_solderpasteusage
        mes_load mes_loadmark mes_lotevent mes_runsetuplist execution_installedserial
        mes_timeruleinstance mes_countstream mes_hourlycount mes_recordremark mes_recordsignature
        """,
    "open work: it goes when it is settled": """
        ingest_openingestevent ingest_partialingestevent integration_failedmessage execution_holdbatch
        """,
    "goes with the end of its run": "mes_runstationsetup",
    "goes with what it belongs to": "mes_readinessitem mes_storedfilepart mes_routeversionfile",
    "goes when a quiet time, or a trouble of the installation, ends": "mes_noticewindow mes_systemtrouble",
    "one row, written again and again": "mes_writeprobe mes_driftposition",
    "one row for each route": "mes_routedrift",
    "one row for each run that the ERP was told of": "integration_runreport",
    "one row for each of the worker's scheduled tasks": "mes_taskoutcome",
    "a row a day, by which it shows that nobody bent the audit": "mes_auditseal",
}


def tables_with_a_retention() -> set[str]:
    found: set[str] = set()
    for policy in retention.policies:
        if isinstance(policy, Months):
            found |= set(policy.tables)
        elif isinstance(policy, Rows):
            found.add(policy.expired(datetime(2020, 1, 1, tzinfo=UTC)).model._meta.db_table)
    return found


def test_every_table_has_a_retention_or_a_reason_to_stay():
    every = apps.get_models(include_auto_created=True)
    tables = {model._meta.db_table for model in every if model._meta.managed and not model._meta.proxy}
    named = {table for names in STAYS.values() for table in names.split()}
    forgotten = tables - named - tables_with_a_retention()
    assert not forgotten, "CONTRIBUTING.md tells how to give them a retention; or name them here, with the reason"
    assert not named - tables, "named here, but there is no such table"


def test_every_partitioned_table_has_a_retention():
    assert set(PARTITIONED_TABLES) <= tables_with_a_retention()


def test_a_partitioned_table_is_one_and_locks_no_row_of_another(db: None):
    """A foreign key that is checked locks the row it names at every insert."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT partrelid::regclass::text FROM pg_partitioned_table")
        assert sorted(PARTITIONED_TABLES) == sorted(table for (table,) in cursor.fetchall())
    for model in (model for model in apps.get_models() if model._meta.db_table in PARTITIONED_TABLES):
        keys = [field for field in model._meta.get_fields() if isinstance(field, models.ForeignKey)]
        assert [field.name for field in keys if field.db_constraint] == [], model
        assert not model._meta.related_objects, model
