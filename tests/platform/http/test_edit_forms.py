"""Forms of what is tracked: the reason for a change, and two people who change one thing at once."""

import re
import threading
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from mes.plant.models import BomItem, Line, Material, Operation
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role, create_roles
from mes.platform.audit.models import AuditEntry
from mes.platform.database.tracking import is_tracked
from mes.platform.http import edits
from mes.platform.http.edit_forms import CHANGED_MEANWHILE, WITHOUT_REASON, EditsTracked
from mes.readiness.models import PrepPolicy
from mes.routing.models import RouteExecutionConfig
from mes.specs.models import DataCollectionSpec
from mes.time_rules.models import TimeRuleDefinition
from tests.factories import make_config, make_line, make_route, make_spec, make_token, make_user
from tests.forms import fields_of, filled

pytestmark = pytest.mark.django_db


def sign_in(role: Role = Role.ENGINEER, name: str = "ada") -> Client:
    client = Client()
    client.force_login(make_user(role, username=name))
    return client


@pytest.fixture
def ada() -> Client:
    return sign_in()


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def reasons() -> set[str]:
    return set(AuditEntry.objects.filter(via="ADMIN").values_list("reason", flat=True))


# --- everything that is tracked -------------------------------------------------------------------------------


def test_no_form_of_what_is_tracked_forgets_the_state_and_the_reason() -> None:
    tracked = [(model, page) for model, page in admin.site._registry.items() if is_tracked(model)]
    assert len(tracked) > 15
    assert all(isinstance(page, EditsTracked) and not page.list_editable for _model, page in tracked)
    for _model, page in tracked:
        assert set(page.insisting_actions) <= {str(getattr(a, "__name__", a)) for a in page.actions}


def test_a_page_has_both_and_one_that_is_for_looking_neither(ada: Client) -> None:
    spec = make_spec()
    for page in ("change", "delete"):
        shown = ada.get(address(DataCollectionSpec, page, spec.pk)).content.decode()
        assert 'name="change_reason"' in shown and re.search(r'name="read_state" value="&quot;\d+-\d+&quot;"', shown)
    shown = ada.get(address(DataCollectionSpec, "add")).content.decode()
    assert 'name="change_reason"' in shown and 'name="read_state"' not in shown
    looking = sign_in(Role.OPERATOR, "olga").get(address(DataCollectionSpec, "change", spec.pk)).content.decode()
    assert "change_reason" not in looking and "read_state" not in looking


# --- reasons --------------------------------------------------------------------------------------------------


def make_board() -> Material:
    """A material that is made of three others: 1 of the first, 2 of the second, 3 of the third."""
    board, *parts = (Material.objects.create(code=code, name=code) for code in ("BOARD", "A", "B", "C"))
    for number, part in enumerate(parts, 1):
        BomItem.objects.create(parent=board, child=part, quantity=number)
    return board


def quantities(board: Material) -> list[int]:
    return [int(quantity) for quantity in board.bom_items.order_by("child__code").values_list("quantity", flat=True)]


def test_the_reason_stands_beside_every_change_of_the_form(ada: Client) -> None:
    page = address(Material, "change", make_board().pk)
    rows = {"bom_items-0-quantity": 11, "bom_items-1-quantity": 22}
    assert ada.post(page, filled(ada, page, name="Second", change_reason=" the new line ", **rows)).status_code == 302
    assert sorted(AuditEntry.objects.filter(via="ADMIN").values_list("entity", "reason")) == [
        ("bom-items", "the new line"), ("bom-items", "the new line"), ("materials", "the new line"),
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["ab", "x" * 501, "a\x07bc", "a\x00bc", "one\ntwo"])
def test_a_reason_is_held_to_what_the_interface_holds_it_to(ada: Client, reason: str) -> None:
    line = make_line("L-1")
    page = address(Line, "change", line.pk)
    answer = ada.post(page, filled(ada, page, name="Typed", change_reason=reason))
    assert list(errors(answer)) == ["change_reason"]
    assert 'value="Typed"' in answer.content.decode()
    assert not reasons()


@pytest.mark.parametrize(
    "typed",
    [{"usl": "260"}, {"alarm_max": "300"}, {"item_type": "OBSERVATION"}, {"is_required": "on"}, {"is_active": ""}],
)
def test_a_limit_wants_a_reason_and_the_form_keeps_what_was_typed(ada: Client, typed: dict[str, str]) -> None:
    spec = make_spec(usl=255.0)
    page = address(DataCollectionSpec, "change", spec.pk)
    sent = filled(ada, page, method="MANUAL", **typed)
    if typed == {"is_active": ""}:
        del sent["is_active"]
    answer = ada.post(page, sent)
    assert errors(answer) == {"change_reason": [str(WITHOUT_REASON)]}
    assert answer.context["adminform"].form["method"].value() == "MANUAL"
    assert not reasons()
    assert ada.post(page, {**sent, "change_reason": "oven 2 drifts"}).status_code == 302
    assert reasons() == {"oven 2 drifts"}


def test_what_says_the_same_otherwise_wants_none(ada: Client) -> None:
    page = address(DataCollectionSpec, "change", make_spec(usl=255.0).pk)
    assert ada.post(page, filled(ada, page, usl="255", unit="K")).status_code == 302
    new = address(DataCollectionSpec, "add")
    typed = {"name": "New", "item_type": "KEY", "data_type": "NUMBER", "method": "AUTO", "usl": "1"}
    assert ada.post(new, filled(ada, new, operation=Operation.objects.get().pk, **typed)).status_code == 302
    assert DataCollectionSpec.objects.filter(name="New").exists()


def test_mappings_rules_and_hard_policies_want_a_reason(ada: Client) -> None:
    line = make_line("L-1")
    config = make_config(make_route(steps=[(10, "PRINT")]), station_type="MANUAL", ingest_mapping=None)
    events = {"start_event": "TRACK_OUT", "end_event": "TRACK_IN"}
    where = {"scope": "ROUTING", "scope_value": "ROUTE-1"}
    rule = TimeRuleDefinition.objects.create(code="T", name="x", duration_minutes=5, **events, **where)
    soft, hard = (
        PrepPolicy.objects.create(code=f"PREP_{gate}", name="x", line=line, gate=gate) for gate in ("SOFT", "HARD")
    )
    wanting = [
        (rule, {"duration_minutes": "6"}),
        (hard, {"name": "y"}),
        (hard, {"gate": "SOFT"}),
        (soft, {"gate": "HARD"}),
    ]
    for thing, typed in wanting:
        page = address(type(thing), "change", thing.pk)
        assert "change_reason" in errors(ada.post(page, filled(ada, page, **typed))), typed
    for thing, typed in [(rule, {"name": "y"}), (soft, {"name": "y"}), (config, {"retest_limit": "2"})]:
        page = address(type(thing), "change", thing.pk)
        assert ada.post(page, filled(ada, page, **typed)).status_code == 302, typed
    mapping = '{"sn": "unit.sn"}'
    page = address(RouteExecutionConfig, "change", config.pk)
    assert "change_reason" in errors(ada.post(page, filled(ada, page, ingest_mapping=mapping)))


def test_roles_want_a_reason_and_it_stands_at_each_of_them() -> None:
    create_roles()
    root, person = sign_in(Role.ADMIN, "root"), make_user(Role.OPERATOR, username="olga")
    page = address(User, "change", person.pk)
    sent = filled(root, page, roles=["QUALITY", "SUPERVISOR"])
    assert "change_reason" in errors(root.post(page, sent))
    assert root.post(page, {**sent, "change_reason": "quality since May"}).status_code == 302
    found = set(AuditEntry.objects.filter(entity="user-roles", via="ADMIN").values_list("action", "reason"))
    assert found == {("CREATE", "quality since May"), ("DELETE", "quality since May")}


# --- deleting and actions -------------------------------------------------------------------------------------


def hard_policies(*names: str) -> list[PrepPolicy]:
    line = make_line("L-1")
    return [PrepPolicy.objects.create(code=f"PREP_{name}", name="x", line=line, gate="HARD") for name in names]


def test_deleting_takes_a_reason_and_insists_where_it_matters(ada: Client) -> None:
    (policy,), spec, line = hard_policies("A"), make_spec(), make_line("L-9")
    for thing in (policy, spec):
        page = address(type(thing), "delete", thing.pk)
        answer = ada.post(page, filled(ada, page))
        assert str(WITHOUT_REASON) in answer.content.decode() and type(thing).objects.filter(pk=thing.pk).exists()
    for thing, reason in ((policy, "not measured"), (spec, "measured no more"), (line, "")):
        page = address(type(thing), "delete", thing.pk)
        assert ada.post(page, filled(ada, page, change_reason=reason)).status_code == 302
    assert list(AuditEntry.objects.filter(action="DELETE").order_by("id").values_list("entity", "reason")) == [
        ("prep-policies", "not measured"), ("data-collection-specs", "measured no more"), ("lines", ""),
    ]  # fmt: skip


def test_deleting_several_takes_one_reason_for_all(ada: Client) -> None:
    policies = hard_policies("A", "B")
    lists = address(PrepPolicy, "changelist")
    chosen = {"action": "delete_selected", "_selected_action": [policy.pk for policy in policies]}
    page = ada.post(lists, {**chosen, "index": "0", "change_reason": "typed before"})
    assert 'value="typed before"' in page.content.decode()
    state = page.context["edit"]["read_state"].value()
    refused = ada.post(lists, {**chosen, "post": "yes", "read_state": state})
    assert str(WITHOUT_REASON) in refused.content.decode() and PrepPolicy.objects.count() == 2
    PrepPolicy.objects.filter(pk=policies[0].pk).update(name="y")
    sent = {**chosen, "post": "yes", "change_reason": "none is prepared", "read_state": state}
    refused = ada.post(lists, sent)
    shown = refused.content.decode()
    assert escape(str(CHANGED_MEANWHILE)) in shown and 'value="none is prepared"' in shown
    assert PrepPolicy.objects.count() == 2
    state = refused.context["edit"]["read_state"].value()
    assert ada.post(lists, {**sent, "read_state": state}).status_code == 302
    assert AuditEntry.objects.filter(action="DELETE", reason="none is prepared").count() == 2


def test_revoking_asks_for_a_reason_with_what_was_chosen() -> None:
    root = sign_in(Role.ADMIN, "root")
    make_token()
    token = DeviceToken.objects.get()
    lists = address(DeviceToken, "changelist")
    sent = {"action": "revoke", "_selected_action": [token.pk], "index": "0", "change_reason": ""}
    page = root.post(lists, sent)
    assert str(WITHOUT_REASON) in page.content.decode() and f'value="{token.pk}"' in page.content.decode()
    token.refresh_from_db()
    assert token.revoked_at is None
    assert root.post(lists, {**sent, "change_reason": "the PC was stolen"}).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None and reasons() == {"the PC was stolen"}


# --- two at once ----------------------------------------------------------------------------------------------


def test_what_was_typed_survives_what_somebody_else_saved(ada: Client) -> None:
    bob = sign_in(name="bob")
    board = make_board()
    page = address(Material, "change", board.pk)
    rows = {f"bom_items-{number}-quantity": 11 * (number + 1) for number in range(3)}
    mine = filled(ada, page, name="Mine", change_reason="my reason", **rows)
    theirs = filled(bob, page, name="Theirs", change_reason="another", **{"bom_items-1-DELETE": "on"})
    assert bob.post(page, theirs).status_code == 302
    answer = ada.post(page, mine)
    (told, *changes) = errors(answer)["__all__"]
    assert told == str(CHANGED_MEANWHILE)
    assert any(re.fullmatch(r"bob changed this at \d\d:\d\d: name BOARD → Theirs – another", text) for text in changes)
    assert any(re.match(r"bob deleted BOM item .* at \d\d:\d\d", text) for text in changes)
    board.refresh_from_db()
    assert (board.name, quantities(board)) == ("Theirs", [1, 3])
    shown = answer.content.decode()
    for value in ("Mine", "my reason", "11", "22", "33"):
        assert f'value="{value}"' in shown
    assert ada.post(page, fields_of(answer)).status_code == 302  # having read what was changed
    board.refresh_from_db()
    assert (board.name, quantities(board)) == ("Mine", [11, 22, 33])


def test_rows_of_a_bill_of_material_belong_to_the_state_of_their_material(ada: Client) -> None:
    board, part = (Material.objects.create(code=code, name=code) for code in ("BOARD", "PART"))
    item = BomItem.objects.create(parent=board, child=part, quantity=2)
    page = address(Material, "change", board.pk)
    mine = filled(ada, page, **{"bom_items-0-quantity": "3"})
    assert "bom_items-0-id" in mine
    BomItem.objects.filter(pk=item.pk).update(quantity=4)
    told = errors(ada.post(page, mine))["__all__"]
    assert any("quantity 2 → 4" in change for change in told), told


def test_a_limit_that_somebody_else_moved_is_told_with_its_unit(ada: Client) -> None:
    spec = make_spec(usl=255.0, unit="°C")
    page = address(DataCollectionSpec, "change", spec.pk)
    mine = filled(ada, page, usl="252", change_reason="mine")
    theirs = filled(ada, page, usl="250", change_reason="oven 2 drifts")
    assert ada.post(page, theirs).status_code == 302
    told = errors(ada.post(page, mine))["__all__"][1]
    assert re.fullmatch(r"ada changed this at \d\d:\d\d: .*limit 255 → 250 °C – oven 2 drifts", told)
    spec.refresh_from_db()
    assert spec.usl == 250


def test_what_was_deleted_meanwhile_is_told(ada: Client) -> None:
    line = make_line("L-1")
    page, delete = address(Line, "change", line.pk), address(Line, "delete", line.pk)
    mine = filled(ada, page, name="Mine")
    state = ada.get(delete).context["edit"]["read_state"].value()
    assert ada.post(delete, {"post": "yes", "read_state": state, "change_reason": "torn down"}).status_code == 302
    for answer in (ada.post(page, mine, follow=True), ada.post(delete, {"post": "yes"}, follow=True)):
        told = [str(message) for message in answer.context["messages"]][-1]
        assert re.fullmatch(r"Nothing is saved: ada deleted Line .* at \d\d:\d\d – torn down\.", told)


def test_what_was_changed_meanwhile_is_not_deleted(ada: Client) -> None:
    line = make_line("L-1")
    delete = address(Line, "delete", line.pk)
    state = ada.get(delete).context["edit"]["read_state"].value()
    Line.objects.update(name="Theirs")
    sent = {"post": "yes", "read_state": state, "change_reason": "torn down"}
    answer = ada.post(delete, sent)
    shown = answer.content.decode()
    assert escape(str(CHANGED_MEANWHILE)) in shown and "Theirs" in shown and 'value="torn down"' in shown
    assert Line.objects.exists()
    assert ada.post(delete, {**sent, "read_state": answer.context["edit"]["read_state"].value()}).status_code == 302
    assert not Line.objects.exists()


def test_a_renamed_thing_is_compared_by_what_it_was(ada: Client) -> None:
    create_roles()
    root = sign_in(Role.ADMIN, "root")
    person = make_user(Role.OPERATOR, username="olga")
    page = address(User, "change", person.pk)
    assert root.post(page, filled(root, page, username="helga")).status_code == 302
    assert User.objects.filter(username="helga").exists()


@pytest.mark.parametrize("state", ["x", "1-1", '"1', "\x00", '"' + "9" * 40 + '-1"'])
def test_a_state_that_is_none_saves_nothing(ada: Client, state: str) -> None:
    line = make_line("L-1")
    page = address(Line, "change", line.pk)
    assert "__all__" in errors(ada.post(page, filled(ada, page, name="Mine", read_state=state)))
    line.refresh_from_db()
    assert line.name != "Mine"


@pytest.mark.parametrize("page", ["change", "delete"])
def test_a_form_that_leaves_its_state_out_changes_nothing(ada: Client, page: str) -> None:
    line = make_line("L-1")
    before = {field.attname: getattr(line, field.attname) for field in Line._meta.concrete_fields}
    sent = filled(ada, address(Line, page, line.pk), name="Mine", change_reason="a good one")
    for left_out in ({"read_state": ""}, {}):
        answer = ada.post(address(Line, page, line.pk), {k: v for k, v in sent.items() if k != "read_state"} | left_out)
        assert answer.status_code == 200
        assert "The form does not say of which state it is." in answer.content.decode()
    assert Line.objects.values(*before).get() == before


@pytest.mark.parametrize("compared", [True, False])
def test_of_two_who_save_at_once_one_is_told(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, compared: bool
) -> None:
    """Without the comparison, which is made under a lock, both are saved and one is lost."""
    page = address(Line, "change", make_line("L-1").pk)
    clients = [sign_in(name=name) for name in ("ada", "bob")]
    forms = [filled(client, page, name=f"of {number}") for number, client in enumerate(clients)]
    if not compared:
        monkeypatch.setattr(edits, "check_all", lambda things, expected: None)
    together, answers = threading.Barrier(2), []

    def save(client: Client, form: dict[str, Any]) -> None:
        try:
            together.wait(10)
            answers.append(client.post(page, form).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=save, args=pair) for pair in zip(clients, forms, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ([200, 302] if compared else [302, 302])
