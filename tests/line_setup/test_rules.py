"""What reports of a lot's use say together: the same in every order of arrival."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.line_setup.rules import Usage, UsageReport, merge_usages

DAY = datetime(2026, 3, 10, tzinfo=UTC)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def report(hour: float, event_id: str = "", **fields: float | str) -> UsageReport:
    times = {name: at(value) if isinstance(value, float | int) else value for name, value in fields.items()}
    return UsageReport(at(hour), event_id or str(hour), **times)


def usage(issued: float, *, is_reported: bool = True, **fields: float | str) -> Usage:
    times = {name: at(value) if isinstance(value, float | int) else value for name, value in fields.items()}
    return Usage(at(issued), is_reported, **times)


@pytest.mark.parametrize(
    ("reports", "unbound", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([report(10, issued_at=10)], [], [usage(10)], id="an issue"),
        pytest.param(
            [report(10, issued_at=10, line_code="A"), report(15, issued_at=10, returned_at=15, run_no="R")],
            [],
            [usage(10, line_code="A", run_no="R", returned_at=15)],
            id="a return that names its issue",
        ),
        pytest.param(
            [report(10, issued_at=10), report(15, returned_at=15)],
            [],
            [usage(10, returned_at=15)],
            id="a return without issue belongs to the latest before it",
        ),
        pytest.param(
            [report(8, issued_at=8), report(12, issued_at=12), report(11, returned_at=11)],
            [],
            [usage(8, returned_at=11), usage(12)],
            id="not to a later issue",
        ),
        pytest.param([report(15, returned_at=15)], [], [], id="a return before any issue waits"),
        pytest.param([report(15, returned_at=15), report(16, issued_at=16)], [], [usage(16)], id="for an earlier one"),
        pytest.param(
            [report(15, returned_at=10), report(16, issued_at=10)],
            [],
            [usage(10, returned_at=10)],
            id="returned in the instant of the issue",
        ),
        pytest.param(
            [report(6, received_at=5, thawed_at=6), report(10, issued_at=10), report(20, issued_at=20)],
            [],
            [usage(10, received_at=5, thawed_at=6), usage(20)],
            id="what was told before belongs to the first issue after it",
        ),
        pytest.param(
            [report(15, issued_at=10, returned_at=15), report(16, issued_at=10, returned_at=14)],
            [],
            [usage(10, returned_at=14)],
            id="of two returns the one told later counts",
        ),
        pytest.param(
            [report(15, "b", issued_at=10, line_code="B"), report(15, "a", issued_at=10, line_code="A")],
            [],
            [usage(10, line_code="B")],
            id="of the same instant, the greater event id",
        ),
        pytest.param([report(10, issued_at=10)], [14, 16], [usage(10, returned_at=14)], id="unbound"),
        pytest.param(
            [report(10, issued_at=10), report(15, returned_at=13)],
            [14],
            [usage(10, returned_at=13)],
            id="returned first",
        ),
        pytest.param(
            [report(10, issued_at=10), report(15, returned_at=15)],
            [14],
            [usage(10, returned_at=14)],
            id="unbound first",
        ),
        pytest.param([report(10, issued_at=10)], [9], [usage(10)], id="unbound before the issue"),
        pytest.param(
            [report(8, issued_at=8), report(12, issued_at=12)],
            [14],
            [usage(8), usage(12, returned_at=14)],
            id="the last",
        ),
    ],
)
def test_reports_merge_into_usages(reports, unbound, expected):
    assert merge_usages(reports, unbound_at=[at(hour) for hour in unbound]) == expected
    assert merge_usages(reversed(reports), unbound_at=[at(hour) for hour in reversed(unbound)]) == expected


def test_an_issue_known_otherwise_takes_its_return():
    merged = merge_usages([report(15, returned_at=15)], issues=[at(10)])
    assert merged == [usage(10, is_reported=False, returned_at=15)]


hours = st.integers(0, 6)
reports_of_a_lot = st.lists(
    st.builds(
        report,
        hours,
        st.sampled_from("abc"),
        line_code=st.sampled_from(["A", "B"]),
        **{name: hours for name in ("received_at", "issued_at", "returned_at")},
    ),
    max_size=6,
    unique_by=lambda one: (one.event_time, one.event_id),
)


@given(reports_of_a_lot, st.lists(hours, max_size=3), st.randoms())
def test_the_order_of_arrival_plays_no_part(reports, unbound, random):
    shuffled = random.sample(reports, len(reports))
    expected = merge_usages(reports, unbound_at=[at(hour) for hour in unbound])
    assert merge_usages(shuffled, unbound_at=[at(hour) for hour in unbound]) == expected
    assert all(one.returned_at is None or one.issued_at for one in expected)
