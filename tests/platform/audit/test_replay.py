"""Whatever is written by whichever way: applying the entries to an empty plant gives the plant."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import Error, connection, transaction
from django.utils import timezone

from execution.quality.defect_codes.models import DefectAlias, DefectCode
from execution.quality.first_article.models import FirstArticle
from execution.quality.oqc.models import OqcInspection, SamplingRule, SamplingState
from mes.line_setup.models import MaterialLot, Tool
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpList
from mes.plant.models import BomItem, Equipment, Material, Operation
from mes.platform.accounts.models import DeviceTokenStation
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.platform.audit.models import AuditEntry
from mes.platform.database.tracking import Tracked, tracked
from mes.platform.files.models import FileAttachment, StoredFile
from mes.platform.inbound.models import Source
from mes.platform.notifications.rule_models import NotificationRule
from mes.platform.sign_in.models import Badge, SecondFactor, SecondFactorRule, Terminal
from mes.production.hold_models import HoldRule
from mes.production.identity_models import ReferenceUnit
from mes.qualifications.models import Qualification
from mes.readiness.models import PrepPolicy
from mes.routing.models import FaiTemplate, MappingExample, RouteExecutionConfig, Routing
from mes.time_rules.models import TimeRuleDefinition
from tests.factories import api_client, make_plant, make_user

pytestmark = pytest.mark.django_db

Rows = dict[tuple[str, int], dict[str, Any]]
WRITES = 150


@pytest.fixture
def things(db: None) -> list[Tracked]:
    """A row at least in every tracked table."""
    plant = make_plant()
    user = make_user(Role.ENGINEER, username="ada")
    user.user_permissions.add(Permission.objects.first())
    token, _text = issue_token(name="printer", role=Role.OPERATOR, station_codes=["SMT-01"])
    assert DeviceTokenStation.objects.filter(token=token).exists()
    SecondFactor.objects.create(user=user, secret="A" * 32, last_step=1)
    Badge.objects.create(user=user, code="B-1", pin_hash="x")
    Terminal.objects.create(name="Left", station=plant.stations["REF-01"], secret_hash="x", bound_by="ada")
    Qualification.objects.create(person=user, operation=Operation.objects.order_by("pk")[0])
    SecondFactorRule.objects.create(group=user.groups.get())
    parent, child = (Material.objects.create(code=code, name=code, unit="pcs") for code in ("M-1", "M-2"))
    BomItem.objects.create(parent=parent, child=child, quantity=2)
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    tool = Tool.objects.create(tool_id="ST-1")
    MaterialLot.objects.create(lot_id="R-1", material=child)
    set_up_list = SetUpList.objects.create(route=Routing.objects.order_by("pk")[0], line=plant.line, revision=1)
    item = SetUpItem.objects.create(set_up_list=set_up_list, station=plant.stations["REF-01"], slot="1", material=child)
    item.alternates.add(parent)
    item.tools.add(tool)
    RunSetUpList.objects.create(run=plant.run, set_up_list=set_up_list)
    Source.objects.create(code="AOI", time_zone="UTC")
    FaiTemplate.objects.create(code="F-1", name="First", items=[])
    ReferenceUnit.objects.create(sn="GOLD-1", kind="GOLDEN")
    PrepPolicy.objects.create(code="P-1", name="Clean", line=plant.line)
    TimeRuleDefinition.objects.get_or_create(code="T-1", defaults={"duration_minutes": 10, "start_event": "TRACK_IN"})
    config = RouteExecutionConfig.objects.order_by("pk")[0]
    MappingExample.objects.create(config=config, name="E-1", event={"sn": "1"}, expected={"code": "X"})
    FirstArticle.objects.create(run=plant.run, sample_qty=1, created_by="ada")
    NotificationRule.objects.create(name="N-1", event="HOLD_OPENED", channels=["APP"]).persons.add(user)
    HoldRule.objects.create(code="H-1", name="Three", kind="CONSECUTIVE_FAIL", n=3, action="STOP_STATION")
    DefectAlias.objects.create(source_system="AOI", reported="E17", code=DefectCode.objects.order_by("pk")[0])
    rule = SamplingRule.objects.create(code="S-1", name="All", scheme="ALL")
    SamplingState.objects.create(rule=rule, product_code="M-1")
    OqcInspection.objects.create(
        run=plant.run, rule=rule, scheme="ALL", lot_size=1, sample_qty=1, ac=0, re=1, seed="0", created_by="ada"
    )
    file = StoredFile.objects.create(sha256="0" * 64, media_type="application/pdf", size=1, name="a.pdf")
    FileAttachment.objects.create(file=file, record_type="HOLD", record_id=1, attached_by="ada")
    missing = [thing.table for thing in tracked if not rows_of(thing)]
    assert not missing
    return list(tracked)


def rows_of(thing: Tracked) -> Rows:
    """Return what is there, as entries say it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, to_jsonb(t) FROM {thing.table} t")
        rows = cursor.fetchall()
    return {(thing.entity, pk): as_told(thing, row) for pk, row in rows}


def as_told(thing: Tracked, row: Any) -> dict[str, Any]:
    told = {name: value for name, value in decoded(row).items() if name not in thing.left_out}
    return told | dict.fromkeys(thing.hidden, "(hidden)")


def decoded(row: Any) -> dict[str, Any]:
    import json

    return dict(json.loads(row) if isinstance(row, str) else row)


# Of rows that migrations made: columns that came after their entries.
LATER: dict[str, dict[str, Any]] = {"time-rules": {"min_minutes": None, "action": "NOTIFY"}}


def replayed() -> Rows:
    """Apply the entries to nothing."""
    rows: Rows = {}
    for entry in AuditEntry.objects.order_by("id"):
        place = (entry.entity, entry.row_id)
        if entry.action == "DELETE":
            assert rows.pop(place) == entry.before
        elif entry.action == "CREATE":
            assert place not in rows
            rows[place] = LATER.get(entry.entity, {}) | entry.after
        else:
            assert {name: rows[place][name] for name in entry.before} == entry.before
            rows[place] = rows[place] | entry.after
    return rows


def whole() -> Rows:
    return {place: row for thing in tracked for place, row in rows_of(thing).items()}


OTHER = {
    "character varying": "left(md5(random()::text), 5)",
    "text": "left(md5(random()::text), 5)",
    "boolean": "NOT {name}",
    "timestamp with time zone": "clock_timestamp()",
}


def columns_of(table: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s "
            "AND column_name <> 'id' AND data_type = ANY(%s) ORDER BY 1",
            [table, [*OTHER, "integer", "smallint", "double precision"]],
        )
        return cursor.fetchall()


def write(thing: Tracked, chance: random.Random) -> None:
    """Write something somewhere; the database may refuse it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {thing.table} ORDER BY random() LIMIT 1")
        found = cursor.fetchone()
        pk = found[0] if found else 0
        columns = columns_of(thing.table) or [("id", "")]
        name, kind = chance.choice(columns)
        other = OTHER.get(kind, "{name} + 1" if kind else "{name}").format(name=name)
        match chance.randrange(5):
            case 0:
                cursor.execute(f"UPDATE {thing.table} SET {name} = {other} WHERE id = %s", [pk])
            case 1:
                cursor.execute(f"UPDATE {thing.table} SET {name} = {other}")
            case 2:
                cursor.execute(f"UPDATE {thing.table} SET {name} = {name}")
            case 3:
                cursor.execute(f"DELETE FROM {thing.table} WHERE id = %s", [pk])
            case 4:
                values = "jsonb_build_object('id', (SELECT max(id) + 1 FROM {0}), '{1}', left(md5(random()::text), 8))"
                key = thing.key if thing.key != "id" else next((n for n in ("code", "name") if n == name), "code")
                cursor.execute(
                    f"INSERT INTO {thing.table} SELECT r.* FROM {thing.table} t, LATERAL jsonb_populate_record(NULL::"
                    f"{thing.table}, to_jsonb(t) || {values.format(thing.table, key)}) r WHERE t.id = %s",
                    [pk],
                )


def write_much(things: list[Tracked], chance: random.Random) -> int:
    """Write by SQL, by the models and over HTTP; some of it is refused or rolled back. Return how much was not."""
    client = api_client(Role.ADMIN)
    done = 0
    for _number in range(WRITES):
        way: Callable[[], Any] = lambda: write(chance.choice(things), chance)  # noqa: E731
        if chance.random() < 0.1:
            body = {"code": f"L-{chance.randrange(5)}", "name": str(timezone.now()), "processType": "SMT"}
            way = lambda: client.post("/api/lines", body) and client.patch(f"/api/lines/{body['code']}", body)  # noqa: B023, E731
        try:
            with transaction.atomic():
                way()
                if chance.random() < 0.2:
                    raise ZeroDivisionError
                connection.check_constraints()
                done += 1
        except (Error, ZeroDivisionError):
            pass
    return done


def test_entries_tell_all_that_is_there(things: list[Tracked]) -> None:
    assert replayed() == whole()
    assert write_much(things, random.Random(timezone.now().isoformat())) > WRITES / 10
    assert replayed() == whole()


@pytest.mark.parametrize("table", ["mes_line", "mes_routingstep", "auth_user"])
def test_a_trigger_that_is_off_is_missed(things: list[Tracked], table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit")
        column = {"mes_line": "name", "mes_routingstep": "source_step_key", "auth_user": "first_name"}[table]
        cursor.execute(f"UPDATE {table} SET {column} = 'x'")
    assert replayed() != whole()
