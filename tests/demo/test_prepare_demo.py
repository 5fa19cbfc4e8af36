"""The users and the token of the demo."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Capability, Role, role_capabilities
from mes.platform.accounts.tokens import find_token, revoke_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(settings: Any, tmp_path: Path) -> Path:
    """The file of the demo in a new data folder."""
    settings.DEMO = True
    settings.DATA_DIR = tmp_path / "data"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path / "data" / "demo.json"


def prepare(file: Path) -> dict[str, Any]:
    """Call the command and read what it wrote."""
    call_command("prepare_demo", "--no-weeks")
    notes: dict[str, Any] = json.loads(file.read_text())
    return notes


def test_it_makes_a_user_of_each_role_and_a_token(file: Path) -> None:
    notes = prepare(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [user["username"] for user in notes["users"]] == [
        "operator",
        "supervisor",
        "quality",
        "engineer",
        "admin",
        "lena",
    ]
    assert len({user["password"] for user in notes["users"]}) == 1
    for noted in notes["users"]:
        user = authenticate(username=noted["username"], password=noted["password"])
        assert isinstance(user, User)
        assert user.is_superuser == (noted["username"] == "admin")
        assert user.groups.get().name == Role(noted["role"]).group_name
    principal = find_token(notes["token"])
    assert principal is not None
    assert principal.capabilities == frozenset(Capability)
    signer = find_token(notes["signerToken"])
    assert signer is not None and signer.role == Role.QUALITY
    assert Capability.TRACK in role_capabilities(User.objects.get(username="operator"))


def test_a_second_time_changes_nothing(file: Path) -> None:
    first = prepare(file)
    before = (file.stat().st_mtime_ns, list(User.objects.values()), list(DeviceToken.objects.values()))
    assert prepare(file) == first
    assert (file.stat().st_mtime_ns, list(User.objects.values()), list(DeviceToken.objects.values())) == before


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"users": 7, "token": 7}', '{"users": [7], "token": null}'])
def test_without_its_file_it_issues_anew(file: Path, content: str | None) -> None:
    first = prepare(file)
    file.unlink()
    if content is not None:
        file.write_text(content)
    second = prepare(file)
    assert second["token"] != first["token"]
    assert find_token(first["token"]) is None
    assert find_token(second["token"]) is not None
    assert authenticate(username="quality", password=second["users"][2]["password"])
    assert file.stat().st_mode & 0o777 == 0o600


def test_in_a_new_database_the_password_stays_and_the_token_is_new(file: Path) -> None:
    first = prepare(file)
    User.objects.all().delete()
    DeviceToken.objects.all().delete()
    second = prepare(file)
    assert second["users"] == first["users"]
    assert authenticate(username="admin", password=first["users"][4]["password"])
    assert find_token(second["token"]) is not None


def test_a_revoked_token_is_replaced(file: Path) -> None:
    first = prepare(file)
    revoke_token(DeviceToken.objects.get(name="Demo line"))
    second = prepare(file)
    assert second["users"] == first["users"]
    assert find_token(second["token"]) is not None
    assert DeviceToken.objects.filter(name__startswith="Demo line").count() == 2


def test_somebody_elses_account_is_left_alone(file: Path) -> None:
    User.objects.create_user("admin", password="a secret of theirs")
    notes = prepare(file)
    assert [user["username"] for user in notes["users"]] == ["operator", "supervisor", "quality", "engineer", "lena"]
    assert authenticate(username="admin", password="a secret of theirs")
    assert not User.objects.get(username="admin").is_superuser


def test_without_the_demo_it_refuses(file: Path, settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match="DEMO=0"):
        call_command("prepare_demo")
    assert not file.exists() and not User.objects.exists()
