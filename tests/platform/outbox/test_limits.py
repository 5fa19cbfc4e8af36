"""How long a block may take, alone and within another."""

import signal
import time

import pytest

from mes.platform.outbox.time_limit import EventTooSlow, time_limit

pytestmark = pytest.mark.waiting


def left() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


def test_a_block_that_takes_too_long_is_ended():
    with pytest.raises(EventTooSlow), time_limit(0.05):
        time.sleep(10)
    assert left() == 0


def test_the_outer_limit_goes_on_after_an_inner_one():
    with pytest.raises(EventTooSlow), time_limit(0.2):
        with time_limit(5):
            time.sleep(0.05)
        assert 0 < left() <= 0.15
        time.sleep(10)
    assert left() == 0


def test_the_shorter_of_two_limits_counts():
    began = time.monotonic()
    with pytest.raises(EventTooSlow), time_limit(0.1), time_limit(5):
        time.sleep(10)
    with time_limit(5), pytest.raises(EventTooSlow), time_limit(0.1):
        time.sleep(10)
    assert time.monotonic() - began < 8
    assert left() == 0
