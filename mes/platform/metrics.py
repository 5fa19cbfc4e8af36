"""What is counted where it happens, for Prometheus: requests, messages and events.

Every process of this machine writes its figures into files of its own in one folder (`mes.platform.server.counters`),
and whichever is asked adds all of them up. What belongs to the plant, not to a process, is read when it is asked for
(`mes.platform.monitoring.figures`).
"""

import os
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from mes.platform.server.counters import FOLDER_VARIABLE

SENDING_PEOPLE = "people"  # one sender: the figures name machines, and nobody
OTHER_METHOD = "OTHER"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

COUNTED = CollectorRegistry()
REQUESTS = Counter("linekeeper_http_requests", "Requests answered.", ("method", "route", "status"), registry=COUNTED)
DURATIONS = Histogram(
    "linekeeper_http_request_duration_seconds",
    "Time until a request was answered.",
    ("method", "route"),
    buckets=BUCKETS,
    registry=COUNTED,
)
MESSAGES = Counter(
    "linekeeper_messages",
    "Readings, machine events and reports that came in: applied, duplicate, conflict, refused, malformed.",
    ("channel", "sender", "outcome"),
    registry=COUNTED,
)
EVENTS = Counter(
    "linekeeper_outbox_events",
    "Attempts at events on this machine: completed (by a worker, or at once where nothing follows), failed (to be "
    "tried again), dead (given up).",
    ("event_type", "outcome"),
    registry=COUNTED,
)


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request: `route` is its address with names in place of what it names. A few microseconds."""
    requests, durations = _of_requests(route, method if method in METHODS else OTHER_METHOD, status)
    requests.inc()
    durations.observe(seconds)


def count_messages(channel: str, sender: str, outcome: str, number: int = 1) -> None:
    """Count messages of a sender that have come to the same end."""
    _of_messages(channel, sender if sender.startswith("token:") else SENDING_PEOPLE, outcome).inc(number)


def count_event(event_type: str, outcome: str, number: int = 1) -> None:
    """Count attempts to handle events of a type that have come to the same end."""
    _of_events(event_type, outcome).inc(number)


def counted() -> CollectorRegistry:
    """Return a registry of what all processes of this machine have counted."""
    if FOLDER_VARIABLE not in os.environ:
        return COUNTED
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


@lru_cache(maxsize=4096)
def _of_requests(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), DURATIONS.labels(method, route)


@lru_cache(maxsize=4096)
def _of_messages(channel: str, sender: str, outcome: str) -> Counter:
    return MESSAGES.labels(channel, sender, outcome)


@lru_cache(maxsize=64)
def _of_events(event_type: str, outcome: str) -> Counter:
    return EVENTS.labels(event_type, outcome)
