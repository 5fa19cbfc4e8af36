"""Make what the demo needs before it can start: people to sign in as, and the token of the demo line."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import find_token, issue_token, revoke_token

ROLES = (Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY, Role.ENGINEER, Role.ADMIN)
FIRST_NAME = "Demo"  # marks the people that are ours; others of the same name are never touched
TOKEN_NAME = "Demo line"
SIGNER_NAME = "Demo quality"  # who signs first articles is another one than who inspects them
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that look alike


class Command(BaseCommand):
    """`prepare_demo`, any number of times: what is still valid is kept."""

    help = "Make the users and the token of the demo; what they are is kept in demo.json of the data folder."

    def add_arguments(self, parser: CommandParser) -> None:
        """Making is the default."""
        parser.add_argument("--withdraw", action="store_true", help="end the demo's sign-ins and its token instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing and write it down, or end what was made."""
        if options["withdraw"]:
            withdraw()
            return
        if not settings.DEMO:
            raise CommandError("This is not the demo (DEMO=0), so no demo users are made.")
        path = settings.DATA_DIR / "demo.json"
        saved_notes = read_notes(path)
        with transaction.atomic():
            password = known_password(saved_notes) or make_password()
            people = [make_person(role, password) for role in ROLES]
            notes = {
                "users": [user for user in people if user],
                "token": make_token(str(saved_notes.get("token", ""))),
                "signerToken": make_token(str(saved_notes.get("signerToken", "")), name=SIGNER_NAME, role=Role.QUALITY),
            }
            if notes != saved_notes:
                write_notes(path, notes)
        for role, user in zip(ROLES, people, strict=True):
            if user is None:
                self.stderr.write(f"“{role.value.lower()}” is not a user of the demo and is left as it is.")


def withdraw() -> None:
    """End the sign-ins and the token of the demo: they exist in demo mode only."""
    names = [role.value.lower() for role in ROLES]
    User.objects.filter(username__in=names, first_name=FIRST_NAME, is_active=True).update(is_active=False)
    for token in DeviceToken.objects.filter(name__in=(TOKEN_NAME, SIGNER_NAME), revoked_at=None):
        revoke_token(token)


def read_notes(path: Path) -> dict[str, Any]:
    """Return what an earlier call wrote down."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_notes(path: Path, notes: dict[str, Any]) -> None:
    """Replace the file; only its owner can read it."""
    partial = path.with_suffix(".json.new")
    partial.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(notes, file, indent=2)
    partial.replace(path)


def known_password(notes: dict[str, Any]) -> str:
    """Return the one password of the demo users, if there is one."""
    users = notes.get("users")
    passwords = {user.get("password") for user in users if isinstance(user, dict)} if isinstance(users, list) else set()
    password = passwords.pop() if len(passwords) == 1 else ""
    return password if isinstance(password, str) else ""


def make_password() -> str:
    """Return a password that can be typed from a screen, such as `k7fp-2mzx-tq4d`."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(3))


def make_person(role: Role, password: str) -> dict[str, str] | None:
    """Make the demo user of a role, with this password; None if somebody else has the name."""
    name = role.value.lower()
    user, created = User.objects.get_or_create(
        username=name,
        defaults={
            "first_name": FIRST_NAME,
            "last_name": str(role.value.capitalize()),
            "is_superuser": role == Role.ADMIN,
        },
    )
    if user.first_name != FIRST_NAME:
        return None
    if created or not user.is_active or not user.check_password(password):
        user.set_password(password)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
    user.groups.add(Group.objects.get_or_create(name=role.group_name)[0])
    return {"username": name, "password": password, "role": role.value}


def make_token(text: str, *, name: str = TOKEN_NAME, role: Role = Role.ADMIN) -> str:
    """Return this token if it is still valid, else a new one in place of the old."""
    principal = find_token(text)
    if principal is not None and principal.name == name and principal.role == role:
        return text
    for old in DeviceToken.objects.filter(name=name):
        revoke_token(old)
        old.name = f"{name} (replaced, {old.pk})"
        old.save(update_fields=["name"])
    return issue_token(name=name, role=role)[1]
