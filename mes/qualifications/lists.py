"""The list of qualifications."""

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing
from mes.qualifications.models import Qualification


def _operation_codes() -> list[str]:
    return list(Operation.objects.order_by("code").values_list("code", flat=True)[:500])


def _is_over(wanted: bool) -> Q:
    is_over = Q(until__lt=timezone.localdate())
    return is_over if wanted else ~is_over


QUALIFICATIONS = Listing(
    name="qualifications",
    title=_("Qualifications"),
    about=_("Who may do which operation, and until when."),
    empty=_("Nobody is qualified for anything yet. A supervisor gives qualifications on the page “Qualifications”."),
    rows=lambda user: Qualification.objects.all(),
    columns=(
        Column("person", _("Person"), "person__username", sort="person__username"),
        Column("first-name", _("First name"), "person__first_name"),
        Column("last-name", _("Last name"), "person__last_name", sort="person__last_name"),
        Column("operation", _("Operation"), "operation__code", Kind.CODE, sort="operation__code"),
        Column("operation-name", _("Name of the operation"), "operation__name"),
        Column("until", _("Until"), "until", sort="until"),
        Column("note", _("Note"), "note"),
        Column("given-by", _("Given by"), "given_by"),
        Column("given", _("Given"), "given_at", Kind.TIME, sort="id"),
    ),
    filters=(
        Filter("person", _("Person"), lookup="person__username"),
        Filter("operation", _("Operation"), lookup="operation__code", suggest=_operation_codes),
        Filter("over", _("Over"), FilterKind.YES_NO, find=_is_over),
    ),
    sort="person",
    is_small=True,
    more=((_("Give or change one"), lambda: reverse("qualifications")),),
)
