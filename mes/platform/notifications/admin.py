"""Notification rules in the admin site; notifications, for looking; the lines that people follow."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Role
from mes.platform.http.admin import ReadOnlyAdmin, find_edited
from mes.platform.notifications import rules, telling
from mes.platform.notifications.models import FollowedLine, Notification
from mes.platform.notifications.rule_models import NoticeChannel, NotificationRule
from mes.sections import PEOPLE_AND_ACCESS, SYSTEM

PEOPLE_AND_ACCESS.add(User, DeviceToken, NotificationRule)
SYSTEM.add(Group, FollowedLine, Notification)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """Notifications of people, and when they were read."""

    list_display = ("id", "recipient", "severity", "text", "created_at", "read_at")
    list_display_links = ("id", "text")
    list_select_related = ("recipient",)
    search_fields = ("recipient__username__exact",)


@admin.register(FollowedLine)
class FollowedLineAdmin(admin.ModelAdmin):
    """The lines whose notifications a person gets; none means all."""

    list_display = ("user", "line")
    list_select_related = ("user", "line")
    list_filter = ("line",)
    search_fields = ("user__username", "line__code")


class NotificationRuleForm(forms.ModelForm):
    """A rule, with ticks for roles and ways."""

    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Roles"), choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Each hears of the lines that they follow; who follows none, of all."),
    )  # fmt: skip
    channels = forms.MultipleChoiceField(
        label=gettext_lazy("Ways"), choices=NoticeChannel.choices, widget=forms.CheckboxSelectMultiple
    )
    persons = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Persons"),
        queryset=User.objects.filter(is_active=True).order_by("username"),
        required=False,
        help_text=gettext_lazy("They hear of every line of the rule, whatever they follow."),
    )

    class Meta:
        model = NotificationRule
        fields = (
            "name", "event", "line", "roles", "persons", "channels", "webhook_url", "quiet_minutes", "is_active",
        )  # fmt: skip

    def clean(self) -> dict[str, Any] | None:
        """Want somebody who is told, and ways that are set up."""
        cleaned = super().clean() or {}
        candidate = NotificationRule(roles=cleaned.get("roles", []), channels=cleaned.get("channels", []))
        for name, text in rules.find_problems(candidate, has_persons=bool(cleaned.get("persons"))).items():
            if name not in self.errors:
                self.add_error(name, text)
        return cleaned


@admin.register(NotificationRule)
class NotificationRuleAdmin(admin.ModelAdmin):
    """Who is told of what happens, and how."""

    form = NotificationRuleForm
    change_form_template = "admin/mes/notificationrule/change_form.html"
    list_display = ("name", "event", "line", "ways", "quiet_minutes", "is_active")
    list_filter = ("is_active", "event", "line")
    list_select_related = ("line",)
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "event", "line", "is_active")}),
        (gettext_lazy("Who is told"), {"fields": ("roles", "persons")}),
        (gettext_lazy("How"), {"fields": ("channels", "webhook_url", "quiet_minutes")}),
    )

    @admin.display(description=gettext_lazy("ways"))
    def ways(self, rule: NotificationRule) -> str:
        """How it tells."""
        return ", ".join(str(NoticeChannel(channel).label) for channel in rule.channels)

    def get_urls(self) -> list[URLPattern]:
        """Add the address of a trial."""
        view = self.admin_site.admin_view(require_POST(self.send_trial))
        return [path("<path:object_id>/trial/", view, name="mes_notificationrule_trial"), *super().get_urls()]

    def send_trial(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tell everybody whom the saved rule reaches that it is a trial."""
        rule = find_edited(self, request, object_id)
        counts = telling.send_test(rule, by=operator_name(request))
        told = ", ".join(f"{NoticeChannel(channel).label}: {count}" for channel, count in counts.items())
        messages.success(request, _("A trial is sent. %(counts)s") % {"counts": told})
        return redirect("admin:mes_notificationrule_change", rule.pk)
