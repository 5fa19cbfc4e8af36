"""What a browser would send of the forms of a page."""

from html.parser import HTMLParser
from typing import Any

from django.db.models import Model
from django.test import Client

from mes.platform.http import edits

_NOT_SENT = ("submit", "button", "reset", "image", "file")


class _Fields(HTMLParser):
    """Reads the fields of the forms that are posted."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, Any] = {}
        self._posted = False
        self._select: dict[str, str | None] | None = None
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "form":
            self._posted = (given.get("method") or "").lower() == "post"
        elif tag == "select":
            self._select = given
            if "multiple" in given and self._posted:
                self.sent[given["name"]] = []
        elif not self._posted:
            return
        elif tag == "input" and given.get("name"):
            self._add_input(given)
        elif tag == "option" and self._select is not None:
            self._add_option(self._select["name"], given)
        elif tag == "textarea":
            self._text = given["name"]
            self.sent[self._text] = ""

    def _add_input(self, given: dict[str, Any]) -> None:
        kind = given.get("type", "text")
        is_choice = kind in ("checkbox", "radio")
        if kind in _NOT_SENT or (is_choice and "checked" not in given):
            return
        value = given.get("value", "on" if is_choice else "")
        if kind == "checkbox" and given["name"] in self.sent:
            self.sent[given["name"]] = [*self.sent[given["name"]], value]
        else:
            self.sent[given["name"]] = [value] if kind == "checkbox" else value

    def _add_option(self, name: str, given: dict[str, Any]) -> None:
        if isinstance(self.sent.get(name), list):
            self.sent[name] += [given["value"]] if "selected" in given else []
        elif "selected" in given or name not in self.sent:
            self.sent[name] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._text:
            self.sent[self._text] += data.removeprefix("\n") if not self.sent[self._text] else data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = None
        elif tag == "select":
            self._select = None
        elif tag == "form":
            self._posted = False


def fields_of(response: Any) -> dict[str, Any]:
    """Return what the posted forms of a page send as they are shown, by name."""
    assert response.status_code == 200
    fields = _Fields()
    fields.feed(response.content.decode())
    fields.sent.pop("csrfmiddlewaretoken", None)
    return fields.sent


def filled(client: Client, page: str, **typed: Any) -> dict[str, Any]:
    """Return what a browser sends of a page's form in which something was typed."""
    return {**fields_of(client.get(page)), **typed}


def state_of(*things: Model) -> dict[str, Any]:
    """Return what a form that was opened now says of the state of its things."""
    return {"read_state": edits.tag_of(*things)}
