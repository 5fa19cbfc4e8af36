"""What a token that is limited to stations may not do, although its role may."""

import pytest

from mes.platform.accounts.roles import Role
from tests.factories import api_client, make_station

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address", ["/api/events/1/retry", "/api/events/retry-dead", "/api/integration/outbound/events/1/retry"]
)
def test_what_belongs_to_no_station_is_refused(address: str) -> None:
    make_station("S1")
    for stations, is_refused in ((["S1"], True), ([], False)):
        answer = api_client(Role.ENGINEER, stations).post(address, {})
        assert (answer.status_code == 403) is is_refused, answer.content
