"""Tokens of machines and scripts in the administration: made, shown once, revoked. A token is never changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.platform.accounts.in_words import describe_grants
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import STATIONS, check_expiry, issue_token, revoke_token
from mes.platform.database.authorship import give_reason
from mes.platform.http.edit_forms import REASON, ReasonForm
from mes.platform.sign_in.people_admin import ForAdministrators, role_label


class IssueTokenForm(forms.ModelForm):
    """What must be known to issue a token."""

    role = forms.ChoiceField(label=gettext_lazy("What it may do"), widget=forms.RadioSelect)
    limited_to = STATIONS.formfield(
        label=gettext_lazy("Only for these stations"),
        help_text=gettext_lazy(
            "Chosen stations: it may do only the work of these, and read what belongs to their lines. None: of all."
        ),
    )

    class Meta:
        model = DeviceToken
        fields = ("name", "expires_at")
        labels = {"expires_at": gettext_lazy("Ends")}
        help_texts = {
            "name": gettext_lazy("What uses it: a machine, a system, a script. It stands in the audit and in logs."),
            "expires_at": gettext_lazy("Without, it is good until somebody revokes it."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, role_label(role, describe_grants(role))) for role in Role]
        self.fields["role"].choices = choices  # type: ignore[attr-defined]

    def clean_expires_at(self) -> Any:
        """Refuse an end that is over, or that no clock can show."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None:
            check_expiry(expires_at)
        return expires_at


class StateFilter(admin.SimpleListFilter):
    """Tokens that are good, or that are over."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """The states."""
        return [("good", gettext_lazy("Good")), ("ended", gettext_lazy("Ended")), ("revoked", gettext_lazy("Revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeviceToken]) -> QuerySet[DeviceToken]:
        """Those of a state."""
        if self.value() == "revoked":
            return queryset.exclude(revoked_at=None)
        ended = queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        if self.value() == "ended":
            return ended
        return queryset.filter(revoked_at=None).exclude(pk__in=ended) if self.value() == "good" else queryset


@admin.register(DeviceToken)
class DeviceTokenAdmin(ForAdministrators, admin.ModelAdmin):
    """The text of a token is shown once, when it is issued; its hash never."""

    form = IssueTokenForm
    change_form_template = "admin/token.html"
    list_display = ("name", "prefix", "may_do", "stations_shown", "created_by", "created_at", "expires_at", "state")
    list_filter = (StateFilter, "role", ("created_by", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)
    insisting_actions = ("revoke",)

    class Media:
        css = {"all": ("administration.css",)}

    shown = ("name", "prefix", "may_do_in_words", "stations_shown", "created_at", "created_by", "expires_at", "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceToken]:
        """Load the stations along."""
        return super().get_queryset(request).prefetch_related("stations")

    def get_urls(self) -> list[Any]:
        """Add the page that asks before one is revoked."""
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:token_id>/revoke/", revoke, name="mes_devicetoken_revoke"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: DeviceToken | None = None) -> tuple[str, ...]:
        """Ask for less than is shown later."""
        return ("name", "role", "limited_to", "expires_at") if obj is None else self.shown

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
        return self.has_add_permission(request)

    # --- what is shown

    @admin.display(description=gettext_lazy("may do"), ordering="role")
    def may_do(self, obj: DeviceToken) -> str:
        """Its role."""
        return str(Role(obj.role).label)

    @admin.display(description=gettext_lazy("what it may do"))
    def may_do_in_words(self, obj: DeviceToken) -> str:
        """Its role, in words."""
        return role_label(Role(obj.role), describe_grants(Role(obj.role)))

    @admin.display(description=gettext_lazy("only for stations"))
    def stations_shown(self, obj: DeviceToken) -> str:
        """The stations, or that it is for all."""
        return ", ".join(sorted(station.code for station in obj.stations.all())) or _("all")

    @admin.display(description=gettext_lazy("state"))
    def state(self, obj: DeviceToken) -> str:
        """Whether it is good."""
        if obj.revoked_at is not None:
            return _("Revoked")
        return _("Ended") if obj.expires_at is not None and obj.expires_at <= timezone.now() else _("Good")

    # --- made

    def save_model(self, request: HttpRequest, obj: DeviceToken, form: Any, change: bool) -> None:
        """Issue the token."""
        assert isinstance(request.user, User), "whoever is here is signed in"
        token, text = issue_token(
            name=obj.name,
            role=form.cleaned_data["role"],
            station_codes=[station.code for station in form.cleaned_data["limited_to"]],
            expires_at=obj.expires_at,
            created_by=request.user,
        )
        obj.pk, obj.role = token.pk, token.role
        obj.text = text  # type: ignore[attr-defined]  # for the answer, and for nothing else

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """Show its text on the answer itself: nothing keeps it, not even until the next page."""
        context = {"token": obj, "text": obj.text, "may_do": describe_grants(Role(obj.role))}
        response = TemplateResponse(request, "admin/token_made.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    # --- revoked

    def revoke_view(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """Ask before a token is revoked, and why."""
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        token = DeviceToken.objects.filter(pk=token_id).first()
        if token is None:
            raise Http404
        form = ReasonForm(request.POST or None, insisted=True)
        if request.method == "POST" and form.is_valid():
            give_reason(form.cleaned_data[REASON])
            revoke_token(token)
            self.message_user(request, _said(1))
            return redirect("admin:mes_devicetoken_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Revoke the token “%(name)s”?") % {"name": token.name},
            "opts": self.opts,
            "token": token,
            "edit": form,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/token_revoke.html", context)

    @admin.action(description=gettext_lazy("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[DeviceToken]) -> None:
        """Revoke the chosen tokens for good."""
        tokens = list(queryset.filter(revoked_at=None))
        for token in tokens:
            revoke_token(token)
        self.message_user(request, _said(len(tokens)))


def _said(count: int) -> str:
    text = ngettext(
        "%(count)d token is revoked. This holds everywhere within 30 seconds.",
        "%(count)d tokens are revoked. This holds everywhere within 30 seconds.",
        count,
    )
    return text % {"count": count}
