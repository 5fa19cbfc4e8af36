"""Each arrow between normal, tightened, reduced and discontinued inspection, by scripted series of lots."""

from execution.quality.oqc.switching import Lot, Standing, after

NORMAL, TIGHTENED, REDUCED = Standing(), Standing("TIGHTENED"), Standing("REDUCED")


def play(series: str, standing: Standing = NORMAL, *, allowed: bool = True, **lot) -> Standing:
    """`+` is a lot that is accepted, `-` one that is not."""
    for sign in series:
        told = {"state": standing.state, "ac": 1, "nonconforming": 0 if sign == "+" else 2, "lower_ac": 0, **lot}
        standing = after(standing, Lot(accepted=sign == "+", **told), reduced_allowed=allowed)
    return standing


def test_two_of_five_or_fewer_not_accepted_tighten():
    for series in ("--", "-+-", "-++-", "-+++-", "++++-+-", "+++++++-+++-"):
        assert play(series[:-1]).state == "NORMAL", series
        assert play(series) == TIGHTENED, series
    for series in ("-++++-", "-++++-++++-", "+-++++"):
        assert play(series).state == "NORMAL", series


def test_five_in_a_row_accepted_loosen_again():
    assert play("++++", TIGHTENED).state == "TIGHTENED"
    assert play("+++++", TIGHTENED) == Standing("NORMAL")  # score and window begin anew
    assert play("++++-++++", TIGHTENED).state == "TIGHTENED"
    assert play("++++-+++++", TIGHTENED) == Standing("NORMAL")
    assert play("+++++-", TIGHTENED).state == "NORMAL"  # those before are forgotten


def test_five_not_accepted_while_tightened_discontinue():
    assert play("-+-++-+++-", TIGHTENED).state == "TIGHTENED"
    assert play("-+-++-+++-+-", TIGHTENED).state == "DISCONTINUED"
    assert play("-----", TIGHTENED).state == "DISCONTINUED"
    assert play("----+++++", TIGHTENED) == Standing("NORMAL")
    assert play("-++++++++", Standing("DISCONTINUED", not_accepted=5)) == Standing("DISCONTINUED", not_accepted=5)


def test_a_score_of_thirty_reduces_where_that_is_allowed():
    assert play("+" * 14) == Standing(score=28, recent=(True,) * 5)
    assert play("+" * 15) == REDUCED
    assert play("+" * 20, allowed=False) == Standing(score=40, recent=(True,) * 5)
    assert play("+" * 14 + "-" + "+" * 14).score == 28  # one that is not accepted takes all of it
    assert play("+" * 15, ac=0).state == "REDUCED"


def test_with_ac_of_two_or_more_the_next_lower_aql_counts():
    assert play("+" * 9, ac=2, lower_ac=1, nonconforming=1).score == 27
    assert play("+" * 10, ac=2, lower_ac=1, nonconforming=1) == REDUCED
    assert play("+", Standing(score=27), ac=2, lower_ac=1, nonconforming=2).score == 0  # accepted, but not there
    assert play("+", Standing(score=26), ac=2, lower_ac=1, nonconforming=0).score == 29


def test_one_not_accepted_ends_reduced_inspection():
    assert play("+" * 30, REDUCED) == REDUCED
    assert play("+-", REDUCED) == Standing("NORMAL")


def test_a_lot_of_an_earlier_state_counts_only_against():
    assert play("+", Standing("TIGHTENED", accepted_in_row=4), state="NORMAL").state == "TIGHTENED"
    assert play("-", Standing("TIGHTENED", not_accepted=4), state="NORMAL").state == "DISCONTINUED"
    assert play("+", Standing(score=28), state="REDUCED").score == 28
