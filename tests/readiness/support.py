"""What the tests of readiness share: a plant to prepare, and looks at what a check found."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup.models import MaterialLot, SetUpKind, Tool
from mes.plant.models import Line
from tests.execution.support import assert_done
from tests.factories import Plant, make_plant
from tests.line_setup.loads.support import load_on_line


def make_unready_plant(*checks: str, units: int = 2) -> Plant:
    """Make the plant of the factories with its run in preparation; its line asks for these checks."""
    plant = make_plant(units=units, authorize=False)
    enable(*checks)
    return plant


def enable(*checks: str) -> None:
    """Have the line ask for these checks and no others."""
    Line.objects.update(readiness_checks=list(checks))


def bind_stencil(**fields: Any) -> Tool:
    """Put a stencil on the line: READY unless given otherwise."""
    stencil = Tool.objects.create(**{"tool_id": "ST-1", "status": "READY", **fields})
    load_on_line("SMT-A", SetUpKind.STENCIL, tool=stencil)
    return stencil


def bind_lot(**fields: Any) -> MaterialLot:
    """Put a container of solder paste on the line: COMPLIANT unless given otherwise."""
    lot = MaterialLot.objects.create(
        **{"lot_id": "LOT-1", "is_solder_paste": True, "paste_status": "COMPLIANT", **fields}
    )
    load_on_line("SMT-A", SetUpKind.SOLDER_PASTE, lot=lot)
    return lot


def ago(**span: float) -> Any:
    """Return a time so long ago."""
    return timezone.now() - timedelta(**span)


def check(client: APIClient, kind: str = "check", run_no: str = "RUN-1") -> dict[str, Any]:
    """Make a check and return it."""
    return assert_done(client.post(f"/api/runs/{run_no}/readiness/{kind}"), 201)


def authorize(client: APIClient, action: str = "AUTHORIZE", run_no: str = "RUN-1") -> Any:
    """Call authorize."""
    return client.post(f"/api/runs/{run_no}/authorize", {"action": action})


def waive(client: APIClient, item: dict[str, Any], run_no: str = "RUN-1", reason: str = "a reason") -> Any:
    """Waive an item."""
    return client.post(f"/api/runs/{run_no}/readiness/items/{item['id']}/waive", {"reason": reason})


def codes(made: dict[str, Any]) -> list[str | None]:
    """Return the code of each item, None for those that passed."""
    return [item["code"] for item in made["items"]]


def item(made: dict[str, Any], code: str) -> dict[str, Any]:
    """Return the item that failed with this code."""
    return next(one for one in made["items"] if one["code"] == code)


def add_policy(client: APIClient, **fields: Any) -> dict[str, Any]:
    """Add a prep policy of the line: SOFT, confirmed by a person, unless given otherwise."""
    body = {"code": "PREP_FEEDERS", "name": "Feeders", "lineCode": "SMT-A", **fields}
    return assert_done(client.post("/api/prep-policies", body), 201)


def confirm(client: APIClient, code: str = "PREP_FEEDERS", run_no: str = "RUN-1", **body: Any) -> Any:
    """Confirm a preparation."""
    return client.post(f"/api/runs/{run_no}/readiness/preparations/{code}/confirm", body)
