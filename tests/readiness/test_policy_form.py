"""The form of a prep policy, and the policy in words."""

from typing import Any

import pytest
from django.test import Client

from mes.plant.models import Line, Operation
from mes.platform.accounts.roles import Role
from mes.readiness.models import PrepPolicy
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_user
from tests.forms import state_of

ADD = "/admin/mes/preppolicy/add/"
SAY = "/admin/mes/preppolicy/say/"


@pytest.fixture
def typed(db: None, client: Client) -> dict[str, Any]:
    """What an engineer types for a program that the placer reports."""
    line = Line.objects.create(code="SMT-A", name="Line A")
    place = Operation.objects.create(code="PLACE", name="Place", kind="PLACE")
    spec = DataCollectionSpec.objects.create(operation=place, name="Program", data_type="TEXT")
    client.force_login(make_user(Role.ENGINEER))
    return {
        "code": "PREP_PROGRAM",
        "name": "Placement program",
        "is_active": "on",
        "line": line.pk,
        "gate": "HARD",
        "data_source": "DEVICE",
        "confirm_mode": "AUTO",
        "spec": spec.pk,
        "expected_text": "CTRL-100",
        "max_age_minutes": "60",
    }


def test_a_policy_of_a_device_is_said_and_made(typed: dict[str, Any], client: Client) -> None:
    sentence = (
        "Before a run on line SMT-A starts, “Placement program” (PREP_PROGRAM) must be confirmed by a device: Program "
        "of operation PLACE reads “CTRL-100”. It holds for 60 minutes. Without it no run starts; it cannot be waived."
    )
    assert sentence in client.post(SAY, typed).content.decode()
    assert not PrepPolicy.objects.exists()
    assert client.post(ADD, typed).status_code == 302
    [policy] = api_client().get("/api/prep-policies").json()["data"]["items"]
    assert policy["sentence"] == sentence


def test_a_policy_for_people_loses_what_only_devices_have(typed: dict[str, Any], client: Client) -> None:
    client.post(ADD, typed)
    policy = PrepPolicy.objects.get()
    by_hand = {name: value for name, value in typed.items() if name not in ("spec", "expected_text", "confirm_mode")}
    by_hand |= {"data_source": "MANUAL", "max_age_minutes": "", "change_reason": "the placer reports no program"}
    by_hand |= state_of(policy)
    answer = client.post(f"/admin/mes/preppolicy/{policy.pk}/change/", by_hand)
    assert answer.status_code == 302, answer.content.decode()
    policy.refresh_from_db()
    assert (policy.spec, policy.expected_text, policy.confirm_mode) == (None, "", "MANUAL")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": ""}, "DEVICE needs the spec whose value confirms."),
        ({"data_source": "MANUAL"}, "AUTO needs the data source SYSTEM, DEVICE or RECORD."),
        ({"line": ""}, "Name a line or a route, not both."),
        ({"code": "CLEAN"}, "Must be PREP_ with capital letters, digits and underscores."),
    ],
)
def test_what_does_not_go_together_is_said(typed: dict[str, Any], client: Client, change: Any, said: str) -> None:
    for address in (SAY, ADD):
        answer = client.post(address, {**typed, **change})
        assert answer.status_code == 200 and said in answer.content.decode(), address
    assert not PrepPolicy.objects.exists()
