"""What was checked and told: readiness with waivers, preparations, records with remarks, what people follow."""

from typing import Any

from django.apps import apps
from django.utils import timezone

from . import reports
from .calls import Interface, Pages
from .hand import make_run


def make_readiness(admin: Interface, line: Interface) -> None:
    """Runs on the line that checks everything: refused, waived, prepared."""
    for run_no, route in (("READY-1", "READY"), ("READY-2", "PLAIN"), ("READY-3", "PLAIN")):
        make_run(admin, run_no, route, [f"{run_no}-SN-1"], line="SMT-2", authorize=False)
    program = {"stationCode": "R-PRN-2", "operationCode": "H-PRINT", "data": [reports.program("BOARD-2")]}
    line.send(*reports.report("station-data", **program))
    admin.post("runs/READY-1/readiness/precheck")
    admin.post("runs/READY-1/authorize", {"action": "AUTHORIZE"}, code="READINESS_CHECK_FAILED")
    admin.post("runs/READY-2/readiness/preparations/PREP_FEEDER_LIST/confirm", {"remark": "compared"})
    _confirm_kit(admin, "READY-2")
    _waive_all(admin, "READY-2")
    admin.post("runs/READY-2/authorize", {"action": "AUTHORIZE"})
    _confirm_kit(admin, "READY-3")
    admin.post("runs/READY-3/readiness/preparations/PREP_FEEDER_LIST/confirm")
    admin.post("runs/READY-3/readiness/preparations/PREP_FEEDER_LIST/confirm", {"done": False, "remark": "feeder 12"})
    _waive_all(admin, "READY-3", but="PREP_FEEDER_LIST")


def _confirm_kit(admin: Interface, run_no: str) -> None:
    admin.post(f"runs/{run_no}/readiness/preparations/PREP_KIT/confirm", {"source": "SYSTEM"})
    admin.post(f"runs/{run_no}/readiness/preparations/PREP_KIT/confirm", {"source": "MANUAL"})


def _waive_all(admin: Interface, run_no: str, but: str = "") -> None:
    checked = admin.post(f"runs/{run_no}/readiness/check")
    for item in checked["items"]:
        if item["status"] == "FAILED" and item["itemType"] != but:
            assert item["waivable"], item
            admin.post(f"runs/{run_no}/readiness/items/{item['id']}/waive", {"reason": "looked at it"})


def write_into_the_record(admin: Pages) -> None:
    """A remark, its correction, and signatures under a day and an hour."""
    day = timezone.localdate().isoformat()
    place: dict[str, Any] = {"line": "SMT-1", "date": day}
    admin.post("/reports/remark/", **place, text="Nozzle 4 changed", run="PANEL-1", station="MRK-1")
    remark = apps.get_model("mes", "RecordRemark").objects.latest("id")  # the form names the one that it corrects
    admin.post("/reports/remark/", **place, text="Nozzle 5 changed", replaces=str(remark.pk))
    page = admin.client.get("/reports/record/", place).content.decode()
    marks = page.split('name="mark" value="')[1:]
    assert marks, page[:2000]
    admin.post("/reports/sign/", **place, mark=marks[0].split('"')[0])
    assert apps.get_model("mes", "RecordSignature").objects.exists()


def follow_lines(quality: Pages) -> None:
    quality.post("/notifications/lines/", line="SMT-1")
