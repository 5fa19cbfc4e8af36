"""Make a device token from the command line."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from mes.errors import DomainError, ValidationFailed
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token


class Command(BaseCommand):
    """`create_token NAME --role ROLE [--station CODE …] [--expires DATE]`"""

    help = "Make a token for a machine or a script. Its text is the last line printed and is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        roles = ", ".join(role.value.lower() for role in Role)
        parser.add_argument("name", help="a unique name, for example of the machine")
        parser.add_argument("--role", required=True, help=f"one of {roles}")
        parser.add_argument("--station", action="append", default=[], metavar="CODE", help="only for this station")
        parser.add_argument("--expires", metavar="DATE", help="a date (its end, in the plant's time zone) or a time")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue the token and print it."""
        role = options["role"].upper()
        if role not in Role:
            role_names = ", ".join(role.value.lower() for role in Role)
            raise CommandError(f"There is no role “{options['role']}”. Take one of: {role_names}.")
        try:
            token, text = issue_token(
                name=options["name"],
                role=role,
                station_codes=options["station"],
                expires_at=parse_expiry(options["expires"]) if options["expires"] else None,
            )
        except ValidationFailed as error:
            faults = (f"{field}: {message}" for field, message in error.details.items())
            raise CommandError(" ".join(faults)) from None
        except DomainError as error:
            raise CommandError(str(error)) from None
        until = f", valid until {timezone.localtime(token.expires_at).isoformat()}" if token.expires_at else ""
        self.stdout.write(f"Token “{token.name}” for the role {token.role.lower()}{until}. Keep it safe:")
        self.stdout.write(text)


def parse_expiry(text: str) -> datetime:
    """Return the instant that a date (its end) or a date-time means in the plant's time zone."""
    try:
        day = parse_date(text)
        moment = _end_of(day) if day else parse_datetime(text)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise CommandError(f"“{text}” is neither a date like 2027-01-31 nor a time like 2027-01-31T18:00:00.")
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min)
