"""`manage.py reset_second_factor NAME`: for who administers, and lost phone and recovery codes."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mes.platform.sign_in import second_factor


class Command(BaseCommand):
    help = "Remove the second factor of a person, who then signs in without, or sets up another."

    def add_arguments(self, parser: CommandParser) -> None:
        """One name."""
        parser.add_argument("name", help="User name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        """Remove it."""
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user “{name}”.")
        if not second_factor.remove([user], by="manage.py"):
            raise CommandError(f"“{name}” has no second factor.")
        self.stdout.write(f"The second factor of “{name}” is removed.")
