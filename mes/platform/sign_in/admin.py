"""Second factors and failed sign-ins in the admin site: who has one, which roles need one, who is delayed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.platform.http.admin import ReadOnlyAdmin
from mes.platform.sign_in import (
    attempts,
    people_admin,  # noqa: F401
    token_admin,  # noqa: F401
)
from mes.platform.sign_in.models import AttemptCount, Badge, SecondFactorRule, SignOn, Terminal
from mes.sections import PEOPLE_AND_ACCESS

PEOPLE_AND_ACCESS.add(SecondFactorRule, AttemptCount, Badge, Terminal, SignOn)


@admin.register(SecondFactorRule)
class SecondFactorRuleAdmin(admin.ModelAdmin):
    """Groups whose members are let no further until they have a second factor and have entered a code."""

    list_display = ("group",)
    list_select_related = ("group",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to change: a rule is there or not."""
        return False


@admin.register(AttemptCount)
class AttemptCountAdmin(ReadOnlyAdmin):
    """Who failed to sign in how often, and until when nobody is heard."""

    list_display = ("__str__", "counted", "failures", "last_at", "blocked_until")
    list_filter = ("counted",)
    search_fields = ("label",)
    fields = ("counted", "label", "failures", "wrong_pins", "last_at", "blocked_until", "succeeded_at")
    actions = ("forget",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AttemptCount]:
        """Those that failed; the others are places where people signed in."""
        return super().get_queryset(request).filter(failures__gt=0)

    def has_forget_permission(self, request: HttpRequest) -> bool:
        """Needed by the action."""
        return request.user.has_perm("mes.delete_attemptcount")

    @admin.action(description=gettext_lazy("Hear them again at once"), permissions=["forget"])
    def forget(self, request: HttpRequest, queryset: QuerySet[AttemptCount]) -> None:
        """End the delays."""
        count = attempts.forget(queryset)
        messages.success(request, _("%(count)d count(s) begin anew.") % {"count": count})


@admin.register(Badge)
class BadgeAdmin(ReadOnlyAdmin):
    """Who is known by which badge. It is given on the page of the person, and its PIN is shown nowhere."""

    list_display = ("code", "user", "pin_set_at")
    list_select_related = ("user",)
    search_fields = ("code", "user__username")
    fields = ("code", "user", "pin_set_at")
    readonly_fields = ("pin_set_at",)


@admin.register(Terminal)
class TerminalAdmin(ReadOnlyAdmin):
    """Browsers that people sign on at. They are bound and revoked on the page of terminals."""

    list_display = ("name", "station", "bound_by", "bound_at", "last_heard_at", "revoked_at")
    list_select_related = ("station",)
    search_fields = ("name", "station__code")
    fields = ("name", "station", "bound_by", "bound_at", "last_heard_at", "revoked_at", "revoked_by")


@admin.register(SignOn)
class SignOnAdmin(ReadOnlyAdmin):
    """Who was signed on at which terminal, and when."""

    list_display = ("terminal", "user", "began_at", "last_act_at", "ended_at")
    list_select_related = ("terminal", "user")
    fields = ("terminal", "user", "began_at", "last_act_at", "ended_at")
