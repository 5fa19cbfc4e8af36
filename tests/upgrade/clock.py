"""A clock for old databases: they are looked at as they were when they were made, whatever the date is today."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

_real_now = timezone.now


class Clock:
    """Stands in for `timezone.now`: runs on from a moment it is set to, or stands still."""

    def __init__(self) -> None:
        self.behind = timedelta(0)
        self.stopped_at: datetime | None = None

    def now(self) -> datetime:
        """Return the time of this clock."""
        return _real_now() - self.behind if self.stopped_at is None else self.stopped_at

    def set(self, at: datetime) -> None:
        """Run on from a moment."""
        self.stopped_at, self.behind = None, _real_now() - at

    def set_right(self) -> None:
        """Show the real time."""
        self.stopped_at, self.behind = None, timedelta(0)

    def forward(self, **span: float) -> None:
        """Go forward by a span, as `timedelta` takes it."""
        if self.stopped_at is None:
            self.behind -= timedelta(**span)
        else:
            self.stopped_at += timedelta(**span)

    def stop(self, at: datetime) -> None:
        """Stand still at a moment."""
        self.stopped_at = at

    @contextmanager
    def in_use(self) -> Iterator["Clock"]:
        """Have the product look at this clock, the defaults of its models included."""
        timezone.now = self.now
        fields = [field for model in apps.get_models() for field in model._meta.fields if field.default is _real_now]
        try:
            for field in fields:
                _change_default(field, self.now)
            yield self
        finally:
            timezone.now = _real_now
            for field in fields:
                _change_default(field, _real_now)


def _change_default(field: Any, default: Callable[[], datetime]) -> None:
    field.default = default
    vars(field).pop("_get_default", None)  # Django remembers it
