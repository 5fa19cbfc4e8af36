"""Files as pages: the content itself, and the small picture of a picture."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from mes import errors
from mes.platform.files import serving
from mes.platform.files.models import StoredFile
from mes.platform.http.pages import signed_in_cached


@signed_in_cached
@require_safe
def file(request: HttpRequest, file_id: int) -> HttpResponse:
    """Show a file."""
    return serving.serve(request, _find(file_id))


@signed_in_cached
@require_safe
def thumbnail(request: HttpRequest, file_id: int) -> HttpResponse:
    """Show a small picture of a picture."""
    try:
        return serving.serve_thumbnail(request, _find(file_id))
    except errors.StoredFileNotFound:
        raise Http404 from None


def _find(file_id: int) -> StoredFile:
    try:
        return serving.find(str(file_id))
    except errors.StoredFileNotFound:
        raise Http404 from None
