"""What can be signed: rooms register how a record of theirs is read, so that a signature can be compared with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mes.platform.hooks import Hook


@dataclass(frozen=True)
class SignedRecord:
    """A kind of record that can be signed.

    `read(record_id)` returns the document as it would be signed now, None where there is no such record; no lock is
    held. `label` is what people call the kind, `page(record_id)` the address of its page, "" where it has none.
    """

    record_type: str
    label: Any
    read: Callable[[str], Mapping[str, Any] | None]
    page: Callable[[str], str]


signed_records: Hook[SignedRecord] = Hook(key=lambda kind: kind.record_type)
