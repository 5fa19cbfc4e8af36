"""Sign-in of machines and scripts: `Authorization: Bearer <token>`."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from mes.platform.accounts.roles import Capability
from mes.platform.accounts.tokens import TokenPrincipal, load_token

OF_TOKENS = "token:"  # begins the names by which tokens act. No user name has a colon


@dataclass(frozen=True, slots=True)
class TokenUser:
    """Stands where views expect a user. It has no row and no rights but its role's."""

    username: str
    capabilities: frozenset[Capability]
    station_codes: frozenset[str] | None

    pk: ClassVar[None] = None
    id: ClassVar[None] = None
    is_active: ClassVar[bool] = True
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_staff: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False

    def __str__(self) -> str:
        return self.username

    def get_username(self) -> str:
        """`token:` and the token's name."""
        return self.username

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        """A token never has rights of the admin site."""
        return False


class DeviceTokenAuthentication(BaseAuthentication):
    """Recognises device tokens. Requests without an Authorization header are left to the session."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[TokenUser, TokenPrincipal] | None:
        """Return the principal of a valid token; raise if something else is presented."""
        header = get_authorization_header(request)
        if not header:
            return None
        principal = _load_principal(_token_text(header))
        user = TokenUser(f"{OF_TOKENS}{principal.name}", principal.capabilities, principal.station_codes)
        return user, principal

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return self.keyword


def _token_text(header: bytes) -> str:
    scheme, _blank, text = header.partition(b" ")
    if scheme.lower() != b"bearer":
        raise AuthenticationFailed(_("Send the token as “Authorization: Bearer <token>”."))
    text = text.strip()
    if not text.isascii() or not text or b" " in text:
        raise AuthenticationFailed(_("The Authorization header holds no token. Send “Bearer”, a blank and the token."))
    return text.decode("ascii")


def _load_principal(text: str) -> TokenPrincipal:
    principal = load_token(text)
    if principal is None:
        raise AuthenticationFailed(_("This token is unknown. Check that it was copied completely."))
    if principal.revoked_at is not None:
        raise AuthenticationFailed(_("This token was revoked. Ask your administrator for a new one."))
    if principal.is_expired(at=timezone.now()):
        raise AuthenticationFailed(_("This token has expired. Ask your administrator for a new one."))
    return principal
