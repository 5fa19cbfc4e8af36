"""Small pictures of pictures, so that a page with ten photos does not load fifty megabytes."""

import io

import structlog
from PIL import Image, ImageOps

from mes.platform.files.detection import Detected, damaged
from mes.platform.files.models import MediaType

logger = structlog.get_logger(__name__)

SIDE = 320  # pixels of the longer side
# Pixels of a picture that is decoded whole: each takes four bytes of memory. Others are decoded at an eighth.
MOST_WHOLE = 16_000_000
_FORMATS = {MediaType.PNG: "PNG", MediaType.JPEG: "JPEG"}


def make_thumbnail(content: bytes, found: Detected) -> bytes | None:
    """Return a JPEG; None of a PDF and of a picture that would take much memory. Raises FileTypeRefused for a picture
    that cannot be decoded: it is damaged behind its head.
    """
    kind = _FORMATS.get(found.media_type)
    if kind is None or (found.is_decoded_whole and found.pixels > MOST_WHOLE):
        return None
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as picture:
            picture.draft("RGB", (SIDE, SIDE))
            picture.thumbnail((SIDE, SIDE))
            small = ImageOps.exif_transpose(_on_white(picture))
    except Exception as error:  # what a decoder raises of damaged content is of many kinds
        logger.info("a picture cannot be decoded", reason=repr(error))
        raise damaged() from None
    written = io.BytesIO()
    small.save(written, "JPEG", quality=80)
    return written.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    """Return it without transparency, whose colours nobody is meant to see."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    white.alpha_composite(clear)
    flat = white.convert("RGB")
    flat.info |= {key: picture.info[key] for key in ("exif",) if key in picture.info}
    return flat
