"""The page of a run's first article: create, start, inspect, decide, sign."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from execution.quality import inspection_items
from execution.quality.first_article import services
from execution.quality.first_article.api import FaiSignRequest
from execution.quality.first_article.models import (
    FaiResult,
    FaiStatus,
    FirstArticle,
    FirstArticleItem,
)
from execution.quality.inspection_fields import read_number
from execution.quality.inspection_items import Said
from execution.quality.record_types import FAI_ITEM
from execution.readiness_checks.first_article import ITEM_TYPE
from mes.errors import DomainError, ValidationFailed
from mes.platform.accounts.roles import Capability, role_capabilities, roles_with
from mes.platform.files.queries import attach
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind, Refusal
from mes.platform.http.pages import in_words, is_live, mark_of, show_live, signed_in
from mes.platform.scans import UNIT, take_part
from mes.platform.signatures import queries as signature_queries
from mes.platform.signatures import services as signatures
from mes.production.hold_models import HeldUnit, Hold, HoldSource
from mes.production.models import Run, RunStatus, Unit
from mes.production.runs import snapshot_of
from mes.readiness.evaluation import evaluate
from mes.routing.snapshots import FaiItem, RouteSnapshot, StepSnapshot

LARGEST_SAMPLE = 1000
SIGN, RECORD = "sign", "record"


@dataclass(frozen=True)
class Line:
    """An item on a sample unit, with the latest result. `waits_for` is the step that the unit must pass first."""

    item: FaiItem
    latest: FirstArticleItem | None
    spec: str = ""
    waits_for: StepSnapshot | None = None
    is_judged: bool = False  # by the system: nobody need say whether it is good
    is_refused: bool = False


@dataclass(frozen=True)
class Sample:
    """A unit that is inspected, where it stands, and its items."""

    unit: Unit
    step: StepSnapshot | None
    lines: Sequence[Line]


@dataclass(frozen=True)
class Sheet:
    """All that the page shows of an inspection."""

    fai: FirstArticle
    samples: Sequence[Sample]
    lacking: int
    open_items: Sequence[str] = field(default=())
    case: Hold | None = None
    held: Sequence[HeldUnit] = ()

    @property
    def is_inspecting(self) -> bool:
        """Whether items may be recorded."""
        return self.fai.status == FaiStatus.INSPECTING


@signed_in
@require_GET
def first_article(request: HttpRequest, run_no: str) -> HttpResponse:
    """The latest first article of a run, and the earlier ones."""
    run = _get_run(run_no)
    inspections = list(FirstArticle.objects.filter(run=run).order_by("-id")[:20])
    latest = inspections[0] if inspections else None
    refused, sign_act = None, _sign_act(request, run, latest)
    if not is_live(request):
        *sign_act, recording = acts.with_refusal(request, [*sign_act, Act(RECORD, "", "")], place=_address_of(run))
        refused = recording.refusal
    sheet = load_sheet(latest, run, refused) if latest else None
    is_waiting = latest is not None and latest.status == FaiStatus.INSPECTING and run.status == RunStatus.PREP
    blocked = [finding for finding in evaluate(run).failed if finding.item_type != ITEM_TYPE] if is_waiting else []
    if latest is not None:
        signature_queries.attach(services.RECORD_TYPE, [latest])
    context = {
        "sign_act": sign_act,
        "refused": refused,
        "releasing_roles": [role.label for role in roles_with((Capability.RELEASE, Capability.DISPOSITION))],
        "blocked": blocked,
        "run": run,
        "sheet": sheet,
        "earlier": inspections[1:],
        "may_create": latest is None or latest.status in (FaiStatus.PASSED, FaiStatus.FAILED, FaiStatus.CANCELLED),
        "first_step": snapshot_of(run).steps[0],
        "route_items": snapshot_of(run).fai_items,
    }
    state = [] if latest is None else [latest.status, latest.signed_at, len(blocked), *_marks(sheet)]
    mark = mark_of(state)
    template = "first_article/_sheet_live.html"
    return show_live(request, "first_article/page.html", template, context, mark=mark)


def _marks(sheet: Sheet | None) -> list[Any]:
    samples = sheet.samples if sheet else ()
    ended: list[Any] = [row.ended_at for row in sheet.held] if sheet else []
    return ended + [
        (
            sample.unit.sn,
            sample.unit.status,
            sample.unit.current_step_no,
            [_mark_of_item(line.latest) for line in sample.lines],
        )
        for sample in samples
    ]


def _mark_of_item(latest: Any) -> Any:
    """Stand for the latest result of an item with the files that are attached to it."""
    return latest and (latest.pk, [file.pk for file in latest.files])


def load_sheet(fai: FirstArticle, run: Run, refused: Refusal | None = None) -> Sheet:
    """Load an inspection in a fixed number of queries: every sample or inspected unit, with each item of the route or
    recorded; and of one that failed the case that holds them.
    """
    fai.run = run
    snapshot = snapshot_of(run)
    items = list(fai.items.select_related("unit").order_by("id"))
    attach(FAI_ITEM, items)
    units = {sample.unit_id: sample.unit for sample in fai.samples.select_related("unit").order_by("id")}
    units |= {item.unit_id: item.unit for item in items if item.unit_id not in units}
    latest = {(item.unit_id, item.item_name): item for item in items}
    is_bound = any(map(inspection_items.is_of_step, snapshot.fai_items))
    passed = inspection_items.find_passed_tracks(units.values(), snapshot) if is_bound else {}
    said = (refused.typed.get("unit_sn"), refused.typed.get("item_name")) if refused else None
    held = _list_held(units) if fai.status == FaiStatus.FAILED else []
    return Sheet(
        fai=fai,
        samples=[_sample(unit, snapshot, latest, passed.get(unit.pk, {}), said) for unit in units.values()],
        lacking=max(0, fai.sample_qty - len(units)),
        open_items=services.list_open_items(fai) if fai.status == FaiStatus.INSPECTING else (),
        case=held[0].hold if held else None,
        held=[row for row in held if row.hold_id == held[0].hold_id],
    )


def _list_held(unit_ids: Iterable[int]) -> list[HeldUnit]:
    """Return what first articles hold or held of these units, by the latest case first."""
    rows = HeldUnit.objects.filter(unit__in=list(unit_ids), hold__source=HoldSource.FAI)
    return list(rows.select_related("hold", "unit").defer("hold__condition").order_by("-hold_id", "id"))


def _sample(
    unit: Unit,
    snapshot: RouteSnapshot,
    latest: Mapping[tuple[int, str], FirstArticleItem],
    passed: Container[int],
    refused: tuple[str | None, str | None] | None,
) -> Sample:
    named = {item.name for item in snapshot.fai_items}
    others = [
        FaiItem(name, item.item_spec) for (pk, name), item in latest.items() if pk == unit.pk and name not in named
    ]
    lines = [
        Line(
            item,
            latest.get((unit.pk, item.name)),
            spec=inspection_items.describe(item),
            waits_for=_waits_for(item, snapshot, passed),
            is_judged=_is_judged(item, snapshot),
            is_refused=refused == (unit.sn, item.name),
        )
        for item in (*snapshot.fai_items, *others)
    ]
    return Sample(unit, snapshot.step(unit.current_step_no), lines)


def _waits_for(item: FaiItem, snapshot: RouteSnapshot, passed: Container[int]) -> StepSnapshot | None:
    if not inspection_items.is_of_step(item):
        return None
    step_no = inspection_items.step_no_of(item, snapshot)
    return None if step_no in passed else snapshot.step(step_no)


def _is_judged(item: FaiItem, snapshot: RouteSnapshot) -> bool:
    """Whether the system judges an item: by its limits, or by those of the spec that is read."""
    step = snapshot.step(inspection_items.step_no_of(item, snapshot)) if item.spec_name else None
    spec = step.spec_index.find(item.spec_name) if step else None
    return item.has_limits or (spec is not None and spec.has_limits)


def _get_run(run_no: str) -> Run:
    rows = Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
    run = rows.filter(run_no=run_no).first()
    if run is None:
        raise Http404
    return run


# --- what people do ------------------------------------------------------------------------------------------


@signed_in
@require_POST
def act(request: HttpRequest, run_no: str, action: str) -> HttpResponse:
    """Create, start, record, decide or sign; refusals are shown on the page."""
    if action not in NAMES:
        raise Http404
    if Capability.FAI not in role_capabilities(request.user):
        raise PermissionDenied(_("You may not inspect first articles."))
    run = _get_run(run_no)
    if action in KEPT_BESIDE:
        return acts.carry_out(request, lambda: KEPT_BESIDE[action](request, run), place=_address_of(run), name=action)
    try:
        message = ACTIONS[action](request, run)
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
    else:
        messages.success(request, message)
    return redirect("first-article", run_no=run_no)


def _create(request: HttpRequest, run: Run) -> str:
    typed = request.POST.get("sample_qty", "")
    quantity = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 6 else 0
    by = request.user.get_username()
    fai = services.create(run_no=run.run_no, sample_qty=min(max(quantity, 1), LARGEST_SAMPLE), by=by)
    if request.POST.get("start") == "1":
        services.start(fai_id=fai.pk, by=by)
        return _("The inspection has begun: sample units may run.")
    return _("The inspection is created.")


def _start(request: HttpRequest, run: Run) -> str:
    services.start(fai_id=_latest(run), by=request.user.get_username())
    return _("The inspection has begun: sample units may run.")


def _name_sample(request: HttpRequest, run: Run) -> str:
    try:
        sn = take_part(request.POST.get("unit_sn", ""), UNIT)
    except ValidationError as error:
        raise ValidationFailed({"unitSn": " ".join(error.messages)}) from None
    services.name_sample(fai_id=_latest(run), unit_sn=sn)
    return _("%(sn)s is a sample unit.") % {"sn": sn}


def _record(request: HttpRequest, run: Run) -> str:
    name = _text(request, "item_name", 100)
    if not name:
        raise ValidationFailed({"itemName": _("Say what was looked at.")})
    item = services.record_item(
        fai_id=_latest(run),
        unit_sn=_text(request, "unit_sn", 100),
        item_name=name,
        item_spec=_text(request, "item_spec", 200) or None,
        said=_said(request),
        by=request.user.get_username(),
    )
    return _("Recorded: %(name)s – %(result)s.") % {"name": name, "result": item.get_result_display()}


def _said(request: HttpRequest) -> Said:
    """Return what the form says of an item. Raises ValidationFailed for what is typed as a number and is none."""
    result = request.POST.get("result") if request.POST.get("result") in FaiResult.values else None
    number = read_number(_text(request, "actual_number", 40))
    return Said(result, _text(request, "actual_value", 200), number)


def _complete(request: HttpRequest, run: Run) -> str:
    decision = FaiResult.PASS if request.POST.get("decision") == "PASS" else FaiResult.FAIL
    by = request.user.get_username()
    services.complete(fai_id=_latest(run), decision=decision, by=by, remark=_text(request, "remark", 500))
    return (
        _("The first article passed; another person must sign it.")
        if decision == "PASS"
        else _("It failed: its units are held.")
    )


ACTIONS: dict[str, Callable[[HttpRequest, Run], str]] = {
    "create": _create,
    "start": _start,
    "sample": _name_sample,
    "complete": _complete,
}


def _sign_act(request: HttpRequest, run: Run, latest: FirstArticle | None) -> Sequence[Act]:
    """Return the signing of a first article where it may be signed: with a password, by whoever is signed in."""
    is_open = latest is not None and latest.status == FaiStatus.PASSED and latest.signed_at is None
    if not is_open or Capability.FAI not in role_capabilities(request.user):
        return ()
    return (
        Act(
            SIGN,
            _("Sign"),
            reverse("first-article-action", args=(run.run_no, SIGN)),
            button=_("Sign the first article"),
            about=_("You confirm that this run may be made like this. Who inspected cannot sign."),
            symbol="key",
            is_main=True,
            fields=_sign_fields(request),
        ),
    )


def _sign_fields(request: HttpRequest) -> Sequence[Field]:
    remark = Field("remark", _("Remark (optional)"), FieldKind.LONG, most=500)
    return (remark, *acts.signature_fields(request, meaning=_("Approved")))


def _sign(request: HttpRequest, run: Run) -> str:
    body = acts.read_form(FaiSignRequest, request, _sign_fields(request))
    signing = signatures.verify(request, body.get("signature"), Capability.FAI)
    services.sign(
        fai_id=_latest(run),
        by=request.user.get_username(),
        remark=body.get("remark") or "",
        signing=signing,
    )
    return _("The first article is signed.")


# Whose refusals stand beside their buttons.
KEPT_BESIDE: dict[str, Callable[[HttpRequest, Run], str]] = {SIGN: _sign, RECORD: _record}
NAMES = (*ACTIONS, *KEPT_BESIDE)


def _address_of(run: Run) -> str:
    return reverse("first-article", args=(run.run_no,))


def _latest(run: Run) -> int:
    """Return the id of the run's latest inspection; 0, which names none, when there is none."""
    latest = services.find_latest(run)
    return latest.pk if latest else 0


def _text(request: HttpRequest, name: str, longest: int) -> str:
    """Return what was typed, without what cannot be kept."""
    return "".join(letter for letter in request.POST.get(name, "") if letter.isprintable()).strip()[:longest]
