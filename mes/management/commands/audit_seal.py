"""`manage.py audit_seal`: seals what was changed since the last seal."""

from typing import Any

from django.core.management.base import BaseCommand

from mes.platform.audit import seals


class Command(BaseCommand):
    help = "Seal the entries of the audit that were written since the last seal, and print their digests."

    def handle(self, *args: Any, **options: Any) -> None:
        made = seals.seal()
        for seal in made:
            self.stdout.write(f"{seal.pk} {seal.month:%Y-%m} up to {seal.last_id}, {seal.count} entries: {seal.digest}")
        if not made:
            self.stdout.write("Nothing was written since the last seal.")
