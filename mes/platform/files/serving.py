"""Files as a browser gets them: as what they are, and able to do nothing."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from rest_framework.request import Request

from mes import errors
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.models import MediaType, StoredFile
from mes.platform.files.services import read_content
from mes.platform.http.whole_numbers import id_or_raise

# Whatever is in a file belongs to an origin of its own, loads nothing, runs nothing and is framed by our pages only.
# Browsers centre a picture by a style of their own.
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
_CACHED = "private, max-age=86400"


def find(text: str) -> StoredFile:
    """Return a file by its id, without its thumbnail. Raises StoredFileNotFound."""
    number = id_or_raise(text, errors.StoredFileNotFound)
    return get_or_raise(StoredFile.objects.defer("thumbnail"), errors.StoredFileNotFound, pk=number)


def serve(request: HttpRequest | Request, file: StoredFile) -> HttpResponse:
    """Answer with the content of a file; 304 where the browser has it. Content is told by its hash."""
    tag = f'"{file.sha256}"'
    unchanged: HttpResponse | None = get_conditional_response(request, etag=tag)
    if unchanged is not None:
        return _guarded(unchanged, tag)
    response = HttpResponse(read_content(file.pk), content_type=file.media_type)
    response["Content-Disposition"] = content_disposition_header(False, file.name) or "inline"
    return _guarded(response, tag)


def serve_thumbnail(request: HttpRequest, file: StoredFile) -> HttpResponse:
    """Answer with the small picture of a picture; with all of it where there is none."""
    if not file.is_picture:
        raise errors.StoredFileNotFound(code=str(file.pk))
    thumbnail = StoredFile.objects.values_list("thumbnail", flat=True).get(pk=file.pk)
    if thumbnail is None:
        return serve(request, file)
    tag = f'"{file.sha256}-small"'
    unchanged: HttpResponse | None = get_conditional_response(request, etag=tag)
    return _guarded(unchanged or HttpResponse(bytes(thumbnail), content_type=MediaType.JPEG.value), tag)


def _guarded(response: HttpResponse, tag: str) -> HttpResponse:
    response["ETag"] = tag
    response["Cache-Control"] = _CACHED
    response["Content-Security-Policy"] = SANDBOX
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
