"""The page of a route: its steps, how each of them runs and who says so, and what is set for it here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET
from rest_framework import serializers

from mes.errors import DomainError, ValidationFailed
from mes.plant.models import Operation, StationGroup, StationType
from mes.platform.http.admin import StrictJSONField
from mes.platform.http.master_data import WholeSerializer
from mes.platform.http.serializers import CodeField
from mes.platform.http.whole_numbers import whole_number
from mes.routing import config_words, services, work_instructions
from mes.routing.api import LARGEST_STEP_NO, ConfigValuesSerializer
from mes.routing.compilation import EffectiveStep, Sources, applies, load_sources, resolve
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteSource, Routing, RoutingStep
from mes.routing.step_edits import SET_HERE, StepEdit

MOST_STEPS = 200
MOST_GROUPS = 1000

# The fields as they are named in the interface, by FIELDS.
NAMES = {
    "station_type": "stationType",
    "station_group": "stationGroupCode",
    "allowed_station_codes": "allowedStationCodes",
    "requires_fai": "requiresFAI",
    "retest_limit": "retestLimit",
    "reentry_limit": "reentryLimit",
    "is_optional": "isOptional",
    "requires_qualification": "requiresQualification",
    "data_spec_names": "dataSpecNames",
    "work_instructions": "workInstructions",
}


# --- what the page shows ----------------------------------------------------------------------------------


def describe_steps(routing: Routing) -> list[dict[str, Any]]:
    """Return the steps of a route as the editor takes them: what is set here, and what would count if it were not."""
    sources = load_sources(routing)
    inherited = resolve(_without_steps(sources))
    return [
        {
            "id": str(effective.step.pk),
            **_describe_step(effective),
            **_describe_inherited(wide, sources),
            "set": {NAMES[name]: _as_json(value) for name, value in own.items()},
        }
        for effective, wide, own in zip(resolve(sources), inherited, _own_values(sources), strict=True)
    ]


def describe_operation(operation: Operation, routing: Routing | None) -> dict[str, Any]:
    """Return what a new step of an operation would inherit on a route."""
    step = RoutingStep(routing=routing or Routing(), step_no=0, operation=operation)
    sources = _without_steps(load_sources(step.routing, new=step))
    (wide,) = resolve(replace(sources, steps=[step]))
    return {
        "operationCode": operation.code,
        "operationName": operation.name,
        **_describe_inherited(wide, sources),
    }


def _without_steps(sources: Sources) -> Sources:
    return replace(sources, configs=[config for config in sources.configs if config.scope != ConfigScope.STEP])


def _own_values(sources: Sources) -> list[dict[str, Any]]:
    """Return by step what its own configs say."""
    own = replace(sources, configs=[config for config in sources.configs if config.scope == ConfigScope.STEP])
    return [
        {name: getattr(config, name) for name in SET_HERE if (config := effective.origins[name]) is not None}
        for effective in resolve(own)
    ]


def _as_json(value: Any) -> Any:
    return value.code if isinstance(value, StationGroup) else value


def _describe_step(effective: EffectiveStep) -> dict[str, Any]:
    step, mapping = effective.step, effective.origins["ingest_mapping"]
    return {
        "stepNo": step.step_no,
        "operationCode": step.operation.code,
        "operationName": step.operation.name,
        "sourceStepKey": step.source_step_key,
        "problems": [problem["message"] for problem in effective.problems],
        "mapping": {
            "shown": config_words.say_value("ingest_mapping", effective.frozen.ingest_mapping),
            "from": config_words.say_origin("ingest_mapping", mapping),
            "isKnown": mapping is not None,
            "url": _mapping_address(step, mapping),
        },
        "shown": {
            NAMES[name]: {
                "shown": config_words.say_value(name, config_words.value_of(effective, name)),
                "from": config_words.say_origin(name, effective.origins[name]),
            }
            for name in SET_HERE
        },
    }


def _mapping_address(step: RoutingStep, config: RouteExecutionConfig | None) -> str:
    """Return where the mapping of a step is edited, or begun."""
    if config is not None:
        chosen = urlencode({"step": step.step_no, "route": step.routing.code})
        return f"{reverse('ingest-mapping', args=[config.pk])}?{chosen}"
    given = f"scope=STEP&routing={step.routing_id}&step_no={step.step_no}"
    return f"{reverse('admin:mes_routeexecutionconfig_add')}?{given}"


def _describe_inherited(wide: EffectiveStep, sources: Sources) -> dict[str, Any]:
    specs = sources.specs.get(wide.step.operation_id, {}).values()
    return {
        "inherited": {
            NAMES[name]: {
                "value": config_words.value_of(wide, name),
                "shown": config_words.say_value(name, config_words.value_of(wide, name)),
                "from": config_words.say_origin(name, wide.origins[name]),
            }
            for name in SET_HERE
        },
        "specs": [{"name": spec.name, "active": spec.is_active} for spec in specs],
    }


def describe_configs(routing: Routing) -> list[dict[str, Any]]:
    """Return the STEP configs of a route, by the steps that they are of, in words: what goes with a removed step, and
    what is left over from steps that are gone.
    """
    steps = list(routing.steps.all())
    described = []
    for config in routing.configs.filter(scope=ConfigScope.STEP).select_related("station_group", "routing"):
        key = config.source_step_key
        of = [step for step in steps if applies(config, step)]
        described.append(
            {
                "steps": [str(step.pk) for step in of],
                "stepNo": None if key else config.step_no,
                "key": key,
                "text": config_words.say_all(config),
            }
        )
    return described


def choices() -> dict[str, Any]:
    """Return what may be chosen, and where the rest is asked for."""
    return {
        "stationTypes": [{"value": value, "label": str(label)} for value, label in StationType.choices],
        "groups": list(StationGroup.objects.order_by("code").values("code", "name")[:MOST_GROUPS]),
        "urls": {
            "operation": reverse("admin:mes_routing_operation"),
            "operations": "/api/operations",
            "stations": "/api/stations",
            "preview": reverse("ingest-preview"),
            "files": reverse("file-list"),
        },
        "largest": {"stepNo": LARGEST_STEP_NO, "steps": MOST_STEPS, "instructions": work_instructions.MOST},
    }


# --- what is sent back ------------------------------------------------------------------------------------


class EditedValuesSerializer(ConfigValuesSerializer):
    """What is set for a step; held to what the interface holds configs to."""

    ingestMapping = None  # type: ignore[assignment]  # has an editor of its own


class EditedStepSerializer(WholeSerializer):
    """A step of the editor."""

    id = serializers.CharField(allow_null=True, max_length=19)
    stepNo = serializers.IntegerField(min_value=0, max_value=LARGEST_STEP_NO)
    operationCode = CodeField()
    set = EditedValuesSerializer()


class StepsField(StrictJSONField):
    """The steps as the editor sends them: a JSON list."""

    widget = forms.HiddenInput
    default_error_messages = {"invalid": gettext_lazy("The steps cannot be read. Load the page anew.")}

    def clean(self, value: Any) -> Any:
        """Return the steps as the service takes them; None where nothing was sent."""
        rows = super().clean(value)
        return None if rows is None else read_steps(rows)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """The service compares: only it knows what differs."""
        return False


def read_steps(rows: Any) -> list[StepEdit]:
    """Return what was sent as the service takes it. Raises ValidationError that names the step."""
    if not isinstance(rows, list) or len(rows) > MOST_STEPS:
        raise ValidationError(_("Must be a list of at most %(most)d steps.") % {"most": MOST_STEPS})
    steps, problems = [], []
    for index, row in enumerate(rows):
        try:
            body = EditedStepSerializer(data=row)
            if body.is_valid():
                steps.append(_step_of(body.validated_data))
            else:
                problems += [_at(index, rows, text) for text in _texts(body.errors)]
        except DomainError as refusal:  # a group that does not exist
            problems.append(_at(index, rows, str(refusal)))
    if problems:
        raise ValidationError(problems)
    return steps


def _step_of(data: dict[str, Any]) -> StepEdit:
    step_id = data["id"]
    return StepEdit(
        None if step_id is None else whole_number(step_id) or 0,  # no step of any route
        data["step_no"],
        data["operation_code"],
        {name: value for name, value in data["set"].items() if value is not None},
    )


def _texts(errors: Any, place: str = "") -> list[str]:
    if isinstance(errors, dict):
        return [text for name, inner in errors.items() for text in _texts(inner, str(name))]
    if any(isinstance(inner, dict) for inner in errors):
        return [text for inner in errors for text in _texts(inner, place)]
    return [f"{place}: {text}" if place else str(text) for text in errors]


def _at(index: int, rows: Sequence[Any], text: str) -> str:
    """Name the step by its number, or its place in the list where that cannot be read."""
    number = rows[index].get("stepNo") if isinstance(rows[index], dict) else None
    named = number if isinstance(number, int) else f"#{index + 1}"
    return _("Step %(number)s: %(text)s") % {"number": named, "text": text}


def say_refusal(refusal: DomainError, steps: Sequence[StepEdit]) -> list[str]:
    """Return a refusal of the service in sentences that name the step."""
    if not isinstance(refusal, ValidationFailed):
        return [str(refusal)]
    said = []
    for place, text in refusal.details.items():
        _steps, _dot, rest = place.partition(".")
        index, _dot, _name = rest.partition(".")
        number = steps[int(index)].step_no if index.isdigit() and int(index) < len(steps) else index or place
        said.append(_("Step %(number)s: %(text)s") % {"number": number, "text": text})
    return said


class RouteForm(forms.ModelForm):
    """A route with its steps, which the editor sends as JSON. Where nothing is sent, the steps stay as they are."""

    steps = StepsField(required=False, label=gettext_lazy("Steps"))
    refusal: DomainError | None = None  # of the service, when the form is shown again

    def clean(self) -> dict[str, Any]:
        """Tell what the service refused."""
        data = super().clean() or self.cleaned_data
        if self.refusal is not None:
            self.add_error("steps", ValidationError(say_refusal(self.refusal, data.get("steps") or ())))
        return data


# --- what the template takes --------------------------------------------------------------------------------


def page_context(routing: Routing | None, *, may_edit: bool) -> dict[str, Any]:
    """Return what the page of a route, or of a new one, shows of its steps."""
    steps = [] if routing is None else describe_steps(routing)
    is_erp = routing is not None and routing.source_system == RouteSource.ERP
    data = {
        "route": "" if routing is None else routing.code,
        "steps": steps,
        "configs": [] if routing is None else describe_configs(routing),
        "isFixed": is_erp,
        "addWord": _("Add a step"),
        "words": {name: str(text) for name, text in WORDS.items()},
        **choices(),
    }
    for step in steps:
        told = [(WORDS[name], said) for name, said in step["shown"].items()]
        step["facts"] = [*told, (WORDS["mapping"], step["mapping"])]
    data["steps"] = [{name: value for name, value in step.items() if name != "facts"} for step in steps]
    return {"described_steps": steps, "steps_are_fixed": is_erp, "may_edit_steps": may_edit, "editor_data": data}


WORDS = {
    "step": gettext_lazy("Step {number}"),
    "operationOf": gettext_lazy("Operation of step {number}"),
    "findOperation": gettext_lazy("Find an operation"),
    "findStation": gettext_lazy("Add a station"),
    "nothingFound": gettext_lazy("Nothing found"),
    "chooseOperation": gettext_lazy("Choose an operation."),
    "up": gettext_lazy("Move step {number} up"),
    "down": gettext_lazy("Move step {number} down"),
    "drag": gettext_lazy("Drag step {number}"),
    "remove": gettext_lazy("Remove step {number}"),
    "how": gettext_lazy("How it runs"),
    "here": gettext_lazy("here"),
    "inherit": gettext_lazy("Inherit: {shown} ({from})"),
    "setHere": gettext_lazy("Set here"),
    "exactly": gettext_lazy("Exactly these"),
    "noSpecs": gettext_lazy("None"),
    "required": gettext_lazy("required"),
    "notRequired": gettext_lazy("not required"),
    "none": gettext_lazy("none"),
    "stationType": gettext_lazy("Station type"),
    "stationGroupCode": gettext_lazy("Station group"),
    "allowedStationCodes": gettext_lazy("Allowed stations"),
    "requiresFAI": gettext_lazy("First article"),
    "retestLimit": gettext_lazy("Retests"),
    "reentryLimit": gettext_lazy("Re-entries"),
    "isOptional": gettext_lazy("Optional"),
    "requiresQualification": gettext_lazy("Qualification"),
    "yes": gettext_lazy("yes"),
    "no": gettext_lazy("no"),
    "dataSpecNames": gettext_lazy("Specs"),
    "workInstructions": gettext_lazy("Work instructions"),
    "instructionTitle": gettext_lazy("Title of instruction {number}"),
    "instructionUrl": gettext_lazy("Address of instruction {number}"),
    "instructionFile": gettext_lazy("Show the file"),
    "removeInstruction": gettext_lazy("Remove instruction {number}"),
    "addLink": gettext_lazy("Add a link"),
    "addFile": gettext_lazy("Add a PDF or picture"),
    "sendingFile": gettext_lazy("The file is sent …"),
    "noTitle": gettext_lazy("(no title)"),
    "mapping": gettext_lazy("Mapping"),
    "editMapping": gettext_lazy("Open the mapping"),
    "newMapping": gettext_lazy("Make a mapping"),
    "mappingLater": gettext_lazy("A mapping can be made when the step is saved."),
    "preview": gettext_lazy("Preview an event"),
    "removeStation": gettext_lazy("Remove station {code}"),
    "offered": gettext_lazy("Offered: stations of type {type}, of group {group}."),
    "offeredOfType": gettext_lazy("Offered: stations of type {type}."),
    "notActive": gettext_lazy("not active"),
    "noSuchSpec": gettext_lazy("the operation has no such spec"),
    "noActiveSpecs": gettext_lazy("The operation has no specs."),
    "gone": gettext_lazy("Removed when you save:"),
    "keep": gettext_lazy("Keep step {number}"),
    "setThere": gettext_lazy("with what is set for it: {text}"),
    "left": gettext_lazy(
        "Left over from step {number}, which is gone: {text}. It is removed when another step gets this number."
    ),
    "leftKey": gettext_lazy("Waits for a step with key {key}: {text}."),
    "moved": gettext_lazy("Step {number} moved. What is set for it goes along."),
    "unsaved": gettext_lazy("The steps are changed and not saved yet."),
    "noSteps": gettext_lazy("No steps yet."),
    "offline": gettext_lazy("The server does not answer. Try again."),
}


# --- in the admin site --------------------------------------------------------------------------------------


class EditsSteps(admin.ModelAdmin):
    """Mixin of the admin class of routes: its page has the editor of steps."""

    form = RouteForm

    def get_urls(self) -> list[URLPattern]:
        """Add what the editor asks."""
        operation = self.admin_site.admin_view(require_GET(self.show_operation))
        return [path("operation/", operation, name="mes_routing_operation"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Give the template the steps."""
        routing = context.get("original")
        may_edit = self.has_change_permission(request, routing) if routing else self.has_add_permission(request)
        context |= page_context(routing, may_edit=may_edit)
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form again, as it was typed, where the service refuses its steps."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as refusal:
            request.refused_steps = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form what was refused."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.refusal = getattr(request, "refused_steps", None)
        return form

    def insists_on_parts(self, form: Any) -> bool:
        """Where a mapping goes with its step."""
        steps = form.cleaned_data.get("steps")
        return steps is not None and services.loses_mapping(form.things[0], steps)

    def insists_on_deletion(self, thing: Routing) -> bool:
        """Of one with a mapping."""
        return thing.configs.filter(ingest_mapping__isnull=False).exists()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write the steps, too."""
        super().save_related(request, form, formsets, change)
        steps = form.cleaned_data.get("steps")
        if steps is not None:
            services.edit_steps(code=form.instance.code, steps=steps, is_new=not change)

    def show_operation(self, request: HttpRequest) -> HttpResponse:
        """Answer what a new step of an operation would inherit."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        code, route = (request.GET.get(name, "") for name in ("code", "route"))
        operation = Operation.objects.filter(code=code).first()
        if operation is None:
            raise Http404
        return JsonResponse(describe_operation(operation, Routing.objects.filter(code=route).first()))
