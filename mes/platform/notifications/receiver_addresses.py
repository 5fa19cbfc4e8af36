"""Which addresses a webhook may have. Plants have private networks, so these are allowed; what is this machine's own,
or an infrastructure's, is not, or whoever writes rules could have the server speak to what only it can reach.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

LONGEST_ADDRESS = 500
# Where clouds keep what a machine is and may do; those of IPv4 are link-local, but for one.
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Ways on which a network leads to an address of IPv4: what stands in the last 32 bits, and what cannot be seen.
_OF_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_HIDING = (ipaddress.IPv6Network("64:ff9b:1::/48"), ipaddress.IPv6Network("2001::/32"))  # local NAT64, Teredo


class NotAllowed(Exception):
    """An address to which nothing is sent."""


@dataclass(frozen=True)
class Target:
    """A webhook: where its server is, and what is asked of it."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """As the server knows itself."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def validate_webhook(address: str) -> None:
    """Raise ValidationError for what cannot be the address of a webhook. A name is resolved only when it is used."""
    try:
        target = read_target(address)
        check_allowed(target.host)
    except NotAllowed as refusal:
        raise ValidationError(str(refusal)) from None


def read_target(address: str) -> Target:
    """Return what an address names. Raises NotAllowed."""
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in address) or not address.isascii() or "\\" in address:
        raise NotAllowed(_("Must be an address without blanks, in ASCII."))
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NotAllowed(_("Must be an address such as https://chat.example/hook.")) from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise NotAllowed(_("Must be an address such as https://chat.example/hook."))
    if "@" in parts.netloc or parts.fragment or "%" in host:
        raise NotAllowed(_("Must have neither a user name nor a fragment."))
    is_tls = parts.scheme == "https"
    return Target(is_tls, host, port or (443 if is_tls else 80), _path(parts))


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def check_allowed(host: str) -> None:
    """Raise NotAllowed for an IP address to which nothing is sent; a name says nothing yet."""
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_allowed(address):
        raise NotAllowed(_("Nothing is sent to %(address)s: it is no address of a network.") % {"address": host})


def is_allowed(address: Address) -> bool:
    """Whether something may be sent to an IP address."""
    inner = _inner(address)
    if inner is not None:
        return is_allowed(inner)
    if any(address in network for network in _HIDING):
        return False
    if address in METADATA or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback or address.is_link_local:
        return bool(settings.MES_WEBHOOK_LOCAL)
    is_of_the_future = address.version == 4 and address in ipaddress.ip_network("240.0.0.0/4")
    is_this_network = address.version == 4 and address in ipaddress.ip_network("0.0.0.0/8")
    return not (is_of_the_future or is_this_network)


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """Return the address of IPv4 to which one of IPv6 leads."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _OF_IPV4) and not (address.is_loopback or address.is_unspecified):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def resolve(target: Target) -> list[str]:
    """Return the IP addresses of a target's host, in their order. Raises NotAllowed if one of them is not allowed:
    a name that has both is nobody's mistake. Raises OSError when the name cannot be resolved.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(place[0]).partition("%")[0] for *_kind, place in found))
    for address in addresses:
        check_allowed(address)
    return addresses
