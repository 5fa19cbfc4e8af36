"""Routes, execution configs and compiled versions in the admin site."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import F, JSONField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.plant.admin import MasterDataAdmin
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.admin import ReadOnlyAdmin, StrictJSONField, attempt
from mes.routing import config_words, services, snapshots
from mes.routing.compilation import compile_route, differs_from_live, find_warnings
from mes.routing.config_form import PLACE, PLACES, ConfigForm
from mes.routing.models import (
    ConfigScope,
    FaiTemplate,
    RouteExecutionConfig,
    RouteVersion,
    Routing,
    VersionStatus,
)
from mes.routing.route_page import EditsSteps
from mes.sections import SPECS_AND_ROUTES
from mes.specs.display import describe_alarm, describe_limits

SPECS_AND_ROUTES.add(Routing, RouteExecutionConfig, RouteVersion, FaiTemplate)

# --- routes -----------------------------------------------------------------------------------------------


ITEMS_HELP = gettext_lazy(
    'A list such as [{"itemName": "Paste height", "stepNo": 10, "lsl": 100, "usl": 140, "unit": "µm"}, {"itemName": '
    '"Polarity of D1", "itemSpec": "as drawn"}]. With a limit, the number is judged by the system; with "specName", '
    "the value is read from the pass of the step."
)


@admin.register(FaiTemplate)
class FaiTemplateAdmin(MasterDataAdmin):
    """What first article inspections look at. A change reaches runs when their routes are compiled again."""

    list_display = ("code", "name", "item_count")
    search_fields = ("code", "name")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Say what may stand in the items."""
        form_field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "items" and form_field is not None:
            form_field.help_text = ITEMS_HELP
        return form_field

    @admin.display(description=gettext_lazy("items"))
    def item_count(self, template: FaiTemplate) -> int:
        """How many items it has."""
        return len(template.items)


class MasksField(SimpleArrayField):
    """Masks of serial numbers, one a line: any sign may stand in one, a comma too."""

    def __init__(self, base_field: forms.Field, **kwargs: Any) -> None:
        base_field.required = False
        super().__init__(base_field, **{**kwargs, "delimiter": "\n", "widget": forms.Textarea(attrs={"rows": 4})})

    def clean(self, value: Any) -> list[str]:
        """Leave out empty lines."""
        return [mask for mask in super().clean(value) if mask]


@admin.register(Routing)
class RoutingAdmin(EditsSteps, MasterDataAdmin):
    """Routes. Compiling publishes a route and its configs as a version for new runs."""

    formfield_overrides = {**MasterDataAdmin.formfield_overrides, ArrayField: {"form_class": MasksField}}
    change_form_template = "admin/mes/routing/change_form.html"
    fixed = ("code", "source_system")
    list_display = (
        "code",
        "name",
        "product_code",
        "latest",
        "drift_in_words",
        "source_system",
        "is_active",
        "effective_from",
    )
    list_filter = ("is_active", "source_system")
    search_fields = ("code", "name", "product_code")
    actions = ("compile_chosen",)
    fieldsets = (
        (None, {"fields": ("code", "name", "product_code", "fai_template", "is_active")}),
        (gettext_lazy("Serial numbers"), {"fields": ("sn_masks",)}),
        (gettext_lazy("Source"), {"fields": ("source_system", "source_key")}),
        (gettext_lazy("Effective"), {"fields": (("effective_from", "effective_to"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Routing]:
        """Read the latest version of each route in the same query."""
        versions = RouteVersion.objects.filter(routing=OuterRef("pk")).order_by("-version_no")
        return (
            super()
            .get_queryset(request)
            .annotate(
                latest_no=Subquery(versions.values("version_no")[:1]),
                latest_status=Subquery(versions.values("status")[:1]),
                drift_of=F("drift__version_no"),
                drift_count=F("drift__count"),
            )
        )

    @admin.display(description=gettext_lazy("latest version"))
    def latest(self, routing: Any) -> str:
        """Number and status of the latest version."""
        return "-" if routing.latest_no is None else f"{routing.latest_no} {routing.latest_status}"

    @admin.display(description=gettext_lazy("not published"), ordering="drift__count")
    def drift_in_words(self, routing: Any) -> str:
        """By how much what is live differs from the latest version, as it was looked at last."""
        if routing.drift_of is None or routing.drift_of != routing.latest_no:
            return "-"
        if not routing.drift_count:
            return _("the same")
        text = ngettext("%(count)d difference", "%(count)d differences", routing.drift_count)
        address = reverse("route-version", args=[routing.code, routing.latest_no]) + "?with=live"
        return format_html('<a href="{}">{}</a>', address, text % {"count": routing.drift_count})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Tell the template whether there is a button."""
        context["may_compile"] = self.has_compile_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def has_compile_permission(self, request: HttpRequest) -> bool:
        """The same as over HTTP."""
        return not role_capabilities(request.user).isdisjoint({Capability.ROUTES, Capability.MAPPINGS})

    @admin.action(description=gettext_lazy("Compile"), permissions=["compile"])
    def compile_chosen(self, request: HttpRequest, queryset: QuerySet[Routing]) -> None:
        """Compile the chosen routes, each by itself."""
        for code in queryset.order_by("code").values_list("code", flat=True):
            _compile(request, code)


def _compile(request: HttpRequest, code: str) -> None:
    by = request.user.get_username()
    outcome = attempt(request, code, lambda: compile_route(code=code, compiled_by=by))
    if outcome is None:
        return
    version, changed = outcome
    link = format_html(
        '<a href="{}">{}</a>',
        reverse("route-version", args=[code, version.version_no]),
        _("version %(number)d of %(route)s") % {"number": version.version_no, "route": code},
    )
    if version.status == VersionStatus.READY:
        text = _("Compiled: {version} is ready.") if changed else _("Nothing has changed: {version} is ready.")
        messages.success(request, format_html(text, version=link))
        for problem in find_warnings(snapshots.from_document(version.snapshot)):
            messages.warning(request, _describe_problem(problem))
        return
    messages.error(request, format_html(_("{version} cannot be used; mend this and compile again:"), version=link))
    for problem in version.errors:
        messages.error(request, _describe_problem(problem))


def _describe_problem(problem: dict[str, Any]) -> str:
    place = _("Route") if problem["stepNo"] is None else _("Step %(number)s") % {"number": problem["stepNo"]}
    return f"{place}: {problem['message']} ({problem['code']})"


# --- execution configs ------------------------------------------------------------------------------------


def _of_model(names: Any) -> tuple[str, ...]:
    return tuple(name for name in names if not name.endswith("_mode"))


@admin.register(RouteExecutionConfig)
class RouteExecutionConfigAdmin(admin.ModelAdmin):
    """How steps run. Narrow scopes win field by field: step, operation, route, everywhere."""

    form = ConfigForm
    insists_on_reason = ("ingest_mapping",)
    formfield_overrides = {JSONField: {"form_class": StrictJSONField}}
    list_display = ("place", "says", "updated_at")
    list_filter = ("scope", "station_type")
    list_select_related = ("routing", "operation", "station_group")
    list_per_page = 50
    search_fields = ("routing__code", "operation__code", "source_step_key")
    fieldsets = (
        (gettext_lazy("Where it applies"), {"fields": PLACE}),
        (
            gettext_lazy("Stations"),
            {"fields": ("station_type", "station_group", "stations_mode", "allowed_station_codes")},
        ),
        (
            gettext_lazy("Rules"),
            {
                "fields": (
                    "requires_fai",
                    "retest_limit",
                    "reentry_limit",
                    "is_optional",
                    "requires_qualification",
                    "specs_mode",
                    "data_spec_names",
                )
            },
        ),
        (gettext_lazy("Work instructions"), {"fields": ("work_instructions",)}),
        (gettext_lazy("Machine events"), {"fields": ("ingest_mapping", "mapping_page")}),
    )
    readonly_fields = ("mapping_page",)

    @admin.display(description=gettext_lazy("try it"))
    def mapping_page(self, config: RouteExecutionConfig) -> str:
        """Where the mapping is edited beside the events that it reads."""
        if config.pk is None:
            return _("When this is saved, a page of its own shows what the mapping makes of events.")
        address = reverse("ingest-mapping", args=[config.pk])
        return format_html('<a href="{}">{}</a>', address, _("Open the mapping beside an event"))

    class Media:
        js = ("config-form.js",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Its place never changes, as over HTTP."""
        readonly = tuple(super().get_readonly_fields(request, obj))
        return readonly if obj is None else (*readonly, *PLACE)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a config that is there, only the fields of its scope; shown and not edited, only those of the model."""
        first, *others = super().get_fieldsets(request, obj)
        if obj is not None:
            belong = [name for name in PLACES[ConfigScope(obj.scope)] if getattr(obj, name) not in (None, "")]
            first = (first[0], {"fields": ("scope", *belong)})
            if not self.has_change_permission(request, obj):
                others = [(label, {"fields": _of_model(of["fields"])}) for label, of in others]
        return [first, *others]

    def save_model(self, request: HttpRequest, obj: RouteExecutionConfig, form: Any, change: bool) -> None:
        """Have the files that it names stay."""
        services.keep_files([obj])
        super().save_model(request, obj, form, change)

    def insists_on_deletion(self, thing: RouteExecutionConfig) -> bool:
        """Of one with a mapping."""
        return thing.ingest_mapping is not None

    @admin.display(description=gettext_lazy("applies to"), ordering="scope")
    def place(self, config: RouteExecutionConfig) -> str:
        """Where it applies, in words."""
        return config_words.say_place(config)

    @admin.display(description=gettext_lazy("sets"))
    def says(self, config: RouteExecutionConfig) -> str:
        """What it sets, in words."""
        return config_words.say_all(config)


# --- versions ---------------------------------------------------------------------------------------------


@admin.register(RouteVersion)
class RouteVersionAdmin(ReadOnlyAdmin):
    """What runs execute, as it was frozen."""

    change_form_template = "admin/mes/routeversion/change_form.html"
    list_display = ("routing", "version_no", "status", "compiled_at", "compiled_by")
    list_display_links = ("routing", "version_no")
    list_filter = ("status",)
    list_select_related = ("routing",)
    search_fields = ("routing__code", "routing__product_code")
    ordering = ("-id",)
    fields = ("routing", "version_no", "status", "problems", "drift", "compiled_at", "compiled_by", "digest")
    readonly_fields = ("problems", "drift")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RouteVersion]:
        """Leave the large columns out of lists; the page of one version reads them when it shows them."""
        return super().get_queryset(request).select_related("routing").defer("snapshot", "errors")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Give the template the frozen steps."""
        version = context.get("original")
        if version is not None:
            context["steps"] = _readable_steps(snapshots.from_document(version.snapshot))
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("problems"))
    def problems(self, version: RouteVersion) -> str:
        """Why the version cannot be used."""
        lines = ((_describe_problem(problem),) for problem in version.errors)
        return format_html_join("", "<div>{}</div>", lines) or "-"

    @admin.display(description=gettext_lazy("live configuration"))
    def drift(self, version: RouteVersion) -> str:
        """Whether the route would compile to something else by now."""
        latest = RouteVersion.objects.filter(routing=version.routing_id).order_by("-version_no").first()
        if latest is not None and latest.pk != version.pk:
            return _("There is a later version: %(number)d.") % {"number": latest.version_no}
        if differs_from_live(version):
            return format_html("<strong>{}</strong>", _("The live configuration differs: recompile to publish."))
        return _("The same.")


def _readable_steps(snapshot: snapshots.RouteSnapshot) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "reentry_limit": snapshot.find_reentry_limit(step),
            "stations": ", ".join(step.allowed_stations or ()),
            "specs": [
                {"spec": spec, "limits": describe_limits(spec), "alarm": describe_alarm(spec)} for spec in step.specs
            ],
        }
        for step in snapshot.steps
    ]
