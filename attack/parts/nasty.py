"""Nasty bodies, names, parameters and forms over the whole configuration of addresses, sent to the running server."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser

from attack.client import Answer, Client
from attack.outcome import Outcome
from attack.target import Target, make_person, make_token, signed_in
from mes.platform.accounts.roles import Role
from tests.bad_input.endpoints import Endpoint, body_with, inner_fields, list_endpoints
from tests.bad_input.nasty import ALONE, BODIES, FORM_VALUES, NAMES, QUERIES, VALUES
from tests.bad_input.pages import ADMIN_MODELS, PAGES, encode, list_fields

THREADS = 4
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IGNORED = ("/readyz",)  # 503 is its way to say that something is not well
UNSENDABLE = re.compile(r"[\s\x7f]")


@dataclass(frozen=True)
class Request:
    """What is sent, and what it is about."""

    what: str
    method: str
    address: str
    body: bytes | None = None
    is_form: bool = False


def run(target: Target) -> Iterator[Outcome]:
    """As many as there is time for, in an order that is the same each time."""
    token, person = make_token(Role.ADMIN), make_person(Role.ADMIN, is_superuser=True)
    yield _send_all(target, "input: interface", list(_api_requests()), lambda: target.client(token))
    forms = [*_page_requests(), *_admin_requests(signed_in(target, person))]
    yield _send_all(target, "input: pages and forms", forms, lambda: signed_in(target, person))


def _send_all(target: Target, name: str, requests: list[Request], make_client: Callable[[], Client]) -> Outcome:
    outcome, own = Outcome(name), threading.local()
    target.chance.shuffle(requests)
    deadline = time.monotonic() + target.seconds / 2

    def send(request: Request) -> tuple[Request, Answer] | None:
        if time.monotonic() > deadline:
            return None
        if not hasattr(own, "client"):
            own.client = make_client()
        headers = FORM if request.is_form else None
        return request, own.client.ask(request.method, request.address, request.body, headers)

    with ThreadPoolExecutor(THREADS) as threads:
        for sent in threads.map(send, requests):
            if sent is not None:
                _judge(outcome, *sent)
    outcome.note = f"{outcome.tried:,} of {len(requests):,} requests in the time there was"
    return outcome


def _judge(outcome: Outcome, request: Request, answer: Answer) -> None:
    outcome.tried += 1
    outcome.errors += answer.status == 500
    what = f"{request.method} {request.address[:120]} ({request.what})"
    is_well = 200 <= answer.status < 500 or answer.is_overload
    outcome.check(is_well, f"{what}: {answer.status} {answer.body[:200]!r}")
    is_page = request.is_form or not request.address.startswith("/api/")
    if not is_page and answer.status >= 400 and request.method != "HEAD":
        outcome.check(bool(answer.code), f"{what}: {answer.status} without a code")


# --- the interface ------------------------------------------------------------------------------------------


def _api_requests() -> Iterator[Request]:
    for endpoint in list_endpoints():
        example = None if endpoint.example is None else json.dumps(endpoint.example).encode()
        if endpoint.method in ("POST", "PATCH", "PUT"):
            yield from _bodies(endpoint)
        for parameter in endpoint.parameters:
            for name, text in NAMES.items():
                yield Request(name, endpoint.method, _sendable(endpoint.url_with(**{parameter: text})), example)
        if endpoint.method == "GET":
            for parameter in (*endpoint.queries, "format"):
                for name, text in QUERIES.items():
                    yield Request(name, "GET", _sendable(f"{endpoint.url}?{parameter}={text}"))


def _bodies(endpoint: Endpoint) -> Iterator[Request]:
    for name, body in BODIES.items():
        yield Request(name, endpoint.method, endpoint.url, body)
    for where, field in inner_fields(endpoint) if endpoint.example else ():
        for name, value in VALUES.items():
            body = body_with(endpoint, field, value, where=where)
            yield Request(f"{field}: {name}", endpoint.method, endpoint.url, body)


def _sendable(address: str) -> str:
    """Leave out what would end the request line; raw bytes are the matter of another part."""
    return UNSENDABLE.sub("%20", address)


# --- pages and forms ----------------------------------------------------------------------------------------


def _page_requests() -> Iterator[Request]:
    for address in PAGES:
        if address in IGNORED or address.startswith("/static") or "logout" in address or "sign-out" in address:
            continue
        for name, value in FORM_VALUES.items():
            fields = encode(dict.fromkeys(list_fields(), value))
            yield Request(name, "POST", address, fields.encode(), is_form=True)
            if len(value) < 100:
                yield Request(name, "GET", f"{address}?{fields}")


def _admin_requests(client: Client) -> Iterator[Request]:
    for model in ADMIN_MODELS:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for query in ("q=%00", "q=%ED%A0%80", "p=9999999999999999999999", "o=x.9", "all=x", "e=1", "nonsense__x=1"):
            yield Request(query, "GET", f"{base}?{query}")
        row = model._default_manager.order_by("pk").first()
        addresses = [f"{base}add/", *([] if row is None else [f"{base}{row.pk}/change/"])]
        for address in addresses:
            yield from _form_requests(client, address)


def _form_requests(client: Client, address: str) -> Iterator[Request]:
    page = client.ask("GET", address)
    fields = _Fields.of(page.body.decode(errors="replace")) if page.status == 200 else {}
    for name, value in FORM_VALUES.items():
        sound = {field: text for field, text in fields.items() if "TOTAL_FORMS" in field or "INITIAL_FORMS" in field}
        body = encode({**dict.fromkeys(fields, value), **sound}).encode()
        yield Request(name, "POST", address, body, is_form=True)
    for field in fields:
        for name in ALONE:
            body = encode({**fields, field: FORM_VALUES[name]}).encode()
            yield Request(f"{field}: {name}", "POST", address, body, is_form=True)


class _Fields(HTMLParser):
    """The fields of a page's forms with what they hold, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._text = ""

    @classmethod
    def of(cls, html: str) -> dict[str, str]:
        """Return the fields of a page, without what belongs to signing in."""
        reader = cls()
        reader.feed(html)
        return {name: value for name, value in reader.found.items() if name != "csrfmiddlewaretoken"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("input", "textarea", "select") and given.get("name") and given.get("type") != "submit":
            self.found[str(given["name"])] = given.get("value") or ""
            self._text = str(given["name"]) if tag != "input" else ""
        elif tag == "option" and "selected" in given and self._text:
            self.found[self._text] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("textarea", "select"):
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text and not self.found[self._text]:
            self.found[self._text] = data.strip()
