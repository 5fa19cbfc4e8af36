"""Whether somebody is qualified: asked as a unit enters a step that wants it, and not else."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from mes.platform.accounts.authentication import OF_TOKENS
from mes.qualifications.models import Qualification


@dataclass
class Worker:
    """Who works at a station, by user name or badge; None: a token works there and names nobody. `other` is whom who is
    signed in names as who does it, if not themselves.

    What is read of one is remembered, so that the units of a carrier ask once.
    """

    name: str | None = None
    other: str | None = None

    def find_unqualified(self, operation_code: str, *, at: datetime) -> "Worker | None":
        """Return who of them is not qualified, if one is not: who sends it, or somebody else who is said to do it. A
        name that nobody here has is a claim of which nothing is known.
        """
        if not self.is_qualified(operation_code, at=at):
            return self
        other = self._somebody_else
        return None if other is None or other.is_qualified(operation_code, at=at) else other

    @cached_property
    def _somebody_else(self) -> "Worker | None":
        if not self.other:
            return None
        is_meant = Q(username=self.other) | Q(badge__code=self.other)
        return Worker(self.other) if User.objects.filter(is_meant).exists() else None

    def is_qualified(self, operation_code: str, *, at: datetime) -> bool:
        """Whether the person has a qualification for an operation that was not over at a time. One statement, the first
        time; whoever may not sign in any more has none.
        """
        day = timezone.localtime(at).date()
        return any(code == operation_code and (until is None or until >= day) for code, until in self._held)

    @cached_property
    def _held(self) -> list[tuple[str, date | None]]:
        if not self.name:
            return []
        # A badge is nobody else's user name (`badges.check_badge`).
        is_meant = Q(person__username=self.name) | Q(person__badge__code=self.name)
        rows = Qualification.objects.filter(is_meant, person__is_active=True)
        return list(rows.order_by().values_list("operation__code", "until"))


def worker_of(by: str, operator: str | None) -> Worker:
    """Return who works: who is signed in (`by`), and whom they name besides; where a token is, whom it names."""
    named = None if not operator or operator.startswith(OF_TOKENS) else operator
    if by and not by.startswith(OF_TOKENS):
        return Worker(by, None if named == by else named)
    return Worker(named)
