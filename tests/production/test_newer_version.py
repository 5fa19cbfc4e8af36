"""A run takes a newer version of its route until it begins."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from execution.models import Carrier, CarrierTrack, Track
from ingest import candidates
from mes.plant.models import Station
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.production import hooks
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, Routing
from mes.specs.models import DataCollectionSpec
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, track_in
from tests.factories import Plant, api_client, make_plant, make_user
from tests.ingest.support import make_ingest_plant, printed, push

RUN = "/api/runs/RUN-1"
REASON = "Oven 2 drifts."


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


def tighten(usl: float = 248) -> int:
    """Change a limit and compile; return the number of the version."""
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(usl=usl)
    return compile_route(code="ROUTE-1")[0].version_no


def take(client: Any, number: Any = 2, **body: Any) -> Any:
    return client.patch(RUN, {"routeVersionNo": number, "reason": REASON, **body})


def version_of_run() -> int:
    return Run.objects.get(run_no="RUN-1").route_version.version_no


# --- what it does ---------------------------------------------------------------------------------------------


def test_a_run_takes_a_newer_version_and_is_authorized_anew(plant: Plant, admin: Any) -> None:
    assert Run.objects.get().status == RunStatus.AUTHORIZED
    tighten()
    answer = assert_done(take(admin))
    assert (answer["routeVersion"]["versionNo"], answer["status"], answer["authorizedAt"]) == (2, "PREP", None)
    run = Run.objects.get()
    assert (run.authorized_by, run.status_reason) == ("", REASON)
    snapshot = snapshots.load(version_id=run.route_version_id, digest=run.route_version.digest)
    assert snapshot.steps[1].spec_index.find("Peak Temperature").usl == 248  # type: ignore[union-attr]
    entry = AuditEntry.objects.filter(entity="runs").latest("id")
    assert (entry.reason, "route_version_id" in entry.after) == (REASON, True)
    assert_refused(track_in(admin), "RUN_NOT_AUTHORIZED")
    assert_done(admin.post(f"{RUN}/authorize", {"action": "AUTHORIZE"}))
    assert_done(track_in(admin), 201)


def test_registered_units_are_put_to_the_new_first_step(plant: Plant, admin: Any) -> None:
    decide(admin, "hold", sn="SN-2")
    RouteExecutionConfig.objects.filter(step_no=10).delete()
    plant.routing.steps.filter(step_no=10).delete()
    compile_route(code="ROUTE-1")
    assert_done(take(admin))
    assert set(Unit.objects.values_list("current_step_no", flat=True)) == {20}
    assert Unit.objects.get(sn="SN-2").status == UnitStatus.ON_HOLD


@pytest.mark.parametrize("standing", [{"current_step_no": 20}, {"status": UnitStatus.OUT_FAILED}])
def test_a_run_keeps_its_version_with_units_that_came_under_way(
    plant: Plant, admin: Any, standing: dict[str, Any]
) -> None:
    Unit.objects.filter(sn="SN-2").update(**standing)  # moved into it from another run
    tighten()
    with nothing_written():
        assert_refused(take(admin), "RUN_STARTED")
    Unit.objects.filter(sn="SN-2").update(status=UnitStatus.SCRAPPED)
    assert_done(take(admin))


def test_its_own_version_again_changes_nothing(plant: Plant, admin: Any) -> None:
    before = AuditEntry.objects.count()
    with nothing_written():
        assert assert_done(take(admin, 1))["status"] == "AUTHORIZED"
    assert AuditEntry.objects.count() == before


# --- what is refused ------------------------------------------------------------------------------------------


def test_a_run_keeps_its_version_from_its_first_track(plant: Plant, admin: Any) -> None:
    tighten()
    assert_done(track_in(admin), 201)
    with nothing_written():
        assert_refused(take(admin), "RUN_STARTED")
    Run.objects.update(status=RunStatus.AUTHORIZED)  # whatever its status says
    assert_refused(take(admin), "RUN_STARTED")
    Run.objects.update(status=RunStatus.COMPLETED)
    assert_refused(take(admin), "RUN_STARTED")


def test_a_run_keeps_its_version_from_the_first_pass_of_a_carrier(plant: Plant, admin: Any) -> None:
    tighten()
    carrier = Carrier.objects.create(carrier_no="C-1")
    station = Station.objects.get(code="SMT-01")
    passed = {"run": Run.objects.get(), "station": station, "step_no": 10, "operation_code": "PRINT"}
    CarrierTrack.objects.create(carrier=carrier, in_at=timezone.now(), **passed)
    with nothing_written():
        assert_refused(take(admin), "RUN_STARTED")


def test_who_waits_for_units_is_told_where_they_are_put(
    plant: Plant, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(hooks.units_placed)  # machine events that wait for their units
    told: list[int] = []
    monkeypatch.setattr(hooks, "units_placed", [told.extend])
    tighten()
    assert_done(take(admin))
    assert sorted(told) == sorted(Unit.objects.values_list("pk", flat=True))


def test_a_run_keeps_its_version_from_its_first_article(plant: Plant, admin: Any) -> None:
    tighten()
    fai = assert_done(admin.post("/api/fai/run/RUN-1", {"sampleQty": 1}), 201)
    assert_done(take(admin))  # asked for, and not begun
    tighten(247)
    assert_done(admin.post(f"/api/fai/{fai['id']}/start", {}))
    with nothing_written():
        assert_refused(take(admin, 3), "RUN_STARTED")


def test_only_a_later_version_that_is_ready(plant: Plant, admin: Any) -> None:
    RouteExecutionConfig.objects.update(data_spec_names=["Nothing"])
    assert compile_route(code="ROUTE-1")[0].status == "INVALID"
    with nothing_written():
        assert_refused(take(admin), "ROUTE_VERSION_NOT_READY")
        assert_refused(take(admin, 3), "ROUTE_VERSION_NOT_FOUND", 404)
        assert_refused(admin.patch("/api/runs/NOTHING", {"routeVersionNo": 1, "reason": REASON}), "RUN_NOT_FOUND", 404)
    RouteExecutionConfig.objects.update(data_spec_names=None)
    tighten()
    assert_done(take(admin, 3))
    assert_refused(take(admin, 1), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize(
    "body",
    [
        {"routeVersionNo": 99999999999},
        {"routeVersionNo": 0},
        {"routeVersionNo": "2"},
        {"routeVersionNo": True},
        {"routeVersionNo": None},
        {"reason": ""},
        {"reason": "a\x00b"},
        {"reason": None},
        {"reason": "x" * 501},
        {"planQty": 0},
        {"plannedQty": 3},
    ],
)
def test_what_is_malformed_is_told(plant: Plant, admin: Any, body: dict[str, Any]) -> None:
    tighten()
    with nothing_written():
        assert_refused(take(admin, **body), "VALIDATION_ERROR", 400)
    assert_refused(admin.patch(RUN, {"routeVersionNo": 2}), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize(("role", "status"), [(Role.ENGINEER, 200), (Role.SUPERVISOR, 200), (Role.OPERATOR, 403)])
def test_who_may(plant: Plant, role: Role, status: int) -> None:
    tighten()
    assert take(api_client(role)).status_code == status


# --- what remembers which version a run has -------------------------------------------------------------------


def payload_of(sn: str) -> dict[str, Any]:
    return {"serial": sn, "station": "PRN-1", "result": "OK", "phase": "end", "values": []}


def test_machines_are_read_by_the_newer_version_whatever_a_process_remembers(db: None) -> None:
    """Which versions open runs have is remembered in each process, and nobody tells the others of a change."""
    client = api_client()
    plant = make_ingest_plant()
    candidates.forget()
    remembered = candidates._find_versions("RUN-1") | candidates._find_versions(None)
    assert remembered == {(plant.version.pk, plant.version.digest)}
    code = Routing.objects.values_list("code", flat=True).get()
    config = RouteExecutionConfig.objects.get(step_no=10)
    config.ingest_mapping = {**config.ingest_mapping, "snPath": "payload.serial"}
    config.save()
    compile_route(code=code)
    assert_done(take(client))
    assert_done(client.post(f"{RUN}/authorize", {"action": "AUTHORIZE"}))
    assert candidates._find_versions("RUN-1") == remembered  # as another process would
    push(client, {**printed(""), "runNo": "RUN-1", "payload": payload_of(plant.sns[0])}, expect=201)
    push(client, {**printed(""), "payload": payload_of(plant.sns[1])}, expect=201)
    assert Track.objects.count() == 2


# --- the board ------------------------------------------------------------------------------------------------


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def test_the_board_shows_the_differences_first_and_asks_why(plant: Plant) -> None:
    supervisor, board = sign_in(Role.SUPERVISOR), "/readiness/runs/RUN-1/"
    assert "is newer" not in supervisor.get(board).content.decode()
    tighten()
    page = supervisor.get(board).content.decode()
    assert "Version 2 is newer: one difference" in page
    assert "Peak Temperature, upper limit 250 → 248 °C" in page
    operator = sign_in(Role.OPERATOR)
    assert "Take version" not in operator.get(board).content.decode()
    assert operator.post(f"{board}versions/", {"version": "2", "reason": REASON}).status_code == 403
    for wrong in ({"version": "2"}, {"reason": REASON}, {"version": "9" * 30, "reason": REASON}):
        supervisor.post(f"{board}versions/", wrong)
        assert version_of_run() == 1
    done = supervisor.post(f"{board}versions/", {"version": "2", "reason": REASON}, follow=True)
    assert "The run has version 2 now." in done.content.decode()
    assert version_of_run() == 2
    assert "is newer" not in supervisor.get(board).content.decode()


def test_the_board_of_a_run_with_a_first_article_says_that_it_keeps_its_version(plant: Plant, admin: Any) -> None:
    tighten()
    fai = assert_done(admin.post("/api/fai/run/RUN-1", {"sampleQty": 1}), 201)
    assert_done(admin.post(f"/api/fai/{fai['id']}/start", {}))
    page = sign_in(Role.SUPERVISOR).get("/readiness/runs/RUN-1/").content.decode()
    assert "The run keeps version 1, because its first article was begun." in page
    assert "Take version" not in page
