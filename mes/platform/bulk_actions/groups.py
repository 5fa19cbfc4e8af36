"""Causes as a page shows them: a row for each, but one together for those that differ by too many subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Aggregate, Count, Max, Min, Q, QuerySet

MOST_GROUPS = 50
MOST_SUBJECTS = 5


@dataclass(frozen=True)
class Group:
    """Refused things that a page shows as one row: `shared` is what they have in common, by lookup.

    `subject` is what all are about, None where there are several; `example_id` is the newest.
    """

    shared: dict[str, Any]
    subject: str | None
    subjects: int
    number: int
    failing: int
    first_at: datetime
    latest_at: datetime
    example_id: int


def figures(failing: Q) -> Mapping[str, Aggregate]:
    """Return what is told of refused things that have something in common."""
    return {
        "number": Count("id"),
        "failing": Count("id", filter=failing),
        "first_at": Min("received_at"),
        "latest_at": Max("last_at"),
        "example_id": Max("id"),
    }


def list_groups(things: QuerySet[Any], shared: Sequence[str], *, failing: Q) -> tuple[list[Group], bool]:
    """Return the groups of refused things, largest first, and whether there are more. Two queries."""
    told = figures(failing)
    large = things.values(*shared).annotate(subjects=Count("subject", distinct=True), one=Min("subject"), **told)
    rows = list(large.order_by("-number", "example_id")[: MOST_GROUPS + 1])
    shown = rows[:MOST_GROUPS]
    groups = [_group(row, shared) for row in shown if not _is_split(row)]
    if split := [row for row in shown if _is_split(row)]:
        wanted = Q()
        for row in split:
            wanted |= Q(**{_lookup(name, row[name]): _value(row[name]) for name in shared})
        parts = things.filter(wanted).values(*shared, "subject").annotate(**told)
        groups += [_group({**part, "subjects": 1, "one": part["subject"]}, shared) for part in parts]
    return sorted(groups, key=lambda group: (-group.number, group.example_id)), len(rows) > MOST_GROUPS


def _is_split(row: dict[str, Any]) -> bool:
    return 1 < row["subjects"] <= MOST_SUBJECTS


def _lookup(name: str, value: Any) -> str:
    return f"{name}__isnull" if value is None else name


def _value(value: Any) -> Any:
    return True if value is None else value


def _group(row: dict[str, Any], shared: Sequence[str]) -> Group:
    return Group(
        shared={name: row[name] for name in shared},
        subject=row["one"] if row["subjects"] == 1 else None,
        subjects=row["subjects"],
        number=row["number"],
        failing=row["failing"],
        first_at=row["first_at"],
        latest_at=row["latest_at"],
        example_id=row["example_id"],
    )
