"""What the items of a set-up list may say, and whether something fits one. Pure functions."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mes.line_setup.loads.models import Verify
from mes.line_setup.set_up_lists.models import SetUpItemKind
from mes.platform.validators import validate_code

Problem = tuple[str, str]  # the field, and what is wrong with it
_Told = tuple[str, str | Promise]
_OF_PARTS = {"materialCode": "material_code", "alternates": "alternates", "refDes": "ref_des"}


@dataclass(frozen=True)
class ItemInput:
    """What a slot must hold, as it is asked for."""

    station_code: str
    slot: str
    kind: str = SetUpItemKind.PART
    material_code: str | None = None
    alternates: Sequence[str] = ()
    quantity_per_unit: Decimal = Decimal(1)
    ref_des: Sequence[str] = ()
    tool_ids: Sequence[str] = ()
    program: str = ""


@dataclass(frozen=True)
class Known:
    """What there is of what items name: stations by code with the code of their line, materials, tools."""

    stations: Mapping[str, str | None]
    materials: Collection[str]
    tools: Collection[str]


def find_problems(items: Sequence[ItemInput], *, line_code: str, known: Known) -> list[list[Problem]]:
    """Return for each item what is wrong with it."""
    first: dict[tuple[str, str], int] = {}
    found = []
    for index, item in enumerate(items):
        problems = [(field, str(message)) for field, message in _find_in(item, line_code, known)]
        if first.setdefault((item.station_code, item.slot), index) != index:
            problems.append(("slot", str(_("Another item has this slot of the station."))))
        found.append(problems)
    return found


def _find_in(item: ItemInput, line_code: str, known: Known) -> Iterator[_Told]:
    if item.station_code not in known.stations:
        yield "stationCode", _("There is no such station.")
    elif known.stations[item.station_code] not in (None, line_code):
        yield "stationCode", _("The station is of another line.")
    try:
        validate_code(item.slot)
    except ValidationError as error:
        yield "slot", " ".join(error.messages)
    if not item.quantity_per_unit > 0:
        yield "quantityPerUnit", _("Must be greater than 0.")
    yield from _find_of_kind(item)
    unknown = [code for code in (item.material_code, *item.alternates) if code and code not in known.materials]
    if item.material_code in unknown:
        yield "materialCode", _("There is no such material.")
    yield from _find_in_list("alternates", item.alternates, unknown, _("There is no material “%(name)s”."))
    if item.material_code in item.alternates:
        yield "alternates", _("The part itself is no alternate.")
    missing = [code for code in item.tool_ids if code not in known.tools]
    yield from _find_in_list("toolIds", item.tool_ids, missing, _("There is no tool “%(name)s”."))
    yield from _find_in_list("refDes", item.ref_des, (), "")


def _find_of_kind(item: ItemInput) -> Iterator[_Told]:
    """A part has a material, a tool one or several tools, a program its name; none has what is another's."""
    is_part, is_tool = item.kind == SetUpItemKind.PART, item.kind == SetUpItemKind.TOOL
    if is_part and not item.material_code:
        yield "materialCode", _("A part has a material.")
    if not is_part:
        for name, attribute in _OF_PARTS.items():
            if getattr(item, attribute):
                yield name, _("Only a part has this.")
    if is_tool and not item.tool_ids:
        yield "toolIds", _("Name the tools of which one must be there.")
    if not is_tool and item.tool_ids:
        yield "toolIds", _("Only a tool has this.")
    if item.kind == SetUpItemKind.PROGRAM and not item.program:
        yield "program", _("Name the program.")
    if item.kind != SetUpItemKind.PROGRAM and item.program:
        yield "program", _("Only a program has this.")


def _find_in_list(field: str, names: Sequence[str], unknown: Iterable[str], message: str | Promise) -> Iterator[_Told]:
    for name in dict.fromkeys(unknown):
        if name in names:
            yield field, str(message) % {"name": name}
    if len(set(names)) < len(names):
        yield field, _("It names one of them twice.")


# --- what fits a slot ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What a slot must hold by an item: a material or one of its alternates, one of several tools, or a program.

    Materials and tools are told by their ids, and for people by their codes.
    """

    kind: str
    material: int | None = None
    material_code: str = ""
    alternates: frozenset[int] = frozenset()
    alternate_codes: Sequence[str] = ()
    tools: frozenset[int] = frozenset()
    tool_codes: Sequence[str] = ()
    program: str = ""
    quantity_per_unit: Decimal = Decimal(1)

    def compare(self, *, material: int | None = None, tool: int | None = None, program: str = "") -> Verify:
        """Return how something compares with it: PASS, ALTERNATE or WRONG_PART. What nobody knows the material of is
        wrong.
        """
        if self.kind == SetUpItemKind.PART:
            if material is not None and material == self.material:
                return Verify.PASS
            return Verify.ALTERNATE if material in self.alternates else Verify.WRONG_PART
        if self.kind == SetUpItemKind.TOOL:
            return Verify.PASS if tool in self.tools else Verify.WRONG_PART
        return Verify.PASS if program and program == self.program else Verify.WRONG_PART

    @property
    def names(self) -> list[str]:
        """What people may put there, the first the one that is meant."""
        if self.kind == SetUpItemKind.PART:
            return [self.material_code, *self.alternate_codes]
        return list(self.tool_codes) if self.kind == SetUpItemKind.TOOL else [self.program]


def compare_with_all(places: Sequence[Place], *, material: int | None, tool: int | None, program: str) -> Verify:
    """Return how something compares with what each of several lists wants of the same slot: it must fit them all."""
    found = [place.compare(material=material, tool=tool, program=program) for place in places]
    if Verify.WRONG_PART in found:
        return Verify.WRONG_PART
    return found[0] if found else Verify.NO_LIST
