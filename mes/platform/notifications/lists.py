"""The list of notification rules."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Capability, Role
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Row
from mes.platform.notifications.rule_models import NoticeChannel, NoticeEvent, NotificationRule
from mes.platform.notifications.services import list_lines

_ROLES, _WAYS = dict(Role.choices), dict(NoticeChannel.choices)


def _line_codes() -> list[str]:
    return list(list_lines().values_list("code", flat=True)[:500])


def _to_form(row: Row) -> str:
    return reverse("admin:mes_notificationrule_change", args=[row["id"]])


RULES = Listing(
    name="notification-rules",
    title=_("Notification rules"),
    about=_("Who is told of what happens, and how."),
    empty=_("There is no rule yet: people are told of clocks, stopped lines and held runs only. Add one."),
    rows=lambda user: NotificationRule.objects.all(),
    columns=(
        Column("name", _("Name"), "name", sort="name", reads=("id",), link=_to_form),
        Column("event", _("Event"), "event", choices=NoticeEvent.choices, sort="event"),
        Column("line", _("Line"), "line__code", Kind.CODE),
        Column(
            "roles",
            _("Roles"),
            reads=("roles",),
            read=lambda row: ", ".join(str(_ROLES.get(each, each)) for each in row["roles"]),
        ),
        Column(
            "ways",
            _("Ways"),
            reads=("channels",),
            read=lambda row: ", ".join(str(_WAYS.get(each, each)) for each in row["channels"]),
        ),
        Column("quiet", _("Quiet minutes"), "quiet_minutes", Kind.NUMBER),
        Column("active", _("Active"), "is_active", Kind.YES_NO),
        Column("created", _("Created"), "created_at", Kind.TIME, is_shown=False),
    ),
    filters=(
        Filter("event", _("Event"), FilterKind.CHOICE, "event", choices=NoticeEvent.choices),
        Filter("line", _("Line"), lookup="line__code", suggest=_line_codes),
        Filter("active", _("Active"), FilterKind.YES_NO, "is_active"),
    ),
    sort="name",
    capabilities=(Capability.NOTIFICATIONS,),
    is_small=True,
    more=((_("Add a rule"), lambda: reverse("admin:mes_notificationrule_add")),),
)
