"""Serial numbers that are odd but right."""

from urllib.parse import quote

import pytest

from mes.platform.accounts.roles import Role
from tests.factories import api_client, make_plant
from tests.integration.helpers import track_in

ODD = ["SN.1", "SN+1", "SN:1", "SN#1", "SN 1", "100%", "%41", "a?b=c&d", "ünï😀", "a..b", "a\\b", "'; --", "x" * 100]
ODD += ["a/b", "a/%2F/c"]


@pytest.mark.parametrize("sn", ODD)
def test_an_odd_serial_number_is_found_by_every_address(db: None, sn: str) -> None:
    make_plant(units=0)
    client = api_client(Role.ADMIN)
    track_in(client, "SMT-01", sn)
    part = quote(sn, safe="")
    for url in (f"trace/units/{part}", f"stations/resolve-unit/{part}", f"stations/SMT-01/unit/{part}/data-specs"):
        answer = client.get(f"/api/{url}")
        assert answer.status_code == 200, (url, answer.content)
    answer = client.post(f"/api/units/{part}/hold", {"reason": "odd"})
    assert (answer.status_code, answer.json()["data"]["sn"]) == (200, sn)
