"""Who uses files, and what files can be attached to: rooms above say so."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from mes.errors import NotFound
from mes.platform.accounts.roles import Capability
from mes.platform.hooks import Hook

# use(): a condition on `StoredFile` that is true of files which something uses, such as an `Exists` with
# `OuterRef("pk")`. Asked by the retention, which removes what no use holds of. Whoever writes a use calls
# `services.keep` before it, in the same transaction.
file_uses: Hook[Callable[[], Q]] = Hook()


def unused() -> Q:
    """Return the condition that nothing uses a file."""
    condition = Q()
    for use in file_uses:
        condition &= ~use()
    return condition


@dataclass(frozen=True)
class RecordFound:
    """A record that a file is attached to: the address of its page, and when it was signed last."""

    page: str
    signed_at: datetime | None = None


@dataclass(frozen=True)
class AttachableRecord:
    """A kind of record that files can be attached to.

    `find(record_id)` returns what it is now, None where there is no such record. `select_signed(record_id)` selects the
    row that whoever signs the record holds locked: whoever attaches or takes away does, too. `capabilities` are those
    of which one is needed to attach. `label` is what people call the kind; with a `prefix`, they name its records by it
    and the id.
    """

    record_type: str
    label: Any
    capabilities: tuple[Capability, ...]
    not_found: type[NotFound]
    find: Callable[[int], RecordFound | None]
    select_signed: Callable[[int], QuerySet[Any]]
    prefix: str = ""


attachable_records: Hook[AttachableRecord] = Hook(key=lambda kind: kind.record_type)
