"""Times and bars are remembered as they were written, and never for another time zone, language or limit."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone, translation

from trace.templatetags.trace_bars import limit_bar
from trace.templatetags.trace_display import when

AT = datetime(2024, 10, 27, 0, 30, 5, 999_999, tzinfo=UTC)


def test_a_time_is_written_anew_in_another_zone() -> None:
    shown = {}
    for zone in ("UTC", "Asia/Kathmandu", "UTC"):
        with timezone.override(ZoneInfo(zone)):
            shown[zone] = when(AT)
    assert 'title="Sun 27 Oct 2024 00:30:05">27 Oct 2024<' in shown["UTC"]
    assert 'datetime="2024-10-27T06:15:05+05:45" title="Sun 27 Oct 2024 06:15:05"' in shown["Asia/Kathmandu"]


def test_the_hour_that_comes_twice_keeps_its_offset() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        first, second = when(AT), when(AT.replace(hour=1))
    assert 'datetime="2024-10-27T02:30:05+02:00" title="Sun 27 Oct 2024 02:30:05"' in first
    assert 'datetime="2024-10-27T02:30:05+01:00" title="Sun 27 Oct 2024 02:30:05"' in second


def test_a_time_is_written_anew_in_another_language() -> None:
    with translation.override("en"):
        assert "Sun 27 Oct" in when(AT)
    with translation.override("de"):
        assert "So 27 Okt" in when(AT)


def value(number: float, **limits: float) -> Any:
    set_limits = {name: limits.get(name) for name in ("alarm_min", "lsl", "target", "usl", "alarm_max")}
    return SimpleNamespace(value_number=number, judge="PASS", alarmed=False, **set_limits)


def test_values_of_a_spec_share_all_but_the_marker() -> None:
    low, high, other = (
        limit_bar(item)
        for item in (value(1, lsl=0, usl=4), value(3, lsl=0, usl=4), value(1, lsl=0, usl=4, alarm_max=8))
    )
    ground = low.partition('<svg x="')[0]
    assert high.startswith(ground) and high != low
    assert not other.startswith(ground)
    assert limit_bar(value(1, target=1)) == ""
    assert limit_bar(value(1)) == ""
    assert low.count("<svg") == low.count("</svg>") == 2
