"""The pages of those who connect machines: what a mapping makes of an event, and the events that are still open."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ingest import causes, dismissing, highlighting, processing
from ingest.left_out import list_open
from ingest.mapping import presets
from ingest.mapping.preview import LIVE, Preview, as_json, preview_event
from ingest.models import (
    DECIDED_STATUSES,
    WORK_STATUSES,
    IngestEvent,
    IngestStatus,
    IngestWork,
    OpenIngestEvent,
    SettledIngestEvent,
)
from mes.errors import DomainError, PayloadTooLarge
from mes.plant.models import StationType
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.bulk_actions import pages as bulk_pages
from mes.platform.bulk_actions.causes import BulkRequest
from mes.platform.bulk_actions.groups import Group, list_groups
from mes.platform.bulk_actions.pages import Filter
from mes.platform.http import parsing
from mes.platform.http.pages import needs
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.sender import Sender
from mes.production.models import Unit
from mes.production.names import named
from mes.routing.compilation import build, load_sources
from mes.routing.models import RouteVersion, Routing
from mes.routing.snapshots import StepSnapshot

PAGE_SIZE = 50
MOST_ROUTES = 500
MOST_VERSIONS = 20
LONGEST_FOUND = 160
BLANKS = 4  # times as long as it is sent may an event be as it is typed

ADVICE = {  # code → what to do about it
    "STEP_MISMATCH": gettext_lazy("It is tried again by itself when what is missing was recorded."),
    "INGEST_PAYLOAD_INVALID": gettext_lazy("Preview it to see which path fails; mend the mapping or the machine."),
    "INGEST_MAPPING_TOO_COSTLY": gettext_lazy("Make the named paths plainer, or let the machine send less at once."),
    "INGEST_MAPPING_MISSING": gettext_lazy("No open run has a step of this type with a mapping: look at the route."),
    "UNIT_NOT_FOUND": gettext_lazy("Register the unit in its run, or mend what reads the serial number."),
    "UNIT_RUN_NOT_FOUND": gettext_lazy("Register the unit in a run."),
    "STATION_NOT_FOUND": gettext_lazy("Set the station up, or mend what names it."),
    "RUN_IN_PREP": gettext_lazy("Authorize the run, then replay."),
    "UNIT_ON_HOLD": gettext_lazy("Release the unit, then replay."),
    "UNIT_OUT_FAILED": gettext_lazy("Decide about the unit, then replay."),
    "DATA_TYPE_MISMATCH": gettext_lazy("Nothing is converted: mend the spec, the mapping or the machine."),
    "REQUIRED_DATA_MISSING": gettext_lazy("Send the missing values for the pass, then replay."),
    "EVENT_TIME_IN_FUTURE": gettext_lazy(
        "Enter by how much its clock is ahead (Sources), then replay; or set the clock."
    ),
    "EVENT_TIME_OUT_OF_ORDER": gettext_lazy("Look at the machine's clock."),
    "DEDUPE_KEY_CONFLICT": gettext_lazy("If it is another event than the one before, take it as new; else dismiss it."),
    "EQUIPMENT_UNAVAILABLE": gettext_lazy("Mend the machine or what is known of it, then replay."),
    "INTERNAL_ERROR": gettext_lazy("A defect of Linekeeper, or of the database: the log has more."),
    "VALIDATION_ERROR": gettext_lazy("The sender must be mended: it did not send an event."),
    "PAYLOAD_TOO_LARGE": gettext_lazy("The sender must send less in one event."),
    "PARSE_ERROR": gettext_lazy("The sender must be mended: it did not send JSON."),
}

ADVICE_ON_LEFT_OUT = {  # where it is not that of a refusal
    "SN_UNREADABLE": gettext_lazy("Nobody can tell whose it is: look for the board, then dismiss it."),
    "UNIT_SCRAPPED": gettext_lazy("It is scrapped: dismiss it."),
    **{code: text for code, text in ADVICE.items() if code not in ("STEP_MISMATCH", "REQUIRED_DATA_MISSING")},
}


# --- preview -------------------------------------------------------------------------------------------------


@dataclass
class PreviewForm:
    """What was chosen, as it was typed."""

    route: str = ""
    version: str = ""
    step: str = ""
    event: str = ""
    problem: str = ""
    steps: list[StepSnapshot] = field(default_factory=list)
    versions: list[RouteVersion] = field(default_factory=list)

    @property
    def wanted_version(self) -> int | str | None:
        """The version as the service takes it."""
        number = whole_number(self.version)
        return number if number is not None else LIVE if self.version == LIVE else None


@needs(Capability.MAPPINGS)
@require_http_methods(["GET", "HEAD", "POST"])
def preview_page(request: HttpRequest) -> HttpResponse:
    """Choose a step, paste an event, see what becomes of it."""
    form = _read_form(request)
    _load_choices(form)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "ingest/_preview_choices.html", {"form": form})
    context: dict[str, Any] = {
        "form": form,
        "routes": Routing.objects.order_by("-is_active", "code")[:MOST_ROUTES],
        "presets": presets.list_presets(),
    }
    if request.method == "POST" and form.step:
        context |= _show(form)
    return render(request, "ingest/preview.html", context)


def _read_form(request: HttpRequest) -> PreviewForm:
    fields = request.POST if request.method == "POST" else request.GET
    route, version, step = (fields.get(name, "").strip()[:100] for name in ("route", "version", "step"))
    form = PreviewForm(route, version, step)
    if request.method == "POST":
        form.event = request.POST.get("event", "")
    elif code := request.GET.get("preset"):
        preset = next((preset for preset in presets.list_presets() if preset.code == code), None)
        form.event = pretty(preset.event) if preset else ""
    elif (event_id := whole_number(request.GET.get("event", ""))) is not None:
        _take_event(form, event_id)
    return form


def _take_event(form: PreviewForm, event_id: int) -> None:
    """Begin with an event as it was sent, and with the route and step it was for, where that is known."""
    event = IngestEvent.objects.select_related("run__route_version__routing").filter(pk=event_id).first()
    if event is None:
        form.problem = _("There is no such event any more.")
        return
    form.event = pretty(event.payload)
    named = route_of(event)
    form.route = form.route or (named.code if named else "")
    form.step = form.step or str(event.step_no or "")


def route_of(event: IngestEvent) -> Routing | None:
    """Return the route that an event was for, where that is known."""
    if event.run is not None:
        return event.run.route_version.routing
    run_no = event.payload.get("runNo") if isinstance(event.payload, dict) else None
    return Routing.objects.filter(versions__runs__run_no=run_no).first() if isinstance(run_no, str) else None


def _load_choices(form: PreviewForm) -> None:
    """Load the versions of the chosen route, and the steps that machines report for."""
    routing = Routing.objects.filter(code=form.route).first() if form.route else None
    if routing is None:
        return
    form.versions = list(routing.versions.defer("snapshot", "errors").order_by("-version_no")[:MOST_VERSIONS])
    steps = build(load_sources(routing))[0].steps
    form.steps = [step for step in steps if step.station_type != StationType.MANUAL]


def _show(form: PreviewForm) -> dict[str, Any]:
    try:
        event = parsing.decode(as_body(form.event))
        step_no = whole_number(form.step)
        preview = preview_event(
            route_code=form.route, step_no=-1 if step_no is None else step_no, event=event, version=form.wanted_version
        )
    except DomainError as refusal:
        form.problem = _say(refusal)
        return {}
    return describe_preview(preview)


def describe_preview(preview: Preview) -> dict[str, Any]:
    """Return what `_preview_seen.html` shows of a preview."""
    return {
        "seen": preview,
        "data": as_json(preview),
        "paths": [{**entry, "shown": _short(entry["found"])} for entry in preview.paths],
        "lines": highlighting.list_lines(preview),
        "carried_fails": None in preview.overridden,
        "would": _verdict(preview),
    }


def as_body(text: str) -> bytes:
    """Return what was typed as bytes. It may be larger than what machines send, being written over many lines.

    Raises PayloadTooLarge.
    """
    body, limit = text.encode("utf-8", "replace"), BLANKS * settings.MES_BODY_LIMIT
    if len(body) > limit:
        raise PayloadTooLarge(limit=limit)
    return body


def _verdict(preview: Preview) -> str:
    return (
        "bad"
        if preview.problems
        else "hold"
        if preview.overridden or any(value["alarmed"] for value in preview.values)
        else "good"
    )


def _short(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace")
    return text if len(text) <= LONGEST_FOUND else f"{text[:LONGEST_FOUND]}…"


def pretty(value: Any) -> str:
    """Return JSON as people read it."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()


def _say(refusal: DomainError) -> str:
    return " ".join([str(refusal), *(str(value) for value in refusal.details.values() if refusal.status == 400)])


# --- events --------------------------------------------------------------------------------------------------

SHARED = ("status", "error_code", "source_system", "station__code", "run__run_no", "step_no")


@needs()
@require_GET
def events_page(request: HttpRequest) -> HttpResponse:
    """Why events are refused, and the open events, newest first, with what to do about them."""
    chosen = Filter.read(request, WORK_STATUSES)
    rows = list(_select(chosen)[: PAGE_SIZE + 1])
    shown = rows[:PAGE_SIZE]
    events = IngestEvent.objects.select_related("station").in_bulk([work.pk for work in shown])
    counts = list(IngestWork.objects.order_by().values("status", "error_code").annotate(count=Count("id")))
    found, more_causes = _list_causes(chosen)
    context = {
        "chosen": chosen,
        "causes": found,
        "more_causes": more_causes,
        "decide_address": reverse("ingest-events-decide"),
        "mend_address": reverse("ingest-events-mend"),
        "events": [
            {
                "work": work,
                "event": events[work.pk],
                "advice": _advise(work),
                "left_out": list_open(events[work.pk].skipped),
                "can_dismiss": work.status != IngestStatus.WAITING,
            }
            for work in shown
            if work.pk in events
        ],
        "statuses": [
            (
                value,
                _label(value, label),
                sum(row["count"] for row in counts if row["status"] == value),
                chosen.query(status=value),
            )
            for value, label in IngestStatus.choices
            if value in WORK_STATUSES
        ],
        "total": sum(row["count"] for row in counts),
        "everything": chosen.query(status=""),
        "codes": sorted({row["error_code"] for row in counts if row["error_code"]}),
        "next": chosen.query(before=shown[-1].pk) if len(rows) > PAGE_SIZE else "",
        "here": chosen.query(before=chosen.before),
        **bulk_pages.progress_context(causes.KIND),
    }
    return render(request, "ingest/events.html", context)


def _label(status: str, label: Any) -> str:
    """Return what an applied event is called on the list of what is open."""
    return _("Applied in part") if status == IngestStatus.APPLIED else str(label)


def _advise(event: IngestWork) -> str:
    """Say what to do about an open event. One that came too late for its step is not tried again by itself, nor is what
    an applied one left out.
    """
    if event.status == IngestStatus.APPLIED:
        return str(
            ADVICE_ON_LEFT_OUT.get(event.error_code, _("Once what keeps it out is mended, replay; else dismiss it."))
        )
    details = (event.error or {}).get("details") or {}
    if event.error_code == "STEP_MISMATCH" and not details.get("missingSteps"):
        return _("The unit is past this step: the event came too late, or a second time under another key.")
    return str(ADVICE.get(event.error_code, ""))


def _select(chosen: Filter) -> QuerySet[IngestWork]:
    events = causes.select(chosen.selection, statuses=WORK_STATUSES).order_by("-id")
    if chosen.q:
        unit = Unit.objects.filter(named([chosen.q])).values("pk")
        of_it = Q(sns__contains=[chosen.q]) | Q(blocked_unit_id__in=unit) | Q(dedupe_key__startswith=chosen.q)
        said = Q(payload__icontains=chosen.q)
        opened = OpenIngestEvent.objects.filter(said).values("pk")
        applied = SettledIngestEvent.objects.filter(said, pk=OuterRef("pk"), received_at=OuterRef("received_at"))
        events = events.filter(of_it | Q(pk__in=opened) | Q(Exists(applied), status=IngestStatus.APPLIED))
    return events.filter(pk__lt=chosen.before) if chosen.before is not None else events


def _list_causes(chosen: Filter) -> tuple[list[bulk_pages.Cause], bool]:
    """Return the causes of the refused events, and of those that left something out, with their forms: a form means all
    of them, whatever is looked for.
    """
    narrowed = _select(replace(chosen, before=None, status="", q="")).order_by()
    up_to = timezone.now()
    groups, more = list_groups(narrowed.filter(status__in=DECIDED_STATUSES), SHARED, failing=Q(is_failing=True))
    examples = IngestWork.objects.in_bulk([group.example_id for group in groups])
    found = [_as_cause(group, examples[group.example_id], up_to) for group in groups if group.example_id in examples]
    return found, more


def _as_cause(group: Group, example: IngestWork, up_to: datetime) -> bulk_pages.Cause:
    shared = group.shared
    station, run, step_no = shared["station__code"], shared["run__run_no"], shared["step_no"]
    code, source, status = shared["error_code"], shared["source_system"], shared["status"]
    step_text = "" if step_no is None else str(step_no)
    fields = {"code": code, "status": status, "sourceSystem": source, "stationCode": station or "", "runNo": run or ""}
    fields |= {"stepNo": step_text, "upTo": up_to.isoformat()}
    if group.subject is not None:
        fields["subject"] = group.subject
    query = Filter(status, code, group.subject or "", source, station or "", run or "", step_text).query()
    left_out = _("left out of an applied event") if status == IngestStatus.APPLIED else None
    places = [
        left_out,
        source,
        station,
        run,
        _("step %(number)s") % {"number": step_no} if step_no is not None else None,
    ]
    return bulk_pages.Cause(
        code=code,
        message=(example.error or {}).get("message") or code,
        advice=_advise(example),
        subject=group.subject,
        subjects=group.subjects,
        places=[place for place in places if place],
        number=group.number,
        failing=group.failing,
        first_at=group.first_at,
        latest_at=group.latest_at,
        query=f"?{query}#events",
        is_conflict=status == IngestStatus.CONFLICT,
        can_replay=bool(source),
        fields=fields,
        example_id=group.example_id,
    )


@needs()
@require_GET
def mend(request: HttpRequest) -> HttpResponse:
    """Show why a cause is refused, by one of its events, and where its mapping is mended."""
    event_id = whole_number(request.GET.get("example", "")) or 0
    work = IngestWork.objects.filter(pk=event_id).first()
    event = None if work is None else IngestEvent.objects.filter(pk=event_id).first()
    if work is None or event is None:
        raise Http404(_("This event is open no longer. Load the page anew."))
    links: tuple[tuple[str, str], ...] = ()
    if Capability.MAPPINGS in role_capabilities(request.user):
        links = ((reverse("ingest-mapping-of-event", args=[work.pk]), _("Open the mapping with this event")),)
    can_replay = bool(work.source_system)
    mending = bulk_pages.Mending(payload=event.payload, refusal=work.error, links=links, can_replay=can_replay)
    return bulk_pages.show_mending(request, mending, decide_address=reverse("ingest-events-decide"))


# --- deciding ------------------------------------------------------------------------------------------------


@needs(Capability.REPLAY)
@require_POST
def decide_all(request: HttpRequest) -> HttpResponse:
    """Try all events of a cause again, or dismiss them; or try one, to see whether it is mended."""
    if request.POST.get("verb") != bulk_pages.TRY_ONE:
        sender = Sender(request.user.get_username())
        bulk_pages.decide(request, causes.decide, serializer=BulkRequest, sender=sender)
        return redirect("ingest-events")
    event_id = whole_number(request.POST.get("example", ""))
    if event_id is None:
        raise Http404
    return _replay(request, event_id)


@needs(Capability.REPLAY)
@require_POST
def replay(request: HttpRequest, event_id: int) -> HttpResponse:
    """Try an event again; what comes of it is shown on the list."""
    return _replay(request, event_id)


def _replay(request: HttpRequest, event_id: int) -> HttpResponse:
    sender, as_new = Sender(request.user.get_username()), bool(request.POST.get("asNew"))
    try:
        reason = request.POST.get("reason", "").strip()[:500]
        outcome = processing.replay(event_id, sender=sender, as_new=as_new, reason=reason)
    except DomainError as refusal:
        messages.error(request, _("Still refused: %(reason)s") % {"reason": _say(refusal)})
    else:
        if outcome.status == IngestStatus.WAITING:
            messages.info(request, _("It goes on waiting."))
        elif outcome.answer.get("skipped"):
            messages.warning(request, _("It is applied but for what it leaves out."))
        else:
            messages.success(request, _("It is applied."))
    return bulk_pages.return_to(request, "ingest-events")


@needs(Capability.REPLAY)
@require_POST
def dismiss(request: HttpRequest, event_id: int) -> HttpResponse:
    """Dismiss an event for good, with a reason."""
    sender = Sender(request.user.get_username())
    bulk_pages.dismiss_one(request, lambda reason: dismissing.dismiss(event_id, reason=reason, sender=sender))
    return bulk_pages.return_to(request, "ingest-events")
