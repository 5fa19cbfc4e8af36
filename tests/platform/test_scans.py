"""What a scan says, and what a field takes of it."""

import string
from time import process_time

import pytest
from biip.checksums import gs1_standard_check_digit
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from mes.platform.scans import LONGEST_SYMBOL, LOT, MATERIAL, UNIT, Scan, read_scan, take_part

GS, RS, EOT = "\x1d", "\x1e", "\x04"
# docs.strich.io/reading-gs1-data
PACKAGE = f"]d20108806388269617112302141728021310230214A3263-01{GS}21059{GS}240ARO4808C"
BRACKETED = "(01)09521234543213(17)100101(10)123ABC(21)1234567890"  # wiki of BWIPP
ENVELOPE = f"[)>{RS}06{GS}PX1{GS}1TL9{GS}Q10{RS}{EOT}"


def test_an_element_string_of_gs1():
    ai = {"01": "08806388269617", "11": "230214", "17": "280213"}
    ai |= {"10": "230214A3263-01", "21": "059", "240": "ARO4808C"}
    assert read_scan(PACKAGE) == Scan(PACKAGE[3:], "]d2", ai)


def test_an_element_string_as_people_read_it():
    assert read_scan(BRACKETED).ai == {"01": "09521234543213", "17": "100101", "10": "123ABC", "21": "1234567890"}


def test_an_envelope_of_data_identifiers():
    assert read_scan(ENVELOPE) == Scan(ENVELOPE, di={"P": "X1", "1T": "L9", "Q": "10"})


def test_an_envelope_of_both_formats():
    scan = read_scan(f"[)>{RS}05{GS}10A-1{GS}215{RS}06{GS}1PX/9{GS}K{GS}Q10{RS}{EOT}\r\n")
    assert (scan.ai, scan.di, scan.problems) == ({"10": "A-1", "21": "5"}, {"1P": "X/9", "K": "", "Q": "10"}, ())


@pytest.mark.parametrize("mark", ["]C1", "]d2", "]Q3", "]e0", GS, f"]C1{GS}", f"]Q1{GS}"])
def test_what_marks_an_element_string(mark):
    assert read_scan(f"{mark}21A{GS}10B").ai == {"21": "A", "10": "B"}


@pytest.mark.parametrize("text", ["0108806388269617", "SN-1", "21A", "]", "]d", "A/B", "(1)A", "1TL9", "[)A", ""])
def test_without_a_mark_nothing_is_guessed(text):
    assert read_scan(text) == Scan(text)


def test_ends_go_and_what_is_within_stays():
    assert read_scan(" \t]A0SN 1\tA\r\n") == Scan("SN 1\tA", "]A0")
    assert read_scan("\xa0SN\xa0").text == "\xa0SN\xa0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("]C10108806388269618", "(01)"),  # the check digit
        ("]C1010880638826961", "(01)"),  # the length
        ("]C117231399", "(17)"),  # the thirteenth month
        (f"]C110{'A' * 21}", "(10)"),
        (f"]C110{'A' * 20}21B", "(10)"),  # GS is missing behind it
        ("]C110ABC é", "GS1"),
        ("]C121١٢", "GS1"),  # digits, of another script
        ("]C10599", "“0599”"),
        (f"]C121A{GS}{GS}10B", "“␣10B”"),
        (f"]C121A{GS}21B", "21"),
        ("]C1", "“”"),
        ("(01)09521234543213(05)1", "“051”"),
        ("(10)A\x1d21B", "(10)"),
        ("(21)", "(21)"),
        (f"[)>06{GS}PX1{RS}{EOT}", "RS"),
        (f"[)>{RS}06{GS}PX1", "RS EOT"),
        (f"[)>{RS}12{GS}PX1{RS}{EOT}", "05"),
        (f"[)>{RS}06PX1{RS}{EOT}", "05"),
        (f"[)>{RS}06{GS}px1{RS}{EOT}", "“px1”"),
        (f"[)>{RS}06{GS}1234PX{RS}{EOT}", "“1234PX”"),
        (f"[)>{RS}06{GS}PX{GS}PY{RS}{EOT}", "P"),
        (f"[)>{RS}06{GS}PX\x07{RS}{EOT}", "P"),
        (f"[)>{RS}{RS}{EOT}", "05"),
    ],
)
def test_what_breaks_a_rule_has_problems_and_no_parts(text, says):
    scan = read_scan(text)
    assert (scan.ai, scan.di) == ({}, {})
    assert says in " ".join(scan.problems)


@pytest.mark.parametrize("text", [PACKAGE, ENVELOPE, BRACKETED])
def test_a_label_that_was_cut_gives_no_part_that_it_does_not_have(text):
    whole = read_scan(text)
    for end in range(len(text)):
        scan = read_scan(text[:end])
        if scan.problems:
            assert not scan.ai and not scan.di
        parts = {**scan.ai, **scan.di}
        assert all({**whole.ai, **whole.di}[name].startswith(value) for name, value in parts.items())


@given(st.text(st.sampled_from(f"]C1d2[)>(){GS}{RS}{EOT}0123456789PST {string.ascii_letters}é١")))
def test_any_text_is_read(text):
    for mark in ("", "]C1", f"[)>{RS}06{GS}", f"[)>{RS}05{GS}"):
        for end in ("", f"{RS}{EOT}"):
            scan = read_scan(mark + text + end)
            assert not (scan.problems and (scan.ai or scan.di))


@given(st.text("0123456789", min_size=13, max_size=13), st.text("ABC-/09", min_size=1, max_size=20))
def test_what_was_put_together_is_read_again(item, lot):
    number = item + str(gs1_standard_check_digit(item))
    assert read_scan(f"]d210{lot}{GS}01{number}").ai == {"10": lot, "01": number}
    assert read_scan(f"(01){number}(10){lot}").ai == {"10": lot, "01": number}


@pytest.mark.parametrize("head", ["", "]C1", "]C12000", f"[)>{RS}06{GS}", "(10)", "]C1" + "2000" * 1772])
@pytest.mark.parametrize("filling", ["A", "2000", f"{GS}", " ", "(10)A", f"{RS}"])
def test_a_long_text_is_read_quickly(head, filling):
    began = process_time()
    scan = read_scan((head + filling * 1_000_000)[:1_000_000])
    assert process_time() - began < 1
    assert not (scan.ai or scan.di) or len(scan.text) <= LONGEST_SYMBOL


# --- fields -----------------------------------------------------------------------------------------------


def test_a_field_takes_its_part():
    assert (take_part(PACKAGE, UNIT), take_part(PACKAGE, LOT), take_part(PACKAGE, MATERIAL)) == (
        "059",
        "230214A3263-01",
        "ARO4808C",
    )
    assert (take_part(ENVELOPE, LOT), take_part(ENVELOPE, MATERIAL)) == ("L9", "X1")
    assert take_part(f"[)>{RS}06{GS}P{GS}1PX2{RS}{EOT}", MATERIAL) == "X2"


def test_a_field_takes_a_plain_text_whole():
    assert take_part(" ]A0SN 1\r", UNIT) == "SN 1"


def test_a_label_without_the_part_is_refused_in_words():
    with pytest.raises(ValidationError, match=r"no serial number \(\(21\), S\), but P, 1T, Q"):
        take_part(ENVELOPE, UNIT)


def test_a_broken_label_is_refused_in_words():
    with pytest.raises(ValidationError, match=r"cannot be read: .*RS EOT"):
        take_part(ENVELOPE[:-1], LOT)
