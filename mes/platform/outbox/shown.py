"""What people are shown of addresses that only handlers need to know."""

from urllib.parse import urlsplit

HIDDEN = "…"


def without_path(address: str) -> str:
    """Return the server of a webhook's address: the whole of one is often all that it takes to write there."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return HIDDEN
    return f"{parts.scheme}://{parts.netloc}/{HIDDEN}"
