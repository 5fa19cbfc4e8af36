"""Notifications in the admin site, for looking; the lines that people follow."""

from django.contrib import admin
from django.contrib.auth.models import Group, User

from mes.platform.accounts.models import DeviceToken
from mes.platform.http.admin import ReadOnlyAdmin
from mes.platform.notifications.models import FollowedLine, Notification
from mes.sections import PEOPLE_AND_ACCESS, SYSTEM

PEOPLE_AND_ACCESS.add(User, DeviceToken)
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
