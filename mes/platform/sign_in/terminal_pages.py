"""The page of terminals: which browsers are some, whom they were last heard of, and making this one a terminal."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.authorship import give_reason
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import needs
from mes.platform.http.serializers import CodeField, DecisionReasonField, StrictSerializer
from mes.platform.sign_in import sign_on, terminals
from mes.platform.sign_in.models import Terminal
from mes.platform.validators import validate_line

MOST_STATIONS = 2000  # offered to choose from


class BindForm(StrictSerializer):
    """What a terminal is called, and where it stands."""

    stationCode = CodeField()
    name = serializers.CharField(max_length=100, validators=[validate_line])


class RevokeForm(StrictSerializer):
    """Why."""

    reason = DecisionReasonField()


@needs(Capability.TERMINALS)
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """List the terminals, with what may be done to each and to this browser."""
    rows = terminals.list_terminals()
    people = sign_on.find_people_at([row.pk for row in rows])
    here = terminals.find_terminal(request)
    offered = [_bind(here), *(_revoke(row) for row in rows)]
    told = {act.name: act for act in acts.with_refusal(request, offered, place=reverse("terminals"))}
    context = {
        "bind": told["bind"],
        "this": here if here is not None and here.revoked_at is None else None,
        "rows": [(row, people.get(row.pk), told[f"revoke-{row.pk}"]) for row in rows],
    }
    return render(request, "sign_on/terminals.html", context)


@needs(Capability.TERMINALS)
@require_POST
def bind(request: HttpRequest) -> HttpResponse:
    """Make this browser a terminal, or one of another station."""
    made: list[str] = []

    def do() -> str:
        form = acts.read_form(BindForm, request, _bind(None).fields)
        terminal, secret = terminals.bind(
            request, station_code=form["station_code"], name=form["name"], by=operator_name(request)
        )
        made.append(secret)
        told = {"name": terminal.name, "station": terminal.station.code}
        return _("This browser is the terminal “%(name)s” of station %(station)s now.") % told

    response = acts.carry_out(request, do, place=reverse("terminals"), name="bind")
    for secret in made:
        terminals.give_cookie(response, secret)
    return response


@needs(Capability.TERMINALS)
@require_POST
def revoke(request: HttpRequest, terminal_id: int) -> HttpResponse:
    """Have a browser be a terminal no longer."""

    def do() -> str:
        form = acts.read_form(RevokeForm, request, [acts.reason_field()])
        give_reason(form["reason"])
        terminal = terminals.revoke(terminal_id, by=operator_name(request))
        return _("“%(name)s” is no terminal any more.") % {"name": terminal.name}

    return acts.carry_out(request, do, place=reverse("terminals"), name=f"revoke-{terminal_id}")


def _bind(this: Terminal | None) -> Act:
    rows = terminals.STATION.related_model.objects.order_by("code").values_list("code", "name")[:MOST_STATIONS]
    is_there = this is not None and this.revoked_at is None
    return Act(
        "bind",
        _("Move it to another station") if is_there else _("Make this browser a terminal"),
        reverse("terminal-bind"),
        button=_("Bind this browser"),
        about=_(
            "Do this at the tablet itself. Whoever has a badge and a PIN then signs on in this browser; sign out "
            "yourself when it is done."
        ),
        is_main=True,
        fields=(
            Field(
                "stationCode",
                _("Station"),
                FieldKind.CHOICE,
                value=this.station.code if this is not None and is_there else "",
                choices=[("", _("choose")), *((code, f"{code} {name}") for code, name in rows)],
                is_required=True,
            ),
            Field(
                "name",
                _("Name of the terminal"),
                value=this.name if this is not None and is_there else "",
                help=_("What people call it, such as “Tablet left”."),
                is_required=True,
                most=100,
            ),
        ),
        at={"STATION_NOT_FOUND": "stationCode"},
    )


def _revoke(terminal: Terminal) -> Act:
    return Act(
        f"revoke-{terminal.pk}",
        _("Revoke"),
        reverse("terminal-revoke", args=[terminal.pk]),
        about=_(
            "Nobody signs on there by badge any more. What waits in that browser to be sent stays there until somebody "
            "signs in by name and password."
        ),
        is_harmful=True,
        fields=(acts.reason_field(),),
    )
