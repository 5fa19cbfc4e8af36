"""`manage.py recount [--line CODE] [--since DATE]`: recompute what machines counted, from their reports.

After the shifts of a line or the plant's time zone were changed, where the past should follow them. Machines may
report meanwhile; broken off, it may be run again.
"""

from argparse import ArgumentParser
from datetime import date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.sweeps import SweepIncomplete
from mes.production_counts.hours import recount


class Command(BaseCommand):
    """Recompute hours."""

    help = "Recompute what machines counted in each hour, by the present shifts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--line", metavar="CODE", help="of this line only")
        parser.add_argument("--since", type=date.fromisoformat, metavar="DATE", help="of runs counted since that day")

    def handle(self, *args: Any, **options: Any) -> None:
        code, since = options["line"], options["since"]
        if code is not None and not Line.objects.filter(code=code).exists():
            raise CommandError(f"There is no line {code!r}.")
        at = None if since is None else timezone.make_aware(datetime.combine(since, time.min))
        try:
            counted = recount(line_code=code, since=at)
        except SweepIncomplete as error:
            raise CommandError(f"All others were recounted, but:\n{error}") from error
        self.stdout.write(f"Machines recounted: {counted}")
