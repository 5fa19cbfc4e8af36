"""Pytest as `script/test` runs it: `python -m tests.second_try [ARGUMENTS]`, pytest's own.

A run of thousands of tests beside each other on a small machine now and then has one that was not served in time. Where
few fail, each is run once more, alone, one after the other; if all pass then, so does the run, and it says which they
were. What is there to find what happens seldom is never given a second try, and a run that did not end neither.
Controls of races are: one that fails has seen no fault, it has missed the one that it makes.

`--beside COMMAND`, before pytest's own arguments and as often as needed, carries out checks one after the other while
the tests run: such as mypy, which uses one core for a minute. The first that fails ends the run.
"""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence

import pytest

MOST = 5  # more are no accident
SELDOM = ("tests/race/", "tests/faults/", "tests/life/", "tests/truth/")  # what fails there once is a finding …
CONTROL = "::test_control_"  # … unless it shows that the race is there without the lock: then it was missed once
AGAIN = "--again"
BESIDE = "--beside"


class Outcomes:
    """What became of the tests of a run: a plugin of the process that begins it."""

    def __init__(self) -> None:
        self.failed: dict[str, None] = {}  # in their order
        self.passed: set[str] = set()
        self.is_whole = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.is_whole &= not report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self) -> None:
        """A process of pytest-xdist died."""
        self.is_whole = False

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.is_whole &= not (session.shouldfail or session.shouldstop)  # by -x, say: the rest was not run


class Beside:
    """Checks that are carried out while the tests run: a plugin, which ends the run once one failed."""

    def __init__(self, commands: Sequence[str]) -> None:
        self.commands = list(commands)
        self.failed = ""
        self.is_over = False
        self.process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._carry_out, daemon=True)

    def __enter__(self) -> "Beside":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.is_over = True
        while self.thread.is_alive():  # it may be about to begin one
            if self.process is not None:
                self.process.kill()
            self.thread.join(0.1)

    def wait(self) -> bool:
        """Wait for all; say whether all passed."""
        self.thread.join()
        return not self.failed

    def pytest_runtest_logreport(self) -> None:
        if self.failed:
            pytest.exit(f"{self.failed} failed", returncode=int(pytest.ExitCode.TESTS_FAILED))

    def _carry_out(self) -> None:
        for command in self.commands:
            if self.is_over:
                return
            # Tests that wait for a time go first.
            quiet = ["nice", *shlex.split(command)]
            self.process = subprocess.Popen(quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            output = self.process.communicate()[0].decode(errors="replace")
            if self.is_over:
                return
            if self.process.returncode != 0:
                self.failed = command
            print(f"\n== {command}{' failed.' * bool(self.failed)}\n{output}", end="", flush=True)
            if self.failed:
                return


def is_worth_it(code: int, failed: Sequence[str], *, is_whole: bool) -> bool:
    """Say whether the tests that failed in a run which ended with this code are given a second try."""
    is_ended = code == pytest.ExitCode.TESTS_FAILED and is_whole
    return is_ended and 0 < len(failed) <= MOST and not any(map(is_finding, failed))


def is_finding(test: str) -> bool:
    """Say whether a test that failed once has found what happens seldom."""
    return test.startswith(SELDOM) and CONTROL not in test


def code_of(code: int, tests: Iterable[str], passed: set[str]) -> int:
    """Return the exit code of a run by that of the second try: each of the tests passed, none was skipped."""
    is_good = code == pytest.ExitCode.OK and passed.issuperset(tests)
    return int(pytest.ExitCode.OK if is_good else pytest.ExitCode.TESTS_FAILED)


def run(arguments: list[str]) -> int:
    """Run the tests, and checks beside them; where a second try is worth it, this process goes on as that."""
    commands, arguments = split(arguments)
    outcomes, marks = Outcomes(), Marks()
    with Beside(commands) as beside:
        code = int(pytest.main(arguments, plugins=[outcomes, marks, beside]))
        if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not beside.wait():
            return int(pytest.ExitCode.TESTS_FAILED)
    failed = list(outcomes.failed)
    if is_worth_it(code, failed, is_whole=outcomes.is_whole):
        print(f"\n== {len(failed)} failed. Once more, alone, one after the other.", flush=True)
        os.execv(sys.executable, [sys.executable, "-m", "tests.second_try", AGAIN, marks.expression, *failed])
    return code


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the commands to carry out beside the tests, and pytest's arguments."""
    commands, rest = [], list(arguments)
    while rest[:1] == [BESIDE]:
        commands.append(rest[1])
        rest = rest[2:]
    return commands, rest


def run_again(expression: str, tests: list[str]) -> int:
    """Run these tests one after the other, and say what is to be mended."""
    outcomes = Outcomes()
    code = code_of(int(pytest.main(["-m", expression, *tests], plugins=[outcomes])), tests, outcomes.passed)
    if code == pytest.ExitCode.OK:
        print("\n" + "!" * 100)
        print("!! These tests passed only on the second try. Mend them: they depend on time or on others.")
        print(*(f"!!   {test}" for test in tests), sep="\n")
        print("!" * 100, flush=True)
    return code


class Marks:
    """Which tests were asked for by mark: what `-m long` brought needs it again."""

    expression = ""

    def pytest_configure(self, config: pytest.Config) -> None:
        self.expression = config.option.markexpr


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(run_again(given[1], given[2:]) if given[:1] == [AGAIN] else run(given))
