"""`manage.py retention [--dry-run]`: what may go, now instead of at three in the morning."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from mes.platform.database import retention
from mes.platform.database.retention import Preview
from mes.platform.monitoring.retention_runs import retain_all


class Command(BaseCommand):
    help = "Remove what is older than its retention setting allows (docs/operations.md), or say what would go."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would go.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for preview in retention.preview():
                self.stdout.write(f"{preview.policy.name:<20} {describe(preview)}")
            return
        outcome = retain_all()
        for name in sorted({*outcome.rows, *outcome.tables}):
            removed = [f"{outcome.rows[name]} row(s)"] if name in outcome.rows else []
            self.stdout.write(f"{name:<20} {', '.join([*removed, *outcome.tables.get(name, [])])}")
        if outcome.is_busy:
            raise CommandError("Another run is at work; this one stopped.")
        if outcome.errors:
            raise CommandError("\n".join(f"{name}: {error}" for name, error in outcome.errors.items()))


def describe(preview: Preview) -> str:
    """Say what one policy would remove."""
    if preview.kept_for is None:
        return f"kept for ever ({preview.variable} is empty)"
    text = f"kept for {preview.kept_for.days} day(s): "
    if preview.tables:
        size = filesizeformat(preview.size).replace("\xa0", " ")
        return f"{text}would drop {', '.join(preview.tables)} (about {preview.rows} rows, {size})"
    return f"{text}{'more than ' if preview.is_capped else ''}{preview.rows} row(s) would go"
