"""The page of qualifications: giving one, and ending or changing those there are."""

from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from mes import errors
from mes.plant.models import Operation
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import needs
from mes.platform.http.serializers import StrictSerializer
from mes.platform.validators import validate_year
from mes.qualifications.api import QualificationSerializer
from mes.qualifications.models import Qualification

MOST = 1000  # people or operations that are offered, and qualifications that are shown
CHANGE, END = "change", "end"


class UntilForm(StrictSerializer):
    """The last day; left empty, for good."""

    until = serializers.DateField(required=False, allow_null=True, validators=[validate_year])


class EndForm(StrictSerializer):
    """Nothing more is asked."""


@needs(Capability.QUALIFY)
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Show who is qualified for what, and what may be done about it."""
    rows = Qualification.objects.select_related("person", "operation").order_by("person__username", "operation__code")
    shown = list(rows[:MOST])
    offered = [_give(), *(act for row in shown for act in (_change(row), _end(row)))]
    told = {act.name: act for act in acts.with_refusal(request, offered, place=reverse("qualifications"))}
    today = timezone.localdate()
    context = {
        "give": told["give"],
        "rows": [
            (row, row.until is not None and row.until < today, [told[f"{CHANGE}-{row.pk}"], told[f"{END}-{row.pk}"]])
            for row in shown
        ],
    }
    return render(request, "sign_on/qualifications.html", context)


@needs(Capability.QUALIFY)
@require_POST
def give(request: HttpRequest) -> HttpResponse:
    """Give a qualification."""

    def do() -> str:
        given = acts.read_form(QualificationSerializer, request, _give().fields)
        made = _create({**given, "given_by": operator_name(request)})
        told = {"person": made.person.get_username(), "operation": made.operation.code}
        return _("%(person)s is qualified for %(operation)s now.") % told

    return acts.carry_out(request, do, place=reverse("qualifications"), name="give")


def _create(values: dict[str, Any]) -> Qualification:
    try:
        with transaction.atomic():
            return Qualification.objects.create(**values)
    except IntegrityError:  # somebody else gave it at the same moment
        raise errors.ValidationFailed({"operationCode": _("This person has a qualification for it.")}) from None


@needs(Capability.QUALIFY)
@require_POST
def act(request: HttpRequest, qualification_id: int, action: str) -> HttpResponse:
    """Change the last day of a qualification, or end it."""
    if action not in (CHANGE, END):
        raise Http404

    def do() -> str:
        with transaction.atomic():
            rows = Qualification.objects.select_for_update(of=("self",)).select_related("person", "operation")
            row = get_or_raise(rows, errors.QualificationNotFound, pk=qualification_id)
            told = {"person": row.person.get_username(), "operation": row.operation.code}
            if action == CHANGE:
                row.until = acts.read_form(UntilForm, request, _change(row).fields).get("until")
                row.save(update_fields=["until"])
                return _("The last day of %(person)s for %(operation)s is changed.") % told
            acts.read_form(EndForm, request, _end(row).fields)
            row.delete()
            return _("%(person)s is no longer qualified for %(operation)s.") % told

    return acts.carry_out(request, do, place=reverse("qualifications"), name=f"{action}-{qualification_id}")


def _give() -> Act:
    people = User.objects.filter(is_active=True).order_by("username")[:MOST]
    operations = Operation.objects.order_by("code")[:MOST]
    return Act(
        "give",
        _("Give a qualification"),
        reverse("qualification-give"),
        is_main=True,
        fields=(
            Field(
                "person",
                _("Person"),
                FieldKind.CHOICE,
                choices=[("", _("choose")), *((each.username, _name_of(each)) for each in people)],
                is_required=True,
            ),
            Field(
                "operationCode",
                _("Operation"),
                FieldKind.CHOICE,
                choices=[("", _("choose")), *((each.code, str(each)) for each in operations)],
                is_required=True,
            ),
            _until(""),
            Field("note", _("Note (optional)"), most=500),
        ),
        at={"PERSON_NOT_FOUND": "person", "OPERATION_NOT_FOUND": "operationCode"},
    )


def _name_of(person: User) -> str:
    full = person.get_full_name()
    return f"{person.username} ({full})" if full else person.username


def _until(value: str) -> Field:
    return Field("until", _("Last day (empty: for good)"), FieldKind.DATE, value=value)


def _change(row: Qualification) -> Act:
    until = "" if row.until is None else row.until.isoformat()
    address = reverse("qualification-act", args=[row.pk, CHANGE])
    return Act(f"{CHANGE}-{row.pk}", _("Change"), address, button=_("Change the last day"), fields=(_until(until),))


def _end(row: Qualification) -> Act:
    address = reverse("qualification-act", args=[row.pk, END])
    about = _("Steps that ask for it are no longer entered by this person. What was done stays.")
    return Act(f"{END}-{row.pk}", _("Take away"), address, about=about, is_harmful=True)
