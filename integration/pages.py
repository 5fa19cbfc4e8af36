"""The page of refused messages: why they are refused, and what is decided about them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages as notices
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from integration import causes, dismissing
from integration import replay as replaying
from integration.mends import Mend, find_mend
from integration.models import REFUSED_STATUSES, Direction, FailedMessage, IntegrationMessage, MessageStatus
from mes.errors import DomainError
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.bulk_actions import pages as bulk_pages
from mes.platform.bulk_actions.causes import Selection
from mes.platform.bulk_actions.groups import Group, list_groups
from mes.platform.bulk_actions.pages import Filter
from mes.platform.http.pages import needs
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.sender import Sender

PAGE_SIZE = 50
SHARED = ("status", "error_code", "entity_type", "system", "station_said", "run_said", "step_said")
ADVICE = {  # code → what to do about it
    "DATA_SPEC_NOT_FOUND": gettext_lazy("Make the spec, or mend the name that the device sends; then replay."),
    "SPEC_NOT_BOUND": gettext_lazy("Bind the spec to the step in a new version of the route."),
    "DATA_TYPE_MISMATCH": gettext_lazy("Nothing is converted: mend the spec or the device."),
    "EVENT_ID_CONFLICT": gettext_lazy("If it is another message than the one before, take it as new; else dismiss it."),
    "TRACK_NOT_FOUND": gettext_lazy("Record the pass that it is for, then replay."),
    "UNIT_NOT_FOUND": gettext_lazy("Register the unit in its run, then replay."),
    "STATION_NOT_FOUND": gettext_lazy("Set the station up, then replay."),
    "EQUIPMENT_NOT_FOUND": gettext_lazy("Set the machine up, then replay."),
    "VALIDATION_ERROR": gettext_lazy("The sender must be mended: it did not send what is asked for."),
    "PARSE_ERROR": gettext_lazy("The sender must be mended: it did not send JSON."),
    "INTERNAL_ERROR": gettext_lazy("A defect of Linekeeper, or of the database: the log has more."),
}


@dataclass(frozen=True)
class MessageFilter(Filter):
    """Which messages are shown; what is empty is any."""

    entity: str = ""
    message: str = ""

    @property
    def selection(self) -> Selection:
        """What it asks for but for the text, one message and the page."""
        return replace(super().selection, entity_type=self.entity or None)


@needs()
@require_GET
def messages_page(request: HttpRequest) -> HttpResponse:
    """Why messages are refused, and the refused messages, newest first, with what to do about them."""
    chosen = MessageFilter.read(request, REFUSED_STATUSES)
    rows = list(_select(chosen).order_by("-id")[: PAGE_SIZE + 1])
    shown = rows[:PAGE_SIZE]
    refused = FailedMessage.objects.order_by().filter(status__in=REFUSED_STATUSES)
    counts = list(refused.values("status", "error_code").annotate(number=Count("id")))
    found, more_causes = _list_causes(chosen)
    any_message = replace(chosen, message="")
    context = {
        "chosen": chosen,
        "causes": found,
        "more_causes": more_causes,
        "decide_address": reverse("integration-messages-decide"),
        "mend_address": reverse("integration-messages-mend"),
        "refused": [{"message": message, "advice": str(ADVICE.get(message.error_code, ""))} for message in shown],
        "statuses": [
            (
                value,
                label,
                sum(row["number"] for row in counts if row["status"] == value),
                any_message.query(status=value),
            )
            for value, label in MessageStatus.choices
            if value in REFUSED_STATUSES
        ],
        "total": sum(row["number"] for row in counts),
        "everything": any_message.query(status=""),
        "codes": sorted({row["error_code"] for row in counts if row["error_code"]}),
        "settled": None if shown else _find_settled(chosen),
        "next": chosen.query(before=shown[-1].pk) if len(rows) > PAGE_SIZE else "",
        "here": chosen.query(before=chosen.before),
        **bulk_pages.progress_context(causes.KIND),
    }
    return render(request, "integration/messages.html", context)


def _select(chosen: MessageFilter) -> QuerySet[Any]:
    messages = causes.select(chosen.selection)
    if chosen.q:
        key = Q(business_key=chosen.q) | Q(dedupe_key=chosen.q)
        messages = messages.filter(key | Q(payload__icontains=chosen.q))
    if chosen.message:
        messages = messages.filter(pk=whole_number(chosen.message))
    return messages.filter(pk__lt=chosen.before) if chosen.before is not None else messages


def _find_settled(chosen: MessageFilter) -> IntegrationMessage | None:
    """Return the message that was asked for, where it is refused no longer."""
    message_id = whole_number(chosen.message)
    if message_id is None:
        return None
    return IntegrationMessage.objects.filter(pk=message_id).exclude(status__in=REFUSED_STATUSES).first()


def _list_causes(chosen: MessageFilter) -> tuple[list[bulk_pages.Cause], bool]:
    """Return the causes of the refused messages, with their forms: a form means all of them, whatever is looked for."""
    narrowed = _select(replace(chosen, before=None, status="", q="", message=""))
    up_to = timezone.now()
    groups, more = list_groups(narrowed, SHARED, failing=Q(error__details__has_key="held"))
    examples = FailedMessage.objects.in_bulk([group.example_id for group in groups])
    found = [_as_cause(group, examples[group.example_id], up_to) for group in groups if group.example_id in examples]
    return found, more


def _as_cause(group: Group, example: FailedMessage, up_to: datetime) -> bulk_pages.Cause:
    shared = {name: value or "" for name, value in group.shared.items()}
    code, source, entity_type = shared["error_code"], shared["system"], shared["entity_type"]
    station, run, step_no = shared["station_said"], shared["run_said"], shared["step_said"]
    fields = {"code": code, "status": shared["status"], "sourceSystem": source, "entityType": entity_type}
    fields |= {"stationCode": station, "runNo": run, "stepNo": step_no, "upTo": up_to.isoformat()}
    if group.subject is not None:
        fields["subject"] = group.subject
    query = MessageFilter(
        shared["status"], code, group.subject or "", source, station, run, step_no, entity=entity_type
    ).query()
    places = [entity_type, source, station, run, _("step %(number)s") % {"number": step_no} if step_no else ""]
    return bulk_pages.Cause(
        code=code,
        message=(example.error or {}).get("message") or code,
        advice=str(ADVICE.get(code, "")),
        subject=group.subject,
        subjects=group.subjects,
        places=[place for place in places if place],
        number=group.number,
        failing=group.failing,
        first_at=group.first_at,
        latest_at=group.latest_at,
        query=f"?{query}#messages",
        is_conflict=shared["status"] == MessageStatus.CONFLICT,
        can_replay=True,
        fields=fields,
        example_id=group.example_id,
    )


@needs()
@require_GET
def mend(request: HttpRequest) -> HttpResponse:
    """Show why a cause is refused, by one of its messages, and what mends it."""
    message = FailedMessage.objects.filter(pk=whole_number(request.GET.get("example", "")) or 0).first()
    if message is None:
        raise Http404(_("This message is refused no longer. Load the page anew."))
    found = find_mend(message)
    may_edit = Capability.MASTER_DATA in role_capabilities(request.user)
    mending = bulk_pages.Mending(
        payload=message.payload,
        refusal=message.error,
        names=found.names if found else (),
        links=_links(message, found) if may_edit else (),
    )
    return bulk_pages.show_mending(request, mending, decide_address=reverse("integration-messages-decide"))


def _links(example: FailedMessage, mend: Mend | None) -> list[tuple[str, str]]:
    """Return where the spec that a message is about is mended, or made."""
    if mend is None:
        return []
    if mend.spec_id is not None:
        address = reverse("admin:mes_datacollectionspec_change", args=[mend.spec_id])
        return [(address, _("Open the spec %(name)s") % {"name": example.subject})]
    if mend.operation_id is None:
        return []
    given = urlencode({"operation": mend.operation_id, "name": example.subject})
    address = f"{reverse('admin:mes_datacollectionspec_add')}?{given}"
    return [(address, _("Make a spec %(name)s") % {"name": example.subject})]


# --- deciding ------------------------------------------------------------------------------------------------


@needs(Capability.REPLAY)
@require_POST
def decide_all(request: HttpRequest) -> HttpResponse:
    """Try all messages of a cause again, or dismiss them; or try one, to see whether it is mended."""
    if request.POST.get("verb") != bulk_pages.TRY_ONE:
        bulk_pages.decide(request, causes.decide, sender=Sender(request.user.get_username()))
        return redirect("integration-messages")
    message_id = whole_number(request.POST.get("example", ""))
    if message_id is None:
        raise Http404
    return _replay(request, message_id)


@needs(Capability.REPLAY)
@require_POST
def replay(request: HttpRequest, message_id: int) -> HttpResponse:
    """Try a message again; what comes of it is shown on the list."""
    return _replay(request, message_id)


def _replay(request: HttpRequest, message_id: int) -> HttpResponse:
    sender, as_new = Sender(request.user.get_username()), bool(request.POST.get("asNew"))
    message = FailedMessage.objects.filter(pk=message_id).first()
    try:
        replaying.replay_message(
            message_id=message_id,
            sender=sender,
            spec_names=bulk_pages.read_names(request),
            as_new=as_new,
            reason=request.POST.get("reason", "").strip()[:500],
        )
    except DomainError as refusal:
        notices.error(request, _("Still refused: %(reason)s") % {"reason": refusal})
    else:
        is_out = message is not None and message.direction == Direction.OUTBOUND
        notices.success(request, _("It will be sent again.") if is_out else _("It is applied."))
    return bulk_pages.return_to(request, "integration-messages")


@needs(Capability.REPLAY)
@require_POST
def dismiss(request: HttpRequest, message_id: int) -> HttpResponse:
    """Dismiss a message for good, with a reason."""
    sender = Sender(request.user.get_username())
    bulk_pages.dismiss_one(
        request, lambda reason: dismissing.dismiss(message_id=message_id, reason=reason, sender=sender)
    )
    return bulk_pages.return_to(request, "integration-messages")
