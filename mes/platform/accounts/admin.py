"""Device tokens in the admin site: issue and revoke. A token is never changed."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.tokens import STATIONS, issue_token, revoke_token


class IssueTokenForm(forms.ModelForm):
    """What must be known to issue a token."""

    limited_to = STATIONS.formfield(
        label=gettext_lazy("Only for these stations"), help_text=gettext_lazy("None means all.")
    )

    class Meta:
        model = DeviceToken
        fields = ("name", "role", "expires_at")


@admin.register(DeviceToken)
class DeviceTokenAdmin(admin.ModelAdmin):
    """The text of a token is shown once, when it is issued; its hash never."""

    form = IssueTokenForm
    list_display = ("name", "prefix", "role", "created_at", "expires_at", "revoked_at")
    list_filter = ("role",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)
    insisting_actions = ("revoke",)
    shown = ("name", "prefix", "role", "limited_to", "created_at", "created_by", "expires_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: DeviceToken | None = None) -> tuple[str, ...]:
        """Ask for less than is shown later."""
        return ("name", "role", "expires_at", "limited_to") if obj is None else self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: DeviceToken | None = None) -> tuple[str, ...]:
        """Everything is fixed once it is issued."""
        return () if obj is None else self.shown

    def has_change_permission(self, request: HttpRequest, obj: DeviceToken | None = None) -> bool:
        """Nothing about a token can change but that it is revoked."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DeviceToken | None = None) -> bool:
        """Revoked tokens stay, so that logs keep their meaning."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Needed by the action."""
        return request.user.has_perm("mes.revoke_devicetoken")

    def save_model(self, request: HttpRequest, obj: DeviceToken, form: Any, change: bool) -> None:
        """Issue the token and show its text."""
        token, text = issue_token(
            name=obj.name,
            role=obj.role,
            station_codes=[station.code for station in form.cleaned_data["limited_to"]],
            expires_at=obj.expires_at,
            created_by=request.user,  # type: ignore[arg-type]
        )
        obj.pk = token.pk
        message = _("The token of “%(name)s” is shown only now: %(text)s")
        messages.warning(request, message % {"name": token.name, "text": text})

    @admin.display(description=gettext_lazy("only for stations"))
    def limited_to(self, obj: DeviceToken) -> str:
        """The stations, or a dash."""
        return ", ".join(obj.stations.order_by("code").values_list("code", flat=True)) or "-"

    @admin.action(
        description=gettext_lazy("Revoke (holds everywhere within 30 seconds)"),
        permissions=["revoke"],
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[DeviceToken]) -> None:
        """Revoke the chosen tokens for good."""
        tokens = list(queryset.filter(revoked_at=None))
        for token in tokens:
            revoke_token(token)
            self.log_change(request, token, _("Revoked."))
        message = _("%(count)d token(s) revoked. This holds everywhere within 30 seconds.")
        self.message_user(request, message % {"count": len(tokens)})
