"""The trace of a unit of ten tracks and a hundred values, as a program asks for it and as its page."""

from collections.abc import Sequence

from bench.case import Case, Plant

TRACKS, VALUES = 10, 100


def _sns(plant: Plant) -> Sequence[str]:
    from bench import traced

    traced.make_once(plant)
    return traced.SNS


def _paths(plant: Plant) -> list[str]:
    return [f"/api/trace/units/{sn}" for sn in _sns(plant)]


def _pages(plant: Plant) -> list[str]:
    return [f"/trace/units/{sn}/" for sn in _sns(plant)]


def _is_whole(answer: bytes) -> bool:
    return answer.count(b'"claimedResult":"PASS"') == TRACKS and answer.count(b'"deviceDataId":') == VALUES


TRACE = Case(
    name="trace-unit",
    paths=_paths,
    status=200,
    unit="requests/s",
    is_right=_is_whole,
)
PAGE = Case(
    name="unit-page",
    paths=_pages,
    by_session=True,
    status=200,
    unit="pages/s",
    is_right=lambda answer: answer.count(b'<details class="card pass"') == TRACKS and answer.count(b'id="value-') >= 30,
)
