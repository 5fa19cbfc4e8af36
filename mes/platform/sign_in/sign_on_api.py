"""Signing on and off at terminals, over HTTP. A browser does so, with its cookies; a token is nobody there."""

from typing import Any

from django.urls import path
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from mes.platform.accounts.roles import Capability, Role
from mes.platform.http.page_middleware import is_of_machine
from mes.platform.http.serializers import CodeField, ObjectSerializer, OffsetDateTimeField, StrictSerializer, read
from mes.platform.scans import read_scan
from mes.platform.sign_in import sign_on, terminals
from mes.platform.sign_in.badges import PIN_PATTERN


class BadgeField(CodeField):
    """A code of a badge, as it is or behind the AIM identifier by which a scanner says how it read it."""

    def to_internal_value(self, data: Any) -> str:
        """Return the code."""
        text = super().to_internal_value(data)
        scan = read_scan(text)
        return scan.text if scan.symbology and scan.text else text


class SignOnRequest(StrictSerializer):
    """Who signs on."""

    badge = BadgeField(help_text="The code of the badge.")
    pin = serializers.RegexField(PIN_PATTERN, max_length=8, write_only=True, help_text="Its 4 to 8 digits.")


class WhoIsHere(ObjectSerializer):
    """Who is signed in in this browser, and which terminal it is."""

    terminal = serializers.SerializerMethodField(help_text="Its name; null in a browser that is no terminal.")
    stationCode = serializers.SerializerMethodField()
    person = serializers.CharField(allow_null=True, help_text="The user name; null: nobody is signed in.")
    printedName = serializers.CharField(allow_null=True)
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=Role.choices), help_text="Those that count here; of a badge, the floor's."
    )
    until = OffsetDateTimeField(
        allow_null=True, help_text="When who signed on by badge is signed off, if nothing is done until then."
    )

    def get_terminal(self, here: sign_on.Here) -> str | None:
        """The name."""
        return here.terminal.name if here.terminal is not None and here.is_terminal else None

    def get_stationCode(self, here: sign_on.Here) -> str | None:
        """The station where the terminal stands."""
        return here.terminal.station.code if here.terminal is not None and here.is_terminal else None


EXAMPLE = {
    "terminal": "Tablet left",
    "stationCode": "ICT-01",
    "person": "olga",
    "printedName": "Olga Meier",
    "roles": ["OPERATOR"],
    "until": "2026-01-24T10:15:00Z",
}


class SignOnViewSet(ViewSet):
    """Signing on and off. Who calls is nobody yet, so that forged requests are refused by hand."""

    serializer_class = WhoIsHere
    permission_classes = [AllowAny]
    capabilities = {"*": tuple(Capability)}

    @extend_schema(
        summary="Tell who is signed in in this browser",
        description="Asked by a browser, with its cookies. It is no act: whoever is idle is signed off all the same.",
        responses=WhoIsHere,
        examples=[OpenApiExample("Signed on by badge", value=EXAMPLE, response_only=True)],
    )
    def who(self, request: Request) -> Response:
        """Answer."""
        _check_browser(request)
        return _answer(sign_on.read_here(request))

    @extend_schema(
        summary="Sign on by badge and PIN",
        description="At a terminal only: a browser that somebody made one (`/terminals/`). Whoever was signed in there "
        "is signed out, and the token against forged requests changes. Badge and PIN open the work of stations: "
        "nothing of the administration, and nothing to whoever is asked for a second factor.\n\n"
        "Guesses are counted before they are checked, by the person of the badge; those at a badge that nobody has, by "
        "its code. A wrong PIN counts together with wrong signatures: the fifth, with no 15 minutes without one in "
        "between, locks both for 15 minutes, everywhere (429 `SIGN_ON_LOCKED`; `details.seconds` and `Retry-After` say "
        "for how long). It counts as a failed sign-in by name and password too, whose delays hold here as well. A "
        "right PIN takes the wrong PINs before it back; wrong passwords and signatures stay counted. What is refused "
        "by the lock, malformed, or right and yet not enough (a second factor, no work at stations) is no guess.",
        request=SignOnRequest,
        responses=WhoIsHere,
        examples=[
            OpenApiExample("A badge", value={"badge": "B-1042", "pin": "4711"}, request_only=True),
            OpenApiExample("Signed on", value=EXAMPLE, response_only=True),
        ],
    )
    def sign_on(self, request: Request) -> Response:
        """Change the person."""
        body = read(SignOnRequest, request)
        _check_browser(request)
        response = _answer(sign_on.sign_on(request, badge=body["badge"], pin=body["pin"]))
        terminals.renew_cookie(request, response)
        return response

    @extend_schema(
        summary="Stay signed on",
        description="Sent by pages while somebody types or taps there, every few minutes: that is no rest.",
        request=None,
        responses=WhoIsHere,
    )
    def stay(self, request: Request) -> Response:
        """Note an act."""
        _check_browser(request)
        return _answer(sign_on.stay(request))

    @extend_schema(summary="Sign off", description="Again, it changes nothing.", request=None, responses=WhoIsHere)
    def sign_off(self, request: Request) -> Response:
        """End the session."""
        _check_browser(request)
        return _answer(sign_on.sign_off(request))


def _check_browser(request: Request) -> None:
    """Raise PermissionDenied for a token, which no cookie makes a person, and for what another site sends."""
    if is_of_machine(request):
        raise PermissionDenied(_("People sign on in browsers; a token is nobody there."))
    SessionAuthentication().enforce_csrf(request)


def _answer(here: sign_on.Here) -> Response:
    answer: dict[str, Any] = dict(WhoIsHere(here).data)
    return Response(answer)


urlpatterns = [
    path("sign-on", SignOnViewSet.as_view({"get": "who", "post": "sign_on"}), name="sign-on"),
    path("sign-on/stay", SignOnViewSet.as_view({"post": "stay"})),
    path("sign-off", SignOnViewSet.as_view({"post": "sign_off"})),
]
