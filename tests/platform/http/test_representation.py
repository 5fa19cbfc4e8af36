"""Rows are shown as REST framework shows them, whose own way is the measure."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers

from mes.platform.http import representation
from mes.platform.http.serializers import IdField, ObjectSerializer, OffsetDateTimeField, RowSerializer
from mes.production.models import RunStatus


class Whole(ObjectSerializer):
    """Plain fields only: read and written alike for all instances."""

    id = IdField()
    runNo = serializers.CharField(source="run.run_no", default=None, allow_null=True)
    lineCode = serializers.CharField(source="run.line.code", allow_null=True)
    note = serializers.CharField(required=False)
    status = serializers.ChoiceField(choices=RunStatus.choices)
    quantity = serializers.IntegerField()
    share = serializers.FloatField()
    isLate = serializers.BooleanField()
    payload = serializers.JSONField()
    startedAt = OffsetDateTimeField(allow_null=True)


class Part(ObjectSerializer):
    code = serializers.CharField()


class Mixed(ObjectSerializer):
    """With fields that ask for the serializer, the request or another serializer."""

    code = serializers.CharField()
    asked = serializers.SerializerMethodField()
    parts = Part(many=True)
    part = Part(allow_null=True)
    labels = serializers.ListField(child=serializers.CharField())
    price = serializers.DecimalField(max_digits=8, decimal_places=2)
    day = serializers.DateField()
    asText = serializers.ReadOnlyField(source="describe")
    secret = serializers.CharField(write_only=True)

    def get_asked(self, row: Any) -> str:
        return f"{row.code} by {self.context['by']}"


class Row:
    """What has methods, properties and things that are not there."""

    code = "A"
    parts = (SimpleNamespace(code=1), SimpleNamespace(code="b"))
    part = None
    labels = ("x", 2)
    price = Decimal("1.5")
    day = date(2026, 11, 30)

    def describe(self) -> str:
        return "called"

    @property
    def run(self) -> Any:
        raise ObjectDoesNotExist


def row(**changes: Any) -> SimpleNamespace:
    run = SimpleNamespace(run_no="R-1", line=SimpleNamespace(code=7))
    fields = {
        "pk": 12,
        "run": run,
        "note": "",
        "status": RunStatus.IN_PROGRESS,
        "quantity": "3",
        "share": 1,
        "is_late": "yes",
        "payload": {"a": [1, None]},
        "started_at": datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=timezone(timedelta(hours=2))),
    }
    return SimpleNamespace(**{**fields, **changes})


def slowly(serializer: serializers.Serializer, instance: Any) -> Any:
    return serializers.Serializer.to_representation(serializer, instance)


def without(thing: SimpleNamespace, name: str) -> SimpleNamespace:
    return SimpleNamespace(**{key: value for key, value in vars(thing).items() if key != name})


@pytest.mark.parametrize(
    "shown",
    [
        row(),
        row(run=None),
        row(run=SimpleNamespace(run_no=None, line=None)),
        row(started_at=None, payload=None, status="", quantity=2.0),
        row(started_at=datetime(2026, 1, 2, tzinfo=UTC), status="UNHEARD_OF"),
        row(note=lambda: "called"),
        without(row(), "note"),
        {**vars(row()), "run": {"run_no": "R-2", "line": {"code": "items"}}},
    ],
)
def test_plain_rows(shown: Any) -> None:
    assert Whole().to_representation(shown) == slowly(Whole(), shown)
    assert list(Whole(shown).data) == list(slowly(Whole(), shown))  # in the same order


def test_rows_of_other_fields() -> None:
    context = {"by": "eng"}
    expected = slowly(Mixed(context=context), Row())
    assert Mixed(Row(), context=context).data == expected
    assert Mixed([Row()] * 2, many=True, context=context).data == [expected] * 2
    assert "secret" not in expected


def test_what_is_missing_is_told_as_ever() -> None:
    with pytest.raises(AttributeError, match="Got AttributeError when attempting to get a value for field `quantity`"):
        Whole().to_representation(without(row(), "quantity"))


def test_fields_that_an_instance_changed_are_its_own() -> None:
    fewer = Whole()
    del fewer.fields["payload"]
    assert "payload" not in fewer.to_representation(row())
    assert "payload" in Whole().to_representation(row())


def test_subclasses_have_columns_of_their_own() -> None:
    class More(Whole):
        extra = serializers.CharField()

    assert "extra" not in Whole().to_representation(row(extra=1))
    assert More().to_representation(row(extra=1))["extra"] == "1"


def test_plain_fields_are_made_once() -> None:
    Whole(row()).data  # noqa: B018
    with mock.patch.object(Whole, "get_fields", side_effect=AssertionError("built anew")):
        assert Whole([row()], many=True).data[0]["runNo"] == "R-1"


@pytest.mark.parametrize("method", representation.PLAIN, ids=lambda method: method.__qualname__)
def test_what_is_taken_for_plain_looks_at_neither_serializer_nor_request(method: Any) -> None:
    assert not {"parent", "root", "context"} & set(method.__code__.co_names)


def test_relations_of_rows(db: None) -> None:
    class Permitted(RowSerializer):
        contentType = serializers.PrimaryKeyRelatedField(read_only=True)
        model = serializers.SlugRelatedField(slug_field="model", source="content_type", read_only=True)

        class Meta:
            model = Permission
            fields = ["codename", "contentType", "model"]

    found = Permission.objects.first()
    assert Permitted(found).data == slowly(Permitted(), found)
    nowhere = Permission(codename="x")
    nowhere.content_type = None  # type: ignore[assignment]
    assert (
        Permitted(nowhere).data == slowly(Permitted(), nowhere) == {"codename": "x", "contentType": None, "model": None}
    )
