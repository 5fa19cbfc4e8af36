"""Presets (`preset_files/`): mappings for machines that speak a common language, each with an event that it reads."""

from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "preset_files"


@dataclass(frozen=True)
class PresetExample:
    """An event that the mapping of a preset reads, to be kept as an example."""

    name: str
    event: dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """A mapping, or a list of them, to begin with. `event` is what a machine would push, `stationType` the type of its
    step.
    """

    code: str
    name: str
    description: str
    station_type: str
    mapping: dict[str, Any] | list[dict[str, Any]]
    event: dict[str, Any]
    more_examples: tuple[PresetExample, ...] = ()

    @property
    def examples(self) -> tuple[PresetExample, ...]:
        """The events to keep beside the mapping: those of the preset, and of others that are read by the same."""
        others = [preset for preset in list_presets() if preset.code != self.code and preset.mapping == self.mapping]
        own = [(PresetExample(preset.name, preset.event), *preset.more_examples) for preset in (self, *others)]
        return tuple(chain.from_iterable(own))


@cache
def list_presets() -> tuple[Preset, ...]:
    """Return every preset, by the name of its file."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.json")))


def _read(path: Path) -> Preset:
    """Read the file of a preset; one whose event is read by the mappings of another names that as `mappingOf`."""
    document = msgspec.json.decode(path.read_bytes())
    return Preset(
        code=path.stem,
        name=document["name"],
        description=document["description"],
        station_type=document["stationType"],
        mapping=document["mapping"]
        if "mapping" in document
        else _read(FOLDER / f"{document['mappingOf']}.json").mapping,
        event=document["event"],
        more_examples=tuple(PresetExample(one["name"], one["event"]) for one in document.get("examples", ())),
    )


def as_json(preset: Preset) -> dict[str, Any]:
    """Return a preset in the words of the HTTP interface."""
    return {
        "code": preset.code,
        "name": preset.name,
        "description": preset.description,
        "stationType": preset.station_type,
        "mapping": preset.mapping,
        "event": preset.event,
    }
