"""The list of checks that were made."""

from django.utils.translation import gettext_lazy as _

from mes.line_setup.checks.models import CheckForm, CheckRecord, SubjectType, Verdict
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period


def _form_codes() -> list[str]:
    return list(CheckForm.objects.order_by("code").values_list("code", flat=True)[:500])


RECORDS = Listing(
    name="check-records",
    title=_("Checks that were made"),
    about=_("What somebody looked at, of lines, stations, machines, tools and stores."),
    empty=_("Nothing was checked yet. What is due stands on the page “Checks”."),
    rows=lambda user: CheckRecord.objects.all(),
    columns=(
        Column("subject", _("Of"), "subject_code", Kind.CODE),
        Column("type", _("Kind"), "subject_type", choices=SubjectType.choices),
        Column("form", _("Form"), "form__code", Kind.CODE),
        Column("verdict", _("Verdict"), "verdict", Kind.STATE, choices=Verdict.choices),
        Column("at", _("Checked"), "at", Kind.TIME, sort="at"),
        Column("by", _("By"), "operator"),
        Column("verified", _("Verified by"), "verified_by"),
        Column("recorded", _("Recorded"), "created_at", Kind.TIME, sort="id", is_shown=False),
    ),
    filters=(
        Filter("form", _("Form"), lookup="form__code", suggest=_form_codes),
        Filter("verdict", _("Verdict"), FilterKind.CHOICE, "verdict", choices=Verdict.choices, is_indexed=False),
        Filter("subject", _("Of"), lookup="subject_code", is_indexed=False),
    ),
    sort="-at",
    period=Period(_("Checked"), "at", preset="30d"),
)
