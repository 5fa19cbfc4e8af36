"""What all pages share: who may see them, and parts that keep themselves up to date."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from mes.errors import DomainError, ValidationFailed
from mes.platform.accounts.roles import Capability, role_capabilities

View = Callable[..., HttpResponse]

_FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


def needs(*capabilities: Capability, is_cached: bool = False) -> Callable[[View], View]:
    """Let people in who have one of these; with none named, everyone who is signed in.

    Who is not signed in is sent to sign in; a live part that polls makes its whole page do so. A form with a NUL is
    refused. With `is_cached` the view says itself how long browsers may keep its answer; else they may not.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                if is_live(request):
                    return HttpResponse(status=204, headers={"HX-Refresh": "true"})
                return redirect_to_login(request.get_full_path())
            if capabilities and role_capabilities(request.user).isdisjoint(capabilities):
                raise PermissionDenied(_("You may not do this."))
            _check_form(request)
            return view(request, *args, **kwargs)

        page: Any = checked if is_cached else never_cache(checked)
        page.needed = capabilities  # so that it can be held against what happens
        return cast(View, page)

    return decorate


signed_in = needs()
signed_in_cached = needs(is_cached=True)


def _check_form(request: HttpRequest) -> None:
    """Raise BadRequest for a form with a NUL, which nobody can type and PostgreSQL cannot keep."""
    if any("\0" in value for _name, values in request.POST.lists() for value in values):
        raise BadRequest(_("A field of the form contains a NUL character."))


# --- live parts ---------------------------------------------------------------------------------------------


def is_live(request: HttpRequest) -> bool:
    """Whether the request comes from a part of a page that keeps itself up to date."""
    return bool(request.htmx)  # type: ignore[attr-defined]


def show_live(
    request: HttpRequest,
    page: str,
    part: str,
    context: dict[str, Any],
    *,
    mark: str = "",
    is_over: bool = False,
    seconds: int = 4,
) -> HttpResponse:
    """Show a page whose `part` asks again every few `seconds`, and is answered with nothing while it is unchanged.

    `mark` stands for the content, so that what is unchanged is not even drawn; by default it is made from the part.
    """
    if mark and _shows(request, mark):
        return HttpResponse(status=204)
    html = render_to_string(part, context, request=request)
    mark = mark or _mark_of(html)
    if _shows(request, mark):
        return HttpResponse(status=204)
    address = "" if is_over else _address(request, mark)
    wrapped = {"html": mark_safe(html), "address": address, "seconds": seconds}
    live = render_to_string("_live.html", wrapped)
    response = HttpResponse(live) if is_live(request) else render(request, page, {**context, "live": mark_safe(live)})
    patch_vary_headers(response, ["HX-Request"])
    return response


def mark_of(*facts: object, now: datetime | None = None) -> str:
    """Return a mark for what a part shows: `facts`, of which equal ones read equal (`repr`).

    With `now`, also for the minute: of what says how long ago something was, and of all that nobody thought of.
    """
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return f"{digest}-{now:%H%M}" if now else digest


def columns_of(row: Model | None) -> dict[str, Any]:
    """Return what was loaded of a row, for a mark; its relations have rows of their own."""
    return {} if row is None else {name: value for name, value in vars(row).items() if not name.startswith("_")}


def _shows(request: HttpRequest, mark: str) -> bool:
    """Whether the live part that asks shows this already."""
    return is_live(request) and request.GET.get("seen") == mark


def _mark_of(html: str) -> str:
    """Stand for what a part shows. The tokens of its forms are masked anew each time and show nothing."""
    return hashlib.sha256(_FORM_TOKEN.sub("", html).encode()).hexdigest()[:16]


def _address(request: HttpRequest, mark: str) -> str:
    """The page's own address with its arguments, and what it shows already."""
    arguments = [(key, value) for key, value in request.GET.items() if key != "seen"]
    path = request.get_full_path().partition("?")[0]
    return f"{path}?{urlencode([*arguments, ('seen', mark)])}"


def in_words(refusal: DomainError) -> str:
    """Return a refusal as a page says it: of malformed fields, what is wrong with them."""
    if isinstance(refusal, ValidationFailed):
        return " ".join(map(str, refusal.details.values()))
    return str(refusal)
