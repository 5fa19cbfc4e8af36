"""What people wrote into the production records: remarks with the texts they correct, and who checked or signed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from mes.production_counts.models import RecordRemark, RecordSignature
from trace.reports.query import Question


@dataclass(frozen=True)
class Remark:
    """A remark as it stands, and what it was before, newest first."""

    now: RecordRemark
    earlier: Sequence[RecordRemark] = ()


@dataclass(frozen=True)
class Entries:
    """Everything written about some lines and days."""

    remarks: Sequence[Remark] = ()
    signatures: Mapping[tuple[int, date, datetime | None], RecordSignature] = field(default_factory=dict)

    def checked(self, line_id: int, day: date) -> RecordSignature | None:
        """Return who checked the record of a day last."""
        return self.signatures.get((line_id, day, None))

    def signed(self, line_id: int, day: date, hour: datetime) -> RecordSignature | None:
        """Return who signed an hour of the in/out record last."""
        return self.signatures.get((line_id, day, hour))

    def on_hour(self, line_id: int, day: date, hour: datetime) -> list[Remark]:
        """Return the remarks on an hour of the in/out record."""
        return [remark for remark in self.remarks if _is_of(remark.now, line_id, day) and remark.now.hour == hour]

    def on_runs(self, line_id: int, day: date | None, runs: Collection[int]) -> list[Remark]:
        """Return the remarks on some runs, of a day or of the whole period."""
        return [
            remark
            for remark in self.remarks
            if _is_of(remark.now, line_id, day) and remark.now.hour is None and remark.now.run_id in runs
        ]

    def on_days(self) -> list[Remark]:
        """Return the remarks on days as a whole."""
        return [remark for remark in self.remarks if remark.now.hour is None and remark.now.run_id is None]


def _is_of(remark: RecordRemark, line_id: int, day: date | None) -> bool:
    return remark.line_id == line_id and day in (None, remark.date)


def load_entries(question: Question) -> Entries:
    """Load what was written about the lines and days of a question, in two queries."""
    of_days = {"line__in": question.lines, "date__range": question.days}
    written = list(RecordRemark.objects.filter(**of_days).select_related("line", "run", "station").order_by("id"))
    signatures = RecordSignature.objects.filter(**of_days).order_by("id")
    by_pk = {remark.pk: remark for remark in written}
    replaced = {remark.replaces_id for remark in written}
    return Entries(
        remarks=[Remark(record, _earlier(record, by_pk)) for record in written if record.pk not in replaced],
        signatures={(signature.line_id, signature.date, signature.hour): signature for signature in signatures},
    )


def _earlier(remark: RecordRemark, by_pk: Mapping[int, RecordRemark]) -> list[RecordRemark]:
    replaced = []
    while remark.replaces_id is not None:
        remark = by_pk[remark.replaces_id]  # a correction is of the same line and day
        replaced.append(remark)
    return replaced
