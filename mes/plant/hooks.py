"""What other rooms say of the plant: the readiness checks that a line may ask for."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from django.utils.functional import Promise

from mes.platform.hooks import Hook


@dataclass(frozen=True)
class LineCheck:
    """A readiness check that a line may enable. `presets` are the process types (`SMT`, `DIP`) that it suits."""

    item_type: str
    title: str | Promise
    presets: tuple[str, ...]


# list_checks(): the checks that a line may enable, in the order in which they are shown.
line_checks: Hook[Callable[[], Iterable[LineCheck]]] = Hook()


def list_choices() -> list[tuple[str, str | Promise]]:
    """Return (type, title) of the checks that a line may enable."""
    return [(check.item_type, check.title) for list_checks in line_checks for check in list_checks()]


def preset_for(process_type: str) -> list[str]:
    """Return the types of the checks that suit lines of a process (`SMT` or `DIP`)."""
    return [check.item_type for list_checks in line_checks for check in list_checks() if process_type in check.presets]


# materials_changed(material_ids): of these materials, one of OF_LOTS changed. Called inside the transaction, after all
# was written.
materials_changed: Hook[Callable[[Collection[int]], None]] = Hook()
OF_LOTS = frozenset({"msl", "body_thickness_mm", "is_shared"})  # what lots have of their material


def tell_changed(material_ids: Collection[int], fields: Iterable[str]) -> None:
    """Call what is registered where the columns that were written of materials are some that lots have of them."""
    if material_ids and OF_LOTS.intersection(fields):
        for listener in materials_changed:
            listener(material_ids)
