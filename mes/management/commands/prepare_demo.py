"""Make what the demo needs before it can start: people to sign in as, tokens, and four weeks of changes."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from mes.management import demo_weeks
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import ROLES_AT_TERMINALS, Role
from mes.platform.accounts.tokens import find_token, issue_token, revoke_token
from mes.platform.database.authorship import ActorKind, Authorship, Via, by_system, signed_by
from mes.platform.sign_in import badges
from mes.platform.sign_in.models import Badge

ROLES = (Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY, Role.ENGINEER, Role.ADMIN)
SECOND = "lena"  # a second engineer: two change one thing at once
PEOPLE = {**{role.value.lower(): role for role in ROLES}, SECOND: Role.ENGINEER}
FIRST_NAME = "Demo"  # marks the people that are ours; others of the same name are never touched
TOKEN_NAME = "Demo line"
SIGNER_NAME = "Demo quality"  # who signs first articles is another one than who inspects them
REVOKED, STANDS_IN = "the new gateway has a token of its own", "stands in for the shift lead"
ERP_NAME, SPARE_NAME = "Demo ERP", "Demo gateway (old)"
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that look alike


class Command(BaseCommand):
    """`prepare_demo`, any number of times: what is still valid is kept."""

    help = "Make the users and the token of the demo; what they are is kept in demo.json of the data folder."

    def add_arguments(self, parser: CommandParser) -> None:
        """Making is the default."""
        parser.add_argument(
            "--no-weeks", dest="weeks", action="store_false", help="without the four weeks of changes of a new demo"
        )
        parser.add_argument("--withdraw", action="store_true", help="end the demo's sign-ins and its token instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing and write it down, or end what was made."""
        if options["withdraw"]:
            withdraw()
            return
        if not settings.DEMO:
            raise CommandError("This is not the demo (DEMO=0), so no demo users are made.")
        path = settings.DATA_DIR / "demo.json"
        if options["weeks"] and demo_weeks.is_due():
            self.prepare_with_weeks(path)
        else:
            with transaction.atomic():
                self.prepare(path)

    def prepare(self, path: Path) -> dict[str, Any]:
        """Make the people and the tokens; return what is written down of them."""
        saved_notes = read_notes(path)
        password = known_password(saved_notes) or make_password()
        pin = known_pin(saved_notes) or make_pin()
        people = [make_person(role, password, name=name, pin=pin) for name, role in PEOPLE.items()]
        notes = {
            "users": [user for user in people if user],
            "token": make_token(str(saved_notes.get("token", ""))),
            "signerToken": make_token(str(saved_notes.get("signerToken", "")), name=SIGNER_NAME, role=Role.QUALITY),
        }
        if notes != saved_notes:
            write_notes(path, notes)
        for name, user in zip(PEOPLE, people, strict=True):
            if user is None:
                self.stderr.write(f"“{name}” is not a user of the demo and is left as it is.")
        return notes

    def prepare_with_weeks(self, path: Path) -> None:
        """Prepare, and have four weeks of changes lie behind (`mes.management.demo_weeks`)."""
        demo_weeks.make_months()
        weeks, began = demo_weeks.Weeks(), timezone.now() - demo_weeks.WEEKS
        with transaction.atomic():
            with weeks.meant_for(began), signed_by(by_system()):
                notes = self.prepare(path)
            try:
                with transaction.atomic():
                    write_weeks(weeks, notes, began)
            except demo_weeks.WeeksFailed as failure:
                self.stderr.write(f"The demo begins without its four weeks of changes: {failure}")
                return
            weeks.date()
        demo_weeks.seal()


def write_weeks(weeks: demo_weeks.Weeks, notes: Mapping[str, Any], began: datetime) -> None:
    """Make the changes: those of the demo's client, and before and after them what only administrators do."""
    with weeks.meant_for(began + timedelta(minutes=5)), signed_by(by_admin()):
        erp_token = issue_token(name=ERP_NAME, role=Role.INTEGRATION)[1]
        spare, _text = issue_token(name=SPARE_NAME, role=Role.INTEGRATION)
    passwords = {user["username"]: user["password"] for user in notes["users"] if user}
    people = User.objects.filter(username__in=list(passwords))
    given = {"people": people, "passwords": passwords, "token": notes["token"], "erp_token": erp_token}
    weeks.have_written("weeks", **given)
    with weeks.meant_for(timezone.now() - timedelta(hours=40)), signed_by(by_admin(REVOKED)):
        revoke_token(spare)
    with weeks.meant_for(timezone.now() - timedelta(hours=26)), signed_by(by_admin(STANDS_IN)):
        User.objects.get(username=SECOND).groups.add(group_of(Role.SUPERVISOR))
    weeks.have_written("messages", **given)


def by_admin(reason: str = "") -> Authorship:
    """Return the authorship of the demo's administrator."""
    return Authorship(lambda: (Role.ADMIN.value.lower(), ActorKind.PERSON), Via.ADMIN, reason)


def withdraw() -> None:
    """End the sign-ins and the tokens of the demo: they exist in demo mode only."""
    User.objects.filter(username__in=PEOPLE, first_name=FIRST_NAME, is_active=True).update(is_active=False)
    for token in DeviceToken.objects.filter(name__in=(TOKEN_NAME, SIGNER_NAME, ERP_NAME), revoked_at=None):
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


def known_pin(notes: dict[str, Any]) -> str:
    """Return the one PIN of the demo's badges, if there is one."""
    users = notes.get("users")
    pins = {str(user.get("pin", "")) for user in users if isinstance(user, dict)} if isinstance(users, list) else set()
    return max(pins, default="")


def make_pin() -> str:
    """Return a PIN that may be one."""
    while True:
        pin = "".join(secrets.choice("0123456789") for _ in range(badges.LEAST_DIGITS))
        with suppress(ValidationError):
            badges.check_pin(pin)
            return pin


def make_person(role: Role, password: str, *, name: str, pin: str) -> dict[str, str] | None:
    """Make the demo user of a role, with this password; None if somebody else has the name. Who works at stations has
    a badge with this PIN.
    """
    user, created = User.objects.get_or_create(
        username=name,
        defaults={
            "first_name": FIRST_NAME,
            "last_name": name.capitalize(),
            "is_superuser": role == Role.ADMIN,
        },
    )
    if user.first_name != FIRST_NAME:
        return None
    if created or not user.is_active or not user.check_password(password):
        user.set_password(password)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
    user.groups.add(group_of(role))
    notes = {"username": name, "password": password, "role": role.value}
    if role in ROLES_AT_TERMINALS:
        notes |= {"badge": give_badge(user, pin), "pin": pin}
    return notes


def give_badge(user: User, pin: str) -> str:
    """Give a demo user a badge with this PIN; one that is there stays."""
    badge = Badge.objects.filter(user=user).first()
    if badge is None or not badge.pin_hash or not badges.matches(badge, pin):
        badges.keep(user, code=f"B-{user.username}" if badge is None else badge.code, pin=pin)
    return Badge.objects.values_list("code", flat=True).get(user=user)


def group_of(role: Role) -> Group:
    """Return the group of a role."""
    return Group.objects.get_or_create(name=role.group_name)[0]


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
