"""A sheet is checked as a whole, and applied as it was checked."""

from typing import Any

import pytest
from django.db import connection

from mes.plant.models import BomItem, Equipment, Material, Operation, Station, StationGroup
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.routing.models import RouteExecutionConfig, RoutingStep
from mes.specs.models import DataCollectionSpec
from tests.factories import (
    api_client,
    make_config,
    make_group,
    make_line,
    make_operation,
    make_route,
    make_spec,
    make_station,
)
from tests.spreadsheets.support import apply, as_csv, as_xlsx, checked, export, send, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer() -> Any:
    return api_client(Role.ENGINEER)


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def places(found: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(each["row"], each["field"], each["code"]) for each in found["errors"]]


# --- from a sheet to rows ------------------------------------------------------------------------------------


def test_new_and_changed_rows_are_told_and_applied_with_the_reason(engineer: Any) -> None:
    make_station("SMT-01", name="Printer")
    found = checked(engineer, "stations", as_csv(["code", "name", "stationType"], ["SMT-01", "Printer 1", "MANUAL"],
                                                 ["SMT-02", "Printer 2", "AUTO"]))  # fmt: skip
    assert (found["created"], found["changed"], found["unchanged"], found["errors"]) == (1, 1, 0, [])
    change, create = found["differences"]
    assert change == {
        "row": 1, "key": "SMT-01", "action": "CHANGE", "changes": {"name": {"from": "Printer", "to": "Printer 1"}},
    }  # fmt: skip
    assert (create["row"], create["key"], create["action"]) == (2, "SMT-02", "CREATE")
    assert create["changes"]["stationType"] == {"from": None, "to": "AUTO"}
    assert list(Station.objects.values_list("name", flat=True)) == ["Printer"]

    answer = apply(engineer, found["id"], "two new printers")
    assert answer.json()["data"] == {"created": 1, "changed": 1, "deleted": 0}
    assert list(Station.objects.values_list("name", "station_type")) == [("Printer 1", "MANUAL"), ("Printer 2", "AUTO")]
    entries = AuditEntry.objects.filter(entity="stations", reason="two new printers")
    assert [(each.action, each.after) for each in entries.filter(action="UPDATE")] == [
        ("UPDATE", {"name": "Printer 1"})
    ]
    assert entries.count() == 2
    assert engineer.get(f"/api/imports/{found['id']}").json()["data"]["status"] == "APPLIED"


def test_a_missing_column_is_left_alone_and_a_blank_cell_empties(engineer: Any) -> None:
    make_spec("REFLOW", "Peak", lsl=235, usl=250, unit="°C", alarm_min=230, alarm_action="HOLD")
    found = checked(
        engineer, "data-collection-specs", as_csv(["operationCode", "name", "limits.lsl"], ["REFLOW", "Peak", ""])
    )
    assert found["differences"][0]["changes"] == {"limits.lsl": {"from": 235, "to": None}}
    assert apply(engineer, found["id"]).status_code == 200
    spec = DataCollectionSpec.objects.get()
    assert (spec.lsl, spec.usl, spec.unit, spec.alarm_min, spec.alarm_action) == (None, 250, "°C", 230, "HOLD")


def test_rows_may_be_sent_as_json_nested_or_by_paths(engineer: Any) -> None:
    make_spec("REFLOW", "Peak", lsl=235, usl=250)
    rows = [
        {"operationCode": "REFLOW", "name": "Peak", "limits": {"usl": 255}},
        {"operationCode": "REFLOW", "name": "Speed", "itemType": "KEY", "dataType": "NUMBER", "method": "AUTO",
         "limits.usl": 9},
    ]  # fmt: skip
    found = checked(engineer, "data-collection-specs", rows)
    assert found["errors"] == []
    apply(engineer, found["id"])
    assert list(DataCollectionSpec.objects.order_by("id").values_list("name", "lsl", "usl")) == [
        ("Peak", 235, 255),
        ("Speed", None, 9),
    ]


def test_a_form_with_a_file_is_taken(engineer: Any) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("materials.csv", as_csv(["code", "name", "unit"], ["007", "Bond", "pcs"]))
    answer = engineer.post("/api/imports/materials", {"file": file}, format="multipart")
    assert (answer.status_code, answer.json()["data"]["fileName"]) == (201, "materials.csv")
    assert error_of(engineer.post("/api/imports/materials", {"x": "y"}, format="multipart")) == (
        400,
        "VALIDATION_ERROR",
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_and_byte_order_marks(engineer: Any, delimiter: str, mark: bytes) -> None:
    data = mark + as_csv(["code", "name", "unit"], ["007", "a;b,c\td", "pcs"], delimiter=delimiter)
    found = checked(engineer, "materials", data)
    assert found["differences"][0]["changes"]["name"]["to"] == "a;b,c\td"


def test_a_typed_status_of_a_machine_counts_from_now(engineer: Any) -> None:
    machine = Equipment.objects.create(code="EQ-1", name="Oven")
    found = checked(engineer, "equipment", as_csv(["code", "status"], ["EQ-1", "maintenance"]))
    apply(engineer, found["id"])
    machine.refresh_from_db()
    assert machine.status == "maintenance"
    assert machine.status_at is not None and "status" in machine.field_sources


def test_a_bill_of_material(engineer: Any) -> None:
    Material.objects.bulk_create(Material(code=code, name=code) for code in ("B", "R", "C"))
    lines = ["parentCode,childCode,quantity", "B,R,12.5", "B,C,1", "B,B,1", "B,X,0"]
    found = checked(engineer, "bom-items", text(*lines))
    assert places(found) == [
        (3, "childCode", "VALIDATION_ERROR"),
        (4, "childCode", "MATERIAL_NOT_FOUND"),
        (4, "quantity", "VALIDATION_ERROR"),
    ]
    apply(engineer, checked(engineer, "bom-items", text(*lines[:3]))["id"])
    assert sorted(BomItem.objects.values_list("child__code", "quantity")) == [("C", 1), ("R", 12.5)]


def test_configs_are_known_by_their_place(engineer: Any) -> None:
    route = make_route()
    make_operation("TEST")
    config = make_config(route, step_no=10, retest_limit=1)
    make_station("PR-1")
    heads = "scope,routeCode,stepNo,operationCode,retestLimit,allowedStationCodes,dataSpecNames"
    found = checked(engineer, "execution-configs", text(heads, "STEP,ROUTE-1,10,,2,PR-1,", "OPERATION,,,TEST,3,,[]"))
    assert found["errors"] == []
    assert apply(engineer, found["id"]).status_code == 200
    config.refresh_from_db()
    assert (config.retest_limit, config.allowed_station_codes, config.data_spec_names) == (2, ["PR-1"], None)
    other = RouteExecutionConfig.objects.exclude(pk=config.pk).get()
    assert (other.scope, other.retest_limit, other.data_spec_names) == ("OPERATION", 3, [])

    wrong = ["STEP,ROUTE-1,11,,1,,", "ROUTE,,,,1,PR-9,", "GLOBAL,,,TEST,x,,", "OPERATION,,,PRINT,1,PR-9;PR-1,"]
    found = checked(engineer, "execution-configs", text(heads, *wrong))
    assert {place[:2] for place in places(found)} == {
        (1, "stepNo"),
        (2, "routeCode"),
        (3, "retestLimit"),
        (3, "operationCode"),
        (4, "allowedStationCodes"),
    }


def test_the_rows_of_a_route_are_its_steps(engineer: Any) -> None:
    make_route("R-1", steps=[(10, "PRINT"), (20, "REFLOW"), (30, "TEST")])
    make_route("R-2", steps=[(10, "PRINT")])
    make_route("R-ERP", steps=[(10, "PRINT")], source_system="ERP")
    found = checked(
        engineer,
        "route-steps",
        text("routeCode,stepNo,operationCode", "R-1,10,PRINT", "R-1,25,TEST"),
    )
    assert (found["created"], found["changed"], found["deleted"], found["unchanged"]) == (1, 0, 2, 1)
    gone = [each for each in found["differences"] if each["action"] == "DELETE"]
    assert [(each["row"], each["key"]) for each in gone] == [(None, "R-1 / 20"), (None, "R-1 / 30")]
    assert apply(engineer, found["id"]).json()["data"] == {"created": 1, "changed": 0, "deleted": 2}
    assert list(RoutingStep.objects.order_by("routing__code", "step_no").values_list("routing__code", "step_no")) == [
        ("R-1", 10), ("R-1", 25), ("R-2", 10), ("R-ERP", 10),
    ]  # fmt: skip
    found = checked(
        engineer,
        "route-steps",
        text("routeCode,stepNo,operationCode", "R-ERP,10,TEST", "X,1,PRINT"),
    )
    assert places(found) == [(1, "routeCode", "ROUTE_READ_ONLY"), (2, "routeCode", "ROUTE_NOT_FOUND")]


def test_a_wrong_row_of_a_route_of_the_erp_is_named_beside_the_steps_that_would_go(engineer: Any) -> None:
    make_route("R-ERP", steps=[(10, "PRINT"), (20, "REFLOW")], source_system="ERP")
    found = checked(engineer, "route-steps", text("routeCode,stepNo,operationCode", "R-ERP,10,NOPE"))
    assert places(found) == [(1, "operationCode", "OPERATION_NOT_FOUND"), (1, "routeCode", "ROUTE_READ_ONLY")]


def test_a_route_that_cannot_be_saved_is_named_before_it_is_applied(engineer: Any) -> None:
    route = make_route("R-1", steps=[(10, "PRINT")])
    make_operation("REFLOW")
    type(route).objects.filter(pk=route.pk).update(name="")
    found = checked(engineer, "route-steps", text("routeCode,stepNo,operationCode", "R-1,10,REFLOW"))
    assert places(found) == [(1, "routeCode", "VALIDATION_ERROR")]


def test_a_row_with_a_typing_error_does_not_tell_that_its_step_goes(engineer: Any) -> None:
    make_route("R-1", steps=[(10, "PRINT"), (20, "REFLOW")])
    make_route("R-2", steps=[(10, "PRINT"), (20, "REFLOW")])
    lines = ["R-1,10,PRINT", "R-1,2O,REFLOW", "R-2,10,PRINT"]
    found = checked(engineer, "route-steps", text("routeCode,stepNo,operationCode", *lines))
    assert places(found) == [(2, "stepNo", "WRONG_TYPE")]
    assert [each["key"] for each in found["differences"]] == ["R-2 / 20"]


def test_a_row_of_too_many_fields_is_refused_and_not_named_a_million_times(engineer: Any) -> None:
    row = {"operationCode": "PRINT", "name": "A", "limits": {f"x{number}": 1 for number in range(500)}}
    found = checked(engineer, "data-collection-specs", [row])
    assert sum(each["code"] == "UNKNOWN_COLUMN" for each in found["errors"]) == 20
    rows = [{"code": "A", **{f"x{row}-{number}": 1 for number in range(100)}} for row in range(3)]
    assert error_of(send(engineer, "materials", rows)) == (400, "VALIDATION_ERROR")


# --- what people type ----------------------------------------------------------------------------------------


def test_all_faults_of_a_list_that_people_typed_are_named_in_one_go_and_it_goes_in_when_they_are_mended(
    engineer: Any,
) -> None:
    """200 rows of 12 operations, from a German and a Chinese spreadsheet program."""
    for number in range(12):
        make_operation(f"0{number:02d}", name=f"工序 {number}")
    heads = [
        "operationCode",
        "name",
        "itemType",
        "dataType",
        "method",
        "limits.lsl",
        "limits.usl",
        "limits.unit",
        "isRequired",
    ]
    rows = [
        [f"0{number % 12:02d}", f"Messwert {number}", "KEY", "NUMBER", "AUTO", "1.5", "2.5", "°C", "true"]
        for number in range(200)
    ]
    good = as_csv(heads, *rows, delimiter=";")
    wrong = [list(row) for row in rows]
    wrong[3][6] = "2,5"
    wrong[7][0] = wrong[7][0].lstrip("0") or "0"
    wrong[11][1] = "Messwert 11 "
    wrong[20][2] = "key"
    wrong[30][8] = "WAHR"
    wrong[40][5] = "9"
    wrong[50][1] = "Messwert 2"  # of the same operation
    wrong[60][6] = "1.000,5"
    wrong[199][7] = "x" * 21
    found = checked(engineer, "data-collection-specs", b"\xef\xbb\xbf" + as_csv(heads, *wrong, delimiter=";"))
    assert places(found) == [
        (4, "limits.usl", "DECIMAL_COMMA"),
        (8, "operationCode", "OPERATION_NOT_FOUND"),
        (12, "name", "BLANK_ENDS"),
        (21, "itemType", "NOT_A_CHOICE"),
        (31, "isRequired", "WRONG_TYPE"),
        (41, "limits.usl", "VALIDATION_ERROR"),
        (51, "operationCode", "DUPLICATE_KEY"),
        (61, "limits.usl", "DECIMAL_COMMA"),
        (200, "limits.unit", "VALIDATION_ERROR"),
    ]
    assert "2,5" in found["errors"][0]["message"]
    assert error_of(apply(engineer, found["id"])) == (409, "IMPORT_HAS_ERRORS")
    assert not DataCollectionSpec.objects.exists()
    found = checked(engineer, "data-collection-specs", good)
    assert (found["created"], found["errors"]) == (200, [])
    assert apply(engineer, found["id"]).json()["data"]["created"] == 200
    assert DataCollectionSpec.objects.filter(lsl=1.5, usl=2.5, is_required=True).count() == 200


def test_nothing_is_guessed_in_a_workbook(engineer: Any) -> None:
    make_operation("PRINT")
    heads = ["operationCode", "name", "itemType", "dataType", "method", "limits.usl", "isActive"]
    found = checked(
        engineer,
        "data-collection-specs",
        as_xlsx(
            heads,
            ["PRINT", "A", "KEY", "NUMBER", "AUTO", 5.5, True],
            ["PRINT", 7, "KEY", "NUMBER", "AUTO", "5,1", "ja"],
            ["PRINT", "C", "KEY", "NUMBER", "AUTO", "=1+1", "FALSE"],
        ),
    )
    assert places(found) == [
        (2, "name", "NUMBER_CELL"), (2, "limits.usl", "DECIMAL_COMMA"), (2, "isActive", "WRONG_TYPE"),
        (3, "limits.usl", "FORMULA"),
    ]  # fmt: skip


def test_unknown_and_doubled_columns_and_cells_without_one(engineer: Any) -> None:
    found = checked(engineer, "materials", as_csv(["code", "name", "Preis", "name"], ["A", "a", "1", "b", "", "x"]))
    assert places(found) == [
        (0, "Preis", "UNKNOWN_COLUMN"), (0, "name", "DUPLICATE_COLUMN"), (1, "", "EXTRA_CELL"),
    ]  # fmt: skip
    found = checked(engineer, "materials", as_csv(["Nummer", "name"], ["A", "a"]))
    assert places(found) == [(0, "Nummer", "UNKNOWN_COLUMN"), (0, "code", "MISSING_COLUMN")]


def test_two_lines_of_heads(engineer: Any) -> None:
    found = checked(engineer, "materials", text("code,name,unit", "Code,Name,Unit", "A,a,pcs"))
    assert places(found) == [(1, "", "SECOND_HEADER")]
    found = checked(engineer, "materials", text("Materials of hall 2", "code,name,unit", "A,a,pcs"))
    assert (0, "code", "MISSING_COLUMN") in places(found)


def test_a_workbook_that_was_a_csv_file_keeps_its_texts(engineer: Any) -> None:
    """Opened in a spreadsheet program, the apostrophe of the guard is a letter of the cell."""
    make_group("A", name="=1+1")
    found = checked(engineer, "station-groups", as_xlsx(["code", "name"], ["A", "'=1+1"]))
    assert (found["unchanged"], found["errors"]) == (1, [])


# --- between checking and applying ----------------------------------------------------------------------------


def change_name(group: StationGroup) -> None:
    group.name = "changed"
    group.save()


@pytest.mark.parametrize(
    "meanwhile",
    [
        change_name,
        lambda group: group.delete(),
        lambda group: make_group("NEW"),
        lambda group: (group.delete(), make_group("A", name="a")),
    ],
    ids=["changed", "deleted", "made", "made anew"],
)
def test_what_was_changed_meanwhile_is_not_written_over(engineer: Any, meanwhile: Any) -> None:
    group = make_group("A", name="a")
    make_group("OTHER")
    found = checked(engineer, "station-groups", as_csv(["code", "name"], ["A", "b"], ["NEW", "new"]))
    meanwhile(group)
    before = sorted(StationGroup.objects.values_list("code", "name"))
    answer = apply(engineer, found["id"])
    assert error_of(answer) == (409, "IMPORT_STALE")
    assert answer.json()["error"]["details"]["names"]
    assert sorted(StationGroup.objects.values_list("code", "name")) == before


def test_what_a_row_refers_to_was_deleted_meanwhile(engineer: Any) -> None:
    line = make_line("L")
    found = checked(engineer, "stations", as_csv(["code", "name", "stationType", "lineCode"], ["S", "s", "AUTO", "L"]))
    line.delete()
    assert error_of(apply(engineer, found["id"])) == (409, "IMPORT_STALE")


def test_a_step_that_was_added_meanwhile_is_not_removed(engineer: Any) -> None:
    route = make_route("R-1", steps=[(10, "PRINT")])
    found = checked(
        engineer,
        "route-steps",
        text("routeCode,stepNo,operationCode", "R-1,10,PRINT", "R-1,20,PRINT"),
    )
    RoutingStep.objects.create(routing=route, step_no=30, operation=Operation.objects.get())
    assert error_of(apply(engineer, found["id"])) == (409, "IMPORT_STALE")


def test_two_places_that_read_the_same_are_both_looked_at(engineer: Any) -> None:
    """Step 10, and the step that the ERP calls 10."""
    route = make_route("R-1", steps=[(10, "PRINT"), (20, "REFLOW")])
    RoutingStep.objects.filter(step_no=20).update(source_step_key="10")
    config = make_config(route, step_no=10, retest_limit=1)
    make_config(route, step_no=None, source_step_key="10", retest_limit=2)
    heads = "scope,routeCode,stepNo,sourceStepKey,retestLimit"
    found = checked(engineer, "execution-configs", text(heads, "STEP,R-1,10,,5", "STEP,R-1,,10,6"))
    RouteExecutionConfig.objects.filter(pk=config.pk).update(requires_fai=True)
    answer = apply(engineer, found["id"])
    assert error_of(answer) == (409, "IMPORT_STALE")
    assert answer.json()["error"]["details"]["names"] == ["STEP / R-1 / 10"]


def test_what_is_deleted_at_the_same_moment_makes_it_stale(engineer: Any, monkeypatch: Any) -> None:
    from mes.spreadsheets import services

    line = make_line("L")
    found = checked(engineer, "stations", as_csv(["code", "name", "stationType", "lineCode"], ["S", "s", "AUTO", "L"]))
    plan = services.make_plan

    def delete_after(*args: Any, **kwargs: Any) -> Any:
        made = plan(*args, **kwargs)
        line.delete()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return made

    monkeypatch.setattr(services, "make_plan", delete_after)
    assert error_of(apply(engineer, found["id"])) == (409, "IMPORT_STALE")


def test_what_machines_report_makes_no_sheet_stale_that_does_not_speak_of_it(engineer: Any) -> None:
    machine = Equipment.objects.create(code="EQ-1", name="Oven")
    found = checked(engineer, "equipment", as_csv(["code", "name"], ["EQ-1", "Oven 1"]))
    spoken = checked(engineer, "equipment", as_csv(["code", "name", "status"], ["EQ-1", "Oven 1", "normal"]))
    Equipment.objects.filter(pk=machine.pk).update(status="down")
    assert error_of(apply(engineer, spoken["id"])) == (409, "IMPORT_STALE")
    assert apply(engineer, found["id"]).status_code == 200
    machine.refresh_from_db()
    assert (machine.name, machine.status) == ("Oven 1", "down")


def test_a_sheet_is_applied_once_and_for_a_reason(engineer: Any) -> None:
    found = checked(engineer, "station-groups", as_csv(["code", "name"], ["A", "a"]))
    assert error_of(engineer.post(f"/api/imports/{found['id']}/apply", {})) == (400, "VALIDATION_ERROR")
    assert apply(engineer, found["id"]).status_code == 200
    assert error_of(apply(engineer, found["id"])) == (409, "INVALID_TRANSITION")


# --- who ------------------------------------------------------------------------------------------------------


def test_who_may_not_write_a_collection_imports_none_and_sees_none_of_others(engineer: Any) -> None:
    operator = api_client(Role.OPERATOR)
    found = checked(engineer, "station-groups", as_csv(["code", "name"], ["A", "a"]))
    assert send(operator, "station-groups", as_csv(["code", "name"], ["A", "a"])).status_code == 403
    assert error_of(operator.get(f"/api/imports/{found['id']}")) == (404, "IMPORT_NOT_FOUND")
    assert apply(operator, found["id"]).status_code == 403
    assert b"code" in export(operator, "station-groups", "csv")
    assert error_of(engineer.get("/api/imports/0")) == (404, "IMPORT_NOT_FOUND")
    assert engineer.get("/api/station-groups/export?format=pdf").status_code == 400


def test_ten_thousand_rows_take_as_many_statements_as_ten(engineer: Any, django_assert_max_num_queries: Any) -> None:
    make_operation("PRINT")
    heads = ["operationCode", "name", "itemType", "dataType", "method", "limits.usl"]

    def sheet(number: int) -> bytes:
        return as_csv(heads, *(["PRINT", f"S-{each}", "KEY", "NUMBER", "AUTO", str(each)] for each in range(number)))

    for number in (3, 60):
        with django_assert_max_num_queries(14):
            assert checked(engineer, "data-collection-specs", sheet(number))["errors"] == []
