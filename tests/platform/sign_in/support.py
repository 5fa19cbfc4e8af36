"""Terminals, badges and who signs on there."""

from itertools import count
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.sign_in import terminals
from mes.platform.sign_in.models import Badge, Terminal
from tests.factories import make_station, make_user

PIN = "4711"
_numbers = count(1)


def make_badge(name: str, role: Role | None = Role.OPERATOR, *, pin: str = PIN, **fields: Any) -> User:
    """Make a person with the badge `B-<name>`."""
    person = make_user(role, username=name, **fields)
    pin_hash = make_password(pin) if pin else ""
    Badge.objects.create(user=person, code=f"B-{name}", pin_hash=pin_hash, pin_set_at=timezone.now() if pin else None)
    return person


def make_terminal(station: str = "ICT-01", *, name: str = "Tablet left") -> tuple[Terminal, Client]:
    """Bind a new browser to a station; return the terminal and the browser."""
    secret = f"secret-{next(_numbers)}"
    terminal = Terminal.objects.create(
        name=name, station=make_station(station), secret_hash=terminals._hash(secret), bound_by="sue"
    )
    browser = Client()
    browser.cookies[terminals.COOKIE] = secret
    return terminal, browser


def sign_on(browser: Client, badge: str = "B-olga", pin: str = PIN, **headers: Any) -> Any:
    """Sign on; return the answer."""
    body = {"badge": badge, "pin": pin}
    return browser.post("/api/sign-on", body, content_type="application/json", **headers)


def sign_off(browser: Client) -> Any:
    """Sign off; return the answer."""
    return browser.post("/api/sign-off", {}, content_type="application/json")


def who(browser: Client) -> dict[str, Any]:
    """Return who is signed in in a browser."""
    answer = browser.get("/api/sign-on")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()["data"]
    return told
