"""What the product answers, in a form that can be compared: the old code's answers are recorded, the new code's are
held against them.
"""

import json
import lzma
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from .installation import PERSON, RECORD

Answer = dict[str, Any]


def read_answers(path: Path = RECORD) -> dict[str, Any]:
    """Return what the old code answered: `asked` and `acted`, `at` a moment, to those who have `tokens`, after all that
    was `sent` before.
    """
    return dict(json.loads(lzma.decompress(path.read_bytes())))


def write_answers(record: dict[str, Any], path: Path = RECORD) -> None:
    """Write down what the old code answered."""
    text = json.dumps(record, ensure_ascii=False, indent=0)
    path.write_bytes(lzma.compress(text.encode(), preset=9))


def api_client(token: str) -> APIClient:
    """Return a client of the HTTP interface with a token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def page_client() -> Client:
    """Return the browser of somebody who may see everything."""
    client = Client()
    client.force_login(User.objects.get(username=PERSON))
    return client


def of_api(response: Any) -> Answer:
    """Return status and body, without the request's id, which is another each time."""
    is_json = response.get("Content-Type", "").startswith("application/json")
    content = b"".join(response) if response.streaming else response.content
    body = json.loads(content) if is_json and content else content.decode()
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body["error"].pop("requestId", None)
    return {"status": response.status_code, "body": without_request_ids(body)}


def without_request_ids(value: Any) -> Any:
    """Return a value without the ids of requests that errors were kept with."""
    if isinstance(value, dict):
        return {name: without_request_ids(inner) for name, inner in value.items() if name != "requestId"}
    return [without_request_ids(inner) for inner in value] if isinstance(value, list) else value


def of_page(response: Any) -> Answer:
    """Return status and what a page says and links to: its looks are free to change, its facts are not."""
    reader = _Reader()
    reader.feed(response.content.decode())
    return {"status": response.status_code, "body": reader.lines}


class _Reader(HTMLParser):
    """Reads what stands in the page's main part, a line for each piece of text and each link."""

    HIDDEN = ("script", "style", "svg")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._is_main, self._hidden, self._for_paper = False, 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_main = self._is_main or tag == "main"
        self._hidden += tag in self.HIDDEN
        given = dict(attrs)
        if given.get("class") == "on-paper" or given.get("data-print") == "unit":
            self._for_paper = tag  # none of these holds another of its kind
        if self._is_main and tag == "a":
            self.lines.append(f"→ {dict(attrs).get('href')}")

    def handle_endtag(self, tag: str) -> None:
        self._is_main = self._is_main and tag != "main"
        self._hidden -= tag in self.HIDDEN
        self._for_paper = "" if tag == self._for_paper else self._for_paper

    def handle_data(self, data: str) -> None:
        text = re.sub(r"\s+", " ", data).strip()
        if self._is_main and not self._hidden and not self._for_paper and text:
            self.lines.append(text)


class NewIds:
    """Names the ids of events and tracks made after the dump by their order: numbers may be left out, and are.

    They are taken from their sequence when an event is read, so how many are left out depends on what a process
    remembers. `last` are the last ones of the dump: `event`, `track`.
    """

    KINDS = {"eventId": "event", "ingestEventId": "event", "trackId": "track", "trackIds": "track"}

    def __init__(self, **last: int) -> None:
        self._last = last
        self._names: dict[str, str] = {}

    def named(self, answer: Answer) -> Answer:
        """Return an answer with such ids named. Called for the answers of one case, in order."""
        listed = "event" if answer["asked"].startswith("ingest/events") else ""
        return dict(self._named(answer, "", listed))

    def _named(self, value: Any, key: str, listed: str) -> Any:
        if isinstance(value, dict):
            inside = {"tracks": "track", "ingestEvents": "event"}.get(key, listed)
            return {name: self._named(inner, name, inside) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._named(inner, key, listed) for inner in value]
        kind = listed if key == "id" else self.KINDS.get(key, "")
        if not kind or not isinstance(value, str) or not value.isdigit() or int(value) <= self._last[kind]:
            return value
        return self._names.setdefault(f"{kind} {value}", f"{kind} #{len(self._names)}")
