"""What a mask of serial numbers asks, and what none may be."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.routing.sn_masks import LONGEST_MASK, MOST_MASKS, find_problems, fits


@pytest.mark.parametrize(
    ("mask", "fitting", "others"),
    [
        ("SN-####", ["SN-0001"], ["SN-001", "SN-00001", "sn-0001", "SN-000A", "SN-٠٠٠١"]),
        ("@@**", ["AB1C"], ["A11C", "ab1c", "ÄB1C", "AB1c"]),
        ("A?B", ["A B", "A/B", "AéB"], ["AB", "A  B"]),
        (r"\#\*\\#", [r"#*\7"], ["1A\\7", r"#*\A"]),
        ("(A|B)+.", ["(A|B)+."], ["A.", "(A|B)+x"]),
        ("ü€", ["ü€"], ["Ü€"]),
    ],
)
def test_what_fits(mask, fitting, others):
    assert find_problems([mask]) == {}
    assert all(fits(sn, [mask]) for sn in fitting)
    assert not any(fits(sn, [mask]) for sn in others)


def test_one_of_several_is_enough():
    assert fits("B1", ["A#", "B#"])
    assert not fits("C1", ["A#", "B#"])


@pytest.mark.parametrize(
    "masks",
    [
        "A#",
        None,
        {"A": 1},
        [1],
        [None],
        [["#"]],
        [""],
        [" A"],
        ["A\n"],
        ["A\0"],
        ["\ud800"],
        ["A\\"],
        ["A\\\\\\"],
        ["#" * (LONGEST_MASK + 1)],
        ["#"] * (MOST_MASKS + 1),
    ],
)
def test_nonsense_is_refused(masks):
    assert find_problems(masks)


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_allowed_can_be_asked(mask, sn):
    if not find_problems([mask]):
        fits(sn, [mask])
        literal = mask.replace("\\", "\\\\")
        for sign in "#@*?":
            literal = literal.replace(sign, "\\" + sign)
        assert fits(mask, [literal])


def test_no_mask_takes_long():
    began = process_time()
    assert not fits("A" * 100_000, ["?" * LONGEST_MASK, "*" * LONGEST_MASK])
    assert process_time() - began < 0.1
