"""Who may what: every role, nobody, and tokens that are no longer good, on every address by every method.

What must be allowed is derived from what views declare (`capabilities`, `needs`, the permissions of the admin site), so
this holds the running server against its own declarations. Those who may not are sent to things that exist, those who
may to things that do not: so nothing may change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import resolve

from attack.client import Answer, Client
from attack.outcome import Outcome
from attack.target import (
    MESSAGES,
    Target,
    fingerprint,
    make_expired_token,
    make_person,
    make_revoked_token,
    make_token,
    signed_in,
)
from mes.plant.models import Station
from mes.platform.accounts.permissions import READING_METHODS, RolePermission, capabilities_for, station_access
from mes.platform.accounts.roles import Capability, Role, roles_with
from mes.platform.sign_in.gate import FOR_NO_ROLE
from tests.bad_input.endpoints import Endpoint, list_endpoints
from tests.bad_input.pages import ADMIN_MODELS, PAGES

T = TypeVar("T")
FEW = 12  # of a short attack
SECRETS = (b"SN-1", b"Peak Temperature", b"ROUTE-1", b"SMT-A", b"BENCH-")  # what only those who are signed in may read
NOBODY = {
    name: "NOBODY-9"
    for name in ("code", "sn", "run_no", "wo_no", "stencil_id", "tool_id", "lot_id", "lot_no", "carrier_no")
}
NOBODY |= {"id": "999999", "no": "999999"}
# Where the thing itself decides further whose turn it is: tests of the subject ask for that.
FINER = ("POST /api/runs/{run_no}/readiness/preparations/{code}/confirm",)  # a person does it, or another system
# Who signs on is the browser's business: strangers may ask, tokens are nobody, and whoever signs off is gone.
OF_BROWSERS = ("GET /api/sign-on", "POST /api/sign-on", "POST /api/sign-on/stay", "POST /api/sign-off")
OPEN_TO_ALL = (
    *("/sign-in/", "/healthz", "/favicon.ico", "/admin/login/", "/sign-out/", "/admin/logout/"),
    *("/admin/jsi18n/", "/metrics"),  # figures are for who asks from the machine itself, as this attack does
)


@dataclass(frozen=True)
class Somebody:
    """Who asks: `role` None has none; `is_known` False must be told to sign in."""

    name: str
    client: Client
    role: Role | None = None
    is_known: bool = True
    stations: tuple[str, ...] = ()  # those that the token is limited to; none means all

    @property
    def is_limited(self) -> bool:
        return bool(self.stations)


def make_everybody(target: Target) -> list[Somebody]:
    """Return one of each who may ask."""
    strangers = {
        "no token": "",
        "a wrong token": "lk_" + "x" * 40,
        "a revoked token": make_revoked_token(),
        "an expired token": make_expired_token(),
    }
    everybody = [Somebody(name, target.client(token), is_known=False) for name, token in strangers.items()]
    everybody += [Somebody(f"token {role.lower()}", target.client(make_token(role)), role) for role in Role]
    station = Station.objects.order_by("pk").values_list("code", flat=True)[0]
    everybody += [
        Somebody(
            f"limited token {role.lower()}",
            target.client(make_token(role, stations=[station])),
            role,
            stations=(station,),
        )
        for role in (Role.INTEGRATION, Role.ADMIN)
    ]
    people: list[Role | None] = [*Role, None]
    everybody += [Somebody(f"person {role}", signed_in(target, make_person(role)), role) for role in people]
    return everybody


def run(target: Target) -> Iterator[Outcome]:
    """The interface, the pages, the admin site."""
    everybody = make_everybody(target)
    strangers = [somebody for somebody in everybody if not somebody.is_known]
    before = fingerprint()
    yield from _walk_api(target, strangers)
    yield _compare("rights: what strangers left", before, fingerprint())
    before = fingerprint(but=MESSAGES)
    yield from _walk_api(target, [somebody for somebody in everybody if somebody.is_known])
    yield _walk_pages(target, everybody)
    yield _walk_admin(target)
    yield _compare("rights: what everybody left", before, fingerprint(but=MESSAGES))


def _compare(name: str, before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> Outcome:
    outcome = Outcome(name, tried=len(before))
    outcome.check(after == before, f"changed: {[table for table in before if before[table] != after.get(table)]}")
    return outcome


# --- the interface ------------------------------------------------------------------------------------------


def _walk_api(target: Target, everybody: list[Somebody]) -> Iterator[Outcome]:
    for somebody in everybody:
        outcome = Outcome(f"rights: {somebody.name}", leaks=0)
        for endpoint in _some(target, list_endpoints()):
            if str(endpoint) not in OF_BROWSERS:
                _ask_api(outcome, somebody, endpoint)
        yield outcome


def _some(target: Target, things: Sequence[T]) -> Sequence[T]:
    """Return all of them, or of a short attack a few."""
    return target.chance.sample(things, FEW) if target.is_short else things


def _ask_api(outcome: Outcome, somebody: Somebody, endpoint: Endpoint) -> None:
    expected = _expected(somebody, endpoint)
    address = endpoint.url_with(**NOBODY) if expected == 0 and endpoint.method != "GET" else endpoint.url
    body = None if endpoint.method in READING_METHODS else b"{}"
    answer = somebody.client.ask(endpoint.method, address, body)
    _note(outcome, answer, address, own=somebody.stations)
    what = f"{endpoint}: {answer.status} {answer.code}"
    if expected:
        outcome.check(answer.status == expected, f"{what} instead of {expected}")
    else:  # it may: whatever else it is answered
        is_finer = answer.status == 403 and (somebody.is_limited or str(endpoint) in FINER)
        outcome.check(answer.status not in (401, 403) or is_finer, f"{what}, though it may")


def _expected(somebody: Somebody, endpoint: Endpoint) -> int:
    """Return the status that the declarations ask for; 0 where it may."""
    view = _view(endpoint)
    if not any(isinstance(permission, RolePermission) for permission in view.get_permissions()):
        return 0 if somebody.is_known else 401
    if not somebody.is_known:
        return 401
    is_write = endpoint.method not in READING_METHODS
    if somebody.role is None or (is_write and somebody.role not in roles_with(capabilities_for(view, endpoint.method))):
        return 403
    return 403 if somebody.is_limited and station_access(view, endpoint.method) is None else 0


def _view(endpoint: Endpoint) -> Any:
    callback: Any = resolve(endpoint.url).func
    view = callback.cls(**callback.initkwargs)
    view.action = getattr(callback, "actions", {}).get(endpoint.method.lower())
    return view


def _note(outcome: Outcome, answer: Answer, address: str, *, own: Sequence[str] = ()) -> None:
    """Count an answer, and what a refusal tells beside its address and the sender's own stations."""
    told = answer.body
    for station in own:
        told = told.replace(station.encode(), b"")
    outcome.tried += 1
    outcome.errors += answer.status == 500
    outcome.check(answer.status != 500, f"{address}: 500")
    outcome.check(answer.status != 0, f"{address}: no answer")
    if answer.status in (401, 403) and any(word in told and word.decode() not in address for word in SECRETS):
        outcome.leaks = (outcome.leaks or 0) + 1
        outcome.faults.append(f"{address}: the refusal tells {answer.body[:200]!r}")


# --- pages --------------------------------------------------------------------------------------------------


def _walk_pages(target: Target, everybody: list[Somebody]) -> Outcome:
    outcome = Outcome("rights: pages", leaks=0)
    people = [somebody for somebody in everybody if somebody.name.startswith("person") or somebody.name == "no token"]
    for address in _some(target, PAGES):
        if address in OPEN_TO_ALL or address.startswith("/static"):
            continue
        for somebody in people:
            for method in ("GET", "POST"):
                _ask_page(outcome, somebody, method, address)
    return outcome


def _ask_page(outcome: Outcome, somebody: Somebody, method: str, address: str) -> None:
    found = resolve(address)
    needed: tuple[Capability, ...] = getattr(found.func, "needed", ())
    may = somebody.role in roles_with(needed or Capability) or (found.url_name in FOR_NO_ROLE and somebody.is_known)
    if may and method == "POST":
        return  # it would be done
    answer = somebody.client.ask(method, address, b"" if method == "POST" else None, FORM if method == "POST" else None)
    _note(outcome, answer, address)
    what = f"{somebody.name} {method} {address}: {answer.status}"
    if not somebody.is_known:
        is_sent_away = answer.status in (301, 302) and "sign-in" in answer.headers.get("location", "")
        is_sent_away = is_sent_away or "login" in answer.headers.get("location", "")
        outcome.check(is_sent_away or answer.status in (401, 403, 404, 405), f"{what}, not signed in")
        if any(word in answer.body and word.decode() not in address for word in SECRETS):
            outcome.leaks = (outcome.leaks or 0) + 1
            outcome.faults.append(f"{what}: it tells something to strangers")
    elif not may:
        outcome.check(answer.status in (403, 404, 405), f"{what}, though it needs {', '.join(needed) or 'a role'}")


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


# --- the admin site -----------------------------------------------------------------------------------------


def _walk_admin(target: Target) -> Outcome:
    """Lists and forms of every model: open exactly to those whom its `ModelAdmin` lets in."""
    outcome = Outcome("rights: admin site", leaks=0)
    for role in (*Role, None):
        person = make_person(role)
        client = signed_in(target, person)
        for model in _some(target, ADMIN_MODELS):
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            may_view, may_add = _may(person, model)
            for address, may in ((base, may_view), (f"{base}add/", may_add)):
                answer = client.ask("GET", address)
                _note(outcome, answer, address)
                expected = 200 if may else 403
                outcome.check(answer.status == expected, f"{role} {address}: {answer.status} instead of {expected}")
    stranger = target.client()
    for model in ADMIN_MODELS:
        answer = stranger.ask("GET", f"/admin/{model._meta.app_label}/{model._meta.model_name}/")
        _note(outcome, answer, str(model))
        outcome.check(answer.status == 302, f"a stranger at {model}: {answer.status}")
    return outcome


def _may(person: User, model: Any) -> tuple[bool, bool]:
    from django.contrib import admin

    request = RequestFactory().get(f"/{settings.STATIC_URL}")
    request.user = User.objects.get(pk=person.pk)
    if not admin.site.has_permission(request):
        return False, False
    model_admin = admin.site.get_model_admin(model)
    return model_admin.has_view_or_change_permission(request), model_admin.has_add_permission(request)
