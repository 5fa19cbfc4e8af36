"""Things whose state other systems report: the latest report by event time counts, whatever the order of arrival."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Reported(models.Model):
    """A row with reported fields. `told` maps each field to [event time, event id] of the report it came from."""

    status_at = models.DateTimeField(
        _("status since"), null=True, blank=True, help_text=_("The event time of the latest report of the status.")
    )
    told = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        abstract = True

    def take(self, said: Mapping[str, Any], *, at: datetime, event_id: str, status: str = "status") -> list[str]:
        """Set the fields for which this report is the latest so far; return their names. Nulls say nothing.

        The caller holds the row's lock and saves. Each field counts by itself: an older report still fills a field
        that no newer one spoke of. Of two reports of the same instant the one with the greater id counts, so that
        the outcome does not depend on the order of arrival.
        """
        stamp = [at.isoformat(), event_id]
        taken = []
        for name, value in said.items():
            known = self.told.get(name)
            if value is None or (known is not None and _order(stamp) <= _order(known)):
                continue
            setattr(self, name, value)
            self.told[name] = stamp
            taken.append(name)
        if status in taken:
            self.status_at = at
        return taken


def _order(stamp: list[str]) -> tuple[datetime, str]:
    return datetime.fromisoformat(stamp[0]), stamp[1]
