"""What the tests of set-up lists share: a plant with a list, and looks at what comes of it."""

from typing import Any

from mes.line_setup.set_up_lists import services
from mes.line_setup.set_up_lists.models import SetUpList
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.plant.models import Material
from tests.factories import Plant


def part(slot: str, material: str = "R-10K", *, station: str = "SMT-01", **fields: Any) -> ItemInput:
    """Return an item for a part."""
    return ItemInput(station_code=station, slot=slot, material_code=material, **fields)


def make_materials(*codes: str) -> dict[str, Material]:
    """Make materials, as far as they are not there."""
    return {code: Material.objects.get_or_create(code=code, defaults={"name": code})[0] for code in codes}


def make_list(plant: Plant, *items: ItemInput, release: bool = True) -> SetUpList:
    """Make a list for the plant's route on its line, with the materials that it names."""
    make_materials(*(code for item in items for code in (item.material_code, *item.alternates) if code))
    found = services.create(route_code=plant.routing.code, line_code=plant.line.code, items=items, by="test")
    return services.release(found.pk, by="test") if release else found
