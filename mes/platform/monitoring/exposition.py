"""`/metrics`: what was counted and how it stands, as Prometheus reads it."""

from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import IPv6Address, ip_address

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mes.platform import metrics
from mes.platform.monitoring import health
from mes.platform.monitoring.figures import Figure, Sample, figures
from mes.platform.monitoring.survey import Survey

logger = structlog.get_logger(__name__)

FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")
REFUSAL = "Figures are for this machine only, or for whoever has the token that MES_METRICS_TOKEN names.\n"


@require_safe
@never_cache
def read_metrics(request: HttpRequest) -> HttpResponse:
    """All figures. Those that the database does not tell in time are left out: `linekeeper_check_ok` says why."""
    if not may_read(request):
        return HttpResponse(REFUSAL, status=403, content_type="text/plain; charset=utf-8")
    plant = CollectorRegistry()
    plant.register(_Plant())
    body = generate_latest(metrics.counted()) + generate_latest(plant)
    return HttpResponse(body, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_read(request: HttpRequest) -> bool:
    """Whether who asks has the token; where there is none, whether this machine asks, and not a proxy on it."""
    if settings.MES_METRICS_TOKEN:
        sent = request.headers.get("Authorization", "")
        return constant_time_compare(sent, f"Bearer {settings.MES_METRICS_TOKEN}")
    is_forwarded = any(header in request.META for header in FORWARDED)
    return is_loopback(request.META.get("REMOTE_ADDR", "")) and not is_forwarded


def is_loopback(text: str) -> bool:
    """Whether an address is one of this machine, also as IPv6 writes one of IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class _Plant:
    """Collects what belongs to the plant."""

    def collect(self) -> Iterator[Metric]:
        """Yield every figure that is known in time."""
        checks = health.read_checks()
        ok = [((name,), float(check["ok"])) for name, check in checks.items()]
        yield _family("linekeeper_check_ok", "Whether a check of /readyz holds.", ("check",), ok)
        answers = SURVEY.read()
        for figure in figures:
            if (samples := answers.get(figure.name)) is not None:
                yield _family(figure.name, figure.help, figure.labels, samples)


def _family(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in samples:
        family.add_metric(values, figure)
    return family


def _samples(figure: Figure) -> list[Sample] | None:
    """Return the samples of a figure; None where it could not be read."""
    try:
        return list(figure.read())
    except (DatabaseError, InterfaceError, OSError) as error:
        logger.warning("figure not read", figure=figure.name, reason=str(error))
        return None


SURVEY = Survey(lambda: {figure.name: partial(_samples, figure) for figure in figures})
