"""What waits for another person's word: looked at, approved, refused or withdrawn."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act
from mes.platform.http.pages import is_live, show_live, signed_in
from mes.production import approvals
from mes.production.approvals_api import ApprovalDecisionRequest, ApprovalViewSet
from trace.approval_reading import Request, get_approvals

ACTIONS = ("approve", "refuse", "withdraw")


@signed_in
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The open requests, and those decided lately."""
    found = get_approvals(name=request.user.get_username(), granted=role_capabilities(request.user))
    offered = {asked.approval.pk: list(_list_acts(asked)) for asked in found.open}
    if not is_live(request):
        every = [act for its in offered.values() for act in its]
        told = {act.name: act for act in acts.with_refusal(request, every, place=reverse("approvals"))}
        offered = {pk: [told[act.name] for act in its] for pk, its in offered.items()}
    context = {"open": [(asked, offered[asked.approval.pk]) for asked in found.open], "decided": found.decided}
    return show_live(request, "trace/approvals.html", "trace/_approvals_live.html", context)


@signed_in
@require_POST
def decide(request: HttpRequest, approval_id: str, action: str) -> HttpResponse:
    """Approve, refuse or withdraw; a refusal is shown beside its button."""
    granted = role_capabilities(request.user)
    if granted.isdisjoint(ApprovalViewSet.capabilities[action]):
        raise PermissionDenied(_("You may not do this."))

    def do() -> str:
        return _decide(request, int(approval_id), action, granted)

    return acts.carry_out(request, do, place=reverse("approvals"), name=f"{action}-{approval_id}")


def _decide(request: HttpRequest, approval_id: int, action: str, granted: frozenset[Capability]) -> str:
    """Do it and say what is so now. Raises what the service does."""
    fields = (acts.reason_field(is_required=action == "refuse"),)
    given = acts.read_form(ApprovalDecisionRequest, request, fields)
    named: dict[str, Any] = {
        "approval_id": approval_id,
        "by": request.user.get_username(),
        "reason": given.get("reason") or "",
    }
    if action == "withdraw":
        approvals.withdraw(**named, is_for_others=Capability.ADMIN in granted)
        return _("Withdrawn: nobody need decide it any more.")
    approvals.check_may_decide(approvals.find(approval_id), granted)
    if action == "refuse":
        approvals.refuse(**named)
        return _("Refused.")
    approvals.approve(**named)
    return _("Approved, and carried out.")


def _list_acts(asked: Request) -> Iterator[Act]:
    """Yield what somebody may do about a request: what is one's own can be withdrawn, and decided by others only."""
    pk = asked.approval.pk

    def address(action: str) -> str:
        return reverse("approval-act", args=[pk, action])

    if asked.is_own:
        about = _("Then nobody need decide it any more.")
        fields = (acts.reason_field(is_required=False),)
        yield Act(f"withdraw-{pk}", _("Withdraw"), address("withdraw"), about=about, symbol="rework", fields=fields)
    elif asked.may_decide:
        about = _("It is carried out at once: %(what)s") % {"what": asked.what}
        fields = (acts.reason_field(is_required=False),)
        yield Act(
            f"approve-{pk}", _("Approve"), address("approve"), about=about, symbol="pass", tone="good", fields=fields
        )
        fields = (acts.reason_field(),)
        yield Act(f"refuse-{pk}", _("Refuse"), address("refuse"), symbol="fail", tone="bad", fields=fields)
