"""What an event may mean before anything is known of its units: the steps whose mappings may read it, and the names
that each of them finds.

Candidates are the steps of the event's type in the named run's frozen route, else in the versions of all open runs.
Which versions these are is remembered in the process. That cannot give a wrong answer: what is read after the units are
locked says which they are now, and where that differs the event is read anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from execution.models import CarrierLoad
from ingest.envelope import Sent
from ingest.mapping import extract as mappings
from ingest.models import SettledIngestEvent
from mes import errors
from mes.production.models import OPEN_RUN_STATUSES, Run
from mes.routing import snapshots
from mes.routing.models import RouteVersion
from mes.routing.snapshots import RouteSnapshot, StepSnapshot

REMEMBERED_RUNS = 1024
NAMING_KEYS = ("unitsPath", "snPath", "snListPath", "carrierCodePath", "transactionIdPath")
Version = tuple[int, str]  # id and digest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step whose mapping may be meant, in a frozen route."""

    version_id: int
    snapshot: RouteSnapshot
    step: StepSnapshot

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping of the step."""
        return self.step.ingest_mapping or {}

    @property
    def is_first(self) -> bool:
        """Whether units begin their way here."""
        return self.step.step_no == self.snapshot.first_step_no


@dataclass(frozen=True, slots=True)
class Named:
    """The serial numbers that an event names by a candidate's mapping, and the station.

    `carried` is what its carrier carries, serial numbers with their positions; `transaction_id` is of the transaction
    whose units are meant, `others` are serial numbers that it may move besides.
    """

    candidate: Candidate
    station_code: str | None
    sns: Sequence[str] = ()
    others: Sequence[str] = ()
    carried: Sequence[tuple[str, str]] = ()
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """All that an event may mean. `version_ids` are those searched: of the run it names, else of all open runs."""

    named: Sequence[Named]
    version_ids: frozenset[int]
    run_no: str | None

    @property
    def sns(self) -> list[str]:
        """The serial numbers of all that may move or lose their place on a carrier."""
        return list(dict.fromkeys(sn for one in self.named for sn in (*one.sns, *one.others)))

    def carried_by(self, candidate: Candidate) -> Sequence[tuple[str, str]]:
        """Return what the carrier carries that the event names by a candidate's mapping."""
        return next((one.carried for one in self.named if one.candidate is candidate), ())

    @property
    def station_codes(self) -> list[str]:
        """The stations that may be meant."""
        return list({one.station_code for one in self.named if one.station_code})


class _Remembered:
    """What the process remembers of runs: the versions of the open ones, and of those named lately."""

    open_versions: frozenset[Version] = frozenset()
    named: Mapping[str, Version] = {}


def forget() -> None:
    """Forget what is remembered of runs: it is so no longer."""
    _Remembered.open_versions, _Remembered.named = frozenset(), {}


def read(sent: Sent) -> Meaning:
    """Return what an event may mean. Raises RunNotFound, IngestMappingMissing."""
    event = sent.said
    run_no = event.get("runNo")
    versions = _find_versions(run_no)
    candidates = list_candidates(event["eventType"], versions)
    if not candidates:
        forget()
        versions = _find_versions(run_no)
        candidates = list_candidates(event["eventType"], versions)
    if not candidates:
        raise errors.IngestMappingMissing(event_type=event["eventType"])
    known: dict[Any, dict[str, Any]] = {}
    named: list[Named] = []
    for candidate in candidates:
        paths = tuple(candidate.mapping.get(key) for key in NAMING_KEYS)
        if paths not in known:
            known[paths] = _names_of(candidate.mapping, sent)
        named.append(Named(candidate, mappings.find_station_code(candidate.mapping, event), **known[paths]))
    return Meaning(named, frozenset(version_id for version_id, _digest in versions), run_no)


def _find_versions(run_no: str | None) -> frozenset[Version]:
    """Return the version of the named run, or those of all open runs. Raises RunNotFound."""
    if run_no is None:
        open_versions = _Remembered.open_versions  # once: another thread may forget them at any moment
        if not open_versions:
            open_runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES).order_by()
            rows = open_runs.values_list("route_version_id", "route_version__digest").distinct()
            open_versions = _Remembered.open_versions = frozenset(rows)
        return open_versions
    version = _Remembered.named.get(run_no)
    if version is None:
        version = Run.objects.filter(run_no=run_no).values_list("route_version_id", "route_version__digest").first()
        if version is None:
            raise errors.RunNotFound(code=run_no)
        lately = dict(list(_Remembered.named.items())[-REMEMBERED_RUNS:])
        _Remembered.named = {**lately, run_no: version}
    return frozenset([version])


@lru_cache(maxsize=64)
def list_candidates(event_type: str, versions: frozenset[Version]) -> tuple[Candidate, ...]:
    """Return the steps of a type that take events, in these frozen routes."""
    candidates = []
    for version_id, digest in sorted(versions):
        try:
            snapshot = snapshots.load(version_id=version_id, digest=digest)
        except RouteVersion.DoesNotExist:  # its runs are gone, which what is read next tells
            continue
        candidates += [
            Candidate(version_id, snapshot, step)
            for step in snapshot.steps
            if step.station_type == event_type and step.ingest_mapping is not None
        ]
    return tuple(candidates)


def _names_of(mapping: Mapping[str, Any], sent: Sent) -> dict[str, Any]:
    """Return what an event names by a mapping, as fields of `Named`.

    One that names no unit means those of its carrier, or of the event that opened its transaction. What its carrier
    carries is locked along, and so are its items where the envelope names other units.
    """
    event = sent.said
    try:
        sns, carrier_no = mappings.find_names(mapping, event)
        if carrier_no is not None:
            carried = list_carried(carrier_no) if sent.carried is None else sent.carried
            on_it = [sn for sn, _position in carried]
            now_on_it = on_it if sent.carried is None else [sn for sn, _position in list_carried(carrier_no)]
            others = [*on_it, *now_on_it, *mappings.find_names_of_items(mapping, event)]
            return {"sns": sns or on_it, "others": others, "carried": carried}
        if sns:
            return {"sns": sns, "others": mappings.find_names_of_items(mapping, event)}
        transaction_id = mappings.find_transaction(mapping, event)
    except errors.IngestPayloadInvalid:
        return {}
    if transaction_id is None:
        return {}
    return {"sns": list_of_transaction(event["sourceSystem"], transaction_id), "transaction_id": transaction_id}


def list_carried(carrier_no: str) -> list[tuple[str, str]]:
    """Return (serial number, position) of the units that a carrier carries now, by position."""
    loads = CarrierLoad.objects.filter(carrier__carrier_no=carrier_no, unloaded_at=None).order_by("position", "id")
    return list(loads.values_list("unit__sn", "position"))


def list_of_transaction(source_system: str, transaction_id: str) -> list[str]:
    """Return the units of the event that opened a transaction: a machine may name them only once."""
    opened = SettledIngestEvent.objects.filter(source_system=source_system, transaction_id=transaction_id)
    return next(iter(opened.order_by("-id").values_list("sns", flat=True)[:1]), [])


def no_unit_error(candidates: Iterable[Candidate]) -> errors.IngestPayloadInvalid:
    """Return the refusal of an event in which no candidate finds a unit."""
    paths = {
        str(candidate.mapping.get(key))
        for candidate in candidates
        for key in ("snPath", "snListPath", "unitsPath", "carrierCodePath")
        if candidate.mapping.get(key)
    }
    problems = [f"{path}: finds no unit" for path in sorted(paths)] or ["no path names a unit"]
    return mappings.invalid(*problems)
