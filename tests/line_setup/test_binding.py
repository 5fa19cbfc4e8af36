"""Stencils and solder paste lots are bound to lines by scanning: one of each on a line, each on one line."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import queries
from mes.line_setup.loads.models import Load, LoadMark, LoadScan
from mes.line_setup.models import MaterialLot, Tool
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_line, make_station

pytestmark = pytest.mark.django_db

KINDS = [("stencil", "stencilId"), ("solder-paste", "lotId")]


@pytest.fixture
def operator() -> APIClient:
    make_line("SMT-A")
    make_line("SMT-B")
    return api_client(Role.OPERATOR)


def scan(client: APIClient, kind: str, code: str, line: str = "SMT-A", **body: Any) -> Any:
    return client.post(f"/api/integration/lines/{line}/{kind}/bind", {dict(KINDS)[kind]: code, **body})


def take_off(client: APIClient, kind: str, code: str, line: str = "SMT-A") -> Any:
    return client.post(f"/api/integration/lines/{line}/{kind}/unbind", {dict(KINDS)[kind]: code})


def current(line: str = "SMT-A") -> tuple[str | None, str | None]:
    set_up = queries.get_set_up(make_line(line))
    return set_up.stencil and set_up.stencil.code, set_up.solder_paste and set_up.solder_paste.code


def test_a_scan_binds_what_nobody_knew_before(operator):
    answer = assert_done(scan(operator, "stencil", "ST-1"), 201)
    assert (answer["kind"], answer["lineCode"], answer["stencilId"], answer["lotId"]) == (
        "STENCIL",
        "SMT-A",
        "ST-1",
        None,
    )
    assert (answer["unboundAt"], answer["replaced"]) == (None, [])
    assert answer["boundBy"] and answer["boundAt"]
    assert_done(scan(operator, "solder-paste", "L-1"), 201)
    assert current() == ("ST-1", "L-1")
    assert (Tool.objects.get().status, MaterialLot.objects.get().paste_status) == ("", "")


@pytest.mark.parametrize(("kind", "field"), KINDS)
def test_scanning_the_same_again_changes_nothing(operator, kind, field):
    first = assert_done(scan(operator, kind, "X-1"), 201)
    again = assert_done(scan(operator, kind, "X-1"), 200)
    assert again == first
    assert Load.objects.count() == 1


@pytest.mark.parametrize(("kind", "field"), KINDS)
def test_what_stands_in_the_way_is_refused_or_replaced(operator, kind, field):
    scan(operator, kind, "X-1")
    details = assert_refused(scan(operator, kind, "X-2"), "LINE_OCCUPIED")
    assert details == {"line": "SMT-A", "bound": "X-1"}
    answer = assert_done(scan(operator, kind, "X-2", replace=True), 201)
    assert [one[field] for one in answer["replaced"]] == ["X-1"]
    assert answer["replaced"][0]["unboundBy"]
    assert "X-2" in current() and "X-1" not in current()


@pytest.mark.parametrize(("kind", "field"), KINDS)
def test_one_line_at_a_time(operator, kind, field):
    scan(operator, kind, "X-1")
    details = assert_refused(scan(operator, kind, "X-1", line="SMT-B"), "BOUND_ELSEWHERE")
    assert details == {"code": "X-1", "line": "SMT-A"}
    scan(operator, kind, "X-2", line="SMT-B")
    answer = assert_done(scan(operator, kind, "X-1", line="SMT-B", replace=True), 201)
    assert {one[field] for one in answer["replaced"]} == {"X-1", "X-2"}
    assert current("SMT-A") == (None, None)
    assert "X-1" in current("SMT-B")


@pytest.mark.parametrize(("kind", "field"), KINDS)
def test_taking_off(operator, kind, field):
    assert_refused(take_off(operator, kind, "X-1"), "NOT_BOUND")
    scan(operator, kind, "X-1")
    assert_refused(take_off(operator, kind, "X-2"), "NOT_BOUND")
    assert_refused(take_off(operator, kind, "X-1", line="SMT-B"), "NOT_BOUND")
    first = assert_done(take_off(operator, kind, "X-1"))
    assert first["unboundAt"] and first["unboundBy"]
    assert assert_done(take_off(operator, kind, "X-1")) == first
    assert current() == (None, None)
    scan(operator, kind, "X-1", line="SMT-B")
    assert_refused(take_off(operator, kind, "X-1"), "NOT_BOUND")


def test_a_stencil_and_a_lot_do_not_stand_in_each_others_way(operator):
    scan(operator, "stencil", "SAME")
    MaterialLot.objects.create(lot_id="SAME", is_solder_paste=True)
    assert_done(scan(operator, "solder-paste", "SAME"), 201)


@pytest.mark.parametrize("way", ["bound", "reported"])
def test_a_lot_that_was_registered_before_may_be_paste(operator, way):
    lot = MaterialLot.objects.create(lot_id="P-1", material=Material.objects.create(code="SAC305", name="Paste"))
    if way == "bound":
        assert assert_done(scan(operator, "solder-paste", "P-1"), 201)["lotId"] == "P-1"
        assert current() == (None, "P-1")
    else:
        body = {"eventId": "e", "eventTime": timezone.now().isoformat(), "source": "AUTO", "lotId": "P-1"}
        path = "/api/integration/solder-paste-status"
        assert_done(api_client(Role.INTEGRATION).post(path, {**body, "status": "COMPLIANT"}), 201)
    lot.refresh_from_db()
    assert lot.is_solder_paste
    assert [each["lotId"] for each in operator.get("/api/solder-paste-lots").json()["data"]["items"]] == ["P-1"]


def test_lots_are_listed_by_the_status_that_was_reported(operator):
    for lot, status in (("P-1", "COMPLIANT"), ("P-2", "EXPIRED")):
        MaterialLot.objects.create(lot_id=lot, is_solder_paste=True, paste_status=status)
    answer = assert_done(operator.get("/api/solder-paste-lots", {"status": "EXPIRED"}))
    assert [(each["lotId"], each["status"]) for each in answer["items"]] == [("P-2", "EXPIRED")]


def test_the_line_must_exist(operator):
    assert_refused(scan(operator, "stencil", "ST-1", line="X"), "LINE_NOT_FOUND", 404)
    assert_refused(take_off(operator, "stencil", "ST-1", line="X"), "LINE_NOT_FOUND", 404)
    assert_refused(operator.get("/api/integration/lines/X/set-up"), "LINE_NOT_FOUND", 404)
    assert not Tool.objects.exists()


@pytest.mark.parametrize("code", ["", " ST", "a//b", "x" * 101, None, 5])
def test_codes_are_checked(operator, code):
    assert_refused(scan(operator, "stencil", code), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize("role", Role)
def test_who_may_scan(role):
    make_line("SMT-A")
    client = api_client(role)
    allowed = role in (Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN)
    assert scan(client, "stencil", "ST-1").status_code == (201 if allowed else 403)
    assert take_off(client, "stencil", "ST-1").status_code == (200 if allowed else 403)
    assert client.get("/api/integration/lines/SMT-A/set-up").status_code == 200


def test_a_token_of_stations_scans_for_their_lines(operator):
    make_station("SMT-01", line=make_line("SMT-A"))
    client = api_client(Role.OPERATOR, ["SMT-01"])
    assert_done(scan(client, "stencil", "ST-1"), 201)
    assert_refused(scan(client, "stencil", "ST-2", line="SMT-B"), "PERMISSION_DENIED", 403)


def test_the_set_up_is_read_in_a_fixed_number_of_queries(operator, django_assert_num_queries):
    for number in range(5):
        scan(operator, "stencil", f"ST-{number}", replace=True)
        scan(operator, "solder-paste", f"L-{number}", replace=True)
    with django_assert_num_queries(3):
        answer = assert_done(operator.get("/api/integration/lines/SMT-A/set-up"))
    assert (answer["stencil"]["stencilId"], answer["solderPaste"]["lotId"]) == ("ST-4", "L-4")
    assert [one["lotId"] or one["stencilId"] for one in answer["history"]][:2] == ["L-3", "ST-3"]


def test_engineers_keep_the_limits_of_stencils(operator):
    engineer = api_client(Role.ENGINEER)
    scan(operator, "stencil", "ST-1")
    answer = assert_done(engineer.patch("/api/stencils/ST-1", {"tensionMin": 30, "maxUses": 500}))
    assert (answer["tensionMin"], answer["maxUses"], answer["status"]) == (30, 500, "")
    assert_refused(engineer.patch("/api/stencils/ST-1", {"tensionMin": -1}), "VALIDATION_ERROR", 400)
    assert_refused(engineer.patch("/api/stencils/ST-1", {"stencilId": "ST-2"}), "VALIDATION_ERROR", 400)
    assert_refused(engineer.delete("/api/stencils/ST-1"), "IN_USE")
    assert_refused(engineer.get("/api/stencils/ST-9"), "STENCIL_NOT_FOUND", 404)
    assert_refused(operator.patch("/api/stencils/ST-1", {"tensionMin": 30}), "PERMISSION_DENIED", 403)


def test_loads_that_outnumber_bindings_are_numbered_behind_them(db):
    """When bindings became loads, those of slots had ids of their own, which were in the way."""
    line = make_line("SMT-A")
    for number in range(1, 5):
        mark = LoadMark.objects.create(kind="LOAD", at=timezone.now(), line=line, slot=f"F{number}", program="P")
        kept = Load.objects.create(pk=number, opened_by=mark, loaded_at=mark.at, line=line, slot=mark.slot, program="P")
        LoadScan.objects.create(station=make_station(f"S{number}"), slot=mark.slot, load=kept)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mes_linebinding ON COMMIT DROP AS SELECT generate_series(1, 2) AS id")
        cursor.execute(import_module("mes.migrations.0065_bindings_are_loads").SHIFT)
        cursor.execute("DROP TABLE mes_linebinding")
    moved = {4 + number: f"F{number}" for number in range(1, 5)}
    assert dict(Load.objects.values_list("pk", "slot")) == moved
    assert dict(LoadScan.objects.values_list("load", "slot")) == moved
