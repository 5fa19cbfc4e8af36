from types import SimpleNamespace

import pytest
from rest_framework import serializers

from mes.platform.http.envelope import flatten, snake_case
from mes.platform.http.serializers import ObjectSerializer, StrictSerializer


class Limits(StrictSerializer):
    lowerLimit = serializers.FloatField(min_value=0)


class Config(StrictSerializer):
    requiresFAI = serializers.BooleanField(required=False)
    stepNo = serializers.IntegerField()
    groupCode = serializers.CharField(source="station_group")
    specLimits = Limits(many=True, required=False)


class Shown(ObjectSerializer):
    stepNo = serializers.IntegerField()
    runNo = serializers.CharField(source="run.run_no")
    isLate = serializers.SerializerMethodField()

    def get_isLate(self, value: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("stepNo", "step_no"),
        ("requiresFAI", "requires_fai"),
        ("maxHoursSinceCleaning", "max_hours_since_cleaning"),
        ("code", "code"),
        ("step_no", "step_no"),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_a_body_is_read_into_snake_case() -> None:
    body = Config(data={"requiresFAI": True, "stepNo": 10, "groupCode": "OVENS", "specLimits": [{"lowerLimit": 1.5}]})
    assert body.is_valid()
    assert body.validated_data == {
        "requires_fai": True,
        "step_no": 10,
        "station_group": "OVENS",
        "spec_limits": [{"lower_limit": 1.5}],
    }


def test_problems_name_the_fields_as_they_were_sent() -> None:
    body = Config(data={"stepNo": "ten", "groupCode": "OVENS", "specLimits": [{"lowerLimit": -1}]})
    assert not body.is_valid()
    assert set(flatten(body.errors)) == {"stepNo", "specLimits.0.lowerLimit"}


def test_a_missing_field_is_named_as_it_is_sent() -> None:
    body = Config(data={})
    assert not body.is_valid()
    assert set(flatten(body.errors)) == {"stepNo", "groupCode"}


def test_an_object_is_shown_from_its_snake_case_attributes() -> None:
    shown = Shown(SimpleNamespace(step_no=10, run=SimpleNamespace(run_no="RUN-1")))
    assert shown.data == {"stepNo": 10, "runNo": "RUN-1", "isLate": True}
