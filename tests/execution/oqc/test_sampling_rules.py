"""Sampling rules are kept over HTTP; a scheme takes its own numbers and no others."""

from execution.models import SamplingRule
from tests.factories import api_client, make_plant

ISO = {"code": "S-1", "name": "All boards", "scheme": "ISO2859", "level": "II", "aql": "1"}


def test_a_rule_is_made_read_changed_and_deleted(db):
    make_plant()
    client = api_client()
    made = client.post("/api/oqc/sampling-rules", {**ISO, "lineCode": "SMT-A", "items": [{"itemName": "Label"}]})
    assert made.status_code == 201, made.json()
    rule = made.json()["data"]
    address = f"/api/oqc/sampling-rules/{rule['id']}"
    assert rule == client.get(address).json()["data"]
    assert {**ISO, "aql": "1.0", "n": None, "percent": None, "reducedAllowed": False}.items() <= rule.items()
    changed = client.patch(address, {"scheme": "PERCENT", "percent": 2.5, "level": None, "aql": None})
    assert (changed.status_code, changed.json()["data"]["percent"]) == (200, 2.5)
    assert client.delete(address).status_code == 200
    assert not SamplingRule.objects.exists()


def test_what_a_scheme_has_not_is_refused(db):
    client = api_client()
    for told, field in [
        ({"scheme": "FIXED"}, "n"), ({"scheme": "FIXED", "n": 0}, "n"), ({"scheme": "ALL", "n": 3}, "n"),
        ({"scheme": "PERCENT"}, "percent"), ({"scheme": "PERCENT", "percent": 0}, "percent"),
        ({"scheme": "PERCENT", "percent": 33.333}, "percent"), ({"scheme": "PERCENT", "percent": 101}, "percent"),
        ({"scheme": "ISO2859", "aql": "1.0"}, "level"), ({"scheme": "ISO2859", "level": "II"}, "aql"),
        ({"scheme": "ISO2859", "level": "II", "aql": "0.5"}, "aql"),
        ({"scheme": "ALL", "reducedAllowed": True}, "reducedAllowed"),
        ({"scheme": "NONE", "items": [{"name": "x"}]}, "items"), ({"scheme": "SOME"}, "scheme"),
    ]:  # fmt: skip
        answer = client.post("/api/oqc/sampling-rules", {"code": "S-1", "name": "Boards", **told})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), told
        assert any(place.startswith(field) for place in answer.json()["error"]["details"]), answer.json()
    assert not SamplingRule.objects.exists()
