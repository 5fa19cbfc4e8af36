"""IPC-CFX: what its notifications about materials and tools say, as bodies of the channels.

A notification says which machine it is of (its CFX handle), seldom which station or slot in our words: that is given
(`Endpoint`). What it does not say is not guessed. Names, and what each message means, are those of the CFX SDK
(github.com/IPCConnectedFactoryExchange/CFX).
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

MATERIAL_LOADS, LOT_EVENTS, MATERIAL_USES, STENCIL_STATUS = (
    "material-loads",
    "lot-events",
    "material-uses",
    "stencil-status",
)
LONGEST_ID = 180  # of a message; a body's adds its number
LONGEST_CHAIN = 100  # packages spliced one behind the other

Body = dict[str, Any]


class CfxError(Exception):
    """A message, or what is given of the machines, cannot be read: `path` says where, `problem` why."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class UnknownMessage(CfxError):
    """A message of another kind than those that say something of materials or tools."""


class Translated(NamedTuple):
    """A body, and the channel it is for."""

    channel: str
    body: Body


class LeftOut(NamedTuple):
    """A part of a message that says nothing any channel takes."""

    path: str
    why: str


class Translation(NamedTuple):
    """What a message comes to."""

    bodies: list[Translated]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class Location:
    """What a location of a machine is called here. None: as the machine calls it, at the machine's station."""

    slot: str | None = None
    station: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """The stations and slots of a machine that speaks CFX.

    `stages` are stations by the name or number of a stage. A location goes by `slot_by`; a lane of a feeder from the
    second on has its number behind, as `5555646455:2`. `tool_slots` are slots by the type of a tool, such as
    `SMTStencil`. `unit_separator` stands between the identifier of a panel and the position of a unit.
    """

    station: str
    stages: Mapping[str, str] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)
    tool_slots: Mapping[str, str] = field(default_factory=dict)
    slot_by: str = "LocationIdentifier"
    unit_separator: str = "-"

    @property
    def stations(self) -> set[str]:
        """All stations at which something of this machine may be loaded."""
        return {self.station} | {place.station for place in self.locations.values() if place.station is not None}


@dataclass(frozen=True)
class Part:
    """A part of a message, and where in it."""

    value: Any
    path: str

    def __getitem__(self, name: str) -> "Part":
        """Return a field; one that is missing is null. Raises CfxError where this is no object."""
        if not isinstance(self.value, dict):
            raise CfxError(self.path, "is missing" if self.value is None else "must be an object")
        return Part(self.value.get(name), f"{self.path}.{name}" if self.path else name)

    @property
    def is_missing(self) -> bool:
        """Whether nothing is said: null, or a blank text."""
        return self.value is None or (isinstance(self.value, str) and not self.value.strip())

    def items(self) -> Iterator["Part"]:
        """Yield the items of a list; null is an empty one. Raises CfxError where this is none."""
        if self.value is not None and not isinstance(self.value, list):
            raise CfxError(self.path, "must be a list")
        for index, item in enumerate(self.value or []):
            yield Part(item, f"{self.path}[{index}]")

    def fields(self) -> Iterator[tuple[str, "Part"]]:
        """Yield the fields of an object by name; null is an empty one. Raises CfxError where this is none."""
        if self.value is not None and not isinstance(self.value, dict):
            raise CfxError(self.path, "must be an object")
        for name in self.value or {}:
            yield name, self[name]

    def text(self) -> str:
        """Return a text. Raises CfxError where there is none."""
        if self.is_missing:
            raise CfxError(self.path, "is missing")
        if not isinstance(self.value, str):
            raise CfxError(self.path, "must be a text")
        return self.value

    def text_or_none(self) -> str | None:
        """Return a text, or None where nothing is said."""
        return None if self.is_missing else self.text()

    def number(self) -> float | None:
        """Return a quantity. CFX has no null here: 0 is what it writes where nothing is known, and is None."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise CfxError(self.path, "must be a number")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise CfxError(self.path, "must be a finite number")
        if self.value < 0:
            raise CfxError(self.path, "must not be negative")
        return self.value or None

    def whole_number(self) -> int | None:
        """Return a whole number, or None where nothing is said."""
        if self.value is not None and (isinstance(self.value, bool) or not isinstance(self.value, int)):
            raise CfxError(self.path, "must be a whole number")
        return self.value


class Row(NamedTuple):
    """An item of a body, and the station whose body it is of."""

    station: str
    item: Body


Rows = list[Row]


@dataclass(frozen=True)
class Reading:
    """What is known while a message is read: its machine, its time, and what has been left out so far."""

    endpoint: Endpoint
    at: str
    left_out: list[LeftOut] = field(default_factory=list)


Read = Callable[[Part, Reading], Rows]


class Kind(NamedTuple):
    """A kind of message: its channel, the name of the list in its bodies ("" where each item is a body), its reader."""

    channel: str
    items: str
    read: Read


# --- what is given of the machines -------------------------------------------------------------------------


def read_endpoints(document: Any) -> dict[str, Endpoint]:
    """Return the endpoints of a JSON document, by handle: `{handle: stationCode | {station, stages, locations, …}}`.

    Raises CfxError.
    """
    if not isinstance(document, dict):
        raise CfxError("", "must be an object with an entry for each handle")
    return {handle: _read_endpoint(Part(said, handle)) for handle, said in document.items()}


def _read_endpoint(said: Part) -> Endpoint:
    if isinstance(said.value, str):
        return Endpoint(said.text())
    _check_names(said, {"station", "stages", "locations", "toolSlots", "slotBy", "unitSeparator"})
    slot_by = said["slotBy"].text_or_none() or "LocationIdentifier"
    if slot_by not in ("LocationIdentifier", "LocationName"):
        raise CfxError(said["slotBy"].path, "must be LocationIdentifier or LocationName")
    separator = said["unitSeparator"]
    return Endpoint(
        said["station"].text(),
        stages=_texts(said["stages"]),
        locations={name: _read_location(one) for name, one in said["locations"].fields()},
        tool_slots=_texts(said["toolSlots"]),
        slot_by=slot_by,
        unit_separator="-" if separator.value is None else separator.text(),
    )


def _read_location(said: Part) -> Location:
    if isinstance(said.value, str):
        return Location(said.text())
    _check_names(said, {"slot", "station"})
    return Location(said["slot"].text_or_none(), said["station"].text_or_none())


def _texts(said: Part) -> dict[str, str]:
    return {name: one.text() for name, one in said.fields()}


def _check_names(said: Part, known: set[str]) -> None:
    if not isinstance(said.value, dict):
        raise CfxError(said.path, "must be the code of a station, or an object")
    for name in said.value:
        if name not in known:
            raise CfxError(f"{said.path}.{name}", "is unknown")


# --- a message ---------------------------------------------------------------------------------------------


def translate(message: Any, endpoints: Mapping[str, Endpoint]) -> Translation:
    """Return the bodies that a message comes to, in their order. `endpoints` are the machines, by their handles.

    The same message always comes to the same bodies with the same event ids. Raises UnknownMessage, CfxError.
    """
    envelope = Part(message, "")
    kind = find_kind(envelope)
    reading = Reading(_find_endpoint(envelope["Source"], endpoints), _read_time(envelope["TimeStamp"]))
    rows = kind.read(envelope["MessageBody"], reading)
    event_id = event_id_of(envelope)
    meta = {"format": "IPC-CFX", "messageName": envelope["MessageName"].text(), "handle": envelope["Source"].text()}
    bodies = []
    for number, body in enumerate(_bodies(kind, rows), start=1):
        head = {
            "eventId": event_id if number == 1 else f"{event_id}:{number}",
            "eventTime": reading.at,
            "source": "AUTO",
        }
        bodies.append(Translated(kind.channel, {**head, **body, "meta": meta}))
    return Translation(bodies, reading.left_out)


def find_kind(envelope: Part) -> Kind:
    """Return of which kind a message is, by the name of its class, whatever its namespace. Raises UnknownMessage."""
    name = envelope["MessageName"].text()
    kind = KINDS.get(name.rpartition(".")[2])
    if kind is None:
        raise UnknownMessage("MessageName", f"{name} is none of {', '.join(sorted(KINDS))}")
    return kind


def event_id_of(envelope: Part) -> str:
    """Return the id of a message: its `UniqueID`, or a digest of all it says where it has none or zeros."""
    unique = envelope["UniqueID"].text_or_none()
    if unique is None or not unique.strip("0-{} "):
        said = json.dumps(envelope.value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return f"cfx-{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()}"
    if len(unique) > LONGEST_ID or not unique.isprintable():
        raise CfxError("UniqueID", f"must be printable and no longer than {LONGEST_ID} characters")
    return unique


def _find_endpoint(source: Part, endpoints: Mapping[str, Endpoint]) -> Endpoint:
    handle = source.text()
    if handle not in endpoints:
        raise CfxError(source.path, f"no station is given for {handle}")
    return endpoints[handle]


def _read_time(told: Part) -> str:
    try:
        at = datetime.fromisoformat(told.text())
    except ValueError:
        raise CfxError(told.path, "must be a time as in ISO 8601") from None
    if at.tzinfo is None:
        raise CfxError(told.path, "has no offset from UTC")
    return at.isoformat()


def _bodies(kind: Kind, rows: Rows) -> Iterator[Body]:
    """Yield what the bodies say beside the envelope: one for each item, or one for each station with its items."""
    if not kind.items:
        yield from (row.item for row in rows)
        return
    for station in dict.fromkeys(row.station for row in rows):
        yield {"stationCode": station, kind.items: [row.item for row in rows if row.station == station]}


def _said(**fields: Any) -> Body:
    """Return those fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


# --- packages and places -----------------------------------------------------------------------------------


def _lot_of(package: Part) -> str:
    """Return the lot of a package: of a tray its batch, since its own identifier is but for while it is mounted."""
    return package["BatchId"].text_or_none() or package["UniqueIdentifier"].text()


def _part_of(package: Part) -> str | None:
    return package["InternalPartNumber"].text_or_none()


def _packages(package: Part) -> list[Part]:
    """Return the packages that are spliced one behind the other, what is consumed first in front."""
    chain = [package]
    while len(chain) <= LONGEST_CHAIN:
        leading = chain[-1]["LeadingMaterialPackage"]
        leading = chain[-1]["SplicedMaterialPackage"] if leading.value is None else leading  # its name up to CFX 1.0
        if leading.value is None:
            return chain[::-1]
        chain.append(leading)
    raise CfxError(package.path, f"has more than {LONGEST_CHAIN} packages in a row")


def _place_of(location: Part, endpoint: Endpoint) -> Location:
    """Return slot and station of a location. Raises CfxError where it does not say which slot."""
    named = location[endpoint.slot_by].text()
    carrier = location["CarrierInformation"]
    lane = None if carrier.value is None else carrier["LaneNumber"].whole_number()
    name = f"{named}:{lane}" if lane is not None and lane > 1 else named
    found = endpoint.locations.get(name, Location())
    return Location(found.slot or name, found.station or endpoint.station)


def _stage_station(component: Part, endpoint: Endpoint) -> str | None:
    """Return the station of the stage of a component, where stages have stations of their own."""
    stage = component["Stage"]
    if not endpoint.stages or stage.value is None:
        return None
    number = stage["StageSequence"].whole_number()
    names = [stage["StageName"].text_or_none(), None if number is None else str(number)]
    for name in names:
        if name is not None and name in endpoint.stages:
            return endpoint.stages[name]
    raise CfxError(stage.path, "no station is given for this stage")


# --- what is loaded ----------------------------------------------------------------------------------------


def _read_loaded(content: Part, reading: Reading) -> Rows:
    rows: Rows = []
    slots: dict[tuple[str | None, str | None], Part] = {}
    for location in content["Materials"].items():
        if location[reading.endpoint.slot_by].is_missing and location["CarrierInformation"].value is not None:
            why = "is put on a carrier that is at no location: nothing is loaded at the machine"
            reading.left_out.append(LeftOut(location.path, why))
            continue
        place = _place_of(location, reading.endpoint)
        if (earlier := slots.setdefault((place.station, place.slot), location)) is not location:
            problem = (
                f"slot {place.slot} is that of {earlier.path}, too: give its lanes or locations slots of their own"
            )
            raise CfxError(location.path, problem)
        rows += _loads_of(location["MaterialPackage"], place)
    return rows


def _loads_of(package: Part, place: Location) -> Rows:
    actions = ("LOADED", *("SPLICED",) * LONGEST_CHAIN)
    return [
        _load(action, place, one, quantity=one["Quantity"].number())
        for action, one in zip(actions, _packages(package), strict=False)
    ]


def _load(action: str, place: Location, package: Part, *, quantity: float | None = None) -> Row:
    """Return what happened at a slot, which may be unknown; so may which package it was."""
    assert place.station is not None
    lot, material = (None, None) if package.value is None else (_lot_of(package), _part_of(package))
    item = _said(action=action, slot=place.slot, lotId=lot, materialCode=material, quantity=quantity)
    return Row(place.station, item)


def _read_unloaded(content: Part, reading: Reading) -> Rows:
    identifiers = content["MaterialPackageIdentifiers"]
    station = _only_station(identifiers, reading.endpoint)
    return [Row(station, _said(action="UNLOADED", lotId=one.text())) for one in identifiers.items()]


def _read_chain_split(content: Part, reading: Reading) -> Rows:
    removed = content["SplittedMaterialPackage"]
    place = Location(station=_only_station(removed, reading.endpoint))
    return [_load("UNLOADED", place, one, quantity=one["Quantity"].number()) for one in _packages(removed)]


def _only_station(said: Part, endpoint: Endpoint) -> str:
    if len(endpoint.stations) > 1:
        raise CfxError(said.path, f"does not say at which of the stations {', '.join(sorted(endpoint.stations))}")
    return endpoint.station


def _read_empty(content: Part, reading: Reading) -> Rows:
    return [
        _load("EMPTY", _place_of(location, reading.endpoint), location["MaterialPackage"])
        for location in content["EmptyMaterials"].items()
    ]


def _read_splice_point(content: Part, reading: Reading) -> Rows:
    """Of one slot: the new lot was spliced there, if nobody said so before, and the splice passed.

    Of two slots it is no splice, whatever its name: one is empty, the other in use.
    """
    depleted, new = content["DepletedMaterial"], content["NewlyActiveMaterial"]
    old_place = _place_of(depleted, reading.endpoint)
    new_place = old_place if new.value is None else _place_of(new, reading.endpoint)
    is_one = old_place == new_place
    old = _load("SPLICE_POINT" if is_one else "EMPTY", old_place, depleted["MaterialPackage"])
    if new.value is None or new["MaterialPackage"].value is None:
        return [old]
    package = new["MaterialPackage"]
    loaded = _load("SPLICED" if is_one else "LOADED", new_place, package, quantity=package["Quantity"].number())
    return [loaded, old] if is_one else [old, loaded]


# --- what happened to lots ---------------------------------------------------------------------------------


def _event(kind: str) -> Read:
    def read(content: Part, reading: Reading) -> Rows:
        return [Row("", {"lotId": _lot_of(package), "kind": kind}) for package in content["Materials"].items()]

    return read


def _read_split(content: Part, reading: Reading) -> Rows:
    new = content["NewMaterialPackage"]
    lot, new_lot = _lot_of(content["OriginalMaterialPackage"]), _lot_of(new)
    if lot == new_lot:
        raise CfxError(new.path, "is the package that it was split from")
    return [Row("", _said(lotId=lot, kind="SPLIT", newLotId=new_lot, quantity=new["Quantity"].number()))]


# --- what was used for units -------------------------------------------------------------------------------


def _installed(materials: str) -> Read:
    def read(content: Part, reading: Reading) -> Rows:
        rows: Rows = []
        for used in content[materials].items():
            components = list(used["InstalledComponents"].items())
            quantity = _quantity_installed(used)
            if not components and quantity is None and used["NonInstalledComponents"].value:
                reading.left_out.append(LeftOut(used.path, "nothing of it was installed"))
                continue
            place = Location()
            location = used["CarrierLocation"]
            if location.value is not None and not location[reading.endpoint.slot_by].is_missing:
                place = _place_of(location, reading.endpoint)
            said = {**_unit(used, reading.endpoint), **_lot_and_part(used["Material"]), **_said(slot=place.slot)}
            rows += _uses(said, components, quantity, reading.endpoint, place.station)
        return rows

    return read


def _quantity_installed(used: Part) -> float | None:
    applied = used["QuantityApplied"]  # since CFX 2.0, of what is applied
    return used["QuantityInstalled"].number() if applied.value is None else applied["Value"].number()


def _uninstalled(materials: str) -> Read:
    def read(content: Part, reading: Reading) -> Rows:
        rows: Rows = []
        for removed in content[materials].items():
            components = list(removed["UninstalledComponents"].items())
            said = {**_unit(removed, reading.endpoint), **_lot_and_part(removed["Material"]), "isRemoved": True}
            rows += _uses(said, components, removed["QuantityUninstalled"].number(), reading.endpoint)
        return rows

    return read


def _read_tools_used(content: Part, reading: Reading) -> Rows:
    rows: Rows = []
    for used in content["UsedTools"].items():
        said = {**_unit(used, reading.endpoint), "toolId": used["Tool"]["UniqueIdentifier"].text()}
        rows += _uses(said, list(used["InstalledComponents"].items()), used["UsageCycles"].number(), reading.endpoint)
    return rows


def _unit(used: Part, endpoint: Endpoint) -> Body:
    position = used["UnitPositionNumber"].whole_number()
    identifier = used["UnitIdentifier"].text()
    return {"unitSn": identifier if position is None else f"{identifier}{endpoint.unit_separator}{position}"}


def _lot_and_part(package: Part) -> Body:
    return _said(lotId=_lot_of(package), materialCode=_part_of(package))


def _uses(
    said: Body, components: Sequence[Part], quantity: float | None, endpoint: Endpoint, station: str | None = None
) -> Rows:
    """Return one use for each designator, or one of all. What is said of all together is not said of each, but where
    as many were used as there are designators.
    """
    station = station or endpoint.station
    places = [
        (_stage_station(one, endpoint) or station, one["ReferenceDesignator"].text_or_none()) for one in components
    ]
    places = list(dict.fromkeys(places)) or [(station, None)]
    of_each = quantity if len(places) == 1 else 1 if quantity == len(places) else None
    return [Row(at, {**said, **_said(refDes=ref_des, quantity=of_each)}) for at, ref_des in places]


# --- tools -------------------------------------------------------------------------------------------------


def _type_of(tool: Part) -> str:
    """Return the name of a tool's class, of `CFX.Structures.SolderPastePrinting.SMTStencil, CFX`; "" where none is."""
    return (tool["$type"].text_or_none() or "").partition(",")[0].rpartition(".")[2]


def _tools(action: str) -> Read:
    def read(content: Part, reading: Reading) -> Rows:
        rows: Rows = []
        for tool in content["Tools"].items():
            tool_id = tool["UniqueIdentifier"].text()
            slot = reading.endpoint.tool_slots.get(_type_of(tool), tool_id) if action == "LOADED" else None
            rows.append(Row(reading.endpoint.station, _said(action=action, slot=slot, toolId=tool_id)))
        return rows

    return read


def _changed(old: str, new: str, tool_type: str, slot: str) -> Read:
    def read(content: Part, reading: Reading) -> Rows:
        rows: Rows = []
        at = reading.endpoint.tool_slots.get(tool_type, slot)
        for name, action in ((old, "UNLOADED"), (new, "LOADED")):
            if content[name].value is not None:
                tool_id = content[name]["UniqueIdentifier"].text()
                rows.append(Row(reading.endpoint.station, {"action": action, "slot": at, "toolId": tool_id}))
        if not rows:
            raise CfxError(content[new].path, "is missing")
        return rows

    return read


def _read_cleaned(content: Part, reading: Reading) -> Rows:
    rows: Rows = []
    for tool in content["Tools"].items():
        tool_id, state = tool["UniqueIdentifier"].text(), tool["CleaningState"].text()
        if state != "Cleaned":
            reading.left_out.append(LeftOut(tool.path, f"is {state}"))
        elif _type_of(tool) != "SMTStencil":
            reading.left_out.append(LeftOut(tool.path, "no channel takes the cleaning of a tool but of a stencil"))
        else:
            rows.append(Row("", {"stencilId": tool_id, "lastCleanedAt": reading.at}))
    return rows


KINDS: dict[str, Kind] = {
    "MaterialsLoaded": Kind(MATERIAL_LOADS, "loads", _read_loaded),
    "MaterialsUnloaded": Kind(MATERIAL_LOADS, "loads", _read_unloaded),
    "MaterialsChainSplit": Kind(MATERIAL_LOADS, "loads", _read_chain_split),
    "MaterialsEmpty": Kind(MATERIAL_LOADS, "loads", _read_empty),
    "SplicePointDetected": Kind(MATERIAL_LOADS, "loads", _read_splice_point),
    "ToolsLoaded": Kind(MATERIAL_LOADS, "loads", _tools("LOADED")),
    "ToolsUnloaded": Kind(MATERIAL_LOADS, "loads", _tools("UNLOADED")),
    "StencilChanged": Kind(MATERIAL_LOADS, "loads", _changed("OldStencil", "NewStencil", "SMTStencil", "STENCIL")),
    "SqueegeeChanged": Kind(MATERIAL_LOADS, "loads", _changed("OldSqueegee", "NewSqueegee", "SMTSqueegee", "SQUEEGEE")),
    "MaterialsOpened": Kind(LOT_EVENTS, "", _event("OPENED")),
    "MaterialsPlacedInDryStorage": Kind(LOT_EVENTS, "", _event("DRY_IN")),
    "MaterialsRemovedFromDryStorage": Kind(LOT_EVENTS, "", _event("DRY_OUT")),
    "MaterialsSplit": Kind(LOT_EVENTS, "", _read_split),
    "MaterialsInstalled": Kind(MATERIAL_USES, "uses", _installed("InstalledMaterials")),
    "MaterialsUninstalled": Kind(MATERIAL_USES, "uses", _uninstalled("UninstalledMaterials")),
    "MaterialsApplied": Kind(MATERIAL_USES, "uses", _installed("AppliedMaterials")),
    "MaterialsUnapplied": Kind(MATERIAL_USES, "uses", _uninstalled("UnappliedMaterials")),
    "ToolsUsed": Kind(MATERIAL_USES, "uses", _read_tools_used),
    "ToolsCleaned": Kind(STENCIL_STATUS, "", _read_cleaned),
}


# --- by hand, or beside a broker ---------------------------------------------------------------------------


def messages_in(text: str) -> Iterator[Any]:
    """Yield the messages of a document: one, an array of them, or one a line. Raises ValueError."""
    try:
        document = json.loads(text)
    except ValueError:
        document = [json.loads(line) for line in text.splitlines() if line.strip()]
    yield from document if isinstance(document, list) else [document]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the bodies of messages, one a line as `{channel, body}`. Return 1 where a message cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m integration.connectors.cfx",
        description="Turn IPC-CFX messages about materials and tools into bodies of the channels below "
        "/api/integration/. Other messages are passed over.",
    )
    parser.add_argument("messages", nargs="?", type=argparse.FileType(encoding="utf-8"), default=sys.stdin)
    parser.add_argument("--endpoints", required=True, type=Path, help="stations and slots of each CFX handle, JSON")
    given = parser.parse_args(arguments)
    failed = False
    try:
        endpoints = read_endpoints(json.loads(given.endpoints.read_text(encoding="utf-8")))
        for number, message in enumerate(messages_in(given.messages.read()), start=1):
            failed |= not _print_bodies(f"message {number}", message, endpoints)
    except (OSError, ValueError, CfxError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 1 if failed else 0


def _print_bodies(name: str, message: Any, endpoints: Mapping[str, Endpoint]) -> bool:
    """Print what a message comes to. Return whether it could be read, or is of another kind."""
    try:
        translation = translate(message, endpoints)
    except UnknownMessage as other:
        print(f"{name} passed over: {other}", file=sys.stderr)
        return True
    except CfxError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    for body in translation.bodies:
        print(json.dumps({"channel": body.channel, "body": body.body}, ensure_ascii=False))
    for part in translation.left_out:
        print(f"{name}, {part.path} left out: {part.why}", file=sys.stderr)
    return True


if __name__ == "__main__":
    sys.exit(main())
