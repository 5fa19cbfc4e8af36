"""`manage.py audit_verify`: says whether the audit is what it was sealed as; ends with 1 where it is not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mes.platform.audit import seals
from mes.platform.audit.models import AuditSeal


class Command(BaseCommand):
    help = "Compare the entries of the audit with their seals. Ends with 0, or with 1 naming the first that differs."

    def handle(self, *args: Any, **options: Any) -> None:
        fault = seals.verify()
        if fault is not None:
            where = f"Seal {fault.seal.pk} ({fault.seal})" if fault.seal else "Between the seals"
            raise CommandError(f"{where}: {fault.text}.")
        kept, dropped = AuditSeal.objects.filter(dropped_at=None), AuditSeal.objects.exclude(dropped_at=None)
        self.stdout.write(f"Seals that hold: {kept.count()}.")
        if months := sorted({f"{seal.month:%Y-%m}" for seal in dropped}):
            self.stdout.write(f"Months that are no longer kept: {', '.join(months)}.")
