"""Labels of makers and distributors are read as ISO/IEC 15434 says; those that cannot be meant are refused."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mes import errors
from mes.line_setup.lots.labels import Label, read_label
from mes.line_setup.models import MaterialLot
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from tests.factories import api_client
from tests.integration.helpers import another, at_once, nothing_changes

LOTS = "/api/material-lots"
SAMPLES = json.loads((Path(__file__).parent.parent / "payloads" / "reel_labels.json").read_text())
HEAD, TAIL = "[)>\x1e06\x1d", "\x1e\x04"


def label(*fields: str) -> str:
    return HEAD + "\x1d".join(fields) + TAIL


WHOLE = label("PR-10K", "1PRC0402FR-0710KL", "Q5000", "1TL26", "10D2603", "3SR-1")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["maker"])
def test_labels_of_makers_are_read(sample):
    read = read_label(sample["label"])
    assert read == Label(**{**sample["expected"], "quantity": Decimal(sample["expected"]["quantity"])})
    spelt = sample["label"].replace("\x1e", "{RS}").replace("\x1d", "{GS}").replace("\x04", "{EOT}")
    assert read_label(spelt) == read


def test_a_package_goes_before_a_serial_number_and_that_before_the_maker_s_lot():
    assert [
        read_label(label("PX", "Q1", *fields)).lot_id for fields in (("1TL", "SS1", "3SP1"), ("1TL", "SS1"), ("1TL",))
    ] == ["P1", "S1", "L"]


BAD = {
    "cut off": WHOLE[:-2],
    "cut off in a field": WHOLE[:30],
    "only its head": HEAD,
    "two lots": label("PR-10K", "Q1", "3SR-1", "3SR-2"),
    "no quantity": label("PR-10K", "3SR-1"),
    "quantity of nothing": label("PR-10K", "Q0", "3SR-1"),
    "negative": label("PR-10K", "Q-5", "3SR-1"),
    "no number": label("PR-10K", "QNaN", "3SR-1"),
    "huge": label("PR-10K", "Q9999999999", "3SR-1"),
    "other digits": label("PR-10K", "Q٣", "3SR-1"),
    "no lot": label("PR-10K", "Q1"),
    "no material": label("Q1", "3SR-1"),
    "invisible": label("PR-10K", "Q1", "3SR\u200b1"),
    "a control character": label("PR-10K", "Q1", "3SR\x011"),
    "another format": HEAD.replace("06", "12") + "x" + TAIL,
    "GS1": "(01)09521234543213(10)ABC",
    "plain": "R-1",
    "empty": "",
    "long": label("P" + "R" * 101, "Q1", "3SR-1"),
    "endless": label("PR-10K", "Q1", "3SR-1", "1T" + "x" * 1_000_000),
    "endless and plain": "x" * 1_000_000,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_bad_labels_are_unreadable_and_leave_nothing(db, text):
    Material.objects.create(code="R-10K", name="Resistor")
    with pytest.raises(errors.LabelUnreadable):
        read_label(text)
    client = api_client(Role.OPERATOR)
    with nothing_changes():
        answer = client.post(LOTS, {"label": text})
        expected = (422, "LABEL_UNREADABLE") if text else (400, "VALIDATION_ERROR")
        assert (answer.status_code, answer.json()["error"]["code"]) == expected


def test_a_label_makes_a_lot_once_and_its_material_must_agree(db):
    Material.objects.create(code="OURS", name="Resistor", manufacturer_parts=["RC0402FR-0710KL"])
    client = api_client(Role.OPERATOR)
    first = client.post(LOTS, {"label": WHOLE})  # P is what the distributor calls it
    assert first.status_code == 201
    lot = first.json()["data"]
    assert (lot["lotId"], lot["materialCode"], lot["quantity"]) == ("R-1", "OURS", 5000)
    assert (lot["supplierLot"], lot["dateCode"], lot["manufacturerPart"]) == ("L26", "2603", "RC0402FR-0710KL")
    with nothing_changes():
        assert client.post(LOTS, {"label": WHOLE}).status_code == 200
        unknown = client.post(LOTS, {"label": label("PX", "1PY", "Q1", "3SR-2")})
        assert unknown.json()["error"]["code"] == "MATERIAL_NOT_FOUND"
    Material.objects.create(code="R-10K", name="Resistor")
    with nothing_changes():
        assert client.post(LOTS, {"label": WHOLE}).json()["error"]["code"] == "LOT_MATERIAL_MISMATCH"
    Material.objects.create(code="TWIN", name="Resistor", manufacturer_parts=["RC0402FR-0710KL"])
    with nothing_changes():
        twice = client.post(LOTS, {"label": label("1PRC0402FR-0710KL", "Q1", "3SR-3")})
        assert twice.json()["error"]["code"] == "LABEL_UNREADABLE"


def test_one_label_at_once_makes_one_lot(transactional_db):
    Material.objects.create(code="R-10K", name="Resistor")
    client = api_client(Role.OPERATOR)

    def scan() -> Any:
        return another(client).post(LOTS, {"label": WHOLE}).status_code

    answers = at_once(*[scan] * 6)
    assert sorted(answers) == [200] * 5 + [201]
    assert MaterialLot.objects.count() == 1
