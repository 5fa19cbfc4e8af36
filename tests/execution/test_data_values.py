"""A data value has one value, whoever writes it."""

from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from execution.models import DataValue
from tests.factories import make_plant

pytestmark = pytest.mark.django_db


def store(**values: Any) -> DataValue:
    spec = make_plant().peak
    now = timezone.now()
    return DataValue.objects.create(
        received_at=now, collected_at=now, spec=spec, name=spec.name, item_type=spec.item_type, source="AUTO", **values
    )


@pytest.mark.parametrize(
    "values", [{"value_number": 1}, {"value_text": ""}, {"value_boolean": False}, {"value_json": {"a": None}}]
)
def test_one_value_of_any_kind_is_kept(values: dict[str, Any]) -> None:
    assert DataValue.objects.filter(pk=store(**values).pk, **values).exists()


@pytest.mark.parametrize(
    "values", [{}, {"value_number": 1, "value_text": "1"}, {"value_boolean": True, "value_json": [1]}]
)
def test_none_and_two_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="data_value_exactly_one"):
        store(**values)
