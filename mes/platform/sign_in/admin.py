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
from mes.platform.sign_in.models import AttemptCount, SecondFactorRule
from mes.sections import PEOPLE_AND_ACCESS

PEOPLE_AND_ACCESS.add(SecondFactorRule, AttemptCount)


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
    fields = ("counted", "label", "failures", "last_at", "blocked_until", "succeeded_at")
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
