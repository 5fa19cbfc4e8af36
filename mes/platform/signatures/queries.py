"""Reading signatures: of records, and whether a record still says what was signed."""

from collections.abc import Iterable, Mapping
from typing import Any

from mes.platform.signatures import hooks
from mes.platform.signatures.models import Signature
from mes.platform.signatures.services import canonical


def find_kind(record_type: str) -> hooks.SignedRecord | None:
    """Return the kind of record of that name."""
    return next((kind for kind in hooks.signed_records if kind.record_type == record_type), None)


def is_unchanged(signature: Signature) -> bool:
    """Whether a record says now what was signed: false too where it is gone, or of a kind that nobody knows."""
    kind = find_kind(signature.record_type)
    document: Mapping[str, Any] | None = kind.read(signature.record_id) if kind else None
    return document is not None and canonical(document) == signature.document


def read_latest(record_type: str, record_ids: Iterable[Any]) -> dict[str, Signature]:
    """Return the latest signature of each of these records that has one, by its id as text, in one query."""
    rows = Signature.objects.filter(record_type=record_type, record_id__in=[str(each) for each in record_ids])
    return {row.record_id: row for row in rows.defer("document").order_by("id")}


def attach(record_type: str, records: Iterable[Any]) -> None:
    """Give each of these rows its latest signature or None as `signature`, as `SignatureBrief` shows it; one query."""
    rows = list(records)
    latest = read_latest(record_type, (row.pk for row in rows)) if rows else {}
    for row in rows:
        row.signature = latest.get(str(row.pk))
