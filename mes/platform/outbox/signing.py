"""The signature by which a receiver knows that a message is ours and untouched."""

import hashlib
import hmac


def sign(body: bytes, *, secret: str, timestamp: int) -> str:
    """Return `sha256=` and the HMAC-SHA256, in hex, of the timestamp, a full stop and the body.

    `timestamp`: seconds since 1970, as sent beside it; a receiver refuses those that are far from its own clock.
    """
    signed = str(timestamp).encode() + b"." + body
    return f"sha256={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
