"""Few failures are given a second try, and nothing else (`tests/second_try.py`)."""

import pytest

from tests.second_try import MOST, SELDOM, Beside, code_of, is_worth_it, split

ONE = "tests/trace/test_pages.py::test_it[a b]"


def test_few_failures_of_a_whole_run_are_given_a_second_try() -> None:
    few = [f"{ONE}{number}" for number in range(MOST)]
    assert is_worth_it(1, [ONE], is_whole=True)
    assert is_worth_it(1, few, is_whole=True)
    assert not is_worth_it(1, [*few, ONE], is_whole=True)  # too many
    assert not is_worth_it(1, [ONE], is_whole=False)  # a process died, or the run was cut short
    assert not is_worth_it(1, [], is_whole=True)  # something else failed
    for code in (0, 2, 3, 4, 5):  # interrupted, broken, wrongly called, nothing found
        assert not is_worth_it(code, [ONE], is_whole=True)


@pytest.mark.parametrize("folder", SELDOM)
def test_what_looks_for_what_happens_seldom_is_given_none(folder: str) -> None:
    assert not is_worth_it(1, [ONE, f"{folder}test_x.py::test_y"], is_whole=True)
    assert is_worth_it(1, [ONE, f"{folder}test_x.py::test_control_without_locks_it_is_torn"], is_whole=True)


def test_the_second_try_is_passed_by_those_that_ran_and_passed_only() -> None:
    assert code_of(0, [ONE, "b"], {ONE, "b"}) == 0
    assert code_of(0, [ONE, "b"], {ONE}) == 1  # the other was skipped
    assert code_of(1, [ONE], {ONE}) == 1  # it passed, and its end failed
    assert code_of(5, [ONE], set()) == 1


def test_checks_beside_the_tests_are_carried_out_in_order_up_to_the_first_that_fails(
    capfd: pytest.CaptureFixture[str],
) -> None:
    commands, rest = split(
        ["--beside", "echo one", "--beside", "sh -c 'echo two; exit 3'", "--beside", "echo three", "-x"]
    )
    assert rest == ["-x"]
    with Beside(commands) as beside:
        assert not beside.wait()
        with pytest.raises(pytest.exit.Exception, match="echo two"):
            beside.pytest_runtest_logreport()
    said = capfd.readouterr().out
    assert "one" in said and "two" in said and "three" not in said
    with Beside(["true"]) as beside:
        assert beside.wait()
        beside.pytest_runtest_logreport()


def test_checks_beside_tests_that_were_given_up_are_given_up() -> None:
    with Beside(["sleep 60", "sleep 60"]) as beside:
        pass
    assert not beside.thread.is_alive() and not beside.failed
