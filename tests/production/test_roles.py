"""Who may write what: every role at every endpoint of production."""

from collections.abc import Callable
from typing import Any

import pytest

from mes.platform.accounts.roles import Role
from tests.execution.support import assert_refused, nothing_written
from tests.factories import api_client, make_plant, put_runs

SUPERVISING = {Role.SUPERVISOR, Role.ADMIN}
WHY = {"reason": "because"}
ORDER = {"woNo": "WO-NEW", "productCode": "BOARD-1", "plannedQty": 1}

# endpoint → (call, roles that may, status of the run that allows it)
ENDPOINTS: dict[str, tuple[Callable[[Any], Any], set[Role], str]] = {
    "receive an order": (
        lambda client: client.post("/api/integration/work-orders", ORDER),
        {Role.INTEGRATION, Role.ADMIN},
        "PREP",
    ),
    "release an order": (
        lambda client: client.post("/api/work-orders/WO-RUN-1/release", {"lineCode": "SMT-A"}),
        SUPERVISING,
        "PREP",
    ),
    "create a run": (
        lambda client: client.post("/api/work-orders/WO-RUN-1/runs", {"lineCode": "SMT-A", "planQty": 1}),
        SUPERVISING,
        "PREP",
    ),
    "register units": (
        lambda client: client.post("/api/runs/RUN-1/units", {"sns": ["NEW"]}),
        SUPERVISING,
        "PREP",
    ),
    "authorize": (
        lambda client: client.post("/api/runs/RUN-1/authorize", {"action": "AUTHORIZE"}),
        SUPERVISING,
        "PREP",
    ),
    "revoke": (
        lambda client: client.post("/api/runs/RUN-1/authorize", {"action": "REVOKE"}),
        SUPERVISING,
        "AUTHORIZED",
    ),
    "close": (lambda client: client.post("/api/runs/RUN-1/close", WHY), SUPERVISING, "IN_PROGRESS"),
    "make an order": (
        lambda client: client.post("/api/work-orders", {"woNo": "W", "productCode": "BOARD-1", "plannedQty": 1}),
        SUPERVISING,
        "PREP",
    ),
    "change an order": (
        lambda client: client.patch("/api/work-orders/WO-RUN-1", {"plannedQty": 500, **WHY}),
        SUPERVISING,
        "PREP",
    ),
    "complete an order": (
        lambda client: client.post("/api/work-orders/WO-RUN-1/complete", WHY),
        SUPERVISING,
        "COMPLETED",
    ),
    "cancel an order": (
        lambda client: client.post("/api/work-orders/WO-RUN-1/cancel", WHY),
        {*SUPERVISING, Role.INTEGRATION},
        "PREP",
    ),
    "change a run": (lambda client: client.patch("/api/runs/RUN-1", {"planQty": 99, **WHY}), SUPERVISING, "PREP"),
    "hold": (lambda client: client.post("/api/runs/RUN-1/hold", WHY), {*SUPERVISING, Role.QUALITY}, "PREP"),
    "resume": (lambda client: client.post("/api/runs/RUN-1/resume", {}), {*SUPERVISING, Role.QUALITY}, "ON_HOLD"),
    "reopen": (lambda client: client.post("/api/runs/RUN-1/reopen", WHY), SUPERVISING, "CANCELLED"),
}
READS = (
    "/api/work-orders/WO-RUN-1/history",
    "/api/runs/RUN-1/history",
    "/api/runs/RUN-1/units",
    "/api/runs/RUN-1/close-check",
    "/api/lines/SMT-A/history",
    "/api/work-orders",
    "/api/work-orders/WO-RUN-1",
    "/api/runs",
    "/api/runs/RUN-1",
    "/api/trace/units/SN-1",
    "/api/stations/SMT-01/queue",
    "/api/stations/resolve-unit/SN-1",
    "/api/stations/SMT-01/unit/SN-1/data-specs",
)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("role", list(Role))
def test_who_may_write(db, role, endpoint):
    call, allowed, status = ENDPOINTS[endpoint]
    make_plant(authorize=False)
    put_runs(status)
    client = api_client(role)
    if role in allowed:
        assert call(client).status_code in (200, 201)
    else:
        with nothing_written():
            assert_refused(call(client), "PERMISSION_DENIED", 403)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_nobody_writes_without_signing_in(db, endpoint):
    from rest_framework.test import APIClient

    make_plant(authorize=False)
    with nothing_written():
        assert_refused(ENDPOINTS[endpoint][0](APIClient()), "NOT_AUTHENTICATED", 401)


@pytest.mark.parametrize("role", list(Role))
def test_everyone_reads(db, role):
    make_plant()
    client = api_client(role)
    assert {path: client.get(path).status_code for path in READS} == dict.fromkeys(READS, 200)
