"""What the addresses of the endpoints name."""

from datetime import timedelta

from django.utils import timezone
from rest_framework.test import APIClient

from execution.deviations import services as deviations
from execution.models import Defect, DefectAlias, DefectCode, ReworkTask, SamplingState
from integration.models import FailedMessage
from mes.line_setup.models import MaterialLot, Tool
from mes.line_setup.set_up_lists.models import SetUpList
from mes.plant.models import BomItem, Equipment, Material
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import Source
from mes.platform.notifications.rule_models import NotificationRule
from mes.platform.signatures.services import Signing, record
from mes.production import runs
from mes.production.hold_models import Hold, HoldRule
from mes.production.identity_models import ReferenceUnit
from mes.production.models import Unit
from mes.qualifications.models import Qualification
from mes.readiness.models import PrepPolicy
from mes.routing.models import FaiTemplate, MappingExample
from tests.execution.oqc.support import act, draw, make_lot, make_rule
from tests.execution.support import assert_done
from tests.factories import Plant, api_client, make_config, make_plant, make_user
from tests.integration.helpers import into_oven, make_event


def make_things() -> dict[str, dict[str, str]]:
    """Make one of each that the addresses name, and a unit in the oven; return the names."""
    plant, client = make_plant(), api_client(Role.ADMIN)
    into_oven(client)
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    board = Material.objects.create(code="BOARD-1", name="Board", unit="pcs")
    paste = Material.objects.create(code="M-1", name="Paste", unit="g")
    item = BomItem.objects.create(parent=board, child=paste, quantity=1)
    config = make_config(operation=plant.operations["PRINT"])
    example = MappingExample.objects.create(config=config, name="A pass", event={}, expected={"phase": None})
    Tool.objects.create(tool_id="ST-1")
    set_up_list = SetUpList.objects.create(route=plant.routing, line=plant.line, revision=1)
    MaterialLot.objects.create(lot_id="R-1", material=paste, quantity=500)
    Source.objects.create(code="AOI-1")
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    client.post("/api/integration/device-data", make_event("failed", runNo="RUN-9"))
    template = FaiTemplate.objects.create(code="FAI-1", name="First article", items=[{"itemName": "Height"}])
    sheet = client.post("/api/imports/materials", {"rows": [{"code": "M-2", "name": "Flux"}]}).json()["data"]
    asked = deviations.request(
        run_no="RUN-1",
        type="SKIP",
        step_no=20,
        expires_at=timezone.now() + timedelta(days=1),
        reason="The oven is down.",
        by="sue",
    )
    held = Hold.objects.create(scope="UNITS", reason="Hot oven", condition={"runNo": "RUN-1"}, opened_by="sue")
    of_quality = make_things_of_quality(plant, client)
    policy = PrepPolicy.objects.create(code="PREP_X", name="X", line=plant.line)
    qualification = Qualification.objects.create(person=make_user(username="olga"), operation=plant.operations["TEST"])
    rule = HoldRule.objects.create(code="R-1", name="X", kind="CONSECUTIVE_FAIL", n=3, action="NOTIFY")
    notification_rule = NotificationRule.objects.create(
        name="Holds", event="HOLD_OPENED", roles=[Role.QUALITY], channels=["APP"]
    )
    return {
        "setup-lists": {"id": str(set_up_list.pk)},
        "notification-rules": {"id": str(notification_rule.pk)},
        "approvals": {"pk": str(asked.approval_id), "id": str(asked.approval_id)},
        "holds": {"no": held.hold_no},
        "deviations": {"no": asked.deviation_no},
        "bom-items": {"id": str(item.pk)},
        "data-collection-specs": {"id": str(plant.peak.pk)},
        "fai-templates": {"code": template.code},
        "hold-rules": {"code": rule.code},
        "prep-policies": {"id": str(policy.pk)},
        "qualifications": {"id": str(qualification.pk)},
        "imports": {"id": sheet["id"], "collection": "materials"},
        "sources": {"code": "AOI-1"},
        "execution-configs": {"id": str(config.pk), "config_id": str(config.pk), "example_id": str(example.pk)},
        "integration/messages": {"id": str(FailedMessage.objects.get().pk)},
        **of_quality,
    }


def make_things_of_quality(plant: Plant, client: APIClient) -> dict[str, dict[str, str]]:
    """Make a defect whose unit is at the bench, a lot that is being inspected, and what else the quality loop has."""
    runs.register_units(run_no="RUN-1", sns=["SN-8"])
    unit = Unit.objects.get(sn="SN-8")
    defect = Defect.objects.create(unit=unit, run=plant.run, step_no=10, code="BRIDGE", found_at=timezone.now())
    task = ReworkTask.objects.create(
        unit=unit, run=plant.run, to_step_no=10, rework_no=0, reason="Bridge", created_by="sue"
    )
    task.defects.add(defect)
    alias = DefectAlias.objects.create(reported="D7", code=DefectCode.objects.get(code="BRIDGE"))
    rule = make_rule(code="LOTS")
    state = SamplingState.objects.create(rule=rule, product_code="BOARD-1", state="DISCONTINUED")
    inspection = draw(client, make_lot(plant, "RUN-8"))
    assert_done(act(client, inspection, "start"))
    signed = record(Signing("quinn", "Quinn", "Approved"), record_type="OQC", record_id=inspection["id"], document={})
    assert signed is not None
    return {
        "defects": {"id": str(defect.pk)},
        "rework-tasks": {"id": str(task.pk)},
        "defect-codes": {"code": "BRIDGE"},
        "defect-aliases": {"id": str(alias.pk)},
        "oqc": {"id": inspection["id"]},
        "oqc/run": {"run_no": "RUN-8"},
        "oqc/sampling-rules": {"id": str(rule.pk)},
        "oqc/sampling-states": {"id": str(state.pk)},
        "signatures": {"id": str(signed.pk)},
    }
