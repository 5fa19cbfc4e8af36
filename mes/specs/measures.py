"""Units of measure that have several names. Pure."""

from functools import lru_cache

_WHOLE = {"Cel": "°C", "\u2103": "°C", "[degF]": "°F", "\u2109": "°F", "um": "\u03bcm"}
_SIGNS = {0xB5: "\u03bc", 0x2126: "\u03a9"}  # signs of their own for the Greek letters μ and Ω


@lru_cache(maxsize=1024)
def canonical_measure(name: str) -> str:
    """Return the one name of a unit of measure: `Cel` is °C, `[degF]` °F, `um` μm and `Ohm` Ω, as is `kOhm` kΩ."""
    name = name.strip().translate(_SIGNS)
    if name in _WHOLE:
        return _WHOLE[name]
    return f"{name[:-3]}\u03a9" if name.endswith("Ohm") else name


def is_same_measure(one: str, other: str) -> bool:
    """Whether two names are of one unit of measure."""
    return one == other or canonical_measure(one) == canonical_measure(other)
