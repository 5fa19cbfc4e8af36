"""Whole numbers that come as text: ids in paths and queries, which are opaque to whoever sends them."""

LARGEST = 2**63 - 1  # of a bigint column


def whole_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits says, None for any other text and beyond what a column can hold."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    number = int(text)
    return number if number <= LARGEST else None
