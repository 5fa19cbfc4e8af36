"""What a transfer locks, in the order of `mes.production.locking`, and what is read of it once it is locked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, Max, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from execution.models import Carrier, CarrierLoad, Track
from execution.quality.first_article.models import FaiStatus, FirstArticle
from mes import errors
from mes.plant.models import BomItem
from mes.production import locking, runs
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit
from mes.production.names import find_names
from mes.production.serial_numbers import no_such_unit

OPEN_ARTICLES = (FaiStatus.CREATED, FaiStatus.INSPECTING)


def lock_runs(*, numbers: Sequence[str], ids: Iterable[int] = ()) -> dict[int, Run]:
    """Lock runs exclusively, in the order of their ids, and return them by id as they are then.

    They are read after the lock: joined, a run that got another line or version meanwhile would not be found.
    """
    affected = Run.objects.filter(Q(run_no__in=numbers) | Q(pk__in=list(ids))).order_by("pk")
    locked = list(affected.select_for_update(no_key=True).values_list("pk", flat=True))
    found = Run.objects.select_related("work_order", "line", "route_version")
    return {
        run.pk: run for run in found.defer("route_version__snapshot", "route_version__errors").filter(pk__in=locked)
    }


def find_named(locked: Mapping[int, Run], run_no: str) -> Run:
    """Return one of the locked runs. Raises RunNotFound."""
    for run in locked.values():
        if run.run_no == run_no:
            return run
    raise errors.RunNotFound(code=run_no)


def check_open(run: Run) -> None:
    """Raise RunClosed unless units may leave and join a run: one that is on hold is open. Raise RunInOqc while its
    outgoing inspection lets nothing go.
    """
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run.run_no)
    runs.check_lot_moves(run)


@dataclass
class Named:
    """The units that were named, locked, as far as there are such, and why others cannot be moved, by serial number."""

    sns: Sequence[str]
    by_sn: Mapping[str, Unit]
    faults: dict[str, errors.DomainError] = field(default_factory=dict)

    @property
    def units(self) -> list[Unit]:
        """Those without a fault, in the order in which they were named."""
        return [unit for sn, unit in self.by_sn.items() if sn not in self.faults]

    def leave_out(self, unit: Unit, fault: errors.DomainError) -> None:
        """Note why a unit cannot be moved; the first reason counts."""
        self.faults.setdefault(unit.sn, fault)

    def check(self) -> None:
        """Raise UnitsNotMovable where there is a fault."""
        if not self.faults:
            return
        told = [{"sn": sn, "code": self.faults[sn].code} for sn in self.sns if sn in self.faults]
        refusal = errors.UnitsNotMovable(count=len(told), units=told)
        refusal.reasons = {sn: str(fault) for sn, fault in self.faults.items()}
        raise refusal


def lock_named(sns: Sequence[str]) -> Named:
    """Lock the units that have these serial numbers, or had them, each once; with a fault for each that none has."""
    names = find_names(sns)
    wanted = list(dict.fromkeys(names.present.get(sn, sn) for sn in sns))
    known = {unit.sn: unit for unit in locking.lock_units(Unit.objects.filter(sn__in=wanted))}
    named = Named(wanted, {sn: known[sn] for sn in wanted if sn in known})
    for sn in wanted:
        if sn in names.references:
            named.faults[sn] = errors.SnIsReference(sn=sn)
        elif sn not in known:
            named.faults[sn] = no_such_unit(sn)
    return named


# --- what is known of locked units, one statement for any number of them -----------------------------------


def list_samples_of(run: Run) -> set[int]:
    """Return the ids of the units that a first article of a run inspects which is not decided yet."""
    articles = FirstArticle.objects.filter(run=run, status__in=OPEN_ARTICLES).order_by()
    samples = articles.filter(samples__isnull=False).values_list("samples__unit", flat=True)
    return set(samples.union(articles.filter(items__isnull=False).values_list("items__unit", flat=True)))


def find_started(units: Sequence[Unit], run: Run) -> set[int]:
    """Return the ids of those that have a track in a run."""
    return set(Track.objects.filter(unit__in=units, run=run).order_by().values_list("unit_id", flat=True).distinct())


def find_last_results(units: Sequence[Unit]) -> dict[int, dict[str, str]]:
    """Return of each the result of its last track of each operation, in whatever run."""
    last = Track.objects.filter(unit__in=units).order_by("unit_id", "operation_code", "-id")
    results: dict[int, dict[str, str]] = {unit.pk: {} for unit in units}
    for unit_id, operation, result in last.distinct("unit_id", "operation_code").values_list(
        "unit_id", "operation_code", "result"
    ):
        results[unit_id][operation] = result
    return results


def find_ended(units: Sequence[Unit]) -> dict[int, datetime]:
    """Return when those that are done left their last step, in the run that they are in."""
    passed = Track.objects.filter(unit__in=units, run=F("unit__run")).order_by()
    return dict(passed.values_list("unit_id").annotate(Max("out_at")))


def list_parts(product: str) -> set[str]:
    """Return the products of which a product is made, by its BOM."""
    return set(BomItem.objects.filter(parent__code=product).order_by().values_list("child__code", flat=True))


# --- carriers ----------------------------------------------------------------------------------------------


def part_from_carriers(units: Sequence[Unit]) -> None:
    """Take locked units off carriers that carry others beside them: those go on as another run's.

    Units that all leave together stay on theirs.
    """
    ids = [unit.pk for unit in units]
    loads = CarrierLoad.objects.filter(unloaded_at=None)
    affected = Carrier.objects.filter(pk__in=loads.filter(unit__in=ids).values("carrier"))
    carrier_ids = list(affected.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    if not carrier_ids:
        return
    now = timezone.now()
    stay = loads.filter(carrier__in=carrier_ids).exclude(unit__in=ids).order_by().values_list("carrier_id", flat=True)
    parted = set(stay)
    if not parted:
        return
    loads.filter(carrier__in=parted, unit__in=ids).update(unloaded_at=Greatest(F("loaded_at"), now))
    Carrier.objects.filter(pk__in=parted).update(changed_at=now)
