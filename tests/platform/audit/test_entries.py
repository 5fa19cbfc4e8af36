"""What an entry says: from, to, who, by which way; whoever writes, and by whatever statement."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from mes.plant.models import Equipment, Line
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.database.authorship import ActorKind, Authorship, Via, by_system, signed_by, writes_tracked
from mes.routing.models import Routing, RoutingStep
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_line, make_operation, make_plant, make_spec, make_token, make_user
from tests.forms import state_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def seen(db: None) -> Any:
    """Return the entries that are new since the last call, oldest first."""
    after = 0

    def new() -> list[AuditEntry]:
        nonlocal after
        found = list(AuditEntry.objects.filter(id__gt=after).order_by("id"))
        after = found[-1].pk if found else after
        return found

    new()
    return new


def test_what_is_created_changed_and_deleted(seen: Any) -> None:
    line = make_line("SMT-A", name="First")
    (entry,) = seen()
    assert (entry.action, entry.entity, entry.entity_id, entry.name) == ("CREATE", "lines", "SMT-A", "First")
    assert (entry.root_entity, entry.root_id, entry.row_id) == ("lines", "SMT-A", line.pk)
    assert entry.before is None and entry.after["name"] == "First"
    line.name = "Second"
    line.save()
    (entry,) = seen()
    assert (entry.action, entry.before, entry.after) == ("UPDATE", {"name": "First"}, {"name": "Second"})
    line.save()
    Line.objects.update(name="Second")
    assert seen() == []
    line.delete()
    (entry,) = seen()
    assert (entry.action, entry.after, entry.before["name"]) == ("DELETE", None, "Second")


def test_every_way_of_writing_is_seen(seen: Any) -> None:
    Line.objects.bulk_create([Line(code=f"L{n}", name="x", process_type="SMT") for n in range(3)])
    assert [entry.entity_id for entry in seen()] == ["L0", "L1", "L2"]
    Line.objects.filter(code__in=["L0", "L2"]).update(name="y")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mes_line SET name = name || '!' WHERE code <> 'L1'")
        cursor.execute("WITH gone AS (DELETE FROM mes_line WHERE code = 'L1' RETURNING id) SELECT count(*) FROM gone")
    assert [(entry.action, entry.entity_id) for entry in seen()] == [
        ("UPDATE", "L0"), ("UPDATE", "L2"), ("UPDATE", "L0"), ("UPDATE", "L2"), ("DELETE", "L1"),
    ]  # fmt: skip


def test_what_is_rolled_back_was_not(seen: Any) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_line("SMT-A")
        raise ZeroDivisionError
    assert seen() == []


def test_a_part_names_the_whole(seen: Any) -> None:
    operation = make_operation("PRINT")
    routing = Routing.objects.create(code="R-1", name="Board")
    step = RoutingStep.objects.create(routing=routing, step_no=10, operation=operation)
    entry = seen()[-1]
    assert (entry.entity, entry.name, entry.root_entity, entry.root_id) == ("route-steps", "10", "routes", "R-1")
    step.delete()
    routing.delete()
    assert [(entry.entity, entry.root_id) for entry in seen()] == [("route-steps", "R-1"), ("routes", "R-1")]


def test_secrets_are_hidden_and_their_change_is_not(seen: Any) -> None:
    user = make_user(username="ada")
    user.set_password("second and long")
    user.save()
    created, changed = (entry for entry in seen() if entry.entity == "users")
    assert (created.after["password"], changed.before, changed.after) == (
        "(hidden)", {"password": "(hidden)"}, {"password": "(hidden)"},
    )  # fmt: skip


def test_what_machines_and_sign_ins_write_is_left_out(seen: Any) -> None:
    user = make_user(username="ada")
    machine = Equipment.objects.create(code="EQ-1", name="Oven")
    seen()
    User.objects.update(last_login=timezone.now())
    Equipment.objects.update(status="down", status_at=timezone.now())
    assert seen() == []
    user.last_login, user.email = timezone.now(), "ada@example.com"
    user.save()
    machine.status, machine.name = "normal", "Oven 1"
    machine.save()
    assert [sorted(entry.after) for entry in seen()] == [["email"], ["name"]]


def test_what_happens_nowhere_is_signed_by_the_users_of_the_database(seen: Any) -> None:
    make_line("SMT-A")
    (entry,) = seen()
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user")
        assert (entry.actor, entry.actor_kind, entry.via) == (cursor.fetchone()[0], "DATABASE", "DATABASE")
    with signed_by(by_system()):
        Line.objects.update(name="y")
    (entry,) = seen()
    assert (entry.actor, entry.actor_kind, entry.via) == ("", "SYSTEM", "TASK")


def test_who_sends_a_request_signs_what_it_changes(seen: Any) -> None:
    client = api_client(Role.ENGINEER)
    seen()
    answer = client.post("/api/lines", {"code": "L-1", "name": "x", "processType": "SMT"}, HTTP_X_REQUEST_ID="ask-1")
    assert answer.status_code == 201
    (entry,) = seen()
    assert (entry.actor_kind, entry.via, entry.request_id) == ("TOKEN", "API", "ask-1")
    assert entry.actor.startswith("token:")
    person = make_user(Role.ENGINEER, username="ada")
    browser = Client()
    browser.force_login(person)
    seen()
    assert browser.post("/api/lines", {"code": "L-2"}, content_type="application/json").status_code in (201, 400, 403)
    line = Line.objects.get()
    sent = {"code": "L-1", "name": "y", "process_type": "DIP"}
    sent |= {"material_control": "OFF", "low_units": 20, **state_of(line)}
    page = browser.post(f"/admin/mes/line/{line.pk}/change/", sent)
    assert page.status_code == 302
    (entry,) = seen()
    assert (entry.actor, entry.actor_kind, entry.via) == ("ada", "PERSON", "ADMIN")


def test_a_run_that_a_machine_starts_is_signed_by_its_token(seen: Any) -> None:
    plant = make_plant()
    client = api_client(Role.OPERATOR)
    seen()
    assert client.post("/api/stations/SMT-01/track-in", {"runNo": plant.run.run_no, "sn": "SN-1"}).status_code == 201
    started = [entry for entry in seen() if entry.entity == "runs"]
    assert [(entry.actor_kind, entry.after["status"]) for entry in started] == [("TOKEN", "IN_PROGRESS")]


def test_only_what_writes_is_told() -> None:
    assert writes_tracked('UPDATE "mes_line" SET "name" = %s WHERE "mes_line"."id" = %s')
    assert writes_tracked("with x as (delete from only mes_line returning 1) select 1")
    assert writes_tracked('INSERT INTO "mes_line" ("code") VALUES (%s)')
    assert writes_tracked('UPDATE "mes_equipment" SET "status" = %s, "name" = %s WHERE "mes_equipment"."id" = %s')
    assert not writes_tracked('UPDATE "mes_equipment" SET "status" = %s, "status_at" = %s WHERE "id" = %s')
    assert not writes_tracked('SELECT * FROM "mes_line" FOR NO KEY UPDATE')
    assert not writes_tracked("INSERT INTO mes_load (id) VALUES (1)")
    assert not writes_tracked('UPDATE "mes_unit" SET "status" = %s')


def test_the_actor_is_asked_for_only_where_something_is_written() -> None:
    asked = 0

    def find() -> tuple[str, ActorKind]:
        nonlocal asked
        asked += 1
        return "ada", ActorKind.PERSON

    with signed_by(Authorship(find, Via.PAGE)):
        list(DataCollectionSpec.objects.all())
        assert asked == 0
        make_spec(make_operation("PRINT"), "Height")
        assert asked > 0


def test_roles_of_a_user_are_its_history(seen: Any) -> None:
    user = make_user(username="ada")
    seen()
    user.groups.set([Group.objects.get(name="Engineer")])
    user.groups.set([Group.objects.get(name="Admin")])
    assert [(entry.entity, entry.action, entry.root_id) for entry in seen()] == [
        ("user-roles", "CREATE", "ada"), ("user-roles", "DELETE", "ada"), ("user-roles", "CREATE", "ada"),
    ]  # fmt: skip


def test_a_token_is_hidden_but_for_its_name(seen: Any) -> None:
    make_token(Role.OPERATOR)
    (entry,) = (entry for entry in seen() if entry.entity == "tokens")
    assert entry.after["token_hash"] == "(hidden)"
