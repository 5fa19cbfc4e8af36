"""Panels: carriers whose boards are units from the start, each at a position, until they are parted.

A board without a label has the serial number `<panel>:<position>` until it gets one, and is found by that for ever, as
are those with a label from the start. An X-out is no unit. Which boards a panel held, its loads tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.translation import gettext as _

from execution import labels
from execution.carriers import OFF_CARRIER, list_loads, lock_carrier, lock_carriers, unload_locked
from execution.models import Carrier, CarrierLoad
from execution.reach import check_speaks_for
from mes import errors
from mes.platform.inbound.sender import EVERYWHERE, Sender
from mes.production import locking, runs
from mes.production.identity_models import UnitAlias
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import find_names, lock_alone, named
from mes.production.serial_numbers import check_new

MOST_BOARDS = 10_000  # of one registration
MOST_PANELS = 1000


@dataclass(frozen=True, slots=True)
class Board:
    """A place of a panel: with a label, without one yet, or an X-out, at which there is no unit."""

    position: int
    sn: str | None = None
    is_x_out: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel and its boards."""

    panel_no: str
    boards: Sequence[Board]

    def list_placings(self) -> list[tuple[str, int]]:
        """Return (serial number, position) of its boards that are units."""
        return [
            (board.sn or unlabelled_sn(self.panel_no, board.position), board.position)
            for board in self.boards
            if not board.is_x_out
        ]


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration of panels did: the panels with what they carry, and the serial numbers that were new."""

    run: Run
    panels: Sequence[tuple[str, Sequence[CarrierLoad]]]
    new_sns: Sequence[str] = field(default=())


def unlabelled_sn(panel_no: str, position: int | str) -> str:
    """Return the serial number of a board that has no label yet."""
    return f"{panel_no}:{position}"


@locking.atomically
def register_panels(*, run_no: str, panels: Sequence[Panel], by: str) -> Registration:
    """Register the boards of panels as units of a run, and have the panels carry them; all or nothing. Registered again
    as they are, nothing changes.

    Raises ValidationFailed, PanelLoaded for one that carries anything else, and what `runs.register_units` and
    `carriers.load` raise.
    """
    _check_shape(panels)
    run = runs.lock(run_no=run_no)
    placings = {panel.panel_no: panel.list_placings() for panel in panels}
    sns = [sn for placed in placings.values() for sn, _position in placed]
    unlabelled = {
        unlabelled_sn(panel.panel_no, board.position) for panel in panels for board in panel.boards if not board.sn
    }
    locking.lock_units(Unit.objects.filter(named(sns)))  # those that are there: none is scrapped while it is placed
    new_sns = runs.register_in(run, sns, unlabelled=unlabelled, will_name=True)
    present = find_names(sns).present
    units = {unit.sn: unit for unit in Unit.objects.filter(named(sns))}
    carriers = lock_carriers(list(placings))
    for panel_no, placed in placings.items():
        _place(carriers[panel_no], [(units[present.get(sn, sn)], str(position)) for sn, position in placed])
    places = [
        (unlabelled_sn(panel_no, position), units[present.get(sn, sn)])
        for panel_no, placed in placings.items()
        for sn, position in placed
    ]
    _name_by_place(places, by=by)
    carried = [(panel_no, list_loads(carriers[panel_no])) for panel_no in placings]
    return Registration(run, carried, new_sns)


def _name_by_place(places: Sequence[tuple[str, Unit]], *, by: str) -> None:
    """Have boards found by panel and position, too. Raises SnTaken where that means another unit."""
    labelled = {place: unit for place, unit in places if unit.sn != place}
    names = find_names(labelled)
    taken = set(Unit.objects.filter(sn__in=labelled).values_list("sn", flat=True)) | names.references
    for place, unit in labelled.items():
        if place in taken or names.present.get(place, unit.sn) != unit.sn:
            raise errors.SnTaken(sn=place)
        check_new([place], ())
    reason = _("Its place on the panel")
    UnitAlias.objects.bulk_create(
        UnitAlias(sn=place, unit=unit, reason=reason, relabelled_by=by[:150])
        for place, unit in labelled.items()
        if place not in names.present
    )


def _check_shape(panels: Sequence[Panel]) -> None:
    """Raise ValidationFailed for a panel, a position or a serial number that is named twice, and an X-out with one."""
    problems: dict[str, str] = {}
    numbers, sns = set[str](), set[str]()
    if sum(len(panel.boards) for panel in panels) > MOST_BOARDS:
        raise errors.ValidationFailed({"panels": _("More than {most} boards at once.").format(most=MOST_BOARDS)})
    for index, panel in enumerate(panels):
        if panel.panel_no in numbers:
            problems[f"panels.{index}.panelNo"] = _("Named more than once.")
        numbers.add(panel.panel_no)
        for place, message in _list_problems(panel.boards, sns):
            problems[f"panels.{index}.boards.{place}"] = message
    if problems:
        raise errors.ValidationFailed(problems)


def _list_problems(boards: Iterable[Board], sns: set[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the boards of a panel, by their places; `sns` are those named so far."""
    positions = set[int]()
    for index, board in enumerate(boards):
        if board.position in positions:
            yield f"{index}.position", _("Named more than once.")
        positions.add(board.position)
        if board.is_x_out and board.sn:
            yield f"{index}.sn", _("An X-out has no serial number.")
        if board.sn in sns:
            yield f"{index}.sn", _("Named more than once.")
        if board.sn:
            sns.add(board.sn)


def _place(carrier: Carrier, placings: Sequence[tuple[Unit, str]]) -> None:
    """Have a locked panel carry these units, unless it does. Raises PanelLoaded, UnitScrapped, UnitAlreadyDone."""
    carried = {(load.unit_id, load.position) for load in list_loads(carrier)}
    if carried == {(unit.pk, position) for unit, position in placings}:
        return
    if carried:
        raise errors.PanelLoaded(panel=carrier.carrier_no)
    if CarrierLoad.objects.filter(carrier=carrier, unit__in=[unit for unit, _position in placings]).exists():
        return  # parted since
    for unit, _position in placings:
        if unit.status in OFF_CARRIER:
            is_scrapped = unit.status == UnitStatus.SCRAPPED
            raise errors.UnitScrapped(sn=unit.sn) if is_scrapped else errors.UnitAlreadyDone(sn=unit.sn)
    elsewhere = CarrierLoad.objects.filter(unit__in=[unit for unit, _position in placings], unloaded_at=None)
    if load := elsewhere.select_related("carrier").first():
        raise errors.PanelLoaded(panel=load.carrier.carrier_no)
    now = timezone.now()
    CarrierLoad.objects.bulk_create(
        CarrierLoad(carrier=carrier, unit=unit, position=position, loaded_at=now) for unit, position in placings
    )
    Carrier.objects.filter(pk=carrier.pk).update(changed_at=now)


# --- parting them ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Label:
    """The label that the board at a position gets."""

    position: str
    sn: str


@locking.atomically
def depanel(*, carrier_no: str, given: Sequence[Label], by: str, sender: Sender = EVERYWHERE) -> list[tuple[str, Unit]]:
    """Part the boards of a panel: give labels to those at these positions, and take all off it. Return (position, unit)
    of all that it carried. Parted so before, nothing changes.

    Raises CarrierNotFound, ValidationFailed, BoardLabelled for one that has another label, StationNotAllowed, and what
    `labels.relabel` raises.
    """
    _check_given(given)
    if not Carrier.objects.filter(carrier_no=carrier_no).exists():
        raise errors.CarrierNotFound(code=carrier_no)
    loads = CarrierLoad.objects.filter(carrier__carrier_no=carrier_no, unloaded_at=None)
    units = locking.lock_units(Unit.objects.filter(pk__in=list(loads.values_list("unit_id", flat=True))))
    if given:
        lock_alone()
    carrier = lock_carrier(carrier_no)
    carried = list_loads(carrier)
    by_id = {unit.pk: unit for unit in units}
    if not by_id.keys() >= {load.unit_id for load in carried}:
        raise locking.Outdated
    check_speaks_for(sender, units)
    if not carried and (parted := _find_parted(carrier, given)):
        return parted
    boards = {load.position: by_id[load.unit_id] for load in carried}
    _check_positions(given, boards)
    unload_locked(carrier, carried, at=timezone.now())
    for label in given:
        _give(boards[label.position], label, carrier_no, by=by)
    return [(load.position, by_id[load.unit_id]) for load in carried]


def _check_given(given: Sequence[Label]) -> None:
    """Raise ValidationFailed for a position or a serial number that is named twice."""
    problems: dict[str, str] = {}
    positions, sns = set[str](), set[str]()
    for index, label in enumerate(given):
        if label.position in positions:
            problems[f"boards.{index}.position"] = _("Named more than once.")
        if label.sn in sns:
            problems[f"boards.{index}.sn"] = _("Named more than once.")
        positions.add(label.position)
        sns.add(label.sn)
    if problems:
        raise errors.ValidationFailed(problems)


def _check_positions(given: Sequence[Label], boards: dict[str, Unit]) -> None:
    """Raise ValidationFailed for a position at which there is no unit."""
    problems = {
        f"boards.{index}.position": _("The panel carries no unit there.")
        for index, label in enumerate(given)
        if label.position not in boards
    }
    if problems:
        raise errors.ValidationFailed(problems)


def _give(unit: Unit, label: Label, panel_no: str, *, by: str) -> None:
    if unit.sn == label.sn:
        return
    if unit.sn != unlabelled_sn(panel_no, label.position):
        raise errors.BoardLabelled(panel=panel_no, position=label.position, sn=unit.sn)
    reason = _("Label of position %(position)s of panel %(panel)s") % {"position": label.position, "panel": panel_no}
    labels.relabel_locked(unit, label.sn, reason=reason, by=by)


def _find_parted(carrier: Carrier, given: Sequence[Label]) -> list[tuple[str, Unit]]:
    """Return what an empty panel carried last, where the boards at these positions have these labels; else nothing."""
    last = CarrierLoad.objects.filter(carrier=carrier).order_by("-unloaded_at").values_list("unloaded_at", flat=True)
    together = CarrierLoad.objects.filter(carrier=carrier, unloaded_at=last.first()).select_related("unit")
    parted = {load.position: load.unit for load in together.order_by("position", "id")}
    if not given or any(label.position not in parted or parted[label.position].sn != label.sn for label in given):
        return []
    return list(parted.items())
