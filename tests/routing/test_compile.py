import pytest
from tests.factories import api_client, make_plant, make_user

pytestmark = pytest.mark.django_db


def test_plant_is_ready():
    plant = make_plant()
    assert plant.version.status == "READY" and plant.run.status == "AUTHORIZED" and plant.sns == ["SN-1", "SN-2"]
    make_user("ENGINEER"); api_client("ENGINEER")
