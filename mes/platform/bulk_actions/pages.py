"""What pages of refused things share: the causes with their forms, and how far a decision about all of one is."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from mes.errors import DomainError, ValidationFailed
from mes.platform.bulk_actions import services
from mes.platform.bulk_actions.causes import BulkReplayRequest, BulkRequest, Selection, options_of, selection_of
from mes.platform.bulk_actions.faults import mark_faults
from mes.platform.bulk_actions.models import BulkAction, BulkStatus, BulkVerb
from mes.platform.http.pages import is_live, needs
from mes.platform.http.whole_numbers import whole_number

SHOWN_FOR = timedelta(minutes=15)  # after its end
MOST_SHOWN = 5
MOST_PROBLEMS = 20
TRY_ONE = "TRY_ONE"  # the verb of the button that tries one of a cause
Decide = Callable[..., BulkAction]


@dataclass(frozen=True)
class Filter:
    """Which things a page lists; what is empty is any. `before` is the id that a page begins behind."""

    status: str = ""
    code: str = ""
    subject: str = ""
    source: str = ""
    station: str = ""
    run: str = ""
    step: str = ""
    q: str = ""
    before: int | None = None

    @classmethod
    def read(cls, request: HttpRequest, statuses: Collection[str]) -> Self:
        """Return what an address asks for; a status that nothing listed has is none."""
        texts = {
            field.name: request.GET.get(field.name, "").strip()[:200].replace("\0", "")
            for field in fields(cls)
            if field.name != "before"
        }
        texts["status"] = texts["status"] if texts["status"] in statuses else ""
        return cls(**texts, before=whole_number(request.GET.get("before", "")))

    def query(self, **changes: Any) -> str:
        """Return the address's arguments for this filter with changes; another filter begins at its first page."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)} | {"before": None} | changes
        return urlencode({name: value for name, value in chosen.items() if value})

    @property
    def selection(self) -> Selection:
        """What it asks for but for the text and the page, as causes and decisions know it."""
        step_no = whole_number(self.step) if self.step else None
        return Selection(
            error_code=self.code or None,
            subject=self.subject or None,
            status=self.status or None,
            source_system=self.source or None,
            station_code=self.station or None,
            run_no=self.run or None,
            step_no=None if step_no is None else min(step_no, 2**31 - 1),
        )


@dataclass(frozen=True)
class Cause:
    """A row of causes as a page shows it. `fields` are those of the forms that decide about all of it."""

    code: str
    message: str
    advice: str
    subject: str | None
    subjects: int
    places: list[str]
    number: int
    failing: int
    first_at: Any
    latest_at: Any
    query: str
    is_conflict: bool
    can_replay: bool
    fields: dict[str, str]
    example_id: int

    @property
    def anchor(self) -> str:
        """What its part of the page is called: the same after a reload."""
        shared = {name: value for name, value in self.fields.items() if name != "upTo"}
        return sha256(repr(sorted(shared.items())).encode()).hexdigest()[:12]

    @property
    def mend_query(self) -> str:
        """What asks why, and what mends it."""
        told = {"example": self.example_id, "count": self.number, "anchor": self.anchor}
        return urlencode({**self.fields, **told, "isConflict": "1" if self.is_conflict else ""})

    @property
    def others(self) -> int:
        """How many subjects there are besides the one that the message names."""
        return self.subjects - 1


def list_progress(kind: str) -> list[BulkAction]:
    """Return the actions of a kind that run, and those that ended lately, newest first."""
    actions = BulkAction.objects.defer("item_ids").filter(kind=kind).order_by("-id")[:MOST_SHOWN]
    lately = timezone.now() - SHOWN_FOR
    return [action for action in actions if action.ended_at is None or action.ended_at > lately]


def progress_context(kind: str) -> dict[str, Any]:
    """Return what the part of a page shows that says how far decisions are."""
    actions = list_progress(kind)
    is_running = any(action.status == BulkStatus.RUNNING for action in actions)
    return {"bulk_kind": kind, "bulk_actions": actions, "bulk_is_running": is_running}


@needs()
@require_GET
def progress(request: HttpRequest, kind: str) -> HttpResponse:
    """Show how far the decisions of a kind are; when the last one ended, the whole page is loaded anew."""
    if kind not in {each.name for each in services.kinds}:
        raise Http404
    context = progress_context(kind)
    response = render(request, "bulk_actions/_progress.html", context)
    if not context["bulk_is_running"]:
        response["HX-Refresh"] = "true"
    return response


@dataclass(frozen=True)
class Mending:
    """Why a cause is refused, by its newest thing, and what mends it.

    `names` are names that nobody knows, with those that could be meant; `links` are addresses with labels.
    """

    payload: Any
    refusal: Any
    names: Sequence[Any] = ()
    links: Sequence[tuple[str, str]] = ()
    can_replay: bool = True


def show_mending(request: HttpRequest, mending: Mending, *, decide_address: str) -> HttpResponse:
    """Show the faulty place of what was sent, and beside it the form that mends all of a cause: first one, then all."""
    known = map(str, BulkReplayRequest().fields)
    context = {
        "lines": mark_faults(mending.payload, mending.refusal),
        "problems": problems_of(mending.refusal),
        "mending": mending,
        "fields": {name: request.GET[name] for name in known if name in request.GET},
        "example": whole_number(request.GET.get("example", "")),
        "number": whole_number(request.GET.get("count", "")) or 1,
        "anchor": request.GET.get("anchor", "")[:12],
        "is_conflict": bool(request.GET.get("isConflict")),
        "decide_address": decide_address,
    }
    return render(request, "bulk_actions/_mend.html" if is_live(request) else "bulk_actions/mend.html", context)


def read_names(request: HttpRequest) -> dict[str, str]:
    """Return the names that a form mends: as they were sent, with those that were meant."""
    pairs = zip(request.POST.getlist("sent"), request.POST.getlist("meant"), strict=False)
    return {sent: meant for sent, meant in pairs if sent and meant}


def problems_of(refusal: Any) -> list[tuple[str, str]]:
    """Return the fields of a malformed body with what is wrong with each; of other refusals nothing."""
    if not isinstance(refusal, dict) or refusal.get("code") != ValidationFailed.code:
        return []
    details = refusal.get("details")
    found = details.items() if isinstance(details, dict) else ()
    return [(name, text) for name, text in found if isinstance(text, str)][:MOST_PROBLEMS]


def decide(
    request: HttpRequest, decide_all: Decide, *, serializer: type[BulkRequest] = BulkReplayRequest, **options: Any
) -> None:
    """Begin what a form asks for, and say so; a form that lacks something is told what.

    `serializer` says what may be asked for: of things without specs, no names of specs.
    """
    known = map(str, serializer().fields)
    body: dict[str, Any] = {name: request.POST[name] for name in known if name in request.POST}
    if "stepNo" in body:
        body["stepNo"] = whole_number(body["stepNo"]) or 0
    if "asNew" in body:
        body["asNew"] = bool(body["asNew"])
    if names := read_names(request):
        body["specNames"] = names
    form = serializer(data=body)
    if not form.is_valid():
        reasons = [f"{name}: {' '.join(map(str, found))}" for name, found in form.errors.items()]
        messages.error(request, _("Nothing was done. %(reasons)s") % {"reasons": " ".join(reasons)})
        return
    selection: Selection = selection_of(form.validated_data)
    verb = BulkVerb.DISMISS if request.POST.get("verb") == BulkVerb.DISMISS else BulkVerb.REPLAY
    try:
        action = decide_all(verb, selection, **options_of(form.validated_data), **options)
    except DomainError as refusal:
        messages.error(request, str(refusal))
        return
    text = (
        ngettext("%(count)d will be dismissed.", "%(count)d will be dismissed.", action.matched)
        if verb == BulkVerb.DISMISS
        else ngettext("%(count)d will be tried again.", "%(count)d will be tried again.", action.matched)
    )
    messages.success(request, text % {"count": action.matched})


def dismiss_one(request: HttpRequest, dismiss: Callable[[str], object]) -> None:
    """Dismiss a thing for the reason that a form gives, and say so, or why not."""
    reason = request.POST.get("reason", "").strip()[:500]
    if not reason:
        messages.error(request, _("Say why it is dismissed."))
        return
    try:
        dismiss(reason)
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("It is dismissed."))


def return_to(request: HttpRequest, page: str) -> HttpResponse:
    """Return to a list as it was when a form of it was sent."""
    response = redirect(page)
    query, anchor = request.POST.get("query", "")[:1000], request.POST.get("anchor", "")[:12]
    if query.isprintable() and query.isascii():
        response["Location"] += f"?{query}" if query else ""
    if anchor.isalnum() and anchor.isascii():  # of the cause whose mend was tried
        response["Location"] += f"#why-{anchor}"
    return response
