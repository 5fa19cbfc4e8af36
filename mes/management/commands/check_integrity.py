"""`manage.py check_integrity [--json] [--keep]`: whether what is stored holds together; ends with 1 where not."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mes.platform.monitoring.integrity import as_json, check_integrity, rules
from mes.platform.monitoring.integrity_checks import check_and_keep


class Command(BaseCommand):
    help = (
        "Ask the whole database, as of one moment, for what breaks the rules of docs/operations.md. It reads only and "
        "is safe while everything runs. Ends with 0, or with 1 naming the rules that are broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Write the findings as JSON.")
        parser.add_argument(
            "--keep", action="store_true", help="Keep what is found for the operations page, as each night."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        findings = check_and_keep() if options["keep"] else check_integrity()
        if options["json"]:
            self.stdout.write(json.dumps([as_json(finding) for finding in findings], indent=2, ensure_ascii=False))
        else:
            for finding in findings:
                self.stdout.write(f"{finding.rule} ({finding.count}): {finding.label}")
                for example in finding.examples:
                    self.stdout.write(f"  {example.name}: {example.what}")
        if findings:
            raise CommandError(f"Rules that are broken: {', '.join(finding.rule for finding in findings)}.")
        if not options["json"]:
            self.stdout.write(f"Rules that hold: {sum(1 for rule in rules if rule.applies())}.")
