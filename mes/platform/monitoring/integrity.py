"""Whether what is stored holds together: rules that no act breaks, asked of the whole database as of one moment.

Services and constraints keep them; this finds what a statement by hand, a restored file or a mistake of ours left
behind. It reads only, takes no lock and waits for nobody, so it may run while everything else does. Each room
registers the rules of its own tables in `AppConfig.ready()`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from mes.platform.hooks import Hook

MOST_EXAMPLES = 20
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

# One statement for any rule: all that it finds is counted, a few are named.
ASK = f"""
    WITH broken (name, what) AS MATERIALIZED (%s)
    SELECT (SELECT count(*) FROM broken),
           ARRAY(SELECT jsonb_build_array(name, what) FROM broken ORDER BY name, what LIMIT {MOST_EXAMPLES})
"""


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """Something that must hold. `broken` is a SELECT of (name, what is wrong with it), one row for each thing that
    breaks it: without parameters and `%`, by indexes where it asks of few rows.

    `name` is public and stays. `link` leads from a name to the page of that thing. The rule is left out while it does
    not apply.
    """

    name: str
    label: Any  # a translated text, said as what must hold
    broken: str
    link: Callable[[str], str] | None = None
    applies: Callable[[], bool] = _always


# Asked by each check, in this order.
rules: Hook[Rule] = Hook(key=lambda rule: rule.name)


@dataclass(frozen=True)
class Example:
    """A thing that breaks a rule, and what is wrong with it."""

    name: str
    what: str


@dataclass(frozen=True)
class Finding:
    """A rule that is broken: how often, and at most MOST_EXAMPLES of it."""

    rule: str
    label: str
    count: int
    examples: Sequence[Example]


def check_integrity() -> list[Finding]:
    """Return the rules that are broken, in the order of the rules: one statement each, all as of one moment.

    Inside a transaction it sees what that transaction sees, from statement to statement.
    """
    with _snapshot(), connection.cursor() as cursor:
        return [finding for rule in rules if rule.applies() and (finding := _ask(cursor, rule))]


@contextmanager
def _snapshot() -> Iterator[None]:
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
        yield


def _ask(cursor: Any, rule: Rule) -> Finding | None:
    cursor.execute(ASK.replace("%s", rule.broken))
    [(count, examples)] = cursor.fetchall()
    if not count:
        return None
    return Finding(rule.name, str(rule.label), count, [Example(*_read(example)) for example in examples])


def _read(example: Any) -> Sequence[str]:
    return json.loads(example) if isinstance(example, str) else example


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as it is written and kept."""
    return {
        "rule": finding.rule,
        "label": finding.label,
        "count": finding.count,
        "examples": [{"name": example.name, "what": example.what} for example in finding.examples],
    }
