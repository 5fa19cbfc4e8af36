"""The editor of a mapping: its text, beside it an event as it is read while one types, and the kept examples."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ingest.mapping import presets
from ingest.mapping.json_lines import find_lines
from ingest.mapping.preview import LIVE, preview_at
from ingest.mapping.vocabulary import FUNCTIONS, KEYS
from ingest.models import IngestEvent, IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.pages import as_body, describe_preview, pretty, route_of
from mes.errors import DomainError, ValidationFailed
from mes.plant.models import StationType
from mes.platform.accounts.roles import Capability
from mes.platform.database.authorship import give_reason
from mes.platform.http import edits, parsing
from mes.platform.http.edit_forms import REASON, STATE, ReasonForm
from mes.platform.http.pages import in_words, needs
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import Run
from mes.routing import examples, services
from mes.routing.compilation import EffectiveStep, applies, load_sources, resolve
from mes.routing.example_steps import routes_with
from mes.routing.mapping_problems import find_mapping_problems
from mes.routing.models import MappingExample, RouteExecutionConfig, Routing
from mes.routing.snapshots import StepSnapshot

MOST_ROUTES = 5  # of a wide config, that are offered
MOST_OPEN = 20  # events that are offered
MOST_APPLIED = 10
RUNS_LOOKED_AT = 2
EVENTS_LOOKED_AT = 300  # of each run, the newest
LONGEST_NAME = 100  # of an example
SAID = {"most": LONGEST_NAME}
NEW = "{\n  \n}"
needs_mappings = needs(Capability.MAPPINGS)


@dataclass(frozen=True)
class Place:
    """A step that reads events by the mapping."""

    route: Routing
    step: StepSnapshot

    @property
    def key(self) -> str:
        """By what a form names it."""
        return f"{self.step.step_no} {self.route.code}"


@dataclass
class EditorForm:
    """What stands in the editor, as it was typed."""

    mapping: str = ""
    event: str = ""
    at: str = ""
    name: str = ""
    preset: str = ""
    problems: list[str] = field(default_factory=list)


# --- the page ---------------------------------------------------------------------------------------------


@needs_mappings
@require_http_methods(["GET", "HEAD", "POST"])
def editor(request: HttpRequest, config_id: int) -> HttpResponse:
    """Edit a mapping. Saved with a reason, if nobody changed its config meanwhile."""
    config = _find_config(config_id)
    reason = ReasonForm(initial={STATE: edits.tag_of(config) or ""}, things=[config])
    if request.method == "POST":
        form = _typed(request)
        reason = ReasonForm(request.POST, things=[config], insisted=True)
        if _save(request, config, form, reason):
            return redirect(_address(config, form))
    else:
        form = _begin(request, config)
    places = _list_places(config, request.GET.get("route", "")[:100])
    form.at = form.at or (places[0].key if places else "")
    place = _chosen(places, form.at)
    context = {
        "config": config,
        "form": form,
        "reason": reason,
        "told": [*form.problems, *reason.non_field_errors()] if reason.is_bound else form.problems,
        "reason_problems": reason.errors.get(REASON, []) if reason.is_bound else [],
        "state": reason[STATE].value() or "",
        "places": places,
        "place": place,
        "presets": presets.list_presets(),
        "events": [] if place is None else _list_events(place),
        "examples": list(config.examples.order_by("name")),
        "most_examples": examples.MOST_EXAMPLES,
        "words": {"keys": _said(KEYS), "functions": _said(FUNCTIONS)},
    }
    return render(request, "ingest/mapping.html", context)


def _said(words: Any) -> dict[str, str]:
    return {name: str(about) for name, about in words.items()}


def _find_config(config_id: int) -> RouteExecutionConfig:
    configs = RouteExecutionConfig.objects.select_related("routing", "operation", "station_group")
    config = configs.filter(pk=config_id).first()
    if config is None:
        raise Http404
    return config


def _typed(request: HttpRequest) -> EditorForm:
    mapping, event, at, name, preset = (
        request.POST.get(name, "") for name in ("mapping", "event", "at", "name", "preset")
    )
    return EditorForm(mapping, event, at, name, preset)


def _begin(request: HttpRequest, config: RouteExecutionConfig) -> EditorForm:
    form = EditorForm(mapping=NEW if config.ingest_mapping is None else pretty(config.ingest_mapping))
    step, route = request.GET.get("step", "")[:10], request.GET.get("route", "")[:100]
    code = config.routing.code if config.routing else route
    form.at = f"{step} {code}" if step else ""
    found = _find_event(config, request.GET)
    if found is None:
        form.problems.append(_("There is no such event any more."))
    form.event = pretty(found) if found else ""
    return form


def _find_event(config: RouteExecutionConfig, asked: Any) -> Any:
    """Return the event that an address asks for: a kept one, a preset's or an example's; "" for none, None if gone."""
    if (event_id := whole_number(asked.get("event", ""))) is not None:
        return IngestEvent.objects.filter(pk=event_id).values_list("payload", flat=True).first()
    if (example_id := whole_number(asked.get("example", ""))) is not None:
        return config.examples.filter(pk=example_id).values_list("event", flat=True).first()
    if code := asked.get("preset"):
        preset = _find_preset(code)
        return preset.event if preset else None
    return ""


def _find_preset(code: str) -> presets.Preset | None:
    return next((preset for preset in presets.list_presets() if preset.code == code), None)


def _address(config: RouteExecutionConfig, form: EditorForm) -> str:
    step, _blank, route = form.at.partition(" ")
    chosen = f"?{urlencode({'step': step, 'route': route})}" if route else ""
    return reverse("ingest-mapping", args=[config.pk]) + chosen


@needs_mappings
@require_GET
def find_event(request: HttpRequest, config_id: int) -> HttpResponse:
    """Return an event, or the mapping of a preset with its event, as text for the editor."""
    config = _find_config(config_id)
    found = _find_event(config, request.GET)
    if not found:
        raise Http404
    preset = _find_preset(request.GET.get("preset", ""))
    return JsonResponse({"event": pretty(found), "mapping": pretty(preset.mapping) if preset else None})


@needs_mappings
@require_GET
def find_mapping(request: HttpRequest, event_id: int) -> HttpResponse:
    """Open the mapping that an event was for, with the event; where that is not known, the preview of it."""
    event = IngestEvent.objects.select_related("run__route_version__routing").filter(pk=event_id).first()
    routing = route_of(event) if event else None
    steps = [step for step in resolve(load_sources(routing)) if step.origins["ingest_mapping"]] if routing else []
    fitting = [step for step in steps if event and step.frozen.station_type == event.event_type]
    step = next((step for step in fitting if event and step.frozen.step_no == event.step_no), None)
    step = step or (fitting[0] if fitting else None)
    if step is None or routing is None:
        return redirect(f"{reverse('ingest-preview')}?{urlencode({'event': event_id})}")
    config = step.origins["ingest_mapping"]
    chosen = urlencode({"event": event_id, "step": step.frozen.step_no, "route": routing.code})
    return redirect(f"{reverse('ingest-mapping', args=[config.pk if config else 0])}?{chosen}")


# --- steps and events that it may be tried with -----------------------------------------------------------


def _list_places(config: RouteExecutionConfig, route_code: str) -> list[Place]:
    """Return the steps that read by a config's mapping; where none does yet, those that it may say something about."""
    routes: list[Routing] = [config.routing] if config.routing else []
    if not routes:
        of_all = routes_with(config)
        routes = list(of_all.filter(code=route_code) if route_code else of_all[:MOST_ROUTES])
    steps = [(routing, step) for routing in routes for step in resolve(load_sources(routing)) if _is_mapped(step)]
    own = [Place(routing, step.frozen) for routing, step in steps if step.origins["ingest_mapping"] == config]
    return own or [Place(routing, step.frozen) for routing, step in steps if applies(config, step.step)]


def _is_mapped(step: EffectiveStep) -> bool:
    return step.frozen.station_type != StationType.MANUAL


def _find_place(config: RouteExecutionConfig, form: EditorForm) -> Place | None:
    return _chosen(_list_places(config, form.at.partition(" ")[2][:100]), form.at)


def _chosen(places: list[Place], at: str) -> Place | None:
    return next((place for place in places if place.key == at), places[0] if places else None)


def _list_events(place: Place) -> list[IngestEvent]:
    """Return the events that may be of a step: those that are refused or wait, and the newest that were applied."""
    of_step = Q(step_no=place.step.step_no) | Q(step_no=None)
    light = OpenIngestEvent.objects.filter(of_step, event_type=place.step.station_type).defer("payload", "normalized")
    return [*light.order_by("-id")[:MOST_OPEN], *_list_applied(place)]


def _list_applied(place: Place) -> Iterator[Any]:
    """Yield applied events of the newest runs; of each, no further back than its newest few hundred."""
    left = MOST_APPLIED
    for run in Run.objects.filter(route_version__routing=place.route).order_by("-id")[:RUNS_LOOKED_AT]:
        of_run = SettledIngestEvent.objects.filter(run=run).order_by("-id").values_list("id", "step_no", "status")
        ids = [
            pk
            for pk, step_no, status in of_run[:EVENTS_LOOKED_AT]
            if step_no == place.step.step_no and status == IngestStatus.APPLIED
        ][:left]
        left -= len(ids)
        found = SettledIngestEvent.objects.filter(run=run, pk__in=ids).defer("payload", "normalized").order_by("-id")
        yield from found if ids else ()


# --- reading while one types ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What is wrong with what was typed, and in which line; None where that is not known."""

    text: str
    line: int | None = None


@needs_mappings
@require_POST
def try_mapping(request: HttpRequest, config_id: int) -> HttpResponse:
    """Show what a typed mapping makes of a typed event, and how it reads the examples. Nothing is stored."""
    return _show_tried(request, _find_config(config_id), _typed(request))


def _show_tried(
    request: HttpRequest, config: RouteExecutionConfig, form: EditorForm, problem: str = "", state: str | None = None
) -> HttpResponse:
    place = _find_place(config, form)
    mapping, faults = _read(form.mapping) if form.mapping.strip() else (None, [])
    context: dict[str, Any] = {"config": config, "place": place, "example_problem": problem, "state": state}
    context["mapping_faults"] = faults
    if place is not None and not faults:
        step = replace(place.step, ingest_mapping=mapping)
        context["mapping_faults"] = [] if mapping is None else _find_faults(form.mapping, mapping, step)
        kept = config.examples.order_by("name")
        context["examples"] = [(example, examples.run_example(step, example)) for example in kept]
        context |= _describe_event(step, form.event) if form.event.strip() else {}
    return render(request, "ingest/_mapping_seen.html", context)


def _describe_event(step: StepSnapshot, text: str) -> dict[str, Any]:
    event, faults = _read(text)
    return {"event_faults": faults} if faults else describe_preview(preview_at(step, LIVE, event))


def _read(text: str) -> tuple[Any, list[Fault]]:
    """Return typed JSON, or where it is none."""
    try:
        return parsing.decode(as_body(text)), []
    except DomainError as refusal:
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            where = _("line %(line)d, column %(column)d") % {"line": error.lineno, "column": error.colno}
            return None, [Fault(f"{where}: {error.msg}", error.lineno)]
        except (ValueError, RecursionError):
            pass
        return None, [Fault(in_words(refusal))]


def _find_faults(text: str, mapping: Any, step: StepSnapshot) -> list[Fault]:
    problems = find_mapping_problems(mapping, station_type=step.station_type)
    lines = find_lines(text) if problems else {}
    return [Fault(str(problem), _line_of(problem.place, lines)) for problem in problems]


def _line_of(place: str, lines: dict[str, int]) -> int | None:
    """Return the line of a place; of what is missing, the one of what it is missing in."""
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return lines.get(place)


# --- keeping ----------------------------------------------------------------------------------------------


def _save(request: HttpRequest, config: RouteExecutionConfig, form: EditorForm, reason: ReasonForm) -> bool:
    """Save the typed mapping, with the events of its preset as examples where that was asked for."""
    mapping, faults = _read(form.mapping) if form.mapping.strip() else (None, [])
    if faults:
        form.problems += [fault.text for fault in faults]
        return False
    try:
        with transaction.atomic():
            if not reason.is_valid():
                return False
            give_reason(reason.cleaned_data[REASON])
            services.update_config(config, values={"ingest_mapping": mapping})
            kept = _keep_examples_of_preset(request, config, form, mapping)
    except DomainError as refusal:
        form.problems.append(in_words(refusal))
        return False
    messages.success(request, _("The mapping is saved. Compile the route to publish it."))
    if kept:
        messages.info(request, _("Kept as examples: %(names)s.") % {"names": ", ".join(kept)})
    return True


def _keep_examples_of_preset(
    request: HttpRequest, config: RouteExecutionConfig, form: EditorForm, mapping: Any
) -> list[str]:
    preset = _find_preset(form.preset) if request.POST.get("keep_preset") else None
    place = _find_place(config, form) if preset else None
    if preset is None or place is None:
        return []
    step = replace(place.step, ingest_mapping=mapping)
    present = set(config.examples.values_list("name", flat=True))
    wanted = [one for one in preset.examples if one.name not in present][: examples.MOST_EXAMPLES - len(present)]
    for one in wanted:
        expected = examples.read_outcome(step, one.event)
        examples.create_example(config, name=one.name, event=one.event, expected=expected)
    return [one.name for one in wanted]


@needs_mappings
@require_POST
def keep_example(request: HttpRequest, config_id: int) -> HttpResponse:
    """Keep the typed event as an example, with what the typed mapping makes of it; show how all are read."""
    config, form = _find_config(config_id), _typed(request)
    return _write_example(request, config, form, lambda: _keep_typed(config, form))


def _write_example(
    request: HttpRequest, config: RouteExecutionConfig, form: EditorForm, write: Callable[[], object]
) -> HttpResponse:
    """Write an example; show how all are read, or why not. What is written here changes the state of the config: who
    had read the one before has read the one after.
    """
    problem, state = "", None
    try:
        with transaction.atomic():
            before = edits.tag_of(config)
            write()
            state = edits.tag_of(config) if before == request.POST.get(STATE) else None
    except DomainError as refusal:
        problem = in_words(refusal)
    return _show_tried(request, config, form, problem, state)


def _keep_typed(config: RouteExecutionConfig, form: EditorForm) -> None:
    name = form.name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValidationFailed({"name": _("Give the example a name of at most %(most)d characters.") % SAID})
    event = parsing.decode(as_body(form.event))
    if problems := examples.find_event_problems(event):
        raise ValidationFailed(problems)
    expected = examples.read_outcome(_typed_step(config, form), event)
    examples.create_example(config, name=name, event=event, expected=expected)


def _typed_step(config: RouteExecutionConfig, form: EditorForm) -> StepSnapshot:
    """Return the chosen step with the typed mapping. Raises ValidationFailed, ParseFailed."""
    place = _find_place(config, form)
    if place is None:
        raise ValidationFailed({"at": _("No step reads by this mapping.")})
    return replace(place.step, ingest_mapping=parsing.decode(as_body(form.mapping)))


@needs_mappings
@require_POST
def change_example(request: HttpRequest, config_id: int, example_id: int) -> HttpResponse:
    """Delete an example, or expect of it what the typed mapping makes of its event."""
    config, form = _find_config(config_id), _typed(request)
    example = config.examples.filter(pk=example_id).first()
    if example is None:
        return _show_tried(request, config, form, _("Somebody else deleted it."))
    if request.POST.get("act") == "delete":
        return _write_example(request, config, form, example.delete)
    return _write_example(request, config, form, lambda: _expect_anew(config, form, example))


def _expect_anew(config: RouteExecutionConfig, form: EditorForm, example: MappingExample) -> None:
    outcome = examples.read_outcome(_typed_step(config, form), example.event)
    examples.update_example(example, expected=outcome)
