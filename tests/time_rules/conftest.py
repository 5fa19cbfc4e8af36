"""A clock on the wall that tests set."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.utils import timezone

from tests.time_rules.support import at

SetTime = Callable[[datetime], None]


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> SetTime:
    """Set what time it is, from now on until it is set again; the beginning, at first."""

    def set_time(moment: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)

    set_time(at(0))
    return set_time
