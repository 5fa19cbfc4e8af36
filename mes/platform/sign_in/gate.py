"""Who has signed in and is let no further: people without a role, and those whose second factor is still asked for."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from mes.platform.accounts.hashers import RETRY_AFTER_SECONDS, HashingBusy
from mes.platform.accounts.permissions import no_role_message
from mes.platform.accounts.roles import Standing, standing_of
from mes.platform.http.handlers import API_PREFIX, answer
from mes.platform.http.pages import is_live

SESSION_KEY = "second_factor"  # the id of the factor that was shown in this session

FOR_ALL = frozenset({"sign-in", "sign-out", "favicon", "healthz", "readyz", "metrics"})
FOR_FACTOR = FOR_ALL | {"second-factor", "second-factor-set-up"}
FOR_NO_ROLE = FOR_FACTOR | {"account", "account-password", "second-factor-codes", "second-factor-off"}


class Gate:
    """Middleware behind authentication. Requests of machines have no session and pass."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Go on."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponseBase | None:
        """Answer instead of the view where the person is let no further."""
        user = getattr(request, "user", None)
        if user is None:
            return None
        name = request.resolver_match.url_name if request.resolver_match else None
        if name in FOR_ALL or not user.is_authenticated:
            return None
        standing = standing_of(user)
        if lacks_second_factor(request, standing):
            return None if name in FOR_FACTOR else _ask_for_factor(request)
        if not standing.capabilities:
            return None if name in FOR_NO_ROLE else _tell_no_role(request)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 where a password could not be hashed because others' are."""
        return busy(request) if isinstance(exception, HashingBusy) else None


def lacks_second_factor(request: HttpRequest, standing: Standing) -> bool:
    """Whether a second factor is asked for, by a role or because the person has one, that this session has not seen."""
    if not standing.needs_second_factor and standing.second_factor_id is None:
        return False
    return standing.second_factor_id is None or request.session.get(SESSION_KEY) != standing.second_factor_id


def busy(request: HttpRequest) -> HttpResponse:
    """503 for who did not get the turn to have a password hashed."""
    message = _("Many people are signing in at this moment. Try again in some seconds.")
    response = answer(request, 503, "TRY_AGAIN", message)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _ask_for_factor(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        message = _("Your second factor is asked for. Enter it at %(page)s.") % {"page": reverse("second-factor")}
        return answer(request, 403, "SECOND_FACTOR_REQUIRED", message)
    if is_live(request):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    query = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
    return redirect(f"{reverse('second-factor')}{query and '?'}{query}")


def _tell_no_role(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return answer(request, 403, "PERMISSION_DENIED", no_role_message())
    if is_live(request):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "sign_in/no_role.html", status=403)
