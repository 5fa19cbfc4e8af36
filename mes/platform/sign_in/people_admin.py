"""People in the administration: roles as ticks, a password, whether somebody may sign in. For administrators only."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import password_validation
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.errors import LastAdmin
from mes.platform.accounts import people
from mes.platform.accounts.in_words import describe_role
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Capability, Role, role_capabilities
from mes.platform.http.handlers import answer
from mes.platform.sign_in import badges, second_factor
from mes.platform.sign_in.models import LONGEST_BADGE, Badge

DELETE = "delete_selected"


class ForAdministrators:
    """Mixin of admin classes that say who may do what: only Admins see them, whatever rights a plant gives besides."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether it is shown on the home."""
        return _administers(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether it may be looked at."""
        return _administers(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether one may be made."""
        return _administers(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether one may be changed."""
        return _administers(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether one may be deleted."""
        return _administers(request)


def _administers(request: HttpRequest) -> bool:
    return Capability.ADMIN in role_capabilities(request.user)


def role_label(role: Role, told: str) -> str:
    """Return a role and what it may do, as a choice shows them."""
    return format_html('<b>{}</b> <span class="help">{}</span>', role.label, told)


class PersonForm(forms.ModelForm):
    """A person, in words that need no explanation."""

    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Roles"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Somebody with several may do what each allows; without any, nothing at all."),
    )
    further_groups = forms.ModelMultipleChoiceField(
        Group.objects.none(),
        label=gettext_lazy("Groups of this plant"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Rights that this plant gives besides the roles."),
    )
    new_password = forms.CharField(
        label=gettext_lazy("New password"),
        required=False,
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    badge = forms.CharField(
        label=gettext_lazy("Badge"),
        required=False,
        max_length=LONGEST_BADGE,
        strip=False,
        help_text=gettext_lazy("The code of its barcode. With a PIN, the person signs on by it at terminals."),
    )
    new_pin = forms.CharField(
        label=gettext_lazy("New PIN"),
        required=False,
        max_length=badges.MOST_DIGITS,
        validators=[badges.check_pin],
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "is_active")
        labels = {"username": gettext_lazy("User name"), "is_active": gettext_lazy("May sign in")}
        help_texts = {
            "username": gettext_lazy("What is typed to sign in: letters, digits and @ . + - _"),
            "is_active": gettext_lazy("Taken away, all sessions of the person end at once. What was done stays."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles, password = self.fields["roles"], self.fields["new_password"]
        roles.choices = [(role, role_label(role, describe_role(role))) for role in Role]  # type: ignore[attr-defined]
        roles.initial = people.roles_of(self.instance)
        groups = Group.objects.exclude(name__in=people.ROLE_NAMES)
        self.fields["further_groups"].queryset = groups  # type: ignore[attr-defined]
        self.fields["further_groups"].initial = groups.filter(user=self.instance) if self.instance.pk else []
        is_new = self.instance.pk is None
        badge = None if is_new else Badge.objects.filter(user=self.instance).first()
        self.fields["badge"].initial = "" if badge is None else badge.code
        self.fields["new_pin"].help_text = (
            _("4 to 8 digits. Leave it empty to keep the one there is. The person changes it under the own name.")
            if badge is not None and badge.pin_set_at
            else _("4 to 8 digits. Without one, the badge opens nothing. The person may set it under the own name.")
        )
        password.required = is_new
        password.help_text = (
            _("The person changes it under the own name, above on every page.")
            if is_new
            else _("Leave it empty to keep the one there is. A new one ends all sessions of the person.")
        )

    def clean_new_password(self) -> str:
        """Hold it to the rules that hold for everybody."""
        password: str = self.cleaned_data["new_password"]
        if password:
            password_validation.validate_password(password, self.instance)
        return password

    def clean_badge(self) -> str:
        """Hold it to the rules of codes; it is nobody else's."""
        code: str = self.cleaned_data["badge"]
        if code:
            badges.check_badge(code, person=self.instance)
        return code

    def clean_username(self) -> str:
        """Take no name that is somebody else's badge: either says who is meant."""
        name: str = self.cleaned_data["username"]
        if Badge.objects.filter(code=name).exclude(user=self.instance.pk).exists():
            raise ValidationError(_("This is the badge of somebody else."), "taken")
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse to take the last Admin away; locked until it is saved."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("new_pin") and not cleaned.get("badge"):
            self.add_error("new_pin", _("A PIN belongs to a badge; give one."))
        stays = cleaned.get("is_active") and Role.ADMIN in cleaned.get("roles", ())
        if self.instance.pk is not None and not stays:
            try:
                people.keep_an_admin(without=[self.instance.pk])
            except LastAdmin as refusal:
                self.add_error(None, ValidationError(str(refusal), code=refusal.code))
        return cleaned


class RoleFilter(admin.SimpleListFilter):
    """People of a role."""

    title = gettext_lazy("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """The roles."""
        return Role.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Those who have it."""
        if self.value() not in Role.values:
            return queryset
        role = Role(str(self.value()))
        has_it = Q(groups__name=role.group_name)
        return queryset.filter(has_it | Q(is_superuser=True) if role == Role.ADMIN else has_it).distinct()


class PersonAdmin(ForAdministrators, admin.ModelAdmin):
    """People: who they are, what they may do, when they came last."""

    form = PersonForm
    list_display = (
        "username",
        "full_name",
        "roles",
        "badge",
        "last_seen",
        "may_sign_in",
        "has_second_factor",
        "tokens",
    )
    list_filter = (RoleFilter, "is_active")
    search_fields = ("username", "first_name", "last_name", "email", "badge__code")
    search_help_text = gettext_lazy("User name, name, mail address or badge")
    ordering = ("username",)
    actions = ("deactivate", "activate", "reset_second_factor")
    insists_on_reason = ("roles", "further_groups", "is_active")
    list_select_related = ("second_factor", "badge")
    insisting_actions = ("deactivate", "activate")

    class Media:
        css = {"all": ("administration.css",)}

    def insists_on_deletion(self, thing: User) -> bool:
        """The roles go with the person."""
        return True

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Load what the list shows along."""
        is_good = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
        made = DeviceToken.objects.filter(is_good, created_by=OuterRef("pk")).order_by().values("created_by")
        number = Subquery(made.annotate(number=Count("pk")).values("number"))
        return super().get_queryset(request).prefetch_related("groups").annotate(tokens_made=number)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Who it is, what the person may do, how the person signs in."""
        may = ("roles", "further_groups") if Group.objects.exclude(name__in=people.ROLE_NAMES).exists() else ("roles",)
        return (
            (None, {"fields": ("username", ("first_name", "last_name"), "email")}),
            (_("What the person may do"), {"fields": may}),
            (_("Signing in"), {"fields": ("is_active", "new_password")}),
            (_("At terminals"), {"fields": ("badge", "new_pin")}),
        )

    # --- the list

    @admin.display(description=gettext_lazy("name"), ordering="last_name")
    def full_name(self, obj: User) -> str:
        """First and last name."""
        return obj.get_full_name() or "–"

    @admin.display(description=gettext_lazy("roles"))
    def roles(self, obj: User) -> str:
        """All roles."""
        return ", ".join(str(role.label) for role in people.roles_of(obj)) or _("none")

    @admin.display(description=gettext_lazy("last sign-in"), ordering=F("last_login").desc(nulls_last=True))
    def last_seen(self, obj: User) -> Any:
        """When the person signed in last."""
        return obj.last_login or _("never")

    @admin.display(description=gettext_lazy("may sign in"), boolean=True, ordering="is_active")
    def may_sign_in(self, obj: User) -> bool:
        """Whether the account is active."""
        return obj.is_active

    @admin.display(description=gettext_lazy("second factor"), boolean=True)
    def has_second_factor(self, obj: User) -> bool:
        """Whether there is one."""
        return hasattr(obj, "second_factor")

    @admin.display(description=gettext_lazy("badge"), ordering="badge__code")
    def badge(self, obj: User) -> str:
        """The code of the badge."""
        return obj.badge.code if hasattr(obj, "badge") else "–"

    @admin.display(description=gettext_lazy("tokens made"), ordering="tokens_made")
    def tokens(self, obj: Any) -> str:
        """How many tokens that are good the person made, and the way to them."""
        if not obj.tokens_made:
            return "–"
        address = reverse("admin:mes_devicetoken_changelist")
        return format_html('<a href="{}?created_by__id__exact={}">{}</a>', address, obj.pk, obj.tokens_made)

    # --- changing

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Keep the person with the roles."""
        people.save_person(
            obj,
            roles=[Role(role) for role in form.cleaned_data["roles"]],
            further_groups=form.cleaned_data.get("further_groups", ()),
            password=form.cleaned_data["new_password"],
        )
        badges.keep(obj, code=form.cleaned_data.get("badge", ""), pin=form.cleaned_data.get("new_pin", ""))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form, or keep what it says. What another Admin gave away at the same moment is seen once more."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except badges.BadgeTaken:
            return super().changeform_view(request, *args, **kwargs)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show a refusal with its status."""
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        if context["adminform"].form.has_error(NON_FIELD_ERRORS, LastAdmin.code):
            response.status_code = LastAdmin.status
        return response

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete a person."""
        people.delete([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Delete people."""
        people.delete(_ids(queryset))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Delete a person, unless it is the last Admin."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except LastAdmin as refusal:
            return answer(request, refusal.status, refusal.code, str(refusal))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, or do what is chosen there, unless no Admin would stay."""
        try:
            return super().changelist_view(request, extra_context)
        except LastAdmin as refusal:
            return answer(request, refusal.status, refusal.code, str(refusal))

    @admin.action(description=gettext_lazy("Deactivate: may sign in no more"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the chosen people sign in no more; their sessions end."""
        count = people.deactivate(_ids(queryset), by=request.user.get_username())
        text = ngettext(
            "%(count)d person may sign in no more; all sessions are ended.",
            "%(count)d people may sign in no more; all their sessions are ended.",
            count,
        )
        messages.success(request, text % {"count": count})

    @admin.action(description=gettext_lazy("Activate: may sign in again"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the chosen people sign in again."""
        count = people.activate(_ids(queryset), by=request.user.get_username())
        text = ngettext("%(count)d person may sign in again.", "%(count)d people may sign in again.", count)
        messages.success(request, text % {"count": count})

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Needed by the action."""
        return _administers(request)

    @admin.action(
        description=gettext_lazy("Remove the second factor (the app or phone is lost)"), permissions=["reset"]
    )
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Have people sign in without, or set up another where a role needs one."""
        chosen = list(User.objects.filter(pk__in=_ids(queryset)))
        count = second_factor.remove(chosen, by=request.user.get_username())
        for person in chosen:
            self.log_change(request, person, _("Second factor removed."))
        messages.success(request, _("%(count)d second factor(s) removed.") % {"count": count})


def _ids(queryset: QuerySet[User]) -> list[int]:
    return sorted(set(queryset.order_by().values_list("pk", flat=True)))


class PlantGroupAdmin(ForAdministrators, GroupAdmin):
    """Groups with rights that a plant gives besides the roles. Those of the roles are kept by the product."""

    insists_on_reason = ("permissions",)

    def insists_on_deletion(self, thing: Group) -> bool:
        """Everybody in it loses its rights."""
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not that of a role: renamed or without its rights, it would be none."""
        return super().has_change_permission(request, obj) and not _is_role(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not that of a role."""
        return super().has_delete_permission(request, obj) and not _is_role(obj)


def _is_role(group: Group | None) -> bool:
    return group is not None and group.name in people.ROLE_NAMES


for model in (User, Group):
    admin.site.unregister(model)
admin.site.register(User, PersonAdmin)
admin.site.register(Group, PlantGroupAdmin)
