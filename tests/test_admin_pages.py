"""Every page of the admin site opens, fast enough, and its actions say what they did."""

import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django_q.models import OrmQ, Schedule

from execution import tracking
from execution.models import DataValue, Track
from integration.models import DeviceDataRecord, FailedMessage, IntegrationMessage
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, StationGroup
from mes.platform.accounts.roles import EDITABLE_LIBRARY_MODELS, OUR_APPS, Role
from mes.platform.http.site import Section
from mes.platform.outbox.models import MesEvent, WorkerHeartbeat
from mes.production.models import Run, Unit, WorkOrder
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing
from mes.specs.models import DataCollectionSpec
from tests.factories import (
    Plant,
    make_config,
    make_group,
    make_operation,
    make_plant,
    make_route,
    make_spec,
    make_station,
    make_user,
)
from tests.forms import state_of

pytestmark = pytest.mark.django_db

OURS = ("mes", "execution", "integration")
LARGE = [Unit, Run, WorkOrder, Track, DataValue, DeviceDataRecord, IntegrationMessage, MesEvent]


def pages() -> list[Any]:
    """Return the models of our apps that have pages."""
    return [model for model in registered() if model._meta.app_label in OURS]


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def plant() -> Plant:
    """A plant with a row of everything."""
    plant = make_plant(units=3)
    for sn in plant.sns:
        tracking.track_in(station_code="SMT-01", run_no="RUN-1", sn=sn, operator="olga")
    now = timezone.now()
    unit = plant.units[0]
    for number in range(3):
        DataValue.objects.create(
            received_at=now,
            collected_at=now,
            unit=unit,
            run=plant.run,
            station=plant.stations["REF-01"],
            spec=plant.peak,
            step_no=20,
            operation_code="REFLOW",
            name="Peak Temperature",
            item_type="KEY",
            value_number=245.5,
            lsl=235,
            usl=250,
            judge="PASS",
            source="AUTO",
        )
        DeviceDataRecord.objects.create(
            received_at=now,
            event_time=now,
            event_id=f"evt-{number}",
            source="AUTO",
            run=plant.run,
            unit=unit,
            station=plant.stations["REF-01"],
            payload={"data": [{"specName": "<b>Peak</b>"}]},
            values_count=1,
        )
        make_failed_message(f"evt-9{number}")
    WorkerHeartbeat.objects.create(name="worker", beat_at=now)
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    board = Material.objects.create(code="BOARD-1", name="Board")
    BomItem.objects.create(parent=board, child=Material.objects.create(code="PART", name="Part"), quantity=2)
    return plant


def make_failed_message(key: str, payload: Any = None) -> FailedMessage:
    return FailedMessage.objects.create(
        received_at=timezone.now(),
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        dedupe_key=key,
        status="FAILED",
        payload={"eventId": key} if payload is None else payload,
        error_code="TRACK_NOT_FOUND",
        error={"code": "TRACK_NOT_FOUND"},
        digest=key.encode(),
    )


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def engineer() -> Client:
    return sign_in(make_user(Role.ENGINEER))


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# --- every page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who", ["engineer", *(pytest.param(who, marks=pytest.mark.long) for who in ("superuser", "supervisor"))]
)
def test_every_list_and_form_opens(plant: Plant, who: str) -> None:
    user = make_user(is_superuser=True) if who == "superuser" else make_user(who.upper())
    client = sign_in(user)
    assert client.get("/admin/").status_code == 200
    for model in pages():
        page = admin.site.get_model_admin(model)
        request = client.get("/admin/").wsgi_request
        if not page.has_view_permission(request):
            continue
        response = client.get(address(model, "changelist"), {"q": "x"})
        assert response.status_code == 200, model
        assert client.get(address(model, "changelist")).status_code == 200, model
        if page.has_add_permission(request):
            assert client.get(address(model, "add")).status_code == 200, model
        thing = page.get_queryset(request).first()
        if thing is not None:
            response = client.get(address(model, "change", thing.pk))
            assert response.status_code == 200, model


def test_the_pages_that_must_be_there() -> None:
    expected = {Line, StationGroup, Operation, DataCollectionSpec, Routing, RouteExecutionConfig, RouteVersion}
    assert expected | set(LARGE) | {WorkerHeartbeat} <= set(pages())


@pytest.mark.parametrize("model", [*LARGE, RouteVersion, WorkerHeartbeat])
def test_histories_are_read_only(plant: Plant, model: Any) -> None:
    client = sign_in(make_user(is_superuser=True))
    thing = model.objects.first()
    assert thing is not None
    assert client.get(address(model, "add")).status_code == 403
    assert client.post(address(model, "change", thing.pk), {}).status_code == 403
    assert client.post(address(model, "delete", thing.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", LARGE)
def test_large_lists_take_a_fixed_number_of_queries(plant: Plant, model: Any, django_assert_num_queries: Any) -> None:
    client = sign_in(make_user(is_superuser=True))
    client.get(address(model, "changelist"))
    filters = {Unit: 1, Run: 1, WorkOrder: 1}.get(model, 0)  # the lines to filter by
    with django_assert_num_queries(5 + filters):  # session, user, standing, count, page
        client.get(address(model, "changelist"))


def test_serial_numbers_are_found(plant: Plant) -> None:
    client = sign_in(make_user(Role.QUALITY))
    for model, term in ((Unit, "SN-2"), (Track, "SN-2"), (Run, "RUN-1"), (WorkOrder, "WO-RUN")):
        found = client.get(address(model, "changelist"), {"q": term}).context["cl"].result_count
        assert found == 1, model


def test_json_is_shown_escaped(plant: Plant, engineer: Client) -> None:
    record = DeviceDataRecord.objects.first()
    assert record is not None
    page = engineer.get(address(DeviceDataRecord, "change", record.pk)).content.decode()
    assert "&lt;b&gt;Peak" in page
    assert "<b>Peak" not in page


# --- the index --------------------------------------------------------------------------------------------


def registered() -> list[Any]:
    """Return the models that have pages in the admin site, those of libraries too."""
    return [model for model in apps.get_models() if admin.site.is_registered(model)]


def sections_of(client: Client) -> dict[str, list[str]]:
    """Return the models' names by section, as the index shows them."""
    return {
        str(section["name"]): [entry["name"] for entry in section["models"]]
        for section in client.get("/admin/").context["app_list"]
    }


def test_every_registered_model_is_in_one_section() -> None:
    client = sign_in(make_user(is_superuser=True))
    shown = [entry["model"] for section in client.get("/admin/").context["app_list"] for entry in section["models"]]
    assert sorted(shown, key=str) == sorted(registered(), key=str)
    assert list(sections_of(client)) == [
        "Plant",
        "Specs and routes",
        "Machines",
        "Readiness and time",
        "Orders and runs",
        "Integration",
        "People and access",
        "System",
    ]


def test_every_admin_module_is_loaded() -> None:
    base = Path(settings.BASE_DIR)
    files = [file for app in (*OURS, "ingest") for file in (base / app).rglob("admin.py")]
    names = {".".join(file.relative_to(base).with_suffix("").parts) for file in files}
    assert len(names) > 15
    assert names - set(sys.modules) == set()


def test_a_model_cannot_be_in_two_sections() -> None:
    with pytest.raises(ValueError, match="Line is in section 'plant'"):
        Section("twice", gettext_lazy("Twice"), gettext_lazy("Twice."), order=1).add(Line)


def test_the_index_shows_what_the_person_may_see(engineer: Client) -> None:
    sections = sections_of(engineer)
    assert sections["Plant"][:3] == ["Lines", "Station groups", "Stations"]
    assert "People and access" not in sections


def test_a_section_has_a_page_of_its_own(engineer: Client) -> None:
    page = engineer.get(reverse("admin:section", args=["specs-and-routes"]))
    assert [str(section["name"]) for section in page.context["app_list"]] == ["Specs and routes"]
    assert "Execution configs" in page.content.decode()
    assert engineer.get(reverse("admin:section", args=["nothing"])).status_code == 404


@pytest.mark.parametrize("app", [*OURS, "ingest", "auth", "django_q"])
def test_the_page_of_an_app_and_the_way_there_stay(app: str) -> None:
    client = sign_in(make_user(is_superuser=True))
    page = client.get(reverse("admin:app_list", args=[app]))
    assert [section["app_label"] for section in page.context["app_list"]] == [app]
    model = page.context["app_list"][0]["models"][0]
    assert f'href="{reverse("admin:app_list", args=[app])}"' in client.get(model["admin_url"]).content.decode()


def test_what_libraries_keep_is_for_looking_only_for_superusers_too() -> None:
    """A schedule typed here ran os.system as the worker's user."""
    client = sign_in(make_user(is_superuser=True))
    request = client.get("/admin/").wsgi_request
    of_libraries = [model for model in registered() if model._meta.app_label not in OUR_APPS]
    assert {model._meta.label for model in of_libraries} >= {"django_q.Schedule", "django_q.OrmQ", "django_q.Failure"}
    for model in of_libraries:
        model_admin = admin.site.get_model_admin(model)
        may = {
            model_admin.has_add_permission(request),
            model_admin.has_change_permission(request),
            model_admin.has_delete_permission(request),
        }
        assert may == {model._meta.label_lower in EDITABLE_LIBRARY_MODELS}, model
    assert client.post(reverse("admin:django_q_schedule_add"), {"func": "os.system"}).status_code == 403
    schedule = Schedule.objects.latest("pk")
    change = reverse("admin:django_q_schedule_change", args=[schedule.pk])
    assert client.get(change).status_code == 200
    assert client.post(change, {"func": "os.system"}).status_code == 403
    again = {"action": "resubmit_task", "_selected_action": ["x"]}
    client.post(reverse("admin:django_q_success_changelist"), again)
    assert not OrmQ.objects.exists()


# --- master data ------------------------------------------------------------------------------------------


def spec_form(operation: Operation, **fields: Any) -> dict[str, Any]:
    return {
        "operation": operation.pk,
        "name": "Peak",
        "item_type": "KEY",
        "data_type": "NUMBER",
        "method": "AUTO",
        "trigger_type": "EACH_UNIT",
        "trigger_rule": "null",
        "is_active": "on",
        **fields,
    }


def test_limits_are_refused_at_their_field(plant: Plant, engineer: Client) -> None:
    operation = plant.operations["PRINT"]
    response = engineer.post(address(DataCollectionSpec, "add"), spec_form(operation, lsl="2", usl="1"))
    assert list(response.context["adminform"].form.errors) == ["usl"]
    assert engineer.post(address(DataCollectionSpec, "add"), spec_form(operation, lsl="1", usl="2")).status_code == 302


def test_limits_are_listed_in_one_column(plant: Plant, engineer: Client) -> None:
    page = engineer.get(address(DataCollectionSpec, "changelist")).content.decode()
    assert "235 … 245 … 250 °C" in page
    assert "230 … 255 HOLD" in page


def test_what_a_version_binds_cannot_be_deleted(plant: Plant, engineer: Client) -> None:
    why = {"change_reason": "used no more"}
    for thing in (plant.peak, plant.operations["REFLOW"], plant.groups["OVENS"]):
        response = engineer.post(address(type(thing), "delete", thing.pk), {"post": "yes", **why, **state_of(thing)})
        assert response.status_code == 200
        assert "ROUTE-1 v1" in response.content.decode()
        assert type(thing).objects.filter(pk=thing.pk).exists()
    unused = make_spec("PRINT", "Unused")
    sent = {"post": "yes", **why, **state_of(unused)}
    assert engineer.post(address(DataCollectionSpec, "delete", unused.pk), sent).status_code == 302


def test_shifts_are_refused_at_their_field(plant: Plant, engineer: Client) -> None:
    form = {"name": "x", "process_type": "SMT", "enabled_checks": ["ROUTE", "NO"], "shifts": '[{"code": "DAY"}]'}
    form |= {"material_control": "RECORD", "low_units": 5, **state_of(plant.line)}
    response = engineer.post(address(Line, "change", plant.line.pk), form)
    assert list(response.context["adminform"].form.errors) == ["enabled_checks", "shifts"]
    form.update(enabled_checks=["ROUTE"], shifts="[]")
    assert engineer.post(address(Line, "change", plant.line.pk), form).status_code == 302


# --- routes -----------------------------------------------------------------------------------------------


def test_the_button_leads_to_what_compiling_would_do(engineer: Client) -> None:
    routing = make_route(steps=[(10, "PRINT")])
    button = reverse("route-compile", args=[routing.code])
    assert button in engineer.get(address(Routing, "change", routing.pk)).content.decode()


def test_the_action_compiles_several(engineer: Client) -> None:
    routes = [make_route(code, steps=[(10, "PRINT")]) for code in ("R1", "R2")]
    make_config(station_group=make_group())
    form = {"action": "compile_chosen", "_selected_action": [route.pk for route in routes]}
    assert len(messages_of(engineer.post(address(Routing, "changelist"), form, follow=True))) == 2
    assert RouteVersion.objects.filter(status="READY").count() == 2


def test_a_version_is_readable_and_shows_drift(plant: Plant, engineer: Client) -> None:
    page = address(RouteVersion, "change", plant.version.pk)
    content = engineer.get(page).content.decode()
    for text in ("Peak Temperature", "235 … 245 … 250 °C", "OVENS", "Supply Voltage", "The same."):
        assert text in content
    plant.peak.lsl = 236
    plant.peak.save()
    content = engineer.get(page).content.decode()
    assert "recompile to publish" in content
    assert "235 … 245 … 250 °C" in content
    compile_route(code="ROUTE-1")
    assert "There is a later version: 2." in engineer.get(page).content.decode()


def test_an_invalid_version_opens(engineer: Client) -> None:
    version, _changed = compile_route(code=make_route(steps=[]).code)
    content = engineer.get(address(RouteVersion, "change", version.pk)).content.decode()
    assert "NO_STEPS" in content


# --- execution configs ------------------------------------------------------------------------------------


def submit(client: Client, config: RouteExecutionConfig | None = None, **fields: Any) -> Any:
    page = address(RouteExecutionConfig, "change", config.pk) if config else address(RouteExecutionConfig, "add")
    state = state_of(config) if config else {}
    return client.post(page, {"ingest_mapping": "null", **state, **fields})


def test_a_config_says_what_it_sets_and_inherits_the_rest(engineer: Client) -> None:
    assert submit(engineer, scope="GLOBAL").status_code == 302
    config = RouteExecutionConfig.objects.get()
    values = (config.station_type, config.allowed_station_codes, config.requires_fai, config.data_spec_names)
    assert values == (None, None, None, None)
    assert (config.retest_limit, config.ingest_mapping) == (None, None)
    submit(engineer, config, specs_mode="none", requires_fai="false", retest_limit="0")
    config.refresh_from_db()
    assert (config.data_spec_names, config.requires_fai, config.retest_limit) == ([], False, 0)
    form = engineer.get(address(RouteExecutionConfig, "change", config.pk)).context["adminform"].form
    assert (form["specs_mode"].value(), form["requires_fai"].value()) == ("none", "false")
    assert (form["stations_mode"].value(), form["station_type"].value()) == ("inherit", None)
    for name in ("B", "A"):
        make_spec("REFLOW", name)
    submit(engineer, config, specs_mode="exactly", data_spec_names=["A", "B"])
    config.refresh_from_db()
    assert (config.data_spec_names, config.requires_fai) == (["A", "B"], None)
    response = submit(engineer, config, stations_mode="exactly")
    assert list(response.context["adminform"].form.errors) == ["stations_mode"]


def test_a_config_saved_as_it_is_stays(engineer: Client) -> None:
    """Also the order of names, and those that are gone."""
    make_spec("REFLOW", "A")
    config = make_config(data_spec_names=["Z", "A"], allowed_station_codes=[], requires_fai=True)
    form = engineer.get(address(RouteExecutionConfig, "change", config.pk)).context["adminform"].form
    names = ("requires_fai", "stations_mode", "specs_mode", "data_spec_names", "read_state")
    values = {name: form[name].value() for name in names}
    assert submit(engineer, config, **values).status_code == 302
    config.refresh_from_db()
    assert (config.data_spec_names, config.allowed_station_codes, config.requires_fai) == (["Z", "A"], [], True)


def test_the_place_of_a_config_never_changes(engineer: Client) -> None:
    config = make_config(operation=make_operation("REFLOW"), retest_limit=1)
    submit(engineer, config, scope="GLOBAL", retest_limit="2")
    config.refresh_from_db()
    assert (config.scope, config.retest_limit) == ("OPERATION", 2)


def test_configs_are_listed_in_words_in_as_many_statements(
    engineer: Client, django_assert_max_num_queries: Any
) -> None:
    routing = make_route()
    make_config(operation=make_operation("REFLOW"), station_type="AUTO", station_group=make_group("OVENS"))
    counts = []
    for number in (5, 45):
        for _turn in range(number):
            make_config(routing, step_no=10, retest_limit=2, data_spec_names=[])
        engineer.get(address(RouteExecutionConfig, "changelist"))
        with django_assert_max_num_queries(12) as counted:
            page = engineer.get(address(RouteExecutionConfig, "changelist"), {"q": ""}).content.decode()
        counts.append(len(counted))
        assert "Route ROUTE-1, step 10" in page
        assert "Retests: 2; Specs: none" in page
    assert counts[0] == counts[1]
    page = engineer.get(address(RouteExecutionConfig, "changelist"), {"scope__exact": "OPERATION"}).content.decode()
    assert "Operation REFLOW Reflow, on every route" in page
    assert "Station type: Automatic; Station group: OVENS" in page


def test_routes_are_listed_in_as_many_statements_for_many(engineer: Client, django_assert_max_num_queries: Any) -> None:
    counts = []
    for number in (5, 50):
        for turn in range(number):
            make_config(make_route(f"R-{number}-{turn}"), station_group=make_group())
            compile_route(code=f"R-{number}-{turn}")
        engineer.get(address(Routing, "changelist"))
        with django_assert_max_num_queries(12) as counted:
            page = engineer.get(address(Routing, "changelist")).content.decode()
        counts.append(len(counted))
        assert "1 READY" in page
    assert counts[0] == counts[1]


def test_faults_of_a_config_show_at_their_fields(engineer: Client) -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_station("SMT-01")

    def faults(**fields: Any) -> list[str]:
        return list(submit(engineer, scope="STEP", routing=routing.pk, **fields).context["adminform"].form.errors)

    assert faults() == ["__all__"]
    assert faults(step_no="11") == ["step_no"]
    assert faults(step_no="10", allowed_station_codes=["SMT-01", "NO"]) == ["allowed_station_codes"]
    assert faults(step_no="10", station_type="AUTO", ingest_mapping='{"sn": 1}') == ["ingest_mapping"]
    assert faults(step_no="10", ingest_mapping="{") == ["ingest_mapping"]
    assert not RouteExecutionConfig.objects.exists()


# --- messages ---------------------------------------------------------------------------------------------


def replay(client: Client, *messages: FailedMessage) -> Any:
    form = {"action": "replay", "_selected_action": [message.pk for message in messages]}
    return client.post(address(IntegrationMessage, "changelist"), form, follow=True)


def test_replay_tells_why_a_message_still_fails(plant: Plant, engineer: Client) -> None:
    message = make_failed_message("evt-x", {"eventId": "evt-x"})
    told = messages_of(replay(engineer, message))
    assert len(told) == 1
    assert f"Message {message.pk}" in told[0]
    assert FailedMessage.objects.filter(pk=message.pk).exists()


def test_a_message_is_replayed_once_its_cause_is_mended(plant: Plant, engineer: Client) -> None:
    track = Track.objects.get(unit__sn="SN-1")
    make_spec("PRINT", "Pressure")
    event = {
        "eventId": "evt-y",
        "eventTime": timezone.now().isoformat(),
        "source": "AUTO",
        "trackId": str(track.pk),
        "data": [{"specName": "Pressure", "valueNumber": 5.0}],
    }
    message = make_failed_message("evt-y", event)
    told = messages_of(replay(engineer, message))
    assert told == ["1 message(s) replayed."]
    assert not FailedMessage.objects.filter(pk=message.pk).exists()
    assert IntegrationMessage.objects.get(pk=message.pk).status == "REPLAYED"


def test_who_only_looks_is_not_offered_replay(plant: Plant) -> None:
    message = make_failed_message("evt-z")
    client = sign_in(make_user(Role.SUPERVISOR))
    replay(client, message)
    assert FailedMessage.objects.filter(pk=message.pk).exists()


@pytest.mark.parametrize(
    "model, action", [(Line, "take_preset"), (Line, "delete_selected"), (IntegrationMessage, "replay")]
)
@pytest.mark.parametrize("chosen", [["x"], ["\0"], ["9" * 30], ["1.5", ""]])
def test_what_cannot_be_a_row_is_not_chosen(engineer: Client, model: Any, action: str, chosen: list[str]) -> None:
    body = {"action": action, "_selected_action": chosen, "change_reason": "a good one"}
    assert engineer.post(address(model, "changelist"), body).status_code in (200, 302)
