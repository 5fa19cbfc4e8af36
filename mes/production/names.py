"""What a serial number that is no unit's present one may be: an earlier one of a unit, or that of a reference unit.

It is looked up in the statements that look for units anyway, or only where none was found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import msgspec
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.expressions import RawSQL

from mes import errors
from mes.plant.scans import ScanKind, scanned_as
from mes.platform.database.prepared import as_json, fetch_all
from mes.production.identity_models import UnitAlias
from mes.production.models import Run, Unit
from mes.production.serial_numbers import no_such_unit

T = TypeVar("T")
ONCE = "serial_number_once"  # the rule of the database (migration 0041), as it is named when it refuses

_ASKED = "ARRAY(SELECT jsonb_array_elements_text(%(sns)s::jsonb))"
# A scalar for statements with the parameter `sns`: [serial number, present one of its unit or null], as text.
SELECT_NAMES = f"""
    (SELECT json_agg(json_build_array(other.sn, other.present))::text
       FROM (SELECT a.sn, (SELECT sn FROM mes_unit WHERE id = a.unit_id) AS present
               FROM mes_unitalias a WHERE a.sn = ANY({_ASKED})
             UNION ALL
             SELECT r.sn, NULL FROM mes_referenceunit r WHERE r.sn = ANY({_ASKED})) AS other)
"""
_NAMED = "SELECT id FROM mes_unit WHERE sn = ANY(%s) UNION ALL SELECT unit_id FROM mes_unitalias WHERE sn = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Names:
    """What those of the asked serial numbers are that are no unit's present ones: `present` maps earlier ones."""

    present: Mapping[str, str] = field(default_factory=dict)
    references: frozenset[str] = frozenset()

    def check_present(self) -> None:
        """Raise Relabelled where one is an earlier one."""
        if self.present:
            raise Relabelled(self.present)

    def check_no_reference(self, sns: Iterable[str]) -> None:
        """Raise SnIsReference for the first of these that is a reference unit's."""
        for sn in sns:
            if sn in self.references:
                raise errors.SnIsReference(sn=sn)


class Relabelled(Exception):
    """A serial number is an earlier one: begin again with the present one of its unit."""

    def __init__(self, present: Mapping[str, str]) -> None:
        self.present = present


def under_present_sn(service: Callable[..., T]) -> Callable[..., T]:
    """Call a service, which raises Relabelled, again with the present serial number of the unit that `sn` names."""

    @wraps(service)
    def serve(*, sn: str, **kwargs: Any) -> T:
        try:
            return service(sn=sn, **kwargs)
        except Relabelled as relabelled:
            return serve(sn=relabelled.present[sn], **kwargs)

    return serve


def read_names(text: str | None) -> Names:
    """Return what `SELECT_NAMES` found."""
    if text is None:
        return Names()
    rows: list[tuple[str, str | None]] = msgspec.json.decode(text)
    return Names(
        present={sn: present for sn, present in rows if present is not None},
        references=frozenset(sn for sn, present in rows if present is None),
    )


def find_names(sns: Iterable[str]) -> Names:
    """Return what serial numbers are that are no unit's present ones, in one statement; none where none is asked."""
    asked = list(dict.fromkeys(sns))
    return read_names(fetch_all(f"SELECT {SELECT_NAMES}", {"sns": as_json(asked)})[0][0]) if asked else Names()


def named(sns: Sequence[str]) -> Q:
    """Return the condition of units that have one of these serial numbers, or had it before."""
    return Q(pk__in=RawSQL(_NAMED, [list(sns), list(sns)]))


def lock_alone() -> None:
    """Let nobody make a unit, relabel one or register a reference unit until the transaction ends.

    By whoever makes units and gives them further names in one transaction, after the units that are there are locked:
    two of them would each share the lock that the other wants alone. And by whoever relabels units and locks, before
    that, what comes after this lock.
    """
    fetch_all("SELECT pg_advisory_xact_lock(hashtextextended('mes serial numbers', 0))", {})


def is_taken(error: IntegrityError) -> bool:
    """Whether the database refused a serial number because a unit, an earlier one or a reference unit has it."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) == ONCE


def find_present(sn: str, run: Run | None = None) -> str:
    """Return the present serial number of the unit that had this one, which no unit has, before; one statement.

    `run` is the one in which it was looked for. Raises SnIsReference, UnitNotFound, UnitNotRegistered, SnUnreadable.
    """
    names = find_names([sn])
    names.check_no_reference([sn])
    if sn not in names.present:
        raise no_such_unit(sn, run)
    return names.present[sn]


def get_unit(sn: str, units: Any = Unit.objects) -> Unit:
    """Return the unit that has a serial number, or had it before. Raises as `find_present` does."""
    unit = units.filter(sn=sn).first()
    return unit or units.get(sn=find_present(sn))


def get_scanned_unit(sn: str) -> Unit:
    """Return the unit that a field to scan into names. Raises ScanTypeMismatch for what is known as something else, and
    as `find_present` does.
    """
    with scanned_as(ScanKind.UNIT):
        return get_unit(sn)


def find_sns_at(unit_ids: Iterable[int], at: datetime) -> dict[int, str]:
    """Return the serial numbers that units had at a moment, by their ids: what was signed says these."""
    asked = set(unit_ids)
    present: dict[int, str] = dict(Unit.objects.filter(pk__in=asked).values_list("pk", "sn"))
    earlier = UnitAlias.objects.filter(unit__in=asked, relabelled_at__gt=at).order_by("-relabelled_at", "-id")
    return present | dict(earlier.values_list("unit_id", "sn"))


def find_units(sns: Iterable[str], units: Any = Unit.objects) -> dict[str, Unit]:
    """Return units by the serial numbers that name them, as far as there are any; present ones or earlier ones."""
    asked = set(sns)
    found: dict[str, Unit] = {unit.sn: unit for unit in units.filter(sn__in=asked)} if asked else {}
    present = find_names(asked - found.keys()).present
    if present:
        by_sn = {unit.sn: unit for unit in units.filter(sn__in=present.values())}
        found |= {sn: by_sn[now] for sn, now in present.items() if now in by_sn}
    return found
