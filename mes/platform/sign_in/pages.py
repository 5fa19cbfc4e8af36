"""Signing in and out, one's own account, and the second factor."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from mes.platform.accounts.hashers import RETRY_AFTER_SECONDS, HashingBusy
from mes.platform.accounts.roles import Role, standing_of
from mes.platform.http.pages import signed_in
from mes.platform.sign_in import attempts, badges, second_factor, sign_on
from mes.platform.sign_in.address import client_address
from mes.platform.sign_in.attempts import Purpose, Throttled
from mes.platform.sign_in.gate import SESSION_KEY, lacks_second_factor
from mes.platform.sign_in.models import Badge

_SECRET_KEY = "second_factor_secret"  # of the session: what is being set up


class SignIn(LoginView):
    """Sign in, then go where one was on the way to. The admin site signs in here, too."""

    template_name = "sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check name and password, unless too many attempts failed or too many people sign in at this moment."""
        form = self.get_form()
        name, password = request.POST.get("username", ""), request.POST.get("password", "")
        if not name.strip() or not password:
            return self.form_invalid(form)
        try:
            attempt = attempts.begin(Purpose.PASSWORD, account=name, address=client_address(request))
        except Throttled as refusal:
            return self._wait(429, refusal.seconds)
        try:
            is_valid = form.is_valid()
        except HashingBusy:
            attempt.take_back()
            return self._wait(503, RETRY_AFTER_SECONDS)
        if not is_valid:
            attempt.fail()
            return self.form_invalid(form)
        attempt.succeed()
        return self.form_valid(form)

    def _wait(self, status: int, seconds: int) -> HttpResponse:
        """Show the form again, unchecked, and say when it will be heard."""
        form = AuthenticationForm(self.request, initial={"username": self.request.POST["username"][:150]})
        context = self.get_context_data(form=form, wait=seconds, is_busy=status == 503)
        return self.render_to_response(context, status=status, headers={"Retry-After": str(seconds)})


class SignOut(LogoutView):
    """Sign out; the button sends a POST, whoever types the address goes to the start."""

    http_method_names = ["get", "post", "options"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Change nothing."""
        return redirect("home")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the session."""
        sign_on.note_signed_out(request)
        return super().post(request, *args, **kwargs)


# --- one's own account ----------------------------------------------------------------------------------------


@signed_in
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Who one is here: roles, password, second factor."""
    standing = standing_of(request.user)
    groups = set(request.user.groups.values_list("name", flat=True))
    factor = standing.second_factor_id
    context = {
        "roles": [role.label for role in Role if role.group_name in groups],
        "standing": standing,
        "badge": Badge.objects.filter(user=request.user.pk).first(),
        "is_by_badge": sign_on.sign_on_of(request) is not None,
        "codes_left": second_factor.count_recovery_codes(factor) if factor is not None else 0,
    }
    return render(request, "sign_in/account.html", context)


class ChangePassword(PasswordChangeView):
    """Change one's own password. Other sessions of the account end."""

    template_name = "sign_in/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        """Save it."""
        messages.success(self.request, _("Your password is changed."))
        return super().form_valid(form)


change_password = signed_in(ChangePassword.as_view())  # type: ignore[arg-type]


class PinForm(forms.Form):
    """A new PIN, and the password by which the person shows who asks for it."""

    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    pin = forms.CharField(
        label=gettext_lazy("New PIN"),
        max_length=badges.MOST_DIGITS,
        validators=[badges.check_pin],
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        help_text=gettext_lazy("4 to 8 digits, not all alike and not in a row."),
    )
    again = forms.CharField(
        label=gettext_lazy("The same PIN again"),
        max_length=badges.MOST_DIGITS,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    def clean(self) -> dict[str, Any]:
        """Compare the two."""
        data = super().clean() or self.cleaned_data
        if "pin" in data and "again" in data and data["pin"] != data["again"]:
            self.add_error("again", _("This is another PIN than the one above."))
        return data


@signed_in
def change_pin(request: HttpRequest) -> HttpResponse:
    """Set the PIN of one's own badge."""
    if not Badge.objects.filter(user=request.user.pk).exists():
        messages.error(request, _("You have no badge. Whoever administers this system gives you one."))
        return redirect("account")
    form = PinForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "sign_in/pin.html", {"form": form})
    account = request.user.get_username()
    try:
        attempt = attempts.begin(Purpose.PASSWORD, account=account, address=client_address(request))
    except Throttled as refusal:
        return _render(request, "sign_in/pin.html", {"form": PinForm(), "wait": refusal.seconds})
    try:
        is_own = request.user.check_password(form.cleaned_data["password"])
        if is_own:
            badges.set_pin(request.user, form.cleaned_data["pin"])  # type: ignore[arg-type]
    except HashingBusy:
        attempt.take_back()
        raise
    if not is_own:
        attempt.fail()
        form.add_error("password", _("This is not your password."))
        return render(request, "sign_in/pin.html", {"form": form})
    attempt.succeed()
    messages.success(request, _("Your PIN is changed."))
    return redirect("account")


# --- the second factor ----------------------------------------------------------------------------------------


@signed_in
def enter(request: HttpRequest) -> HttpResponse:
    """Enter a code, once in each session."""
    standing = standing_of(request.user)
    if standing.second_factor_id is None:
        return _lead(request, "second-factor-set-up") if standing.needs_second_factor else redirect("account")
    if not lacks_second_factor(request, standing):
        return _go_on(request)
    if request.method != "POST":
        return _ask(request)

    def go_on() -> HttpResponse:
        _note_shown(request, standing.second_factor_id)
        return _go_on(request)

    return _checked(request, go_on, _ask)


def _ask(request: HttpRequest, **context: Any) -> HttpResponse:
    return _render(request, "sign_in/second_factor.html", {"next": _next(request), "is_gated": True, **context})


@signed_in
def set_up(request: HttpRequest) -> HttpResponse:
    """Show a QR code; with a code that the app shows, keep the factor and show its recovery codes, once."""
    if standing_of(request.user).second_factor_id is not None:
        return _lead(request, "second-factor")
    secret = request.session.get(_SECRET_KEY)
    if request.method != "POST" or secret is None:
        return _show_set_up(request)
    try:
        attempt = _begin(request)
    except Throttled as refusal:
        return _show_set_up(request, wait=refusal.seconds)
    done = second_factor.set_up(request.user, secret=secret, code=request.POST.get("code", ""))  # type: ignore[arg-type]
    if done is None:
        attempt.fail()
        return _show_set_up(request, is_wrong=True)
    attempt.succeed()
    factor, codes = done
    del request.session[_SECRET_KEY]
    _note_shown(request, factor.pk)
    return _show_codes(request, codes)


def _show_set_up(request: HttpRequest, **context: Any) -> HttpResponse:
    """Show the QR code of the secret that this session sets up."""
    secret = request.session.setdefault(_SECRET_KEY, second_factor.make_secret())
    uri = second_factor.provisioning_uri(secret, account=request.user.get_username())
    context |= {
        "qr_code": mark_safe(second_factor.qr_code(uri)),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "next": _next(request),
        "is_gated": standing_of(request.user).needs_second_factor,
    }
    return _render(request, "sign_in/set_up.html", context)


@signed_in
@require_POST
def renew_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes, for a code of the app."""
    factor_id = standing_of(request.user).second_factor_id
    if factor_id is None:
        return redirect("account")
    return _checked(request, lambda: _show_codes(request, second_factor.renew_recovery_codes(factor_id)), _refuse)


@signed_in
@require_POST
def turn_off(request: HttpRequest) -> HttpResponse:
    """Remove one's own second factor, for a code of the app, where no role asks for one."""
    standing = standing_of(request.user)
    if standing.second_factor_id is None or standing.needs_second_factor:
        return redirect("account")

    def remove() -> HttpResponse:
        second_factor.remove([request.user], by=request.user.get_username())  # type: ignore[list-item]
        request.session.pop(SESSION_KEY, None)
        messages.success(request, _("Your second factor is removed."))
        return redirect("account")

    return _checked(request, remove, _refuse)


def _refuse(request: HttpRequest, *, wait: int | None = None, is_wrong: bool = False) -> HttpResponse:
    """Say on the account page why nothing was done."""
    if wait is not None:
        messages.error(request, _("Too many codes were wrong. Try again in %(seconds)d s.") % {"seconds": wait})
    else:
        messages.error(request, _("That code is not valid (any more). Nothing was changed."))
    return redirect("account")


def _checked(
    request: HttpRequest, done: Callable[[], HttpResponse], refuse: Callable[..., HttpResponse]
) -> HttpResponse:
    """Check the code of the form and go on with `done`, or with `refuse` where it is wrong or not heard."""
    try:
        attempt = _begin(request)
    except Throttled as refusal:
        return refuse(request, wait=refusal.seconds)
    factor_id = standing_of(request.user).second_factor_id
    if factor_id is None or not second_factor.check(factor_id, request.POST.get("code", "")[:100]):
        attempt.fail()
        return refuse(request, is_wrong=True)
    attempt.succeed()
    return done()


def _begin(request: HttpRequest) -> attempts.Attempt:
    account = request.user.get_username()
    return attempts.begin(Purpose.SECOND_FACTOR, account=account, address=client_address(request))


def _render(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Show a page, with 429 where it says that one must wait."""
    wait = context.get("wait")
    if wait is None:
        return render(request, template, context)
    response = render(request, template, context, status=429)
    response["Retry-After"] = str(wait)
    return response


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return render(request, "sign_in/recovery_codes.html", {"codes": codes, "next": _next(request)})


def _note_shown(request: HttpRequest, factor_id: int | None) -> None:
    """Remember in the session, under a new key, that the factor was shown."""
    request.session.cycle_key()
    request.session[SESSION_KEY] = factor_id


def _lead(request: HttpRequest, page: str) -> HttpResponse:
    """Redirect to a page that will lead to where one was on the way to."""
    address = _next(request)
    return redirect(f"{reverse(page)}?{urlencode({'next': address})}" if address else page)


def _go_on(request: HttpRequest) -> HttpResponse:
    return redirect(_next(request) or "home")


def _next(request: HttpRequest) -> str:
    """Return where one was on the way to, if that is a page of ours."""
    address = request.POST.get("next") or request.GET.get("next") or ""
    hosts = {request.get_host()}
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts=hosts, require_https=request.is_secure())
    return address if is_ours and address.startswith("/") else ""
