"""Logs: one line an entry, keys and values, so that they can be searched."""

import logging
import logging.config
import sys
import time
from typing import Any

import psycopg
import structlog

OUTAGE_SECONDS = 10  # between two lines about the same outage


class OutageFilter(logging.Filter):
    """While the database is away, lets one line pass in OUTAGE_SECONDS, which says how many there would have been.

    Each request fails then, thousands in a minute. Only the first has its traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passed_at = float("-inf")
        self.kept_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written. One after some that were not loses its traceback and says how many."""
        if not _is_outage(record):
            return True
        since = time.monotonic() - self.passed_at
        if since < OUTAGE_SECONDS:
            self.kept_back += 1
            return False
        self.passed_at = time.monotonic()
        kept_back, self.kept_back = self.kept_back, 0
        if kept_back:
            _shorten(record, kept_back)
        return True


def _is_outage(record: logging.LogRecord) -> bool:
    error: Any = _exception(record)
    return any(isinstance(each, psycopg.OperationalError) for each in (error, getattr(error, "__cause__", None)))


def _exception(record: logging.LogRecord) -> BaseException | None:
    info: Any = record.msg.get("exc_info") if isinstance(record.msg, dict) else record.exc_info
    if info is True:
        return sys.exception()
    return info[1] if isinstance(info, tuple) else info


def _shorten(record: logging.LogRecord, kept_back: int) -> None:
    if isinstance(record.msg, dict):
        without = {name: value for name, value in record.msg.items() if name != "exc_info"}
        record.msg = {**without, "error": str(_exception(record)), "kept_back": kept_back}
    else:
        record.msg = f"{record.getMessage()} ({_exception(record)}; {kept_back} such lines were kept back)"
        record.args = None
        record.exc_info = None


def logging_config(*, level: str) -> None:
    """Send structlog and the standard library's logging to standard error in one shape."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        structlog.processors.LogfmtRenderer(bool_as_flag=False),
                    ],
                    "foreign_pre_chain": shared,
                }
            },
            "filters": {"outage": {"()": OutageFilter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["outage"]}},
            # A refusal is data, kept with its code; only what is unforeseen is a log entry.
            # A host that is not allowed is logged by the answer, with what to set.
            "loggers": {"django.request": {"level": "ERROR"}, "django.security.DisallowedHost": {"level": "CRITICAL"}},
            "root": {"handlers": ["stderr"], "level": level},
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
