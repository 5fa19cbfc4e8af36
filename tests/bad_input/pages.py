"""Every page of the product, found by walking its addresses, so that new ones are tested without being listed."""

import re
import urllib.parse
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

# Django's own pages of a model: its forms are walked by model.
OF_A_MODEL = re.compile(r"^/admin/\w+/\w+/((add|1/(change|delete|history)?)/?)?$")
ARGUMENTS = {
    "form_id": "1",
    "subject_code": "ST-1",
    "code": "SMT-A",
    "route_code": "ROUTE-1",
    "run_no": "RUN-1",
    "sn": "SN-1",
    "carrier_no": "PANEL-1",
    "kind": "stencil",
    "action": "bind",
    "key": "plant",
    "app_label": "mes",
    "name": "units",
    "hold_no": "H-1",
    "lot_id": "R-1",
}


@cache
def list_fields() -> tuple[str, ...]:
    """Return the name of every field of every form of a page."""
    html = "".join(path.read_text() for path in Path(settings.BASE_DIR, "templates").rglob("*.html"))
    return tuple(sorted(set(re.findall(r'<(?:input|textarea|select|button)\b[^>]*\bname="(\w+)"', html))))


def walk(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    """Yield the address of every page, its parameters filled in."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: ARGUMENTS.get(found[1], "1"), route)


def is_page(address: str) -> bool:
    """Whether an address is of a page that no other test of bad input walks."""
    is_api = address.startswith("/api/") and not address.startswith(("/api/docs", "/api/schema"))
    if address == "/readyz":
        return False  # 503 is its way to say that no worker is there
    return not is_api and not re.search(r"[()\[\]\\]", address) and not OF_A_MODEL.search(address)


PAGES = sorted(set(filter(is_page, walk(get_resolver().url_patterns))))
ADMIN_MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def encode(fields: dict[str, str]) -> str:
    """Return a form as a browser sends it; a lone surrogate is sent as its three bytes."""
    return urllib.parse.urlencode(fields, errors="surrogatepass")
