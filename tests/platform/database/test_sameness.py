"""The digest of what a message says: keys that are kept must know it again for as long as they live."""

from typing import Any

import pytest

from mes.platform.inbound.digest import digest_of

BODY: dict[str, Any] = {
    "eventId": "evt-1",
    "eventTime": "2026-03-10T15:30:00.250+05:30",
    "source": "AUTO",
    "runNo": None,
    "stepNo": 20,
    "flag": True,
    "note": "é\U0001f600",
    "data": [
        {"specName": "P", "valueNumber": 245.0, "collectedAt": "2026-03-10T10:00:00Z"},
        {
            "valueJson": {
                "collectedAt": "2026-03-10T06:00:00-04:00",
                "occurredAt": "yesterday",
                "n": None,
                "list": [1.0, None, True, 2**53, -0.0, 1e300, 0.1],
            }
        },
    ],
    "meta": {"a": 1},
}


def test_the_digest_is_what_earlier_versions_kept() -> None:
    """A change of it would turn every repeat of what was received before into a conflict."""
    assert digest_of(BODY).hex() == "76811e98fae166367a6af52d5d95239bd14ae6a6b144bbc747f30278bc32b360"


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {"n": 10**400}}])
def test_meta_says_nothing(meta: dict[str, Any]) -> None:
    said = {name: value for name, value in BODY.items() if name != "meta"}
    assert digest_of({**said, **meta}) == digest_of(BODY)


def test_a_body_is_left_as_it_was() -> None:
    body = {"a": 1.0, "data": [{"b": None, "eventTime": "2026-03-10T15:30:00+05:30"}]}
    digest_of(body)
    assert body == {"a": 1.0, "data": [{"b": None, "eventTime": "2026-03-10T15:30:00+05:30"}]}
