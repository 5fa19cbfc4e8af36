"""The admin site. It registers nothing itself: the subjects' `admin` modules do (gathered in `mes.admin`).

Its index is grouped by subject, not by Django app: each `admin` module says which section its models belong to.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, resolve, reverse
from django.utils.functional import Promise
from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import (
    ADMINISTRATION_LOOKS,
    ADMINISTRATION_WORKS,
    EDITABLE_LIBRARY_MODELS,
    OUR_APPS,
    Capability,
    Role,
    opens_administration,
    role_capabilities,
)
from mes.platform.database.tracking import is_tracked, tracked_as
from mes.platform.http.admin import ChosenRows, LabelledTimes, LookOnly
from mes.platform.http.edit_forms import EditsTracked, ReasonRules
from mes.platform.http.pages import is_live


@dataclass(frozen=True)
class Page:
    """A page of the product that belongs to a section, by the name of its address; `needs` is the capability for it."""

    label: Promise
    name: str
    needs: Capability | None = None


@dataclass(eq=False)
class Section:
    """A section of the index. Sections are sorted by `order`, models stand as they were added.

    `key` is a slug, part of the section's address; `about` says in a sentence what is found there.
    """

    key: str
    label: Promise
    about: Promise
    order: int
    pages: Sequence[Page] = ()
    models: list[type[Model]] = field(default_factory=list, init=False)

    def add(self, *models: type[Model]) -> None:
        """Put models into this section. Raises ValueError for one that is in a section already."""
        for model in models:
            if model in _section_of:
                raise ValueError(f"{model.__name__} is in section {_section_of[model].key!r} already.")
            _section_of[model] = self
            self.models.append(model)


_section_of: dict[type[Model], Section] = {}


def _who_is_let_in() -> str:
    text = gettext("The administration is for the roles %(works)s. %(looks)s may look.")
    return text % {"works": _listed(ADMINISTRATION_WORKS), "looks": _listed(ADMINISTRATION_LOOKS)}


def _listed(roles: Iterable[Role]) -> str:
    return get_text_list([str(role.label) for role in roles], gettext("and"))


def section_of(model: type[Model]) -> dict[str, Any] | None:
    """Return name and address of a model's section; None of what is in none."""
    section = _section_of.get(model)
    if section is None:
        return None
    return {"name": section.label, "url": reverse("admin:section", args=[section.key])}


class WithHistory:
    """Mixin of all admin classes: the history of what is tracked is that of the audit, whoever changed it.

    Of what is not tracked, Django's own log is kept and shown.
    """

    model: type[Model]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Lead to the audit."""
        if thing := tracked_as(self.model):
            return redirect(f"{reverse('audit')}?{urlencode({'kind': thing.entity, 'row': object_id})}")
        return super().history_view(request, object_id, extra_context)  # type: ignore[misc]

    def log_addition(self, *args: Any) -> Any:
        """Nothing where the database keeps it."""
        return None if is_tracked(self.model) else super().log_addition(*args)  # type: ignore[misc]

    def log_change(self, *args: Any) -> Any:
        """Nothing where the database keeps it."""
        return None if is_tracked(self.model) else super().log_change(*args)  # type: ignore[misc]

    def log_deletions(self, *args: Any) -> Any:
        """Nothing where the database keeps it."""
        return None if is_tracked(self.model) else super().log_deletions(*args)  # type: ignore[misc]


class LibraryAdmin(LookOnly):
    """Mixin for admin classes of libraries. Their actions go too: one may queue a task."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None."""
        return {}


class LinekeeperAdminSite(AdminSite):
    """Where engineers edit specs, routes and configurations."""

    site_header = _("Linekeeper administration")
    site_title = _("Linekeeper")
    index_title = _("Administration")
    site_url = "/"
    enable_nav_sidebar = False  # the product's own navigation is above

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register models; those of libraries for looking only, unless they are named as editable.

        A library's own admin may offer to change what only code should: a schedule of django-q2 names a function that
        the worker calls. A library that is added later is safe in this way before anybody thinks of it.
        """
        models: Iterable[Any] = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        for model in models:
            looked_at = admin_class or ModelAdmin
            if model._meta.app_label not in OUR_APPS and model._meta.label_lower not in EDITABLE_LIBRARY_MODELS:
                looked_at = type(looked_at.__name__, (LibraryAdmin, looked_at), {})
            ours = (LabelledTimes, WithHistory)
            bases = (EditsTracked, *ours, looked_at, ReasonRules) if is_tracked(model) else (*ours, looked_at)
            super().register(model, type(looked_at.__name__, (ChosenRows, *bases), {}), **options)

    def get_urls(self) -> list[Any]:
        """Add the page of a section."""
        section_page = path("sections/<slug:key>/", self.admin_view(self.section_index), name="section")
        return [section_page, *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether somebody is let in: by the role, and by nothing else."""
        return request.user.is_authenticated and opens_administration(request.user)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Send who is signed out to the product's sign-in; tell who has no role for it which it takes."""
        checked = super().admin_view(view, cacheable)

        @wraps(checked)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                if is_live(request):
                    return HttpResponse(status=204, headers={"HX-Refresh": "true"})
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise PermissionDenied(_who_is_let_in())
            answer: HttpResponseBase = checked(request, *args, **kwargs)
            return answer

        return guarded

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Sign in as everywhere: one page, one count of failures, one second factor."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied(_who_is_let_in())
        sign_in = resolve(reverse(settings.LOGIN_URL))
        return sign_in.func(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Change the password where everybody does."""
        return redirect("account-password")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return what the user may see by section; for the page of one app, by app as Django does."""
        apps = super().get_app_list(request, app_label)
        return apps if app_label else self._by_section(apps, role_capabilities(request.user))

    def _by_section(self, apps: Sequence[Mapping[str, Any]], granted: Collection[Capability]) -> list[dict[str, Any]]:
        """Sort the models of Django's list into sections. What is in none stays under its app, last."""
        entries = {entry["model"]: entry for app in apps for entry in app["models"]}
        sections = []
        for section in sorted(set(_section_of.values()), key=lambda section: section.order):
            shown = [entries.pop(model) for model in section.models if model in entries]
            pages = [page for page in section.pages if page.needs is None or page.needs in granted]
            if shown or pages:
                sections.append(self._describe(section, shown, pages))
        others = [{**app, "models": [e for e in app["models"] if e["model"] in entries]} for app in apps]
        return sections + [app for app in others if app["models"]]

    def _describe(self, section: Section, models: list[Any], pages: list[Page]) -> dict[str, Any]:
        """Return a section in the shape in which the templates of the admin site take an app."""
        return {
            "name": section.label,
            "about": section.about,
            "pages": pages,
            "app_label": section.key,
            "app_url": reverse("admin:section", args=[section.key], current_app=self.name),
            "has_module_perms": True,
            "models": models,
        }

    def section_index(self, request: HttpRequest, key: str) -> HttpResponse:
        """Show one section, as Django shows one app."""
        sections = [entry for entry in self.get_app_list(request) if entry["app_label"] == key]
        if not sections:
            raise Http404
        context = {
            **self.each_context(request),
            "title": sections[0]["name"],
            "subtitle": None,
            "app_list": sections,
            "app_label": key,
        }
        return TemplateResponse(request, "admin/app_index.html", context)
