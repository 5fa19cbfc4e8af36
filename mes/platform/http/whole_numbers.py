"""Whole numbers that come as text: ids in paths and queries, which are opaque to whoever sends them."""

from mes.errors import NotFound

LARGEST = 2**63 - 1  # of a bigint column


def whole_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits says, None for any other text and beyond what a column can hold."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    number = int(text)
    return number if number <= LARGEST else None


def id_or_raise(text: str, error: type[NotFound]) -> int:
    """Return an opaque id as the number of a row. Raises `error` for what cannot be one."""
    number = whole_number(text)
    if number is None:
        raise error(code=text)
    return number
