"""Files as pages: the content itself, the small picture of a picture, and the forms that attach and take away."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mes import errors
from mes.errors import DomainError
from mes.platform.accounts.roles import role_capabilities
from mes.platform.files import attachments, services, serving
from mes.platform.files.api import REMOVERS, UPLOADERS, may_remove_any
from mes.platform.files.forms import read_file
from mes.platform.files.hooks import AttachableRecord
from mes.platform.files.models import StoredFile
from mes.platform.http.pages import in_words, needs, signed_in_cached
from mes.platform.http.whole_numbers import whole_number


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


# --- at records -------------------------------------------------------------------------------------------


@needs(*UPLOADERS)
@require_POST
def attach(request: HttpRequest) -> HttpResponse:
    """Keep a file and attach it to a record; go back to where the form was."""
    kind = attachments.find_kind(request.POST.get("recordType", ""))
    record_id = whole_number(request.POST.get("recordId", ""))
    found = kind.find(record_id) if kind and record_id is not None else None
    if kind is None or record_id is None or found is None:
        raise Http404
    if role_capabilities(request.user).isdisjoint(kind.capabilities):
        messages.error(request, _("You may not do this."))
        return redirect(found.page)
    try:
        _attach(request, kind, record_id)
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
    return redirect(_back(request, found.page))


def _attach(request: HttpRequest, kind: AttachableRecord, record_id: int) -> None:
    by, sent = request.user.get_username(), read_file(request)
    stored, _is_new = services.store(sent, name=sent.name or "", by=by)
    attachments.attach(kind, record_id=record_id, file_id=stored.pk, by=by)
    messages.success(request, _("“%(name)s” is attached.") % {"name": stored.name})


@needs(*REMOVERS)
@require_POST
def detach(request: HttpRequest, attachment_id: int) -> HttpResponse:
    """Take a file away from a record."""
    by = request.user.get_username()
    try:
        gone = attachments.detach(attachment_id, by=by, may_remove_any=may_remove_any(request.user))
    except errors.AttachmentNotFound:
        raise Http404 from None
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
        return redirect(_back(request, "/"))
    messages.success(request, _("The file is taken away."))
    kind = attachments.find_kind(gone.record_type)
    found = kind.find(gone.record_id) if kind else None
    return redirect(_back(request, found.page if found else "/"))


def _back(request: HttpRequest, page: str) -> str:
    """Return where the form was, as far as that is a page of ours; else the record's own page."""
    place = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(place, allowed_hosts=None) and place.startswith("/")
    return place if is_ours else page
