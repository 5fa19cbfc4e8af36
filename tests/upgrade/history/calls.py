"""Speaking to the old code: over its HTTP interface, its pages, its commands and its scheduled tasks."""

import io
import json
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils.module_loading import import_string
from django_q.models import Schedule
from rest_framework.test import APIClient

Sent = dict[str, Any]


class Interface:
    """The HTTP interface for one token. `sent` are the messages of machines, in order, with how each was answered."""

    def __init__(self, token: str, sent: list[Sent] | None = None) -> None:
        self.token = token
        self.client = APIClient()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        self.sent = sent if sent is not None else []

    def get(self, address: str, **query: Any) -> Any:
        answer = self.client.get(f"/api/{address}", query)
        assert answer.status_code == 200, (address, answer.content)
        return answer.json()["data"]

    def post(self, address: str, body: Any = None, *, code: str = "", method: str = "post") -> Any:
        """Do something; return the answer's data. With a `code`, it must be refused with that; return the error."""
        answer = getattr(self.client, method)(f"/api/{address}", {} if body is None else body)
        content = answer.json() if answer.content else {}
        if code:
            assert content.get("error", {}).get("code") == code, (address, body, answer.content.decode())
            return content["error"]
        assert answer.status_code in (200, 201, 202, 204), (address, body, answer.content.decode())
        return content.get("data")

    def patch(self, address: str, body: Any) -> Any:
        return self.post(address, body, method="patch")

    def send(self, address: str, body: Sent, *, code: str = "") -> Any:
        """Send a machine's message, as `post`, and remember it."""
        answer = self.post(address, body, code=code)
        self.sent.append({"address": address, "body": body, "code": code})
        return answer

    def send_raw(self, address: str, body: bytes) -> None:
        """Send what is not well-formed."""
        answer = self.client.generic("POST", f"/api/{address}", body, content_type="application/json")
        assert answer.status_code == 400, answer.content


class Pages:
    """The pages, for one person."""

    def __init__(self, username: str) -> None:
        self.client = Client()
        self.client.force_login(User.objects.get(username=username))

    def post(self, address: str, **fields: Any) -> None:
        answer = self.client.post(address, fields)
        assert answer.status_code == 302, (address, answer.status_code, answer.content[:500])


def command(name: str, *arguments: str, **options: Any) -> list[str]:
    """Run a command; return the lines that it prints."""
    output = io.StringIO()
    call_command(name, *arguments, stdout=output, **options)
    return output.getvalue().splitlines()


def make_token(name: str, role: str, *stations: str, **options: Any) -> str:
    """Issue a token; return its text."""
    return command("create_token", name, role=role.lower(), station=list(stations), **options)[-1]


def scheduled(name: str) -> Callable[[], Any]:
    """Return what the worker calls by the clock under this name."""
    return import_string(Schedule.objects.get(name=name).func)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
