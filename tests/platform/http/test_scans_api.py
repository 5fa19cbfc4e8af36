"""What a scanner's text says, asked over HTTP."""

import pytest

from mes.platform.accounts.roles import Role
from tests.factories import api_client

READ = "/api/scans/read"


@pytest.mark.parametrize("role", Role)
def test_whoever_has_a_role_may_have_a_scan_read(db, role):
    answer = api_client(role).post(READ, {"text": "]C110A-1\x1d215\r\n"})
    assert (answer.status_code, answer.json()["data"]) == (
        200,
        {"text": "10A-1\x1d215", "symbology": "]C1", "ai": {"10": "A-1", "21": "5"}, "di": {}, "problems": []},
    )


def test_what_is_broken_has_problems(db):
    data = api_client().post(READ, {"text": "[)>\x1e06\x1dPX1"}).json()["data"]
    assert (data["ai"], data["di"], len(data["problems"])) == ({}, {}, 1)


@pytest.mark.parametrize("text", ["", None, 1, "a\0b", "[)>\x1e06\x1d" + "P" * 1_000_000])
def test_what_is_no_scan_is_refused(db, text):
    answer = api_client().post(READ, {"text": text})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
