"""Where a request comes from, as far as that can be believed."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_address(request: HttpRequest | Request) -> str:
    """Return the address of whoever sent a request; of IPv6 the network, which one household or attacker has whole.

    What X-Forwarded-For says counts only as far as it was written by proxies of one's own: the last of its addresses
    by the nearest, and so on, as many as `MES_TRUSTED_PROXIES` says. Everything before them anybody can send.
    """
    nearest = request.META.get("REMOTE_ADDR", "")
    if settings.MES_TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(forwarded) >= settings.MES_TRUSTED_PROXIES:
            return _normal(forwarded[-settings.MES_TRUSTED_PROXIES]) or _normal(nearest)
    return _normal(nearest)


def _normal(text: str) -> str:
    """Return an address as it is counted; nothing for what is none."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
