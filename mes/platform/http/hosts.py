"""By which names this server is reached: said at its start, because any other name is answered with 400."""

import structlog
from django.conf import settings

HINT = "set ALLOWED_HOSTS to every name and address by which this server is reached, separated by commas"

logger = structlog.get_logger(__name__)


def log_hosts() -> None:
    """Log which names are answered to."""
    if "*" not in settings.ALLOWED_HOSTS:
        logger.info("answers to these hosts only", hosts=settings.ALLOWED_HOSTS, hint=HINT)
