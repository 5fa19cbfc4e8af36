"""What stations, programs and people read all day: a queue, a list, the page of a run."""

from collections.abc import Sequence

from bench.case import Case, Plant

LISTED = 50  # a page of a list, where nobody asks for another


def _queues(plant: Plant) -> Sequence[str]:
    return [f"/api/stations/{plant.station_code}/queue"]


def _scans(plant: Plant) -> Sequence[str]:
    return [f"/api/stations/resolve-unit/{sn}" for sn in plant.sns]


def _lists(plant: Plant) -> Sequence[str]:
    from bench import traced

    traced.make_once(plant)
    return ["/api/integration/device-data"]


def _runs(plant: Plant) -> Sequence[str]:
    from bench import traced

    traced.make_once(plant)
    return [f"/trace/runs/{traced.RUN}/"]


def _lines(plant: Plant) -> Sequence[str]:
    from mes.plant.models import Line

    return [f"/api/lines/{code}/status" for code in Line.objects.order_by("code").values_list("code", flat=True)]


def _stations(_plant: Plant) -> Sequence[str]:
    """Those that units have left, so that there is as much to draw in a plant of any size; all where there are none."""
    from django.db.models import Exists, OuterRef

    from execution.models import Track
    from mes.plant.models import Station

    has_left = Exists(Track.objects.filter(station=OuterRef("pk"), out_at__isnull=False))
    codes = Station.objects.order_by("code").values_list("code", flat=True)
    return [f"/stations/{code}/" for code in codes.filter(has_left) or codes]


QUEUE = Case(
    name="station-queue",
    paths=_queues,
    status=200,
    unit="requests/s",
    is_right=lambda answer: answer.count(b'"unitStatus":"IN_STATION"') >= LISTED,
)
SCAN = Case(
    name="resolve-unit",
    paths=_scans,
    status=200,
    unit="requests/s",
    is_right=lambda answer: b'"woNo":' in answer and b'"currentStepNo":' in answer,
)
LIST = Case(
    name="device-data-list",
    paths=_lists,
    status=200,
    unit="requests/s",
    is_right=lambda answer: answer.count(b'"eventId":') == LISTED,
)
RUN = Case(
    name="run-page",
    paths=_runs,
    by_session=True,
    status=200,
    unit="pages/s",
    is_right=lambda answer: answer.count(b'<a class="sn"') >= LISTED,
)
ORDERS = Case(
    name="order-list",
    paths=lambda plant: ["/orders/"],
    by_session=True,
    status=200,
    unit="pages/s",
    is_right=lambda answer: b'href="/orders/BENCH/"' in answer,
)
LINE = Case(
    name="line-status",
    paths=_lines,
    status=200,
    unit="requests/s",
    is_right=lambda answer: b'"openRuns":[' in answer,
)
STATION = Case(
    name="station-live",
    paths=_stations,
    by_session=True,
    headers={"Accept-Encoding": "identity", "HX-Request": "true"},
    status=200,
    unit="parts/s",
    is_right=lambda answer: b'class="station-side"' in answer and b"<html" not in answer,
)
