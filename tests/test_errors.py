"""Refusals: labels in the message, stable values in the details."""

import pytest
from django.utils.functional import Promise

from mes import errors, labels
from mes.platform.http import envelope
from mes.production.models import UnitStatus
from mes.readiness.models import ConfirmMode, DataSource


def test_a_message_has_labels_and_the_details_have_values() -> None:
    refusal = errors.InvalidTransition(
        action=labels.Action.RELEASE, entity=labels.Entity.UNIT, state=UnitStatus.IN_STATION
    )
    assert str(refusal) == "“Release” is not possible: the unit is “In station”."
    assert envelope.refusal_as_json(refusal)["details"] == {
        "action": "release",
        "entity": "unit",
        "state": "IN_STATION",
    }
    assert [type(value) for value in refusal.details.values()] == [str, str, str]


def test_choices_of_any_refusal_are_shown_by_their_labels() -> None:
    refusal = errors.PrepSourceMismatch(
        name="Feeders", source=DataSource.SYSTEM, confirm_mode=ConfirmMode.MANUAL, data_source=DataSource.MANUAL
    )
    assert "“Another system reports it”" in str(refusal)
    assert refusal.details["source"] == "SYSTEM"


@pytest.mark.parametrize("member", [*labels.Action, *labels.Entity, *labels.State], ids=repr)
def test_every_word_is_translated_where_it_is_shown(member: labels.Action) -> None:
    assert isinstance(member.label, Promise)
